"""Tells which pairs of formats of a layer fill an accumulator, before anything is solved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...hw.errors import NetworkError
from ...hw.network.layers import Weighted
from ...hw.numbers.arithmetic import bits_for
from ...hw.numbers.formats import Fixed, Format
from ...hw.numbers.operands import Operands
from ...hw.program.bounds import MARGIN, layer_bounds
from ...hw.program.mapping import MappedLayer, map_weighted
from ...hw.program.patch import patch_of
from ..exact.unsolved import Parameters
from ..integers.export_layers import hidden_layer, last_layer
from ..integers.partial_sums import layer_sums
from ..layers.blocks import Model, Node
from ..layers.steps import Step, WeightedStep
from ..layers.unweighted import AveragePoolStep, MaxPoolStep, UpsampleStep
from .options import AccumulatorFit

__all__ = ["FEWEST_WEIGHT_BITS", "WIDE", "Candidates", "WidthPair", "maximal", "of_models"]

WIDE = 8  # bits of layers that are not decided yet
FEWEST_WEIGHT_BITS = 2


class WidthPair(NamedTuple):
    """Bits of what a layer reads, and of its weights."""

    activation: int
    weight: int


def maximal(fitting: Sequence[WidthPair]) -> list[WidthPair]:
    """Return the pairs that no other one holds: of which neither half can have a bit more."""
    known = set(fitting)
    return [
        pair
        for pair in fitting
        if not known & {pair._replace(activation=pair.activation + 1)}
        and not known & {pair._replace(weight=pair.weight + 1)}
    ]


def _read_from(model: Model, node: Node) -> str:
    """Return the step, or the input, whose format is that of what ``node`` reads."""
    steps: dict[str, tuple[Node, Step]] = {each.name: (each, step) for each, step in model.items()}
    (source,) = node.sources
    while source in steps and isinstance(
        steps[source][1], AveragePoolStep | MaxPoolStep | UpsampleStep
    ):
        source = steps[source][0].sources[0]
    return source


@dataclass(frozen=True, eq=False)
class Candidates:
    """What decides which pairs of a layer fit.

    Attributes
    ----------
    name : str
        The layer.
    source : str
        Whose format its activation bits are.
    signed : bool
        Whether that is signed.
    mapped : mapping
        The layer with weights of each width, by the width; its input has `WIDE` bits.
    levels : int64 tensor of shape (images, height, width, channels), or None
        What it reads on the images of the calibration; None where no images are asked for.
    """

    name: str
    source: str
    signed: bool
    mapped: Mapping[int, MappedLayer]
    levels: Tensor | None

    @property
    def grid(self) -> list[WidthPair]:
        """All pairs that there are."""
        fewest = 1 + self.signed
        return [
            WidthPair(activation, weight)
            for weight in sorted(self.mapped)
            for activation in range(fewest, WIDE + 1)
        ]

    def bits(self, options: AccumulatorFit) -> dict[WidthPair, int]:
        """Return the bits that the sums of each pair take, by the bound."""
        return {
            pair: bits
            for weight in sorted(self.mapped)
            for pair, bits in self._of_weights(weight, options)
        }

    def _of_weights(self, weight: int, options: AccumulatorFit) -> list[tuple[WidthPair, int]]:
        mapped, pairs = self.mapped[weight], [each for each in self.grid if each.weight == weight]
        if options.bound != "calibrated":
            found = []
            for pair in pairs:
                fmt = _input(pair.activation, self.signed)
                bounds = layer_bounds(replace(mapped, layer=replace(mapped.layer, input=fmt)))
                found.append((pair, bounds[options.bound].needed(options.overflow).bits))
            return found
        assert self.levels is not None
        steps = options.overflow == "saturate"
        seen = layer_sums(mapped, [self.levels], options.lanes, steps=steps)
        ends = (seen.partial if steps else seen.final).ends
        return [(pair, _scaled(ends, pair.activation, self.signed)) for pair in pairs]


def _scaled(ends: tuple[int, int], bits: int, signed: bool) -> int:
    """Return the bits of sums, seen at `WIDE` bits, where what is read has fewer."""
    share = _input(bits, signed).max_level / _input(WIDE, signed).max_level
    low, high = (round(end * share * MARGIN) for end in ends)
    return max(2, bits_for(low, high))


def _input(bits: int, signed: bool) -> Format:
    return Fixed(bits, signed=signed)


def of_models(
    models: Mapping[int, Model], levels: Mapping[str, np.ndarray], options: AccumulatorFit
) -> list[Candidates]:
    """Return the candidates of every layer with weights, in order.

    Parameters
    ----------
    models : mapping
        The network quantised with weights of each width, and `WIDE` bits elsewhere.
    levels : mapping
        What layers read on images, by the name of the layer; empty where the bound needs none.
    options : AccumulatorFit
        What they have to fit.

    Raises
    ------
    NetworkError
        For weights that no integers of 62 bits sum.
    """
    found = []
    first = next(iter(models.values()))
    for node, step in first.weighted():
        (fmt,) = step.inputs
        if not isinstance(fmt, Fixed):
            raise NetworkError(f"layer {node.name}: reads {fmt}, and integers are fitted")
        known = levels.get(node.name)
        found.append(
            Candidates(
                name=node.name,
                source=_read_from(first, node),
                signed=fmt.signed,
                mapped={bits: _mapped(each, node, options.lanes) for bits, each in models.items()},
                levels=None if known is None else torch.as_tensor(known),
            )
        )
    return found


@torch.no_grad()
def _mapped(model: Model, node: Node, lanes: int) -> MappedLayer:
    """Return a step as the array runs it; how its sums become levels does not matter here."""
    step = dict(zip(model.nodes, model.steps, strict=True))[node]
    assert isinstance(step, WeightedStep)
    function = last_layer if node == model.nodes[-1] else hidden_layer
    sums = function(model, node, step, node.sources).accumulation
    channels = sums.size.channels
    one = Parameters(multiplier=np.ones(channels), bias=np.zeros(channels))
    layer = sums.layer(node.name, Fixed(32), one)
    assert isinstance(layer, Weighted)
    patch = patch_of(layer, sums.input_sizes[0], lanes)
    return map_weighted(layer, patch, lanes, Operands(layer.weight, layer.input))
