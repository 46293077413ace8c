"""BatchNorm once trained: its constants, and their rounding to narrow multipliers.

Integers that follow an arbitrary slope exactly over the whole range of an accumulator need about as
many multiplier bits as the accumulator has, and more for every doubling of output levels. Rounding
the slope itself, as the last act of training, costs no measurable accuracy and makes a few bits
exact.
"""

import math

import torch
from torch import Tensor

from ...hw.network.layers import MAX_SHIFT
from ...hw.numbers.formats import Bipolar, Float
from .affine import Affine, Constants, constants
from .blocks import Model
from .steps import Block, Step
from .unweighted import AddStep, AveragePoolStep, summands

__all__ = ["round_norms", "units"]


def units(model: Model) -> dict[str, Tensor]:
    """Return the value of accumulator level 1 of every step of a quantised model, float64."""
    scales = model.scales()
    found = {}
    for node, step in model.items():
        read = [scales[source].double() for source in node.sources]
        unit = read[0].reshape(1)
        if isinstance(step, Block):
            quantizer, shadow = step.weights()
            unit = quantizer.scale(shadow).reshape(-1).double() * read[0]
        elif isinstance(step, AddStep):
            unit = unit.new_tensor([summands(*map(float, read))[2]])
        found[node.name] = unit
    return found


@torch.no_grad()
def round_norms(model: Model, bits: int) -> None:
    """Replace the norms of a quantised model by `Affine` ones that narrow multipliers follow.

    Slopes become multiples of one power of two, the same in all layers: the steepest of the
    weighted layers takes ``bits`` bits. Pools and sums, whose slopes are far steeper and which have
    one for all channels, take what they need. Offsets become odd multiples of half a grid step, so
    that no accumulator lies on a rounding boundary and float64 decides every one of them as
    integers do. Norms before a sign keep their constants: a threshold is an integer anyhow.
    """
    layers = _with_multipliers(model)
    if not layers:
        return
    weighted = [each for each in layers if isinstance(each[0], Block)] or layers
    steepest = max(
        float((norm.gamma / norm.deviation * unit / step).abs().max())
        for _, unit, step, norm in weighted
    )
    # the largest power of two at which the steepest slope still rounds to ``bits`` bits
    grid = 2.0 ** min(max(math.floor(math.log2(((1 << bits) - 0.51) / steepest)), 0), MAX_SHIFT)
    for layer, unit, step, norm in layers:
        slope = norm.gamma / norm.deviation
        multiplier = (slope * unit / step).abs().mul(grid).round().clamp(min=1)
        offset = ((norm.beta - norm.mean * slope) / step * grid).floor() + 0.5
        gamma = multiplier.copysign(slope) / grid / unit * step
        layer.norm = Affine(gamma, offset / grid * step)


def _with_multipliers(model: Model) -> list[tuple[Step, Tensor, Tensor, Constants]]:
    """Return the steps that need multipliers: unit of the sums, scale of the output, and norm."""
    unit, scales = units(model), model.scales()
    return [
        (step, unit[node.name], scales[node.name].double(), _living(step, constants(step.norm)))
        for node, step in model.items()
        if isinstance(step, Block | AveragePoolStep | AddStep)
        and step.activation is not None
        and step.output != Bipolar()
        and not isinstance(step.output, Float)  # whose norms are floats, too
    ]


def _living(step: Step, norm: Constants) -> Constants:
    """Return a norm without the slopes of channels whose weights are all 0, and so their sums.

    A norm that met nothing but 0 is as steep as its epsilon allows, and would take the grid of all.
    """
    if not isinstance(step, Block):
        return norm
    quantizer, shadow = step.weights()
    dead = (quantizer.levels(shadow) == 0).flatten(1).all(dim=1)
    if not bool(dead.any()):
        return norm
    offset = norm.beta - norm.mean * norm.gamma / norm.deviation
    zero = torch.zeros_like(norm.mean)
    return Constants(
        torch.where(dead, zero, norm.mean),
        norm.deviation,
        torch.where(dead, zero, norm.gamma),
        torch.where(dead, offset, norm.beta),
    )
