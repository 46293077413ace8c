"""BatchNorm once trained: its constants, and their rounding to narrow multipliers.

Integers that follow an arbitrary slope exactly over the whole range of an accumulator need about as
many multiplier bits as the accumulator has, and more for every doubling of output levels. Rounding
the slope itself, as the last act of training, costs no measurable accuracy and makes a few bits
exact.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..hw.network import MAX_SHIFT
from ..hw.number import Bipolar
from .mlp import Hidden, Mlp, activation_scale, weight_quantizer

__all__ = ["Affine", "Constants", "constants", "round_norms"]


class Constants(NamedTuple):
    """What a norm computes, ``(x - mean) / deviation * gamma + beta``; float64, (channels,)."""

    mean: Tensor
    deviation: Tensor
    gamma: Tensor
    beta: Tensor


class Affine(nn.Module):
    """A norm whose slope and offset were rounded; float64, because float32 would undo it.

    Parameters
    ----------
    gamma, beta : float64 Tensor of shape (channels,)
        Slope and offset.
    """

    gamma: Tensor
    beta: Tensor

    def __init__(self, gamma: Tensor, beta: Tensor):
        super().__init__()
        self.register_buffer("gamma", gamma)
        self.register_buffer("beta", beta)

    def forward(self, x: Tensor) -> Tensor:
        """Map values of shape (images, channels)."""
        return (x.double() * self.gamma + self.beta).to(x.dtype)


def constants(norm: nn.Module) -> Constants:
    """Return what ``norm``, an `Affine` or a BatchNorm in evaluation, computes."""
    if isinstance(norm, Affine):
        zero = torch.zeros_like(norm.beta)
        return Constants(zero, zero + 1, norm.gamma, norm.beta)
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    gamma, beta = norm.weight.detach().double(), norm.bias.detach().double()
    return Constants(mean, torch.sqrt(variance + norm.eps), gamma, beta)


@torch.no_grad()
def round_norms(model: Mlp, bits: int) -> None:
    """Replace the norms of a quantised model by `Affine` ones that ``bits``-bit multipliers follow.

    Slopes become multiples of one power of two, the same in all layers. Offsets become odd
    multiples of half of it, so that no accumulator lies on a rounding boundary and float64 decides
    every one of them as integers do. Norms before a sign keep their constants: a threshold is an
    integer anyhow.
    """
    layers = _with_multipliers(model)
    if not layers:
        return
    steepest = max(
        float((norm.gamma / norm.deviation * unit).abs().max()) for _, unit, norm in layers
    )
    # the largest power of two at which the steepest slope still rounds to ``bits`` bits
    grid = 2.0 ** min(max(math.floor(math.log2(((1 << bits) - 0.51) / steepest)), 0), MAX_SHIFT)
    for layer, unit, norm in layers:
        step, slope = activation_scale(layer).double(), norm.gamma / norm.deviation
        multiplier = (slope * unit).abs().mul(grid).round().clamp(min=1)
        offset = ((norm.beta - norm.mean * slope) / step * grid).floor() + 0.5
        gamma = multiplier.copysign(slope) / grid / unit
        layer.norm = Affine(gamma, offset / grid * step)


def _with_multipliers(model: Mlp) -> list[tuple[Hidden, Tensor, Constants]]:
    """Return the layers that need multipliers, with two things about each.

    The output levels per accumulator level that it would give without its norm, and the norm.
    """
    found = []
    scale = torch.tensor(model.input_scale, dtype=torch.float64)
    for layer in model.hidden_layers:
        quantizer, shadow = weight_quantizer(layer.linear)
        step = activation_scale(layer).double()
        unit = quantizer.scale(shadow).reshape(-1).double() * scale / step
        if layer.activation.format != Bipolar():
            found.append((layer, unit, constants(layer.norm)))
        scale = step
    return found
