from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.gates import popcount
from narrowgauge.hw.mac.choice import dot_product, mac
from narrowgauge.hw.mac.dot import (
    MiniFloatMultiply,
    Multiply,
    ShiftAdd,
)
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Bipolar, Fixed, MiniFloat, PowerOfTwo, parse
from narrowgauge.hw.numbers.operands import Operands
from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.synth.shell import Shell

from ..fabrics import FABRICS
from ..formats import MULTIPLIED
from ..networks import random_levels
from ..simulation import clocked

PAIRS = [
    *MULTIPLIED,
    ("pow2_4", "uint8", ShiftAdd),
    ("pow2_3", "int5", ShiftAdd),
    ("pow2_2", "uint1", ShiftAdd),
    ("e2m1", "uint1", MiniFloatMultiply),
    ("e3m2", "uint8", MiniFloatMultiply),
    ("e4m3", "int5", MiniFloatMultiply),
    ("e5m2", "uint4", MiniFloatMultiply),
    ("e4m10", "int16", MiniFloatMultiply),
    ("int8", "uint8", Multiply),
    ("int4", "uint4", Multiply),
    ("uint3", "int6", Multiply),
    ("int2", "int2", Multiply),
    ("uint1", "uint1", Multiply),
    ("int1", "uint5", Multiply),
    ("int5", "int11", Multiply),
]

minifloats = st.builds("e{}m{}".format, st.integers(1, 5), st.integers(1, 10))
integers = st.builds("{}int{}".format, st.sampled_from(["", "u"]), st.integers(1, 16))


def operand_words(operands, lanes, count=40):
    """Random words of levels, and the four corners of the operands' ranges."""
    rng = np.random.default_rng(lanes)
    weights = random_levels(rng, operands.weight, (count, lanes))
    activations = random_levels(rng, operands.activation, (count, lanes))
    for index in range(4):
        weight, activation = operands.weight, operands.activation
        weights[index] = weight.max_level if index % 2 else weight.min_level
        activations[index] = activation.max_level if index // 2 else activation.min_level
    return weights, activations


def sums(dot, weights, activations):
    def drive(ctx, index):
        for lane in range(dot.lanes):
            ctx.set(dot.i_weights[lane], int(weights[index, lane]))
            ctx.set(dot.i_activations[lane], int(activations[index, lane]))

    return clocked(dot, drive, lambda ctx: ctx.get(dot.o), range(len(weights)), dot.latency)


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("weight", "activation", "kind"), PAIRS)
def test_equals_the_integer_sum_after_its_latency(weight, activation, kind, lanes):
    operands = Operands(parse(weight), parse(activation))
    dot = dot_product(operands, lanes)
    assert type(dot) is kind
    weights, activations = operand_words(operands, lanes)
    assert sums(dot, weights, activations) == (weights * activations).sum(axis=1).tolist()


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(
    ("weight", "activation"), [("int8", "uint8"), ("e3m2", "uint8"), ("e4m7", "int8")]
)
def test_multiplies_in_dsp_blocks_alike(weight, activation, lanes):
    operands = Operands(parse(weight), parse(activation))
    weights, activations = operand_words(operands, lanes)
    dot = dot_product(operands, lanes, dsp=True)
    assert sums(dot, weights, activations) == (weights * activations).sum(axis=1).tolist()


@pytest.mark.parametrize(
    ("weight", "activation"), [("e1m1", "int3"), ("e2m1", "uint2"), ("e3m2", "int4")]
)
@pytest.mark.parametrize("dsp", [False, True])
def test_every_minifloat_times_every_activation(weight, activation, dsp):
    operands = Operands(parse(weight), parse(activation))
    codes = [np.arange(1 << fmt.width) for fmt in (operands.weight, operands.activation)]
    pairs = np.stack(np.meshgrid(*codes), axis=-1).reshape(-1, 2)
    dot = dot_product(operands, 1, dsp=dsp)

    def drive(ctx, index):  # codes: minus zero, too
        ctx.set(dot.i_weights.as_value(), int(pairs[index, 0]))
        ctx.set(dot.i_activations.as_value(), int(pairs[index, 1]))

    got = clocked(dot, drive, lambda ctx: ctx.get(dot.o), range(len(pairs)), dot.latency)
    weights, activations = (
        [fmt.to_level(int(code)) for code in column]
        for fmt, column in zip((operands.weight, operands.activation), pairs.T, strict=True)
    )
    assert got == [w * a for w, a in zip(weights, activations, strict=True)]


@given(weight=minifloats, activation=integers, lanes=st.integers(1, 5), dsp=st.booleans())
@settings(max_examples=20)
def test_minifloats_of_any_widths(weight, activation, lanes, dsp):
    operands = Operands(parse(weight), parse(activation))
    weights, activations = operand_words(operands, lanes, count=8)
    dot = dot_product(operands, lanes, dsp=dsp)
    # in Python integers, which have no end
    expected = (weights.astype(object) * activations.astype(object)).sum(axis=1).tolist()
    assert sums(dot, weights, activations) == expected


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("width", range(1, 33))
def test_integers_of_every_width(width, lanes):
    """Each width times itself and times another one, in every combination of signs."""
    other = 1 + width * 7 % 32
    for index, partner in enumerate((width, other)):
        for sign in ("", "u"):
            weight, activation = f"{sign}int{width}", f"{'u' if index else ''}int{partner}"
            operands = Operands(parse(weight), parse(activation))
            weights, activations = operand_words(operands, lanes, count=6)
            expected = (weights.astype(object) * activations.astype(object)).sum(axis=1).tolist()
            assert sums(dot_product(operands, lanes), weights, activations) == expected


