import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.errors import FormatError, NarrowgaugeError
from narrowgauge.hw.numbers.formats import FORMATS, Bipolar, Fixed, MiniFloat, PowerOfTwo, parse
from narrowgauge.hw.numbers.operands import common

from ..formats import EXAMPLES, FLOATS, NAMES

SMALL = [name for name in NAMES if parse(name).width <= 8]


def all_levels(fmt):
    return [fmt.to_level(code) for code in range(1 << fmt.width)]


def test_levels_by_hand():
    assert all_levels(Bipolar()) == [-1, 1]
    assert all_levels(PowerOfTwo(3)) == [0, 1, 2, 4, 0, -1, -2, -4]
    assert all_levels(MiniFloat(2, 1))[:8] == [0, 1, 2, 3, 4, 6, 8, 12]
    assert all_levels(MiniFloat(1, 1)) == [0, 1, 2, 3, 0, -1, -2, -3]
    assert all_levels(Fixed(3)) == [0, 1, 2, 3, -4, -3, -2, -1]
    assert all_levels(Fixed(2, signed=False)) == [0, 1, 2, 3]
    assert parse("pow2_4").max_level == 64
    assert parse("pow2_6").max_level == 1 << 30
    assert parse("e3m2").max_level == 7 << 6
    assert parse("e5m2").max_level == 7 << 30
    assert (Bipolar().zero_level, Fixed(4).zero_level, PowerOfTwo(4).zero_level) == (-1, 0, 0)


def misread(code):
    """``e3m2`` by one who gives the subnormals a leading bit."""
    return Fraction(2) ** ((code >> 2) - 1) * (1 + Fraction(code & 3, 4)) * 4


@pytest.mark.parametrize("exponent", range(1, 6))
@pytest.mark.parametrize("mantissa", range(1, 11))
def test_minifloats_are_the_floats_of_their_fields(exponent, mantissa):
    fmt = parse(f"e{exponent}m{mantissa}")
    levels = []
    for sign, field, rest in product((1, -1), range(1 << exponent), range(1 << mantissa)):
        fraction = rest / 2**mantissa
        value = 2.0 ** (field - 1) * (1 + fraction) if field else fraction
        levels.append(sign * value * 2**mantissa)
    codes = np.arange(1 << fmt.width)
    assert fmt.to_level(codes).tolist() == levels
    assert (min(levels), max(levels)) == (fmt.min_level, fmt.max_level)
    negative_zero = 1 << (fmt.width - 1)
    again = fmt.to_code(fmt.to_level(codes))
    assert again.tolist() == [0 if code == negative_zero else code for code in codes.tolist()]


def test_a_subnormal_with_a_leading_bit_is_seen():
    levels = all_levels(parse("e3m2"))[:32]
    assert [code for code in range(32) if levels[code] != misread(code)] == [0, 1, 2, 3]


def test_every_kind_of_format_is_tested():
    assert EXAMPLES.keys() | FLOATS.keys() == set(FORMATS)
    for kind, names in (EXAMPLES | FLOATS).items():
        assert {type(parse(name)) for name in names} == {kind}


@pytest.mark.parametrize("name", NAMES)
def test_text_round_trips_and_formats_compare_by_value(name):
    fmt = parse(name)
    assert str(fmt) == name
    assert parse(str(fmt)) == fmt
    assert hash(parse(name)) == hash(fmt)
    assert len({parse(other) for other in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    "text",
    ["", "int", "int0", "int33", "uint0", "uint33", "int-4", "Int8", " int8", "int8 ", "int٤",
     "pow2_1", "pow2_7", "pow2", "bipolar1", "float", "fp8", "int8.4", "uuint4", "int99999",
     "e0m0", "e6m2", "e6m0", "e0m11", "e3m11", "e3", "e3m", "m2", "e3m2x", "E3m2"],
)  # fmt: skip
def test_malformed_names_are_refused_with_the_grammar(text):
    with pytest.raises(FormatError, match="intN"):
        parse(text)


def test_format_errors_belong_to_the_family():
    assert issubclass(FormatError, NarrowgaugeError)
    assert issubclass(FormatError, ValueError)


@pytest.mark.parametrize("name", SMALL)
def test_every_code_round_trips_in_int_numpy_and_torch(name):
    fmt = parse(name)
    codes = list(range(1 << fmt.width))
    levels = all_levels(fmt)
    assert min(levels) == fmt.min_level
    assert max(levels) == fmt.max_level
    assert fmt.to_level(np.array(codes)).tolist() == levels
    assert fmt.to_level(torch.tensor(codes)).tolist() == levels
    again = [fmt.to_code(level) for level in levels]
    # of several codes of one level, such as minus zero, it is the lowest
    assert again == [levels.index(level) for level in levels]
    assert fmt.to_code(np.array(levels)).tolist() == again
    assert fmt.to_code(torch.tensor(levels)).tolist() == again


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int64])
def test_narrow_integer_types_do_not_change_what_is_held(name, kind):
    fmt = parse(name)
    numbers = np.arange(max(np.iinfo(kind).min, -300), min(np.iinfo(kind).max, 300) + 1)
    expected = [bool(fmt.holds(number)) for number in numbers.tolist()]
    array = numbers.astype(kind)
    assert fmt.holds(array).tolist() == expected
    assert fmt.holds(torch.from_numpy(array)).tolist() == expected


