"""The network that is trained: steps as hardware runs them, in float and at every number format.

A `Model` is a list of steps, each of which reads the network's input or steps before it. Float
until `Model.quantize` puts quantisers on weights and outputs. Values are those of torch, of shape
(images, channels, height, width) or (images, channels); with each goes the value of its level 1,
its scale, because sums of two tensors and the last bias depend on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Unpack, cast

import torch
from torch import Tensor, nn

from ...hw.errors import FormatError, NetworkError
from ...hw.network.network import INPUT
from ...hw.numbers.formats import Fixed, Format
from .norm_limited import Constraint
from .quantize import MAX_ACTIVATION_WIDTH, ActivationQuantizer, QuantizerOptions
from .steps import Head, Step, WeightedStep
from .unweighted import AveragePoolStep

__all__ = ["Formats", "Model", "Node", "signed_version"]


class Formats(NamedTuple):
    """Formats of one step: of its weights, and of what it gives.

    ``widths`` are those of its channels, where they have their own; ``constraint`` is what its
    weights are trained to keep to.
    """

    weight: Format
    activation: Format
    widths: tuple[int, ...] | None = None
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Node:
    """Place of a step in the graph: its name, its sources, and the shape that it gives.

    Attributes
    ----------
    name : str
        Path of the torch module that it came from.
    sources : tuple of str
        Names of steps, or ``input``.
    shape : tuple of int
        Channels, and height and width if it has them.
    """

    name: str
    sources: tuple[str, ...]
    shape: tuple[int, ...]


def signed_version(fmt: Format) -> Format:
    """Return the format of a tensor that no ReLU keeps from being negative.

    It is one bit wider: an operand that holds both formats is that wide in any case.
    """
    if isinstance(fmt, Fixed) and not fmt.signed:
        return Fixed(min(fmt.width + 1, MAX_ACTIVATION_WIDTH))
    return fmt


class Model(nn.Module):
    """Steps in the order in which they run; the last one gives the logits.

    Parameters
    ----------
    nodes : sequence of Node
        Names and sources.
    steps : sequence of Step
        What each of them computes.
    image_shape : tuple of int
        Height, width and channels of an image.
    remarks : sequence of str
        What it leaves out of the module that it was made of, for whom it concerns.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        steps: Sequence[Step],
        image_shape: tuple[int, int, int],
        remarks: Sequence[str] = (),
    ):
        super().__init__()
        self.nodes, self.image_shape, self.remarks = tuple(nodes), image_shape, tuple(remarks)
        self.steps = nn.ModuleList(steps)
        self.input_scale = 1.0
        self.input_format: Format | None = None
        last = {source: index for index, node in enumerate(nodes) for source in node.sources}
        self._done = [
            [name for name, at in last.items() if at == index] for index in range(len(nodes))
        ]

    def items(self) -> list[tuple[Node, Step]]:
        """Return every node with its step."""
        return list(zip(self.nodes, cast("list[Step]", list(self.steps)), strict=True))

    def weighted(self) -> list[tuple[Node, WeightedStep]]:
        """Return the steps with weights, in order."""
        return [(node, step) for node, step in self.items() if isinstance(step, WeightedStep)]

    def channels(self) -> dict[str, int]:
        """Return the output channels of the steps with weights, by name, in order."""
        return {node.name: step.op.weight.shape[0] for node, step in self.weighted()}

    def quantize(
        self,
        formats: Mapping[str, Formats],
        input: Format,
        input_scale: float,
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Put quantisers on all weights and activations.

        Parameters
        ----------
        formats : mapping
            Formats of every step, by name; what a step has no use for is ignored.
        input : Format
            Format of the pixels.
        input_scale : float
            Value of input level 1.
        **options
            ``scale``, ``rounding`` and ``generator`` of `WeightQuantizer`.
        """
        self.input_format, self.input_scale = input, input_scale
        known = {INPUT: input}
        for node, step in self.items():
            wanted = formats[node.name]
            activation = wanted.activation
            if not step.relu:
                activation = signed_version(activation)
            read = tuple(known[source] for source in node.sources)
            if isinstance(step, WeightedStep):
                step.constraint = wanted.constraint
            try:
                own = options | QuantizerOptions(widths=wanted.widths)
                step.quantize(wanted.weight, activation, read, **own)
            except (FormatError, NetworkError) as error:
                raise type(error)(f"layer {node.name}: {error}") from error
            step.padding_value = float(read[0].zero_level)  # of bipolar values, whose scale is 1
            known[node.name] = step.output
        last = self.steps[-1]
        if isinstance(last, AveragePoolStep):
            last.activation = None  # plain sums leave the accelerator

    def scales(self) -> dict[str, Tensor]:
        """Return the value of level 1 of the input and of every step's output."""
        scales = {INPUT: torch.tensor(self.input_scale, device=self.device)}
        for node, step in self.items():
            scales[node.name] = step.scale([scales[source] for source in node.sources])
        return scales

    @property
    def device(self) -> torch.device:
        """Device of its parameters."""
        return next(self.parameters()).device

    def forward(self, x: Tensor) -> Tensor:
        """Map input values of shape (images, channels, height, width) to logits."""
        return self.run(x)[self.nodes[-1].name].flatten(1)

    def run(self, x: Tensor, *, keep: bool = False) -> dict[str, Tensor]:
        """Return the last output, by name; with ``keep``, those of all steps."""
        scales, values = self.scales(), {INPUT: x}
        for (node, step), done in zip(self.items(), self._done, strict=True):
            values[node.name] = step(
                [values[source] for source in node.sources],
                [scales[source] for source in node.sources],
            )
            if not keep:
                for name in done:
                    del values[name]  # a deep network's values would add up
        return values

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> dict[str, Tensor]:
        """Return all values that every step gives, by name; see `fit_scales`."""
        values = self.run(images, keep=True)
        return {node.name: values[node.name].float().flatten() for node in self.nodes}

    @torch.no_grad()
    def fit_scales(self, samples: Mapping[str, Tensor]) -> None:
        """Start the activation scales where ``samples`` lose least."""
        for node, step in self.items():
            quantizer = step.activation
            if isinstance(quantizer, ActivationQuantizer) and not isinstance(step, Head):
                quantizer.fit(samples[node.name])
