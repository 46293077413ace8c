"""Limits of the l1 norm of a channel's weights, given an accumulator, and projection onto them.

A sum of products is bounded by the magnitudes of its weights. Where these stay within a limit, no
input overflows a register of ``bits`` bits, in whatever order it adds: not at the end, which is all
that a register that wraps asks for, and not on the way, which one that saturates asks for, too.
Both limits are of integer levels, and exact, with ``M = 2**(bits - 1) - 1`` and inputs from ``low``
to ``high``:

**norm.** Of weights of any signs: ``norm1(w) * max(abs(low), abs(high)) <= M`` (Colbert et al.,
"A2Q: accumulator-aware quantization with guaranteed overflow avoidance", 2023).

**side.** Of the positive weights, and of the negative ones: ``side * (high - low) <= M``, if 0 is
in the range. Weights whose sum is 0 have two equal sides, so that their norm may be twice as much;
of unsigned inputs that is about twice the other limit (Colbert et al., "A2Q+: improving
accumulator-aware weight quantization", 2024).

The lowest level of the register is left out: a channel's sign may be flipped.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ...hw.errors import FormatError
from ...hw.numbers.arithmetic import Accumulator

__all__ = ["NormLimits", "norm_limits", "project"]


class NormLimits(NamedTuple):
    """The most that magnitudes of a channel's levels may add up to.

    Attributes
    ----------
    norm : int
        All of them, whatever their signs.
    side : int
        Those above 0, and those below, each.
    """

    norm: int
    side: int


def norm_limits(bits: int, low: int, high: int) -> NormLimits:
    """Return the limits of weights that meet levels from ``low`` to ``high``, in ``bits`` bits.

    >>> norm_limits(16, 0, 255), norm_limits(12, 0, 15)
    (NormLimits(norm=128, side=128), NormLimits(norm=136, side=136))

    Raises
    ------
    FormatError
        Where not even a single weight of level 1 fits, with the least bits that would do.
    GeometryError
        For an accumulator that does not exist.
    """
    most = Accumulator(bits).max_level
    reach, span = max(abs(low), abs(high), 1), max(max(high, 0) - min(low, 0), 1)
    if span > most:
        raise FormatError(
            f"an accumulator of {bits} bits holds no product of levels from {low} to {high} and a "
            f"weight of either sign; take {span.bit_length() + 1} bits, or narrower inputs"
        )
    return NormLimits(most // reach, most // span)


def project(rows: Tensor, radius: Tensor) -> Tensor:
    """Return the points nearest to ``rows`` whose l1 norm is at most ``radius``.

    Magnitudes lose one amount a row, and those that are smaller become 0 (Duchi et al., "Efficient
    projections onto the l1-ball for learning in high dimensions", 2008).

    Parameters
    ----------
    rows : Tensor of shape (rows, weights)
        The points.
    radius : Tensor of shape (rows,)
        At least 0.
    """
    magnitudes = rows.abs()
    ordered = magnitudes.sort(dim=1, descending=True).values
    beyond = ordered.cumsum(dim=1) - radius[:, None]
    counts = torch.arange(1, rows.shape[1] + 1, dtype=rows.dtype, device=rows.device)
    kept = (ordered * counts > beyond).sum(dim=1, keepdim=True).clamp(min=1)
    lost = (beyond.gather(1, kept - 1) / kept).clamp(min=0)
    return rows.sign() * (magnitudes - lost).clamp(min=0)