@pytest.mark.parametrize("name", SMALL)
def test_what_is_not_a_level_has_no_code(name):
    fmt = parse(name)
    levels = set(all_levels(fmt))
    for level in sorted({near + step for near in levels for step in range(-3, 4)}):
        assert fmt.holds(level) == (level in levels)
        if level not in levels:
            with pytest.raises(FormatError, match=str(level)):
                fmt.to_code(level)
            with pytest.raises(FormatError, match=str(level)):
                fmt.to_code(np.array([fmt.max_level, level]))
            with pytest.raises(FormatError, match=str(level)):
                fmt.to_code(torch.tensor([[fmt.max_level], [level]]))


def nearest_by_search(fmt, value):
    """The level nearest to a fraction, the upper one of two, by trying all."""
    return min(sorted(set(all_levels(fmt)), reverse=True), key=lambda level: abs(value - level))


@pytest.mark.parametrize("name", SMALL)
def test_quantize_takes_the_nearest_level(name):
    fmt = parse(name)
    span = fmt.max_level + 2
    halves = range(-2 * min(span, 300), 2 * min(span, 300))
    values = [k * span / 64 for k in range(-64, 65)] + [k / 2 for k in halves]
    expected = [nearest_by_search(fmt, Fraction(value)) for value in values]
    assert [fmt.quantize(value) for value in values] == expected
    for scale in (1.0, 0.25, 8.0):
        scaled = np.array(values) * scale
        assert fmt.quantize(scaled, scale).tolist() == expected
        assert fmt.quantize(torch.from_numpy(scaled), scale).tolist() == expected
        single = scaled.astype(np.float32)
        for level, right, exact in zip(
            fmt.quantize(torch.from_numpy(single), scale).tolist(),
            expected,
            single == scaled,
            strict=True,
        ):
            assert level == right or not exact


def test_halves_go_up():
    assert [Fixed(4).quantize(x) for x in (-1.5, -0.5, 0.5, 1.5, 2.5)] == [-1, 0, 1, 2, 3]
    assert [PowerOfTwo(4).quantize(x) for x in (-3.0, -0.5, 0.5, 1.5, 3.0, 6.0)] == [
        -2,
        0,
        1,
        2,
        4,
        8,
    ]
    halves = (-7.0, -4.5, -0.5, 0.5, 4.5, 5.0, 7.0, 10.0)
    assert [parse("e2m1").quantize(x) for x in halves] == [-6, -4, 0, 1, 4, 6, 8, 12]
    assert [Bipolar().quantize(x) for x in (-1e-9, 0.0, 1e-9)] == [-1, 1, 1]


@pytest.mark.parametrize("name", NAMES)
def test_quantize_clamps_and_gives_only_levels(name):
    fmt = parse(name)
    for kind in (torch.float32, torch.float64):
        levels = fmt.quantize(torch.tensor([-1e13, -3.3, 0.0, 0.7, 1e13], dtype=kind))
        assert levels.dtype == torch.int64
        assert fmt.holds(levels).all()
        assert (levels[0], levels[-1]) == (fmt.min_level, fmt.max_level)


def test_quantize_takes_a_scale_for_each_channel():
    value, scale = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[1.0], [0.5]])
    assert Fixed(4).quantize(value, scale).tolist() == [[1, 2], [2, 4]]
    assert Fixed(4).dequantize(np.array([[1, 2], [2, 4]]), scale).tolist() == value.tolist()


@pytest.mark.parametrize("name", ["int4", "uint4", "pow2_4", "e3m2", "bipolar"])
@pytest.mark.parametrize("world", ["numpy", "torch"])
def test_stochastic_rounding_is_right_on_average_and_repeats(name, world):
    fmt = parse(name)
    low, high = fmt.min_level * 0.9, fmt.max_level * 0.9
    values = np.repeat(np.linspace(low, high, 11)[:, None], 20_000, axis=1)

    def draw():
        if world == "numpy":
            chance = np.random.default_rng(1)
            return fmt.quantize(values, rounding="stochastic", generator=chance)
        chance = torch.Generator().manual_seed(1)
        tensor = torch.from_numpy(values)
        return fmt.quantize(tensor, rounding="stochastic", generator=chance).numpy()

    levels = draw()
    assert fmt.holds(levels).all()
    lower, upper = fmt.neighbours(values[:, 0])
    spread = (upper - lower) / math.sqrt(values.shape[1])
    assert (abs(levels.mean(axis=1) - values[:, 0]) < 2.5 * spread + 1e-9).all()
    assert (draw() == levels).all()


