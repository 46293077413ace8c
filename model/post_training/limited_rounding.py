"""Rounds weights so that no input makes their sums overflow an accumulator.

After Colbert et al., "Accumulator-aware post-training quantization" (AXE), 2024: weights are moved
towards the budget of their channel by a soft threshold, then rounded one after the other, those of
the strongest inputs first, while running sums of the positive and of the negative ones say what the
next one may still have. The array adds a whole dot product into one register, so that is the tile.

What is done otherwise: the running sums are of integers, so no half a level is set aside for the
rounding. The threshold is that of a lasso in the inputs' covariance, so that sums lose least, and
not weights. Each weight makes up for what others lost, and sweeps go on within the limits (Behdin
et al., "QuantEase", 2023). Means play no part: they become part of the offsets, and so does what
zero-centring would take from the weights.
"""

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...hw.errors import FormatError, NetworkError
from ...hw.numbers.formats import Bipolar, Format
from ..layers.affine import constants
from ..layers.blocks import Model
from ..layers.quantize import WeightQuantizer
from ..layers.rounding import nearest, within
from ..layers.steps import WeightedStep, pair
from .correction import correct_offset
from .progress import Say, work_before
from .sum_limits import SumLimits
from .walk import Pair, walk
from .weights import chop

__all__ = ["limit_levels", "round_limited"]

DAMPING = 0.02  # of the mean variance of an input, added to each
SCALES = 6  # tried, from the chosen one to that at which nothing has to give way
STEPS = 20  # towards the constrained weights, at each scale
THRESHOLDED, FREE = 2, 2  # sweeps over all weights, with the threshold and without
BLOCK = 64  # weights, behind which all others learn what was lost
PIECE = 1 << 24  # numbers of windows at once


def round_limited(
    exact: Model,
    model: Model,
    images: Tensor,
    quantised: Tensor,
    bits: int,
    *,
    correct: bool,
    say: Say,
) -> None:
    """Round the weights of all layers, each behind those that are rounded already.

    Parameters
    ----------
    exact, model : Model
        In float; and quantised, with the scales of weights, which may grow.
    images, quantised : Tensor of shape (images, channels, height, width)
        What either reads.
    bits : int
        Of the accumulator. Bipolar weights have no smaller levels, and stay as they are.
    correct : bool
        Whether offsets make up for means at once, for the layers behind.
    say : callable
        Is told which layer it is.

    Raises
    ------
    NetworkError
        For a layer whose inputs are so wide that not even weights of one level fit.
    """
    pairs = zip(walk(exact, model, images, quantised), work_before(model), strict=True)
    for each, done in pairs:
        step = each.step
        if not isinstance(step, WeightedStep) or step.weight_format == Bipolar():
            continue
        say(f"round {each.node.name}", done)
        try:
            limits = SumLimits.exact(bits, step.inputs[0])
        except FormatError as error:
            raise NetworkError(f"layer {each.node.name}: {error}") from error
        _round(each, step, limits)
        if correct:
            correct_offset(each)


def limit_levels(real: Tensor, quantizer: WeightQuantizer, limits: SumLimits) -> Tensor:
    """Return the nearest levels, or in channels that break limits ones near that keep them.

    Parameters
    ----------
    real : Tensor of shape (channels, ...)
        Weights by their scale.
    quantizer : WeightQuantizer
        Its format and its ends.
    limits : SumLimits
        What every channel keeps.
    """
    levels = quantizer.nearest(real).flatten(1)
    broken = ~limits.fits(levels)
    if bool(broken.any()):
        rows = within(real, quantizer.ends).flatten(1)[broken]
        ends = tuple(end[0, :, 0][broken][None] for end in _ends(quantizer, len(real), 1))
        alike = torch.eye(rows.shape[1])[None]
        task = _Rounding(alike, rows[None], limits, quantizer.format, ends)
        levels[broken] = task.rounded(limits.projected(task.wanted))[0]
    return levels.reshape(real.shape)


def _ends(quantizer: WeightQuantizer, channels: int, groups: int) -> tuple[Tensor, Tensor]:
    """Return the ends of the levels, of shape (groups, channels of each, 1)."""
    low, high = (
        torch.as_tensor(end).float().reshape(-1, 1).expand(channels, 1).reshape(groups, -1, 1)
        for end in quantizer.ends
    )
    return low, high


# --- one layer -----------------------------------------------------------------------------------


