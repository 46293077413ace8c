from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from narrowgauge.hw.errors import FormatError, NarrowgaugeError, NetworkError
from narrowgauge.hw.network.layers import Dense
from narrowgauge.hw.numbers import ieee as floating
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.hw.numbers.ieee import Float, float_step, multiply, tree_add
from narrowgauge.hw.numbers.operands import Operands, common

from ..formats import parse_float
from ..mac.float_bench import cancelling, random_codes

COUNT = 60_000
FP32, FP16, BF16 = parse_float("fp32"), parse_float("fp16"), parse_float("bf16")
NUMPY = {FP32: (np.uint32, np.float32), FP16: (np.uint16, np.float16)}
NAMES = ["fp32", "fp16", "bf16", "float2_1", "float3_2", "float4_3", "float5_2", "float8_1"]


@pytest.fixture(autouse=True)
def quiet():
    """NumPy warns of each infinity and NaN."""
    with np.errstate(all="ignore"):
        yield


def to_numpy(fmt, codes):
    """Codes as NumPy's floats; of bf16, as float32."""
    if fmt == BF16:
        return (codes.astype(np.uint32) << 16).view(np.float32)
    bits, kind = NUMPY[fmt]
    return codes.astype(bits).view(kind)


def from_numpy(fmt, values):
    """NumPy's floats as codes with one NaN; float32 is rounded to bf16."""
    if fmt == BF16:
        bits = values.view(np.uint32).astype(np.int64)
        codes = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    else:
        codes = values.view(NUMPY[fmt][0]).astype(np.int64)
    return np.where(np.isnan(values), fmt.nan, codes)


def operands(fmt, seed=0):
    """Pairs of every kind; in half of them the second nearly cancels the first."""
    rng = np.random.default_rng(seed)
    a, b = random_codes(rng, fmt, (2, COUNT))
    b[::2] = cancelling(rng, fmt, a[::2])
    return a, b


@pytest.mark.parametrize("fmt", [FP32, FP16, BF16], ids=str)
def test_add_and_multiply_like_numpy(fmt):
    a, b = operands(fmt)
    left, right = to_numpy(fmt, a), to_numpy(fmt, b)
    assert np.array_equal(fmt.add(a, b), from_numpy(fmt, left + right))
    assert np.array_equal(multiply((fmt, fmt, fmt), a, b), from_numpy(fmt, left * right))
    # the pairs are worth comparing
    total = fmt.add(a, b)
    assert fmt.is_nan(total).any()
    assert fmt.is_infinite(total).any()
    for code in (0, 1 << (fmt.width - 1)):  # plus and minus zero
        assert (total == code).any()
        assert (multiply((fmt, fmt, fmt), a, b) == code).any()


@pytest.mark.parametrize("narrow", [FP16, BF16], ids=str)
def test_products_in_fp32_like_numpy(narrow):
    a, b = operands(narrow)
    exact = to_numpy(narrow, a).astype(np.float32) * to_numpy(narrow, b).astype(np.float32)
    assert np.array_equal(multiply((narrow, narrow, FP32), a, b), from_numpy(FP32, exact))


def half_up(kept, twice_rest, unit):
    return twice_rest >= unit


def truncated(kept, twice_rest, unit):
    return kept != kept


@pytest.mark.parametrize("fault", [half_up, truncated])
@pytest.mark.parametrize("fmt", [FP32, FP16, BF16], ids=str)
def test_another_rounding_is_seen(fmt, fault, monkeypatch):
    monkeypatch.setattr(floating, "_rounds_up", fault)
    a, b = operands(fmt)
    left, right = to_numpy(fmt, a), to_numpy(fmt, b)
    for wrong, value in (
        (fmt.add(a, b), left + right),
        (multiply((fmt, fmt, fmt), a, b), left * right),
    ):
        assert 10 < (wrong != from_numpy(fmt, value)).sum() < COUNT / 2


def fraction_of(fmt, code):
    """The value of a finite code by the standard's definition."""
    field, mantissa = code >> fmt.mantissa & ((1 << fmt.exponent) - 1), code % (1 << fmt.mantissa)
    significand = Fraction(mantissa, 1 << fmt.mantissa) + (field > 0)
    value = significand * Fraction(2) ** (max(field, 1) - fmt.bias)
    return -value if code >> (fmt.width - 1) else value


def nearest(fmt, exact, negative):
    """The code nearest to a fraction, by search; infinity counts as the next power of two."""
    sign = 1 << (fmt.width - 1) if negative else 0
    # ties: the even code
    return sign | min(
        range(fmt.infinity + 1), key=lambda c: (abs(fraction_of(fmt, c) - abs(exact)), c % 2)
    )