@pytest.mark.parametrize("name", SMALL)
def test_stochastic_rounding_leaves_levels_alone(name):
    fmt = parse(name)
    levels = np.array(all_levels(fmt) * 50)
    chance = np.random.default_rng(0)
    values = levels.astype(float)
    assert (fmt.quantize(values, rounding="stochastic", generator=chance) == levels).all()


def test_rounding_modes_are_checked():
    with pytest.raises(FormatError, match="without a generator"):
        Fixed(4).quantize(1.5, rounding="stochastic")
    with pytest.raises(FormatError, match="floor"):
        Fixed(4).quantize(np.array([1.5]), rounding="floor")


@pytest.mark.parametrize("name", SMALL)
def test_gates_give_the_level_of_every_code(name):
    fmt = parse(name)
    m = Module()
    level = Signal(fmt.level_shape)
    code: Any = Signal(fmt)  # a shape-castable's Signal is its Code
    m.d.comb += level.eq(code.level)
    seen = []

    async def testbench(ctx):
        for raw in range(1 << fmt.width):
            ctx.set(code.as_value(), raw)
            seen.append((ctx.get(level), ctx.get(code)))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen == [(level, level) for level in all_levels(fmt)]


def test_constants_are_levels_and_checked():
    assert Fixed(4).const(-3).value == 13
    assert Bipolar().const(None).value == 0
    assert Bipolar().const(1).value == 1
    with pytest.raises(FormatError):
        Fixed(4).const(8)
    signal: Any = Signal(Fixed(4), init=-1)
    assert signal.as_value().init == 15


def test_common_format_holds_all():
    assert common([Fixed(4), Fixed(4)]) == Fixed(4)
    assert common([PowerOfTwo(4)]) == PowerOfTwo(4)
    assert common([Bipolar(), Fixed(4)]) == Fixed(4)
    assert common([Fixed(4, signed=False), Fixed(4)]) == Fixed(5)
    assert common([Fixed(4, signed=False), Fixed(8, signed=False)]) == Fixed(8, signed=False)
    assert common([PowerOfTwo(4), Bipolar()]) == Fixed(8)
    assert common([MiniFloat(5, 2)]) == MiniFloat(5, 2)
    assert common([MiniFloat(3, 2), Fixed(4)]) == Fixed(10)


def test_levels_beyond_32_bits_have_no_common_format():
    with pytest.raises(FormatError, match="N = 1 to 32, not 34"):
        common([MiniFloat(5, 2), Fixed(4)])


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_common_format_is_the_narrowest(names):
    formats = [parse(name) for name in names]
    if max(fmt.level_shape.width for fmt in formats) > 31:
        return
    meet = common(formats)
    for fmt in formats:
        assert meet.min_level <= fmt.min_level
        assert fmt.max_level <= meet.max_level
    if len(set(formats)) > 1 and isinstance(meet, Fixed) and meet.width > 1:
        narrower = Fixed(meet.width - 1, signed=meet.signed)
        assert not all(
            narrower.min_level <= fmt.min_level and fmt.max_level <= narrower.max_level
            for fmt in formats
        )


def sign_and_fields(exponent, mantissa):
    """Levels of a minifloat, of its definition: subnormals, then significands that are shifted."""
    found = set(range(1 << mantissa))
    for field in range(1, 1 << exponent):
        found |= {((1 << mantissa) + low) << (field - 1) for low in range(1 << mantissa)}
    return found | {-level for level in found}


@pytest.mark.parametrize("exponent", range(6))
@pytest.mark.parametrize("mantissa", range(4))
def test_minifloats_have_their_levels_down_to_the_edge(exponent, mantissa):
    if exponent == mantissa == 0:
        return
    fmt = parse(f"e{exponent}m{mantissa}")
    wanted = sign_and_fields(exponent, mantissa)
    levels = [fmt.to_level(code) for code in range(1 << fmt.width)]
    lowest = {fmt.min_level} if fmt.min_level < -fmt.max_level else set()
    assert set(levels) - lowest == wanted
    assert fmt.width == 1 + exponent + mantissa
    assert set(levels) - lowest != wanted - {max(wanted)}  # a level less would be seen
