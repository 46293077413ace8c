"""Ranges of levels, and the narrowest formats that hold them."""

from collections.abc import Sequence

import numpy as np

from ...hw.errors import NetworkError
from ...hw.numbers.arithmetic import bits_for
from ...hw.numbers.formats import Fixed, Format
from ...hw.numbers.operands import narrowest

__all__ = ["channel_formats", "narrowest", "reach", "weight_format"]

WIDEST = 62  # bits of sums, so that int64 holds them and what is added to them


def reach(weights: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of ``weights @ x`` over all ``x`` of such levels, of shape (outputs,).

    Raises
    ------
    NetworkError
        Where they might be beyond 62 bits, which int64 sums of others need.
    """
    rows = weights.reshape(len(weights), -1)
    largest = abs(rows.astype(np.float64)).sum(axis=1).max(initial=0)  # int64 might wrap here
    farthest = float(largest) * max(abs(low), abs(high))
    if farthest >= 1 << WIDEST:
        raise NetworkError(
            f"sums of {rows.shape[1]} products of such weights with levels from {low} to {high} "
            f"are wider than {WIDEST} bits: quantise one of them to fewer"
        )
    ends = rows * low, rows * high
    return np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)


def weight_format(stated: Format, levels: np.ndarray) -> Format:
    """Return ``stated`` if it holds all levels, else the narrowest that does."""
    if stated != Fixed(1) and bool(np.all(stated.holds(levels))):
        return stated
    found = narrowest(int(levels.min()), int(levels.max()))
    return Fixed(2) if found == Fixed(1) else found  # -1 and 0: nothing could be passed on


def channel_formats(
    stated: Format, widths: Sequence[int] | np.ndarray | None, levels: np.ndarray
) -> tuple[Format, tuple[int, ...] | None]:
    """Return the format of weights, and the widths of channels where these are not all as wide.

    Parameters
    ----------
    stated : Format
        What they are said to have; integers where there are widths.
    widths : integers or None
        What their output channels are said to have; a channel gets more where it needs more.
    levels : int64 array of shape (outputs, ...)
        The weights.
    """
    if widths is None:
        return weight_format(stated, levels), None
    rows = levels.reshape(len(levels), -1)
    signed, was_signed = bool(rows.min() < 0), stated.min_level < 0
    found = []
    for width, row in zip(widths, rows, strict=True):
        own, low, high = int(width), int(row.min()), int(row.max())
        if signed or was_signed:
            found.append(max(own + (not was_signed), bits_for(low, high), 2))
        else:
            found.append(max(own, high.bit_length(), 1))
    common = Fixed(max(found), signed=signed or was_signed)
    return common, None if len(set(found)) == 1 else tuple(found)
