"""Sums of two tensors: the smallest multipliers whose sums tell all pairs of levels apart.

Any function of two levels that nowhere falls along either, and whose level lines run one way, is a
function of ``first * x + second * y`` if the ratio of the two is near enough to the direction of
those lines. Which pair of integers is enough is tried, the smaller ones first.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...hw.network.layers import MAX_SUMMAND

__all__ = ["MOST_PAIRS", "SMALL_SUMMANDS", "PairFit", "fit_pairs"]

TRIALS = 64  # pairs of summands that are tried, those nearest to the ratio first
MOST_PAIRS = 1 << 18
SMALL_SUMMANDS = 255
SKIPPED = 8  # of so many levels of the first tensor one is looked at first


class PairFit(NamedTuple):
    """Multipliers of two tensors, and the function of their sum.

    Attributes
    ----------
    summands : tuple of int
        Multipliers.
    sums, levels : int64 arrays of shape (n,)
        Sums that occur, rising, and their levels, nowhere falling.
    low, high : int
        The ends of the sums.
    wrong : int
        Pairs of levels for which that is another level; 0 where it is exact.
    """

    summands: tuple[int, int]
    sums: np.ndarray
    levels: np.ndarray
    low: int
    high: int
    wrong: int


def fit_pairs(
    ratio: float, one: np.ndarray, two: np.ndarray, levels: np.ndarray, largest: int = MAX_SUMMAND
) -> PairFit:
    """Return the smallest multipliers that are exact for all pairs, or the best ones.

    Parameters
    ----------
    ratio : float
        Of a level of the first tensor to one of the second.
    one, two : int64 arrays of shape (n,) and (m,)
        Their levels.
    levels : int64 array of shape (n, m)
        What pairs of them become.
    largest : int
        The largest multiplier.
    """
    some = one[::SKIPPED], levels[::SKIPPED]
    trials = list(_candidates(ratio, largest))
    for summands in trials:
        if not _fitted(summands, some[0], two, some[1]).wrong:
            fit = _fitted(summands, one, two, levels)
            if not fit.wrong:
                return fit
    fits = (_fitted(summands, one, two, levels) for summands in trials)
    return min(fits, key=lambda fit: (fit.wrong, fit.summands))


def _fitted(
    summands: tuple[int, int], one: np.ndarray, two: np.ndarray, levels: np.ndarray
) -> PairFit:
    """Return the function of the sums that two multipliers make."""
    totals = (summands[0] * one[:, None] + summands[1] * two[None, :]).ravel()
    sums, occurring, wrong = _function(totals, levels.ravel())
    return PairFit(summands, sums, occurring, int(totals.min()), int(totals.max()), wrong)


def _candidates(ratio: float, largest: int) -> Iterator[tuple[int, int]]:
    """Yield summands near a ratio, the smaller ones first among those that are near enough.

    Ratios beside those of small integers need large ones, since nothing is as near as the small.
    """
    seen: set[tuple[int, int]] = set()
    limit = SMALL_SUMMANDS
    while True:
        for pair in _near(ratio, min(limit, largest)):
            if pair not in seen:
                seen.add(pair)
                yield pair
        if limit >= largest:
            return
        limit = 4 * limit + 3


def _near(ratio: float, largest: int) -> list[tuple[int, int]]:
    pairs = {
        (round(ratio * second), second)
        for second in range(1, largest + 1)
        if 1 <= round(ratio * second) <= largest
    } | {
        (first, round(first / ratio))
        for first in range(1, largest + 1)
        if 1 <= round(first / ratio) <= largest
    }
    pairs = pairs or {(largest, 1) if ratio > 1 else (1, largest)}
    nearest = sorted(pairs, key=lambda pair: abs(pair[0] / pair[1] / ratio - 1))[:TRIALS]
    return sorted(nearest, key=sum)


def _function(totals: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return sums, their levels, and how many pairs contradict a function that nowhere falls."""
    order = np.lexsort((levels, totals))
    totals, levels = totals[order], levels[order]
    sums, first = np.unique(totals, return_index=True)
    lowest = levels[first]
    highest = np.maximum.reduceat(levels, first)
    rising = np.maximum.accumulate(highest)
    wrong = (levels != np.repeat(rising, np.diff([*first, len(levels)]))).sum()
    return sums, lowest, int(wrong)
