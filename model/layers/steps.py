"""What the steps of a model compute: here those with weights; `unweighted` has the others.

Every step is a sum, a norm and an activation, and so is what hardware runs: an accumulator and its
requantisation. A step is float until `Step.quantize`.
"""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ...hw.numbers.formats import Fixed, Format
from .quantize import ActivationQuantizer, QuantizerOptions, WeightQuantizer
from .rounding import straight_through

__all__ = ["BIAS", "Block", "Head", "Magnitude", "Step", "WeightedStep"]

BIAS = Fixed(32)
"""Format of the last layer's bias, in units of its accumulator."""


class Step(nn.Module):
    """What all steps have; alone it is not used.

    Attributes
    ----------
    norm : Module or None
        Maps sums to values; see `norm.constants`.
    activation : Module or None
        ReLU, or the quantiser that replaces it.
    relu : bool
        Whether its values are kept from being negative.
    inputs, output : Format
        Formats of what it reads and gives, once quantised.
    padding_value : float
        What a window reads outside of the image.
    """

    inputs: tuple[Format, ...] = ()
    output: Format
    padding_value = 0.0

    def __init__(self, *, relu: bool = False):
        super().__init__()
        self.relu = relu
        self.norm: nn.Module | None = None
        self.activation: nn.Module | None = nn.ReLU() if relu else None

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Put quantisers on weights and output; ``options`` are those of `WeightQuantizer`."""
        self.inputs, self.output = inputs, activation
        rounding, generator = options.get("rounding", "nearest"), options.get("generator")
        self.activation = ActivationQuantizer(activation, rounding=rounding, generator=generator)

    def scale(self, scales: Sequence[Tensor]) -> Tensor:
        """Return the value of output level 1, given those of its inputs."""
        if isinstance(self.activation, ActivationQuantizer):
            return self.activation.scale
        return torch.ones_like(scales[0])

    def finish(self, sums: Tensor) -> Tensor:
        """Apply norm and activation."""
        x = sums if self.norm is None else self.norm(sums)
        return x if self.activation is None else self.activation(x)

    def pad(self, x: Tensor, padding: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """Pad with what is not zero; return the padding that remains to be done with zeros."""
        if self.padding_value == 0 or not any(padding):
            return x, padding
        rows, columns = padding
        return functional.pad(x, (columns, columns, rows, rows), value=self.padding_value), (0, 0)


class WeightedStep(Step):
    """A step with weights.

    Parameters
    ----------
    op : Conv2d or Linear
        The weights, without a bias.
    spatial : tuple of int
        Shape of the tensor that it reads: channels, height, width.
    relu : bool
        See `Step`.
    """

    per_channel = True

    def __init__(self, op: nn.Conv2d | nn.Linear, spatial: tuple[int, ...], *, relu: bool = False):
        super().__init__(relu=relu)
        self.op, self.spatial = op, spatial
        self.weight_format: Format | None = None

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Put quantisers on weights and output."""
        super().quantize(weight, activation, inputs, **options)
        self.weight_format = weight
        quantizer = WeightQuantizer(weight, self.op.weight, per_channel=self.per_channel, **options)
        parametrize.register_parametrization(self.op, "weight", quantizer)

    def weights(self) -> tuple[WeightQuantizer, Tensor]:
        """Return the weight quantiser and the float shadow weights of a quantised step."""
        found = self.op.parametrizations["weight"]  # type: ignore[index]
        return found[0], found.original  # type: ignore[union-attr, index]

    def sums(self, x: Tensor) -> Tensor:
        """Return the weighted sums."""
        if isinstance(self.op, nn.Linear):
            return self.op(x.flatten(1))
        x, padding = self.pad(x, self.op.padding)  # type: ignore[arg-type]
        return functional.conv2d(
            x, self.op.weight, None, self.op.stride, padding, groups=self.op.groups
        )


class Block(WeightedStep):
    """Convolution or linear layer, a max pool perhaps, norm and activation.

    Parameters
    ----------
    op, spatial, relu
        See `WeightedStep`.
    norm : Module
        BatchNorm or `norm.Shift`.
    pool : MaxPool2d, optional
        Between sums and norm. The norm's slopes are then used as their magnitudes, so that
        hardware may pool after requantising: a function that nowhere falls commutes with a maximum.
    pool_name : str
        Names the pool in the network file.
    """

    def __init__(
        self,
        op: nn.Conv2d | nn.Linear,
        spatial: tuple[int, ...],
        norm: nn.Module,
        *,
        relu: bool,
        pool: nn.MaxPool2d | None = None,
        pool_name: str = "",
    ):
        super().__init__(op, spatial, relu=relu)
        self.norm, self.pool, self.pool_name = norm, pool, pool_name
        if pool is not None and isinstance(norm, nn.BatchNorm2d):
            parametrize.register_parametrization(norm, "weight", Magnitude())

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return the values that follow from those of its source."""
        x = self.sums(values[0])
        return self.finish(x if self.pool is None else self.pool(x))


class Magnitude(nn.Module):
    """Parametrisation: the magnitude of a parameter."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the magnitude."""
        return x.abs()


class Head(WeightedStep):
    """The last weighted layer, whose bias is an integer in units of the accumulator once quantised.

    One scale serves all classes, so that the largest integer is the largest logit.
    """

    per_channel = False

    def __init__(self, op: nn.Conv2d | nn.Linear, spatial: tuple[int, ...], bias: Tensor):
        super().__init__(op, spatial)
        self.bias = nn.Parameter(bias.detach().clone())

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Put a quantiser on the weights; the output stays what it is."""
        super().quantize(weight, activation, inputs, **options)
        self.activation = None

    def unit(self, input_scale: Tensor) -> Tensor:
        """Return the value of accumulator level 1, a scalar, for inputs of that scale."""
        quantizer, shadow = self.weights()
        return quantizer.scale(shadow).reshape(()) * input_scale

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return logits of shape (images, classes)."""
        bias = self.bias
        if self.weight_format is not None:
            bias = straight_through(bias, self.unit(scales[0]).detach(), BIAS)
        return self.sums(values[0]).flatten(1) + bias
