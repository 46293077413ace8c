"""Weights: their scales, and their rounding to levels."""

import torch
from torch import Tensor

from ...hw.errors import NetworkError
from ...hw.numbers.formats import Bipolar, Fixed, Format
from ..layers.quantize import WeightQuantizer
from ..layers.rounding import within
from ..layers.steps import WeightedStep
from .method import PostTraining

__all__ = [
    "FINITE",
    "check_numbers",
    "choose_weight_scales",
    "chop",
    "octaves",
    "round_weights",
    "widest_scales",
]

OCTAVES = 2.0  # below the scale at which the largest weight fits, in which the best is looked for
FINITE = "all weights and constants are finite numbers: export or train it anew"
"""What is said of a network that holds others."""
HIGHEST = 0.5  # octaves above it
TRIED = 64  # scales
LARGEST_SCALE_FREE = 1e-8  # what a channel without weights has for a scale


def check_numbers(name: str, step: WeightedStep) -> None:
    """Refuse weights and constants that are no numbers.

    Raises
    ------
    NetworkError
        With the layer, and what it has.
    """
    tensors = [*step.named_parameters(), *step.named_buffers()]
    for part, tensor in tensors:
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            kind = "not a number" if bool(tensor.isnan().any()) else "infinite"
            raise NetworkError(f"layer {name}: {part} holds what is {kind}; {FINITE}")


@torch.no_grad()
def choose_weight_scales(step: WeightedStep, method: PostTraining) -> None:
    """Choose the scales of the weights of a quantised step by these weights alone.

    Parameters
    ----------
    step : WeightedStep
        With a quantiser on its weights; scale and sign of `Bipolar` ones follow from themselves.
    method : PostTraining
        ``weight_range``; ``output`` goes on from the least mean square (see `weight_search`).
    """
    quantizer, shadow = step.weights()
    if isinstance(quantizer, WeightQuantizer) and quantizer.log2_scale is not None:
        chosen = widest_scales if method.weight_range == "minmax" else _least_squares
        quantizer.log2_scale.copy_(chosen(quantizer, shadow).log2())


@torch.no_grad()
def round_weights(step: WeightedStep, method: PostTraining, generator: torch.Generator) -> None:
    """Round the weights of a step whose scales are chosen, where that is not to the nearest level.

    Parameters
    ----------
    step : WeightedStep
        With a quantiser on its weights.
    method : PostTraining
        ``rounding``.
    generator : torch.Generator
        Source of chance for ``stochastic``.
    """
    quantizer, shadow = step.weights()
    fmt = quantizer.format
    if fmt == Bipolar() or method.rounding not in ("chop", "stochastic"):
        return
    scale = quantizer.scale(shadow)
    levels = within(shadow / scale, quantizer.ends)
    if method.rounding == "chop":
        levels = chop(levels, fmt)
    else:
        levels = fmt.quantize(levels, rounding="stochastic", generator=generator)
    shadow.copy_(levels.to(shadow.dtype) * scale)


def chop(x: Tensor, fmt: Format) -> Tensor:
    """Return the levels next to ``x`` towards zero, as floats."""
    if isinstance(fmt, Fixed):
        return x.trunc()
    lower, upper = fmt.neighbours(x.abs())
    inner = torch.where(x.abs() >= upper, upper, lower)
    return inner.to(x.dtype).copysign(x)


def widest_scales(quantizer: WeightQuantizer, weight: Tensor) -> Tensor:
    """Return the scales at which the largest weights are the largest levels."""
    assert quantizer.log2_scale is not None
    largest = quantizer.widest(weight)
    return largest.clamp(min=LARGEST_SCALE_FREE).reshape(quantizer.log2_scale.shape)


def octaves(count: int) -> list[float]:
    """Return the logarithms of scales to try, from those at which the largest weights fit."""
    # above them as well: powers of two may fit better below the largest one
    return [*torch.linspace(HIGHEST, -OCTAVES, count).tolist(), 0.0]


def _least_squares(quantizer: WeightQuantizer, weight: Tensor) -> Tensor:
    """Return the scales at which weights lose least in the mean square."""
    widest = widest_scales(quantizer, weight)
    rows = len(widest)
    best, least = widest.clone(), torch.full((rows,), torch.inf)
    for octave in octaves(TRIED):
        scale = widest * 2.0**octave
        own = quantizer.spread(scale)
        lost = (
            (quantizer.nearest(weight / own) * own - weight).square().reshape(rows, -1).sum(dim=1)
        )
        better = lost < least
        least = torch.where(better, lost, least)
        best = torch.where(better.reshape(best.shape), scale, best)
    return best