def _round(each: Pair, step: WeightedStep, limits: SumLimits) -> None:
    """Choose the scales of a step again, and round its weights within the limits."""
    quantizer, shadow = step.weights()
    assert isinstance(quantizer, WeightQuantizer)  # only sums of integers have limits
    assert quantizer.log2_scale is not None
    covariance, wanted = _problem(each, step)
    shape = (wanted.shape[0], wanted.shape[1], 1)
    scale = quantizer.scale(shadow).detach().flatten().expand(len(shadow)).reshape(shape)
    ends = tuple(end[..., 0] for end in _ends(quantizer, len(shadow), shape[0]))
    weight = _slopes(step, len(shadow)).reshape(shape[:2]).square()
    most = limits.share(wanted / scale).clamp(min=1)
    most = most if quantizer.per_channel else most.amax().expand(shape)

    def task_at(own: Tensor) -> _Rounding:
        return _Rounding(covariance, wanted / own, limits, quantizer.format, ends)

    growth, start = torch.ones(shape), wanted
    if bool((most > 1).any()):
        growth, start = _grown(task_at, scale, most, weight, one=not quantizer.per_channel)
    task = task_at(scale * growth)
    best = task.rounded(task.constrained(start / (scale * growth)))
    grown = growth.reshape(-1, *quantizer.log2_scale.shape[1:])
    quantizer.log2_scale.add_((grown if quantizer.per_channel else grown[:1]).log2())
    shadow.copy_(best.reshape(shadow.shape) * quantizer.scale(shadow))


def _grown(
    task_at: Callable[[Tensor], "_Rounding"],
    scale: Tensor,
    most: Tensor,
    weight: Tensor,
    *,
    one: bool,
) -> tuple[Tensor, Tensor]:
    """Return how much larger scales lose least, and the weights within the limits there.

    Parameters
    ----------
    task_at : callable
        Takes scales, of shape (groups, channels, 1).
    scale, most : Tensor of shape (groups, channels, 1)
        Of level 1, and the largest factors to try.
    weight : Tensor of shape (groups, channels)
        What a channel's loss counts.
    one : bool
        Whether all channels have the same factor.
    """
    growth, least = torch.ones_like(scale), torch.full_like(weight, torch.inf)
    start = kept = task_at(scale).wanted * scale
    for share in torch.linspace(0, 1, SCALES).tolist():
        own = scale * most**share
        task = task_at(own)
        start = task.constrained(start / own)
        lost = task.lost(task.rounded(start, once=True)) * own[..., 0].square() * weight
        start = start * own
        better = (lost.sum() < least.sum()).expand_as(lost) if one else lost < least
        least = torch.where(better, lost, least)
        growth = torch.where(better[..., None], most**share, growth)
        kept = torch.where(better[..., None], start, kept)
    return growth, kept


def _slopes(step: WeightedStep, channels: int) -> Tensor:
    """Return what sums are multiplied by, of shape (channels,)."""
    norm = constants(step.norm)
    return (norm.gamma / norm.deviation).float().expand(channels)


