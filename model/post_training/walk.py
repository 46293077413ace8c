"""Walks through a float and a quantised model side by side, step by step."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ...hw.network.network import INPUT
from ..layers.blocks import Model, Node
from ..layers.steps import Step

__all__ = ["Pair", "mixed", "sums_before_bounds", "walk"]


class Pair(NamedTuple):
    """One step of both models, and what it reads and gives in each.

    Attributes
    ----------
    node : Node
        Its place.
    exact, step : Step
        The float one and the quantised one.
    exact_inputs, inputs : list of Tensor
        What they read: the quantised one what quantised ones before it give.
    scales : list of Tensor
        Values of level 1 of ``inputs``.
    """

    node: Node
    exact: Step
    step: Step
    exact_inputs: list[Tensor]
    inputs: list[Tensor]
    scales: list[Tensor]

    def outputs(self) -> tuple[Tensor, Tensor]:
        """Return what the float step and the quantised one give."""
        exact = self.exact(self.exact_inputs, self.scales)
        return exact, self.step(self.inputs, self.scales)


@torch.no_grad()
def walk(exact: Model, model: Model, images: Tensor, quantised: Tensor) -> Iterator[Pair]:
    """Yield every step with what it reads; a step that is changed then gives what it now does.

    Parameters
    ----------
    exact, model : Model
        In float, and quantised.
    images, quantised : Tensor of shape (images, channels, height, width)
        What either reads.
    """
    last = {source: node.name for node in model.nodes for source in node.sources}
    known, given = {INPUT: images}, {INPUT: quantised}
    scales = model.scales()
    for (node, one), (_, two) in zip(exact.items(), model.items(), strict=True):
        pair = Pair(
            node,
            one,
            two,
            [known[source] for source in node.sources],
            [given[source] for source in node.sources],
            [scales[source] for source in node.sources],
        )
        yield pair
        known[node.name], given[node.name] = pair.outputs()
        for source in [name for name in known if last.get(name) == node.name]:
            del known[source], given[source]


def sums_before_bounds(step: Step, inputs: list[Tensor], scales: list[Tensor]) -> Tensor:
    """Return what a step gives before its activation, whatever that is."""
    kept, step.activation = step.activation, None
    try:
        return step(inputs, scales)
    finally:
        step.activation = kept


@torch.no_grad()
def mixed(
    exact: Model,
    model: Model,
    images: Tensor,
    name: str,
    *,
    channels: Tensor | None = None,
    known: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Return the logits of the float model in which one step is the quantised one.

    Parameters
    ----------
    exact, model : Model
        In float, and quantised.
    images : Tensor of shape (images, channels, height, width)
        What they read.
    name : str
        The step.
    channels : bool Tensor of shape (channels,), optional
        Which channels that it gives are quantised; all by default.
    known : mapping, optional
        What the steps of the float model give, by name (`Model.run`): those before the one that
        is quantised do not run again.
    """
    scales, values = model.scales(), {INPUT: images}
    before = known is not None
    for (node, one), (_, two) in zip(exact.items(), model.items(), strict=True):
        if before and known is not None and node.name != name:
            values[node.name] = known[node.name]
            continue
        inputs = [values[source] for source in node.sources]
        own = [scales[source] for source in node.sources]
        given = (two if node.name == name else one)(inputs, own)
        if node.name == name:
            before = False
            if channels is not None:
                chosen = channels.reshape(-1, *[1] * (given.ndim - 2))
                given = torch.where(chosen, given, one(inputs, own))
        values[node.name] = given
    return values[exact.nodes[-1].name].flatten(1)
