"""Bounds in closed form against the levels themselves, one by one."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.numbers.arithmetic import round_shift
from narrowgauge.model.exact.search import UNBOUNDED
from narrowgauge.model.exact.staircase import Stairs, StepRun, largest

factors = st.integers(-60, 60)


@given(st.integers(1, 80), factors, factors, st.integers(-90, 90), factors, st.integers(1, 70))
def test_the_largest_of_a_line_and_a_rounded_line(count, a, b, c, d, m):
    assert largest(count, a, b, c, d, m) == max(
        a * x + b * ((c * x + d) // m) for x in range(count)
    )


def test_the_largest_of_more_places_than_could_be_looked_at():
    """The rounded line rises by 1 every 3 places: the best one is the last before a step."""
    assert largest(1 << 200, 1, -3, 1, 0, 3) == 2
    assert largest(1 << 200, 3, -1, 3, 2, 1) == -2


runs = st.builds(
    StepRun,
    first=st.integers(-20, 20),
    step=st.integers(1, 2),
    many=st.integers(1, 30),
    rise=st.integers(1, 40),
    start=st.integers(-90, 90),
    run=st.integers(1, 12),
)


def of(run):
    """The level and the sum of each step."""
    places = range(run.many)
    return [
        (run.first + run.step * j, math.ceil(Fraction(run.rise * j + run.start, run.run)))
        for j in places
    ]


@given(runs)
def test_runs_are_reduced_and_split_without_a_change(run):
    assert of(run.reduced()) == of(run)
    assert sorted(pair for part in run.every_second() for pair in of(part)) == sorted(of(run))
    assert all(part.step % 2 == 0 for part in run.every_second())
    levels = np.array([level for level, _ in of(run)])
    assert run.sums(levels).tolist() == [total for _, total in of(run)]


def test_numbers_beyond_64_bits():
    run = StepRun(0, 1, 3, (1 << 80) + 1, 5, 1 << 70)
    assert run.sums(np.arange(3)).tolist() == [total for _, total in of(run)]


@settings(max_examples=200)
@given(
    runs,
    st.integers(1, 40),
    st.integers(0, 6),
    st.sampled_from(["half_up", "half_even"]),
    st.booleans(),
    st.booleans(),
)
def test_a_bias_is_exact_if_and_only_if_it_is_within_the_bounds(
    run, multiplier, shift, rounding, clamped_below, clamped_above
):
    """Of every bias near by, at every sum there is."""
    run = run._replace(step=1)
    steps = of(run)
    low, high = steps[0][1] - 4, steps[-1][1] + 3
    first, last = run.first - 1, steps[-1][0]
    bottom, top = first - (not clamped_below), last + (not clamped_above)
    least, most = Stairs(low, high, first, last, bottom, top, (run,)).bounds(
        multiplier, shift, rounding
    )
    sums = np.arange(low, high + 1)
    levels = first + sum(sums >= at for _, at in steps)
    middle = (int(levels[0]) << shift) - multiplier * low
    for bias in range(middle - 300, middle + 300):
        found = round_shift(sums * multiplier + bias, shift, rounding).clip(bottom, top)
        if (found == levels).all():
            assert least <= bias <= most
        elif least <= most:
            assert not least <= bias <= most
    assert -UNBOUNDED <= least
    assert most <= UNBOUNDED
