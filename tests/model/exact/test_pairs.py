"""Multipliers of two tensors whose sums tell all pairs of levels apart."""

import numpy as np
import pytest

from narrowgauge.hw.network.layers import MAX_SUMMAND
from narrowgauge.model.exact.pairs import SMALL_SUMMANDS, fit_pairs

LEVELS = np.arange(256)


def rounded(first, second):
    """What a sum of two scaled tensors becomes, of all pairs of 8 bits."""
    return np.floor(first * LEVELS[:, None] + second * LEVELS[None, :] + 0.5).astype(int)


@pytest.mark.parametrize("ratio", [0.37807, 1.0, 0.0271, 13.37])
def test_every_ratio_has_exact_multipliers(ratio):
    levels = rounded(2.1 * min(ratio, 1), 2.1 * min(ratio, 1) / ratio)
    fit = fit_pairs(ratio, LEVELS, LEVELS, levels)
    assert fit.wrong == 0
    assert max(fit.summands) <= MAX_SUMMAND
    totals = fit.summands[0] * LEVELS[:, None] + fit.summands[1] * LEVELS[None, :]
    assert (fit.low, fit.high) == (totals.min(), totals.max())
    assert np.array_equal(fit.levels[np.searchsorted(fit.sums, totals)], levels)


def test_small_ones_may_not_do_and_the_best_is_told():
    levels = rounded(0.37807 * 2.0452, 2.0452)
    fit = fit_pairs(0.37807, LEVELS, LEVELS, levels, SMALL_SUMMANDS)
    assert 0 < fit.wrong < 1000
    assert max(fit.summands) <= SMALL_SUMMANDS


def test_the_smallest_are_taken():
    levels = (3 * LEVELS[:, None] + 2 * LEVELS[None, :] + 5) // 10
    assert fit_pairs(1.5, LEVELS, LEVELS, levels).summands == (3, 2)
