"""The integer program against all choices that there are; what is said of limits nothing meets."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.scripts.exploring import choice
from narrowgauge.scripts.exploring.choice import (
    Limit,
    choose_widths,
    least_limits,
    refuse_limits,
)


def total(costs, chosen):
    return sum(costs[group, width] for group, width in enumerate(chosen))


def best(costs, limits):
    """The least sum of all choices that meet the limits, one by one."""
    groups, widths = costs.shape
    sums = [
        total(costs, chosen)
        for chosen in product(range(widths), repeat=groups)
        if all(total(each.costs, chosen) <= each.most for each in limits)
    ]
    return min(sums, default=np.inf)


def problem(seed, groups, widths, tightness):
    """Costs in whole numbers, so that sums are exact; some choices cannot be."""
    rng = np.random.default_rng(seed)
    costs, *others = rng.integers(0, 50, (3, groups, widths)).astype(float)
    others[1][rng.random((groups, widths)) < 0.2] = np.inf
    limits = []
    for number, each in enumerate(others):
        finite = np.where(np.isfinite(each), each, 50)
        most = round((1 - tightness) * finite.max(axis=1).sum())
        limits.append(Limit(f"limit {number}", each, most))
    return costs, limits


def check(seed, groups, widths, tightness):
    costs, limits = problem(seed, groups, widths, tightness)
    chosen, wanted = choose_widths(costs, limits), best(costs, limits)
    if chosen is None:
        assert wanted == np.inf
        return
    assert all(total(each.costs, chosen) <= each.most for each in limits)
    assert total(costs, chosen) == wanted


def check_all(seeds):
    for seed in seeds:
        check(seed, 3, 3, 0.6)


@given(st.integers(0, 1 << 30), st.integers(1, 4), st.integers(1, 4), st.floats(0.1, 0.9))
@settings(max_examples=40, deadline=None)
def test_it_is_the_best_of_all_choices(seed, groups, widths, tightness):
    check(seed, groups, widths, tightness)


def test_a_program_without_its_limits_is_found(monkeypatch):
    """The twin: limits that the solver does not get."""
    solve = choice._solve
    monkeypatch.setattr(choice, "_solve", lambda costs, limits: solve(costs, []))
    with pytest.raises(AssertionError):
        check_all(range(20))


def test_among_equals_the_second_costs_are_least():
    equal = np.zeros((3, 4))
    second = np.array([[4.0, 3, 2, 1], [1, 2, 3, 4], [2, 1, 3, 4]])
    assert choose_widths(equal, [], then=second) == (3, 0, 1)
    first = np.array([[0.0, 0, 1, 1], [0, 1, 1, 0], [1, 0, 0, 1]])
    assert choose_widths(first, [], then=second) == (1, 0, 1)


def test_nearest_limits_are_met():
    costs = np.array([[3.0, 5, 9], [4, 6, 7], [1, 8, 9]])
    tight = [Limit("one", 10 - costs, 10), Limit("two", costs[:, ::-1], 12)]
    for changed, least in least_limits(tight):
        others = [each for each in tight if each is not changed]
        assert least is not None
        assert least == best(changed.costs, others)
        assert choose_widths(costs, [*others, replace(changed, most=least)]) is not None
        assert choose_widths(costs, [*others, replace(changed, most=least - 1)]) is None


def test_what_is_said_of_limits_that_nothing_meets():
    words, loss = np.array([[1.0, 2], [2, 4]]), np.array([[2.0, 1], [4, 1]])
    alone = refuse_limits([Limit("memory", words, 2, " words"), Limit("loss", loss, 9)])
    assert str(alone) == (
        "no widths meet the limits: memory is at most 2 words, and at least 3 words with any widths"
    )
    together = refuse_limits([Limit("memory", words, 3, " words"), Limit("loss", loss, 2)])
    assert "memory of 6 words instead of 3 words; loss of 6 instead of 2" in str(together)
