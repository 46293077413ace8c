"""Whole sums of floats: their order, with weights of every kind, against NumPy and fractions."""

from fractions import Fraction

import numpy as np
import pytest

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.numbers.float_sum import FloatSum, float_total
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.numbers.ieee import Float, multiply

from ..formats import parse_float
from ..mac.float_bench import random_codes

FP32, FP16, BF16 = parse_float("fp32"), parse_float("fp16"), parse_float("bf16")


def in_turns(values, turns):
    """A sum of a row of NumPy's floats: each operation is rounded."""
    padded = [values[0] * 0] * (-len(values) % turns) + list(values)
    partial = [values[0] * 0] * turns
    for step, value in enumerate(padded):
        partial[step % turns] = partial[step % turns] + value
    while len(partial) > 1:
        pairs = zip(partial[::2], partial[1::2], strict=False)
        partial = [a + b for a, b in pairs] + partial[len(partial) // 2 * 2 :]
    return partial[0]


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("fmt", "kind"), [(FP32, np.float32), (FP16, np.float16)], ids=str)
def test_partial_sums_like_numpy(fmt, kind, turns):
    rng = np.random.default_rng(turns)
    a, b = rng.standard_normal((2, 40, 17)).astype(kind)
    codes = (fmt.from_value(each.astype(float))[..., None] for each in (a, b))
    total, overflow = float_total((fmt, fmt), FloatSum(fmt, turns), *codes)
    expected = [in_turns(row, turns) for row in a * b]
    assert fmt.to_value(total).tolist() == [float(each) for each in expected]
    assert not overflow.any()
    others = [in_turns(row, turns + 1) for row in a * b]
    assert expected != others  # the order is seen


def test_zeros_in_front_change_nothing():
    rng = np.random.default_rng(0)
    codes = random_codes(rng, BF16, (2, 50, 5, 2))
    pair, accumulator = (BF16, BF16), FloatSum(FP32, 3)
    padded = [np.pad(each, ((0, 0), (4, 0), (0, 0))) for each in codes]
    for each, other in zip(
        float_total(pair, accumulator, *codes), float_total(pair, accumulator, *padded), strict=True
    ):
        assert np.array_equal(each, other)


def test_overflow_on_the_way_is_told():
    big, one = FP16.infinity - 1, FP16.from_value(1.0)
    weights = np.array([[[big]] * 2, [[one]] * 2])
    total, overflow = float_total((FP16, FP16), FloatSum(FP16, 2), weights, [[one], [one]])
    assert overflow.tolist() == [True, False]
    assert total.tolist() == [FP16.infinity, FP16.from_value(2.0)]


@pytest.mark.parametrize("name", ["int8", "int32", "uint3", "e4m3", "e5m2", "pow2_6", "bipolar"])
@pytest.mark.parametrize("narrow", ["float4_3", "fp16"])
def test_products_of_levels_by_fractions(name, narrow):
    weight, activation, result = parse(name), parse_float(narrow), parse_float("fp32")
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 1 << weight.width, 200), random_codes(rng, activation, 200)
    found = multiply((weight, activation, result), *codes)
    for a, b, code in zip(*(each.tolist() for each in (*codes, found)), strict=True):
        if not activation.is_finite(b):
            continue
        exact = int(weight.to_level(a)) * Fraction(activation.to_value(b))
        assert not exact or code >> 31 == (exact < 0)
        code &= 0x7FFFFFFF
        distances = [
            abs(abs(exact) - Fraction(result.to_value(each)))
            for each in (code, max(code - 1, 0), code + 1)
        ]
        assert distances[0] == min(distances)
        tie = distances[0] in distances[1:] and exact
        assert not tie or code % 2 == 0


def test_levels_meet_infinities_and_nan():
    formats = parse("int4"), FP16, FP16
    for level, activation, expected in [
        (0, FP16.infinity, FP16.nan),
        (-3, FP16.infinity, FP16.infinity | 1 << 15),
        (1, FP16.nan, FP16.nan),
        (-1, 0, 1 << 15),
    ]:
        assert multiply(formats, int(formats[0].to_code(level)), activation) == expected


def test_other_numbers_of_partial_sums_are_refused():
    with pytest.raises(GeometryError, match="partial sums are 1 to 8, not 9"):
        FloatSum(Float(5, 10), 9)
