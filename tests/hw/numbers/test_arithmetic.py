from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.numbers.arithmetic import (
    Accumulator,
    bits_for,
    count_thresholds,
    requantize,
    round_shift,
)
from narrowgauge.hw.numbers.formats import Bipolar, Fixed


def test_round_shift_by_hand():
    assert [round_shift(x, 1) for x in (-3, -2, -1, 0, 1, 2, 3)] == [-1, -1, 0, 0, 1, 1, 2]
    assert [round_shift(x, 2) for x in (-6, -5, -2, 1, 2, 5, 6)] == [-1, -1, 0, 0, 1, 1, 2]
    assert round_shift(-7, 0) == -7


@given(st.integers(-(2**50), 2**50), st.integers(0, 40))
def test_round_shift_is_the_floor_of_a_half_more_everywhere(level, shift):
    expected = (2 * level + 2**shift) // 2 ** (shift + 1)
    assert round_shift(level, shift) == expected
    assert round_shift(np.array([level]), shift).tolist() == [expected]
    assert round_shift(torch.tensor([level]), shift).tolist() == [expected]


def test_bits_for_by_hand():
    assert [bits_for(-1, 0), bits_for(0, 1), bits_for(-8, 7), bits_for(-9, 7)] == [1, 2, 4, 5]


@given(st.integers(-(2**40), 0), st.integers(0, 2**40))
def test_bits_for_is_enough_and_no_more(low, high):
    width = bits_for(low, high)
    assert -(2 ** (width - 1)) <= low
    assert high < 2 ** (width - 1)
    assert width == 1 or low < -(2 ** (width - 2)) or high >= 2 ** (width - 2)


def test_accumulators_by_hand():
    wrap, saturate = Accumulator(4), Accumulator(4, "saturate")
    sums = [-25, -9, -8, 0, 7, 8, 24]
    assert [wrap.fit(x) for x in sums] == [7, 7, -8, 0, 7, -8, -8]
    assert [saturate.fit(x) for x in sums] == [-8, -8, -8, 0, 7, 7, 7]
    assert [wrap.overflows(x) for x in sums] == [True, True, False, False, False, True, True]


@given(
    st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=8),
    st.integers(2, 48),
    st.sampled_from(["wrap", "saturate"]),
)
def test_numpy_and_torch_equal_int(sums, width, overflow):
    accumulator = Accumulator(width, overflow)
    held = [accumulator.fit(x) for x in sums]
    assert all(accumulator.min_level <= x <= accumulator.max_level for x in held)
    assert [x != y for x, y in zip(sums, held, strict=True)] == [
        accumulator.overflows(x) for x in sums
    ]
    for array in (np.array(sums), torch.tensor(sums)):
        assert accumulator.fit(array).tolist() == held
        assert accumulator.overflows(array).tolist() == [accumulator.overflows(x) for x in sums]


@pytest.mark.parametrize(("width", "overflow"), [(1, "wrap"), (49, "wrap"), (8, "clip")])
def test_impossible_accumulators_are_refused(width, overflow):
    with pytest.raises(GeometryError):
        Accumulator(width, overflow)


def test_halves_go_to_the_even_side_by_hand():
    # -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2.5
    halves = (-3, -2, -1, 0, 1, 2, 3, 5)
    assert [round_shift(x, 1, "half_even") for x in halves] == [-2, -1, 0, 0, 0, 1, 2, 2]
    assert [round_shift(x, 2, "half_even") for x in (-6, -5, -2, 1, 2, 3, 6)] == [
        -2, -1, 0, 0, 0, 1, 2,
    ]  # fmt: skip
    assert [round_shift(x, 0, "half_even") for x in (-1, 1)] == [-1, 1]


@given(st.integers(-(2**20), 2**20), st.integers(0, 12))
def test_half_even_is_the_rounding_of_python_everywhere(level, shift):
    expected = round(Fraction(level, 2**shift))
    assert round_shift(level, shift, "half_even") == expected
    assert round_shift(np.array([level]), shift, "half_even").tolist() == [expected]
    for dtype in (torch.int32, torch.int64):
        rounded = round_shift(torch.tensor([level], dtype=dtype), shift, "half_even")
        assert (rounded.tolist(), rounded.dtype) == ([expected], dtype)


def test_requantisation_by_hand():
    assert requantize(5, 3, -1, 2, Fixed(4)) == 4  # 14 / 4 is 3.5
    assert requantize(6, 3, 0, 2, Fixed(4), rounding="half_even") == 4  # 4.5
    assert requantize(6, 3, 0, 2, Fixed(4), low=-7, high=3) == 3
    assert requantize(-60, 3, 0, 2, Fixed(4), low=-7, high=3) == -7
    assert requantize(np.array([-1, 0]), 1, 0, 0, Bipolar()).tolist() == [-1, 1]
    assert requantize(torch.tensor([-99, 2]), 1, 0, 0, Fixed(4), low=0).tolist() == [0, 2]


def test_thresholds_by_hand():
    assert [count_thresholds(x, [-2, 3, 3]) for x in (-3, -2, 2, 3)] == [0, 1, 1, 3]
    two = np.array([[0, 5], [1, 6]])  # of each channel, ascending: transposed, they come first
    assert count_thresholds(np.array([[0, 0], [5, 6]]), two.T).tolist() == [[1, 0], [2, 2]]
