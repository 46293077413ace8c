"""Ranges of activations: the value of level 1, chosen by what a float network gives on images."""

from collections.abc import Callable

import torch
from torch import Tensor

from ...hw.errors import DataError
from ...hw.numbers.formats import Bipolar, Float, Format
from ..layers.rounding import nearest
from .method import PostTraining

__all__ = ["choose_scale", "sampled"]

SAMPLE = 1 << 15  # values of a layer from which its range is chosen
SHARES = 46  # of the largest value that are tried
SMALLEST_SHARE = 0.1
BINS = 2048  # of the histogram for the divergence


def choose_scale(name: str, sample: Tensor, fmt: Format, method: PostTraining) -> float:
    """Return the value of level 1 of what a layer gives.

    Parameters
    ----------
    name : str
        The layer, for errors.
    sample : Tensor of shape (values,)
        What it gives in float.
    fmt : Format
        Of its levels; `Bipolar` and floats have 1.
    method : PostTraining
        ``activation_range`` and ``percentile``.

    Raises
    ------
    DataError
        For values of which no range follows: none at all, one and the same, or no numbers.
    """
    if not sample.numel():
        raise DataError(f"{name} gives no values on the images of the calibration")
    if not bool(sample.isfinite().all()):
        raise DataError(f"{name} gives infinities or what is not a number in the calibration")
    low, high = float(sample.min()), float(sample.max())
    if low == high:
        raise DataError(
            f"{name} gives {high:g} and nothing else on the images of the calibration, of which no "
            "range follows: calibrate on more images, or such as the network is for"
        )
    if fmt == Bipolar() or isinstance(fmt, Float):
        return 1.0
    if fmt.min_level == 0 and high <= 0:
        raise DataError(
            f"{name} gives no value above 0 in the calibration, but its format is {fmt}"
        )
    return RANGES[method.activation_range](sample, fmt, method)


def _reach(low: float, high: float, fmt: Format) -> float:
    """Return the scale at which both ends are levels."""
    below = low / fmt.min_level if fmt.min_level < 0 else 0.0
    return max(high / fmt.max_level, below, 1e-12)


def _minmax(sample: Tensor, fmt: Format, method: PostTraining) -> float:
    return _reach(float(sample.min()), float(sample.max()), fmt)


def _percentile(sample: Tensor, fmt: Format, method: PostTraining) -> float:
    inside = method.percentile / 100
    if fmt.min_level == 0:
        return _reach(0.0, float(sample[sample > 0].quantile(inside)), fmt)
    low, high = sample.quantile(torch.tensor([(1 - inside) / 2, (1 + inside) / 2]))
    return _reach(float(low), float(high), fmt)


def _mse(sample: Tensor, fmt: Format, method: PostTraining) -> float:
    widest = _minmax(sample, fmt, method)
    wanted = sample if fmt.min_level < 0 else sample.clamp(min=0)
    losses = {}
    for share in torch.linspace(SMALLEST_SHARE, 1, SHARES).tolist():
        scale = widest * share
        levels = nearest((sample / scale).clamp(fmt.min_level, fmt.max_level), fmt)
        losses[scale] = float((levels * scale - wanted).square().mean())
    return min(losses, key=losses.__getitem__)


def _kl(sample: Tensor, fmt: Format, method: PostTraining) -> float:
    """Return the scale at which what is left of a histogram of magnitudes diverges least."""
    widest = _minmax(sample, fmt, method)
    magnitude = sample.abs() if fmt.min_level < 0 else sample.clamp(min=0)
    magnitude = magnitude[magnitude > 0].double()
    top = widest * fmt.max_level
    counts = torch.histc(magnitude.clamp(max=top), BINS, 0, top).double()
    levels = fmt.max_level + 1
    if levels >= BINS:
        return widest
    losses = {}
    for end in range(max(levels, BINS // 10), BINS + 1, 16):
        kept = counts[:end].clone()
        kept[-1] += counts[end:].sum()
        losses[top * end / BINS] = _divergence(kept, counts[:end], levels)
    return min(losses, key=losses.__getitem__) / fmt.max_level


def _divergence(wanted: Tensor, found: Tensor, levels: int) -> float:
    """Return the divergence of a histogram from itself in ``levels`` steps."""
    part = (torch.arange(len(found)) * levels) // len(found)
    there = (found > 0).double()
    sums = torch.zeros(levels, dtype=torch.float64).index_add_(0, part, found)
    bins = torch.zeros(levels, dtype=torch.float64).index_add_(0, part, there)
    coarse = (sums / bins.clamp(min=1))[part] * there
    p, q = wanted / wanted.sum(), coarse / coarse.sum().clamp(min=1e-30)
    inside = p > 0
    return float((p[inside] * (p[inside] / q[inside].clamp(min=1e-9)).log()).sum())


RANGES: dict[str, Callable[[Tensor, Format, PostTraining], float]] = {
    "mse": _mse,
    "minmax": _minmax,
    "percentile": _percentile,
    "kl": _kl,
    "loss": _minmax,  # from which `search` goes on
}
"""How a scale is chosen, by the name of the option."""


def sampled(values: Tensor, count: int = SAMPLE) -> Tensor:
    """Return ``count`` of the values at most: evenly spread ones, the smallest and the largest."""
    flat = values.float().flatten()
    if len(flat) <= count:
        return flat
    spread = flat[torch.linspace(0, len(flat) - 1, count - 2).long()]
    return torch.cat([spread, flat.min().reshape(1), flat.max().reshape(1)])