@pytest.mark.parametrize("name", ["float2_1", "float3_2"])
def test_every_pair_of_a_small_format_by_fractions(name):
    fmt = parse_float(name)
    cache = {}
    codes = [code for code in range(1 << fmt.width) if fmt.is_finite(code)]
    for a in codes:
        for b in codes:
            left, right = fraction_of(fmt, a), fraction_of(fmt, b)
            both = (a & b) >> (fmt.width - 1)
            unlike = (a ^ b) >> (fmt.width - 1)
            for got, exact, negative in (
                (fmt.add(a, b), left + right, both if left + right == 0 else left + right < 0),
                (multiply((fmt, fmt, fmt), a, b), left * right, unlike),
            ):
                key = exact, negative
                if key not in cache:
                    cache[key] = nearest(fmt, exact, negative)
                assert got == cache[key], (a, b)


@pytest.mark.parametrize("name", NAMES)
def test_infinities_and_nan(name):
    fmt = parse_float(name)
    infinity, one, sign = fmt.infinity, fmt.from_value(1.0), 1 << (fmt.width - 1)
    formats = (fmt, fmt, fmt)
    assert fmt.add(infinity, one) == fmt.add(infinity, infinity) == infinity
    assert fmt.add(sign | infinity, one) == sign | infinity
    assert fmt.add(infinity, sign | infinity) == fmt.nan
    assert multiply(formats, infinity, sign | one) == sign | infinity
    assert multiply(formats, infinity, 0) == multiply(formats, sign, infinity) == fmt.nan
    other_nan = sign | infinity | 1
    for code in (0, one, infinity, other_nan):
        assert fmt.add(code, other_nan) == fmt.add(other_nan, code) == fmt.nan
        assert multiply(formats, code, other_nan) == multiply(formats, other_nan, code) == fmt.nan
    assert fmt.add(0, sign) == fmt.add(one, sign | one) == 0
    assert fmt.add(sign, sign) == multiply(formats, 0, sign) == sign


@pytest.mark.parametrize("name", NAMES)
def test_values_of_codes(name):
    fmt = parse_float(name)
    rng = np.random.default_rng(1)
    codes = np.arange(1 << fmt.width) if fmt.width <= 16 else random_codes(rng, fmt, COUNT)
    values = fmt.to_value(codes)
    expected = np.where(fmt.is_nan(codes), fmt.nan, codes)
    assert np.array_equal(fmt.from_value(values), expected)
    some = rng.choice(codes[fmt.is_finite(codes)], 50).tolist()
    assert [fmt.to_value(code) for code in some] == [float(fraction_of(fmt, c)) for c in some]
    assert [fmt.from_value(fmt.to_value(code)) for code in some] == some


@pytest.mark.parametrize("fmt", [FP32, FP16], ids=str)
def test_nearest_codes_of_values_like_numpy(fmt):
    rng = np.random.default_rng(2)
    low, high = fmt.min_exponent - 10, fmt.bias + 3
    values = np.ldexp(rng.standard_normal(COUNT), rng.integers(low, high, COUNT))
    ties = fmt.to_value(random_codes(rng, fmt, COUNT))
    ties = (ties + np.roll(ties, 1)) / 2
    for each in (values, ties[np.isfinite(ties)]):
        assert np.array_equal(fmt.from_value(each), from_numpy(fmt, each.astype(NUMPY[fmt][1])))


def test_names_round_trip():
    assert [str(parse_float(name)) for name in NAMES] == NAMES
    assert parse_float("float8_23") == FP32 == Float(8, 23)
    assert hash(parse_float("float5_10")) == hash(FP16)
    assert (FP32.width, FP16.width, BF16.width, parse_float("float4_3").width) == (32, 16, 16, 8)
    assert (FP32.bias, FP32.nan, FP32.infinity) == (127, 0x7FC00000, 0x7F800000)


@pytest.mark.parametrize("text", ["float1_2", "float9_2", "float4_0", "float4_24"])
def test_names_out_of_range_are_refused(text):
    with pytest.raises(FormatError, match=f"E = 2 to 8 and M = 1 to 23, not {text}"):
        parse(text)


@pytest.mark.parametrize("text", ["fp32", "fp16", "bf16", "float2_1", "float3_2"])
def test_levels_are_in_the_order_of_values(text):
    fmt = parse_float(text)
    codes = np.arange(1 << fmt.width) if fmt.width <= 16 else special_codes(fmt)
    levels, values = fmt.to_level(codes), fmt.to_value(codes)
    known = ~np.isnan(values)
    order = np.argsort(levels[known], kind="stable")
    assert (np.diff(values[known][order]) >= 0).all()
    same = np.diff(values[known][order]) == 0
    assert (same == (np.diff(levels[known][order]) == 0)).all()
    assert set(levels[~known]) == {fmt.max_level}
    assert fmt.max_level > levels[known].max()
    assert levels[known].min() == fmt.min_level
    again = fmt.to_code(levels)  # but for minus zero, and for which NaN it is
    assert (again[known] == np.where(values[known] == 0, 0, codes[known])).all()
    assert set(again[~known]) == {fmt.nan}
    assert fmt.dequantize(levels[known]).tolist() == (values[known] + 0.0).tolist()
    assert (fmt.quantize(values) == levels).all()
    given = torch.from_numpy(values)
    assert torch.equal(fmt.quantize(given), torch.from_numpy(levels))
    assert torch.equal(fmt.dequantize(torch.from_numpy(levels))[known].double(), given[known])
    assert fmt.dequantize(fmt.quantize(1.0)) == 1.0 == fmt.dequantize(fmt.one)


