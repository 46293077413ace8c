"""Weights: their scales, and their rounding to levels."""

import torch
from torch import Tensor

from ...hw.errors import NetworkError
from ...hw.numbers.formats import Bipolar, Fixed, Format
from ..layers.quantize import WeightQuantizer
from ..layers.rounding import nearest
from ..layers.steps import WeightedStep
from .method import PostTraining

__all__ = ["check_numbers", "chop", "quantise_weights"]

OCTAVES = 2.0  # below the scale at which the largest weight fits, in which the best is looked for
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
            raise NetworkError(f"layer {name}: {part} holds what is {kind}")


@torch.no_grad()
def quantise_weights(step: WeightedStep, method: PostTraining, generator: torch.Generator) -> None:
    """Choose scales of the weights of a quantised step, and round them.

    Parameters
    ----------
    step : WeightedStep
        With a quantiser on its weights.
    method : PostTraining
        ``weight_range`` and ``rounding``.
    generator : torch.Generator
        Source of chance for ``stochastic``.
    """
    quantizer, shadow = step.weights()
    fmt = quantizer.format
    if fmt == Bipolar():
        return  # scale and sign follow from the weights themselves
    assert quantizer.log2_scale is not None
    if method.weight_range == "mse":
        quantizer.log2_scale.copy_(_least_squares(quantizer, shadow).log2())
    else:
        quantizer.log2_scale.copy_(_widest(quantizer, shadow).log2())
    if method.rounding in ("chop", "stochastic"):
        scale = quantizer.scale(shadow)
        levels = (shadow / scale).clamp(-fmt.max_level, fmt.max_level)
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


def _widest(quantizer: WeightQuantizer, weight: Tensor) -> Tensor:
    """Return the scales at which the largest weights are the largest levels."""
    magnitude = weight.abs()
    rows = magnitude.flatten(1) if quantizer.per_channel else magnitude.reshape(1, -1)
    largest = rows.amax(dim=1) / quantizer.largest_start
    return largest.clamp(min=LARGEST_SCALE_FREE).reshape(quantizer.log2_scale.shape)  # type: ignore[union-attr]


def _least_squares(quantizer: WeightQuantizer, weight: Tensor) -> Tensor:
    """Return the scales at which weights lose least in the mean square."""
    widest, fmt = _widest(quantizer, weight), quantizer.format
    rows = len(widest)
    best, least = widest.clone(), torch.full((rows,), torch.inf)
    # above the widest as well: powers of two may fit better below the largest one
    for exponent in torch.linspace(0.5, -OCTAVES, TRIED).tolist() + [0.0]:
        scale = widest * 2.0**exponent
        levels = nearest((weight / scale).clamp(-fmt.max_level, fmt.max_level), fmt)
        lost = (levels * scale - weight).square().reshape(rows, -1).sum(dim=1)
        better = lost < least
        least = torch.where(better, lost, least)
        best = torch.where(better.reshape(best.shape), scale, best)
    return best