def test_an_exponent_that_is_not_reduced_is_seen(monkeypatch):
    operands = Operands(parse("e3m2"), parse("uint4"))
    weights, activations = operand_words(operands, 1)
    right = MiniFloat.fields

    def wrong(fmt, code):
        significand, _, sign = right(fmt, code)
        return significand, code[fmt.mantissa : fmt.width - 1], sign

    monkeypatch.setattr(MiniFloat, "fields", wrong)
    got = sums(dot_product(operands, 1), weights, activations)
    # subnormals have nothing to reduce
    normal = ((abs(weights) >= 4) & (activations != 0))[:, 0]
    expected = (weights * activations)[:, 0]
    assert 0 < normal.sum() < len(normal)
    assert (np.array(got) != expected).tolist() == normal.tolist()


BIPOLAR = Operands(Bipolar(), Bipolar())
DISTINCT = ["any fabric", "ice40", "ecp5", "xc7"]  # gowin is as ecp5


def popcounts(lanes, fabric, count=20):
    """Sums from a popcount, and what they should be."""
    weights, activations = operand_words(BIPOLAR, lanes, count)
    dot = dot_product(BIPOLAR, lanes, fabric=FABRICS[fabric])

    def drive(ctx, index):
        for port, levels in ((dot.i_weights, weights), (dot.i_activations, activations)):
            code = sum(int(level > 0) << lane for lane, level in enumerate(levels[index]))
            ctx.set(port.as_value(), code)

    got = clocked(dot, drive, lambda ctx: ctx.get(dot.o), range(count), dot.latency)
    return got, (weights * activations).sum(axis=1).tolist()


@pytest.mark.parametrize("fabric", DISTINCT)
@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 23, 32, 40, 63, 64])
def test_popcounts_of_every_fabric_equal_the_sum(lanes, fabric):
    got, expected = popcounts(lanes, fabric)
    assert got == expected


@given(lanes=st.integers(10, 200), fabric=st.sampled_from(DISTINCT))
@settings(max_examples=8)
def test_popcounts_of_any_lanes(lanes, fabric):
    got, expected = popcounts(lanes, fabric, count=8)
    assert got == expected


@pytest.mark.parametrize("fabric", DISTINCT)
@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5])
def test_popcounts_of_all_operands(lanes, fabric):
    dot = dot_product(BIPOLAR, lanes, fabric=FABRICS[fabric])
    words = range(1 << 2 * lanes)

    def drive(ctx, word):
        ctx.set(dot.i_weights.as_value(), word & ((1 << lanes) - 1))
        ctx.set(dot.i_activations.as_value(), word >> lanes)

    got = clocked(dot, drive, lambda ctx: ctx.get(dot.o), words, dot.latency)
    differ = [((word >> lanes) ^ word) & ((1 << lanes) - 1) for word in words]
    assert got == [lanes - 2 * word.bit_count() for word in differ]


@pytest.mark.parametrize("fabric", DISTINCT)
def test_a_carry_that_forgets_a_lane_is_seen(fabric, monkeypatch):
    monkeypatch.setattr(popcount, "_majority", lambda a, b, c: a & b)
    got, expected = popcounts(64, fabric)
    assert got != expected


@pytest.mark.parametrize(("target", "cells"), [("up5k", 160), ("xc7", 100)])
def test_a_popcount_and_its_accumulator_take_few_cells(target, cells):
    fabric = {"up5k": "ice40", "xc7": "xc7"}[target]
    element = mac(BIPOLAR, 64, Accumulator(16), fabric=FABRICS[fabric])
    cost = measure(Shell(element, ignore=["o_overflow"]), target, seeds=[])
    assert cost.lut is not None
    assert cells - 10 < cost.lut <= cells


def test_a_wrong_lane_is_seen():
    operands = Operands(parse("int4"), parse("uint4"))
    weights, activations = operand_words(operands, 3)
    wrong = weights.copy()
    wrong[7, 1] = -wrong[7, 1] - 1
    activations[7, 1] = 3
    got = sums(dot_product(operands, 3), wrong, activations)
    expected = (weights * activations).sum(axis=1).tolist()
    assert [i for i, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]] == [
        7
    ]


def test_width_holds_the_worst_operands():
    dot = dot_product(Operands(Fixed(8), Fixed(8, signed=False)), 4)
    assert dot.width == 18  # 4 * -128 * 255 = -130560
    assert dot_product(Operands(Bipolar(), Bipolar()), 64).width == 8


def test_formats_without_a_dot_product_are_refused():
    operands = Operands(PowerOfTwo(4), PowerOfTwo(4))
    with pytest.raises(GeometryError, match="pow2_4 weights by pow2_4 activations; there"):
        dot_product(operands, 4)
    with pytest.raises(GeometryError, match="at least 1 lane, not 0"):
        dot_product(replace(operands, activation=Fixed(4)), 0)