def special_codes(fmt):
    rng = np.random.default_rng(0)
    ends = [0, 1, fmt.infinity - 1, fmt.infinity, fmt.infinity + 1, fmt.nan, 1 << fmt.mantissa]
    magnitudes = np.concatenate([ends, rng.integers(0, 1 << (fmt.width - 1), 5000)])
    return np.concatenate([magnitudes, magnitudes + (1 << (fmt.width - 1))])


def test_what_adds_levels_refuses_ranks():
    for ask, error in (
        (lambda: FP32.neighbours(np.array([1.0])), "at no equal distance"),
        (lambda: FP32.to_code(FP32.infinity + 1), f"fp32 holds the ranks .*; got {0x7F800001}"),
        (lambda: FP32.quantize(np.array([1.0]), rounding="stochastic"), "rounds to the nearest"),
        (lambda: common([FP32, Fixed(4)]), "of fp32, int4: the levels of fp32 are ranks"),
        (lambda: common([FP32, FP16]), "levels of fp(16|32) are ranks"),
        (lambda: Operands(Fixed(4), FP32).sum_range(3), "no range of sums"),
    ):
        with pytest.raises(NarrowgaugeError, match=error):
            ask()


@pytest.mark.parametrize("text", ["float2_1", "float3_2"])
def test_gates_turn_codes_into_levels_and_back(text):
    fmt = parse_float(text)
    m, code = Module(), Signal(fmt.width)
    level, again = Signal(fmt.level_shape), Signal(fmt.width)
    m.d.comb += [level.eq(fmt.level_of(code)), again.eq(fmt.code_of(level))]

    async def testbench(ctx):
        for each in range(1 << fmt.width):
            ctx.set(code, each)
            if not fmt.is_nan(each):
                assert ctx.get(level) == fmt.to_level(each)
                assert ctx.get(again) == fmt.to_code(fmt.to_level(each))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()


def test_the_order_of_a_tree():
    add = FP16.add
    codes = random_codes(np.random.default_rng(3), FP16, (5, 1000))
    a, b, c, d, e = codes
    total, _ = tree_add(FP16, codes)
    assert np.array_equal(total, add(add(add(a, b), add(c, d)), e))
    in_line = add(add(add(add(a, b), c), d), e)
    assert not np.array_equal(total, in_line)
    assert tree_add(FP16, [7]) == (7, False)


def test_overflow_is_of_finite_numbers():
    big, one = FP16.infinity - 1, FP16.from_value(1.0)
    formats = (FP16, FP16, FP16)
    assert float_step(formats, 0, [big], [big]) == (FP16.infinity, True)
    assert float_step(formats, big, [big], [one]) == (FP16.infinity, True)
    assert float_step(formats, 0, [big, big], [one, one]) == (FP16.infinity, True)
    assert float_step(formats, big, [FP16.infinity], [one]) == (FP16.infinity, False)
    assert float_step(formats, FP16.nan, [one], [one]) == (FP16.nan, False)


def test_constants_and_simulation_values_are_values():
    value: Any = -1.5  # the stubs want an int
    signal: Any = Signal(FP16, init=value)
    code = Signal(16)
    m = Module()
    m.d.comb += code.eq(signal.as_value())
    seen = []

    async def testbench(ctx):
        seen.append((ctx.get(code), ctx.get(signal)))
        ctx.set(signal, 0.1)
        seen.append((ctx.get(code), ctx.get(signal)))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen == [(0xBE00, -1.5), (0x2E66, float(np.float16(0.1)))]


def test_layers_of_integers_have_no_floats():
    weights = np.zeros((2, 3), np.int64)
    dense: dict[str, Any] = {"name": "fc", "input": Fixed(4), "output": Fixed(4), "shift": 0}
    dense |= {"bias": weights[:, 0], "multiplier": weights[:, 0] + 1, "weights": weights}
    assert Dense(weight=Fixed(4), **dense).weight == Fixed(4)
    with pytest.raises(NetworkError, match="fc: fp32 weights read floats, not int4"):
        Dense(weight=FP32, **dense)
