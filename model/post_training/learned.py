"""Rounding of weights that is learned layer by layer, from images without labels.

Nagel et al., "Up or down? Adaptive rounding for post-training quantization", 2020: each weight goes
to one of the two levels beside it, and a sum of squares at the layer's output decides which. Here
of every format, because all have two levels beside a number.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...hw.numbers.formats import Bipolar
from ..layers.blocks import Model
from ..layers.rounding import within
from ..layers.steps import Block, WeightedStep, pair
from .progress import Say, work_before
from .walk import Pair, sums_before_bounds, walk

__all__ = ["learn_rounding", "sums_with"]

STEPS, BATCH, RATE = 400, 32, 2e-2
WEIGHT = 0.01  # of the term that drives every weight to one of its two levels
BETA = (20.0, 2.0)  # its exponent at the beginning and at the end
FREE = 0.2  # share of the steps without it
LOW, HIGH = -0.1, 1.1  # of the stretched sigmoid, which thus reaches 0 and 1


def learn_rounding(
    exact: Model,
    model: Model,
    images: Tensor,
    quantised: Tensor,
    generator: torch.Generator,
    say: Say,
) -> None:
    """Round the weights of all layers, each behind those that are rounded already.

    Parameters
    ----------
    exact, model : Model
        In float; and quantised, with the scales of weights.
    images, quantised : Tensor of shape (images, channels, height, width)
        What either reads.
    generator : torch.Generator
        Chooses the images of each step.
    say : callable
        Is told which layer it is.
    """
    pairs = zip(walk(exact, model, images, quantised), work_before(model), strict=True)
    for each, done in pairs:
        step = each.step
        if isinstance(step, WeightedStep) and step.weight_format != Bipolar():
            say(f"learn the rounding of {each.node.name}", done)
            _learn(each, step, generator)


def _learn(each: Pair, step: WeightedStep, generator: torch.Generator) -> None:
    """Round the weights of one step."""
    quantizer, shadow = step.weights()
    fmt, scale = quantizer.format, quantizer.scale(shadow).detach()
    with torch.no_grad():
        wanted = sums_before_bounds(each.exact, each.exact_inputs, each.scales)
        wanted = wanted.clamp(min=0) if each.exact.relu else wanted
        power = wanted.square().mean().clamp(min=1e-12)
        real = within(shadow / scale, quantizer.ends)
        lower, upper = fmt.neighbours(real)
        lower, upper = (within(each, quantizer.ends) for each in (lower, upper))
        share = ((real - lower) / (upper - lower).clamp(min=1e-12)).clamp(0.01, 0.99)
        start = torch.logit((share - LOW) / (HIGH - LOW))
    with torch.enable_grad():
        logit = nn.Parameter(start.clone())
        optimizer = torch.optim.Adam([logit], lr=RATE)
        for count in range(STEPS):
            chosen = torch.randint(0, len(wanted), (min(BATCH, len(wanted)),), generator=generator)
            up = _share(logit)
            found = sums_with(step, each.inputs[0][chosen], (lower + up * (upper - lower)) * scale)
            found = found.clamp(min=0) if each.exact.relu else found
            loss = (found - wanted[chosen]).square().mean() / power
            done = count / STEPS
            if done > FREE:
                beta = BETA[1] + (BETA[0] - BETA[1]) * (1 - (done - FREE) / (1 - FREE))
                undecided = (1 - (2 * up - 1).abs().pow(beta)).mean()
                loss = loss + WEIGHT * undecided
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        levels = torch.where(_share(logit) >= 0.5, upper, lower)
        shadow.copy_(levels.to(shadow.dtype) * scale)


def _share(logit: Tensor) -> Tensor:
    return (torch.sigmoid(logit) * (HIGH - LOW) + LOW).clamp(0, 1)


def sums_with(step: WeightedStep, x: Tensor, weight: Tensor) -> Tensor:
    """Return what a step gives before its bounds, with other weights."""
    op = step.op
    if isinstance(op, nn.Linear):
        sums = functional.linear(x.flatten(1), weight)
    else:
        x = x[:, :, None, None] if x.ndim == 2 else x
        x, padding = step.pad(x, step.padding)
        sums = functional.conv2d(
            x, weight, None, pair(op.stride), padding, step.dilation, op.groups
        )
    if isinstance(step, Block):
        sums = sums if step.pool is None else step.pool(sums)
        return sums if step.norm is None else step.norm(sums)
    bias = getattr(step, "bias", None)
    return sums if bias is None else sums.flatten(1) + bias.detach()
