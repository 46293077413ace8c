"""Searches weight scales by what they cost at the output of their layer.

The scale at which weights lose least is not the one at which sums lose least: a layer reads some
pixels and channels far more than others, and a ReLU hides what is below 0.
"""

import torch
from torch import Tensor

from ..layers.blocks import Model
from ..layers.quantize import WeightQuantizer
from ..layers.rounding import within
from ..layers.steps import WeightedStep
from .learned import sums_with
from .method import PostTraining
from .progress import Say, work_before
from .walk import Pair, sums_before_bounds, walk
from .weights import chop, octaves, widest_scales

__all__ = ["search_weight_scales"]

TRIED = 32  # scales


@torch.no_grad()
def search_weight_scales(
    exact: Model,
    model: Model,
    images: Tensor,
    quantised: Tensor,
    method: PostTraining,
    say: Say,
) -> None:
    """Choose the scales of the weights of all layers, each behind those that are chosen already.

    With one scale a channel, that at which the channel's values lose least in the mean square; with
    one a layer, all of its values.

    Parameters
    ----------
    exact, model : Model
        In float; and with quantisers on weights, that still have their float shadows.
    images, quantised : Tensor of shape (images, channels, height, width)
        What either reads.
    method : PostTraining
        ``rounding``: of other than ``chop``, the nearest levels are tried.
    say : callable
        Is told which layer it is.
    """
    pairs = zip(walk(exact, model, images, quantised), work_before(model), strict=True)
    for each, done in pairs:
        if isinstance(each.step, WeightedStep) and each.step.weights()[0].log2_scale is not None:
            say(f"search the scales of {each.node.name}", done)
            _search(each, each.step, method)


def _search(each: Pair, step: WeightedStep, method: PostTraining) -> None:
    """Choose the scales of one step."""
    quantizer, shadow = step.weights()
    assert isinstance(quantizer, WeightQuantizer)
    assert quantizer.log2_scale is not None
    widest = widest_scales(quantizer, shadow)
    wanted = sums_before_bounds(each.exact, each.exact_inputs, each.scales)
    best, least = widest.clone(), torch.full((len(widest),), torch.inf)
    for octave in octaves(TRIED):
        scale = widest * 2.0**octave
        own = quantizer.spread(scale)
        levels = _levels(shadow / own, quantizer, method)
        found = sums_with(step, each.inputs[0], levels * own)
        lost = _lost(wanted, found, relu=each.exact.relu)
        lost = lost if quantizer.per_channel else lost.sum(dim=0, keepdim=True)
        better = lost < least
        least = torch.where(better, lost, least)
        best = torch.where(better.reshape(best.shape), scale, best)
    quantizer.log2_scale.copy_(best.log2())


def _levels(real: Tensor, quantizer: WeightQuantizer, method: PostTraining) -> Tensor:
    if method.rounding == "chop":
        return chop(within(real, quantizer.ends), quantizer.format)
    return quantizer.nearest(real)


def _lost(wanted: Tensor, found: Tensor, *, relu: bool) -> Tensor:
    """Return what each channel loses in the mean square, of shape (channels,)."""
    if relu:
        wanted, found = wanted.clamp(min=0), found.clamp(min=0)
    return (wanted - found).square().transpose(0, 1).flatten(1).mean(dim=1)
