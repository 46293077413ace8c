"""Ranges of levels, and the narrowest formats that hold them."""

import numpy as np

from ...hw.errors import NetworkError
from ...hw.numbers.formats import Fixed, Format
from ...hw.numbers.operands import narrowest

__all__ = ["narrowest", "reach", "weight_format"]

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