def _problem(each: Pair, step: WeightedStep) -> tuple[Tensor, Tensor]:
    """Return the covariance of what weights meet, and the weights that lose nothing there.

    Of shape (groups, weights, weights) and (groups, channels, weights). What the quantised step
    reads differs from what the float one does, so these are not the float weights: they are what
    regression finds, damped towards them.
    """
    _, shadow = step.weights()
    groups, places = (1, 1) if isinstance(step.op, nn.Linear) else (step.op.groups, 0)
    weight = shadow.detach().reshape(groups, len(shadow) // groups, -1).double()
    size = weight.shape[2]
    read, cross = (torch.zeros(groups, size, size).double() for _ in "rc")
    means, count = [torch.zeros(groups, size).double() for _ in "re"], 0
    images = max(1, PIECE // (groups * size * (places or prod(step.spatial[1:]))))
    parts = zip(each.inputs[0].split(images), each.exact_inputs[0].split(images), strict=True)
    for part, exact in parts:
        own, other = _windows(step, part), _windows(step, exact)
        read += own.transpose(1, 2) @ own
        cross += own.transpose(1, 2) @ other
        means = [means[0] + own.sum(dim=1), means[1] + other.sum(dim=1)]
        count += own.shape[1]
    own, other = (mean / count for mean in means)
    covariance = read / count - own[:, :, None] * own[:, None, :]
    cross = cross / count - own[:, :, None] * other[:, None, :]
    damping = DAMPING * covariance.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=1e-12)
    damped = covariance + damping[:, None, None] * torch.eye(size)
    moved = (cross - covariance) @ weight.transpose(1, 2)
    wanted = weight + torch.linalg.solve(damped, moved).transpose(1, 2)
    return damped.float(), wanted.float()


def _windows(step: WeightedStep, x: Tensor) -> Tensor:
    """Return what the weights of a channel meet, of shape (groups, places, weights)."""
    op = step.op
    if isinstance(op, nn.Linear):
        return x.flatten(1)[None]
    x = x[:, :, None, None] if x.ndim == 2 else x
    x, padding = step.pad(x, step.padding)
    kernel = op.weight.shape[2:]
    found = functional.unfold(x, kernel, step.dilation, padding, pair(op.stride))
    found = found.reshape(len(x), op.groups, -1, found.shape[2])
    return found.permute(1, 0, 3, 2).reshape(op.groups, -1, found.shape[2])


class _Rounding:
    """Weights of some groups at one scale, and the levels nearest to them that keep limits.

    Parameters
    ----------
    covariance : Tensor of shape (groups, weights, weights)
        In which distances are measured; positive definite.
    wanted : Tensor of shape (groups, channels, weights)
        Real levels.
    limits : SumLimits
        What each channel keeps.
    fmt : Format
        Of the levels, with 0 among them.
    ends : pair of Tensors of shape (groups, channels)
        The lowest and the highest level.
    """

    def __init__(
        self,
        covariance: Tensor,
        wanted: Tensor,
        limits: SumLimits,
        fmt: Format,
        ends: tuple[Tensor, ...],
    ):
        self.covariance, self.wanted = covariance, wanted
        self._limits, self._format, self._ends = limits, fmt, ends

    def lost(self, levels: Tensor) -> Tensor:
        """Return the squared distance of each channel, of shape (groups, channels)."""
        apart = levels - self.wanted
        return ((apart @ self.covariance) * apart).sum(dim=-1)

    def constrained(self, start: Tensor) -> Tensor:
        """Return real levels within the limits, near the least distance (FISTA, Beck 2009)."""
        low, high = (end[..., None] for end in self._ends)
        if bool((self._limits.share(self.wanted) <= 1).all()):
            return self.wanted.clamp(low, high)
        rate = 1 / _largest_eigenvalue(self.covariance)[:, None, None]
        found = ahead = self._limits.projected(start.clamp(low, high))
        momentum = 1.0
        for _ in range(STEPS):
            slope = (ahead - self.wanted) @ self.covariance
            before, found = found, self._limits.projected((ahead - rate * slope).clamp(low, high))
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = found + (momentum - 1) / following * (found - before)
            momentum = following
        return found

    def rounded(self, start: Tensor, *, once: bool = False) -> Tensor:
        """Return levels that keep the limits, from real ones that do; after one sweep, if asked."""
        order = self.covariance.diagonal(dim1=1, dim2=2).sum(dim=0).argsort(descending=True)
        covariance = self.covariance[:, order][:, :, order]
        found, slope = (
            start[..., order].clone(),
            ((start - self.wanted) @ self.covariance)[..., order],
        )
        held = [torch.zeros(start.shape[:2], dtype=torch.long) for _ in "pn"]
        thresholds = _thresholds(found, slope)
        for sweep in range(1 if once else THRESHOLDED + FREE):
            if sweep == THRESHOLDED:
                thresholds = torch.zeros(start.shape[:2]), torch.zeros(start.shape[:2])
            self._sweep(found, slope, covariance, held, thresholds, again=sweep > 0)
        back = torch.empty_like(found)
        back[..., order] = found
        return back

    def _sweep(
        self,
        found: Tensor,
        slope: Tensor,
        covariance: Tensor,
        held: list[Tensor],
        thresholds: tuple[Tensor, Tensor],
        *,
        again: bool,
    ) -> None:
        """Round one weight after the other, where the others lose least; in place."""
        size = found.shape[2]
        for first in range(0, size, BLOCK):
            block = slice(first, min(first + BLOCK, size))
            inner, own = covariance[:, block, block], slope[..., block].clone()
            before = found[..., block].clone()
            for index in range(inner.shape[1]):
                at, steep = first + index, inner[:, None, index, index]
                level = found[..., at]
                if again:
                    _count(held, level, -1)
                best = level - own[..., index] / steep
                up, down = (each / steep for each in thresholds)
                best = (best - up).clamp(min=0) - (-best - down).clamp(min=0)
                new = self._level(best, self._limits.room(*held))
                _count(held, new, 1)
                own += (new - level)[..., None] * inner[:, None, index]
                found[..., at] = new
            slope += (found[..., block] - before) @ covariance[:, block]

    def _level(self, best: Tensor, room: tuple[Tensor, Tensor]) -> Tensor:
        """Return the level nearest to real ones that there is room for."""
        low, high = room[0].maximum(self._ends[0].long()), room[1].minimum(self._ends[1].long())
        inside = best.double().clamp(low.double(), high.double())
        level = nearest(inside, self._format)
        beyond = (level < low) | (level > high)
        return torch.where(beyond, chop(inside, self._format), level).to(best.dtype)


def _count(held: list[Tensor], level: Tensor, sign: int) -> None:
    """Add a level to the sums of positive and of negative ones, or take it from them."""
    whole = level.long() * sign
    held[0] += whole * (level > 0)
    held[1] -= whole * (level < 0)


def _thresholds(found: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return how steep the way beyond the limits is, for positive and for negative levels.

    At the least distance within the limits it is equally steep for all that are not 0.
    """
    above, below = found > 0, found < 0
    up = -(slope * above).sum(-1) / above.sum(-1).clamp(min=1)
    down = (slope * below).sum(-1) / below.sum(-1).clamp(min=1)
    return up.clamp(min=0), down.clamp(min=0)


def _largest_eigenvalue(covariance: Tensor) -> Tensor:
    """Return a bound of it, of shape (groups,)."""
    vector = covariance.sum(dim=2, keepdim=True)
    for _ in range(20):
        vector = covariance @ (vector / vector.norm(dim=1, keepdim=True))
    return 1.2 * vector.norm(dim=1)[:, 0]
