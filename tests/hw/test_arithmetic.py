import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.arithmetic import Accumulator, bits_for, round_shift
from narrowgauge.hw.errors import GeometryError


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
