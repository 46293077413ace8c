"""Products of slices, and the sums of whole weights that they become."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import SLICES, Geometry
from narrowgauge.hw.mac.accumulator import Accumulate
from narrowgauge.hw.mac.choice import mac
from narrowgauge.hw.mac.fabric import ANY
from narrowgauge.hw.mac.slices import SliceProduct
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.hw.numbers.operands import Operands

from ...formal.proof import edit
from ..fabrics import FABRICS
from ..networks import random_levels
from ..simulation import clocked

activations = st.sampled_from(["uint8", "int4", "uint1", "int2", "uint3", "int1"]).map(parse)
widths = st.integers(1, 16)


def sliced(bits, activation):
    return Operands(Fixed(bits, signed=False), activation)


def products(bits, activation, lanes, fabric, seed=0, count=40):
    """Sums from the gates, and what they should be: corners first, signs at random."""
    dot = SliceProduct(sliced(bits, activation), lanes, fabric=FABRICS[fabric])
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << bits, (count, lanes))
    levels, signs = random_levels(rng, activation, (count, lanes)), rng.integers(0, 2, count)
    codes[:4], codes[4:8], signs[:8] = (1 << bits) - 1, 1 << (bits - 1), [0, 1] * 4
    levels[:8] = np.repeat([[activation.min_level], [activation.max_level]] * 2, 2, axis=0)

    def drive(ctx, cycle):
        for lane in range(lanes):
            ctx.set(dot.i_weights[lane], int(codes[cycle % count, lane]))
            ctx.set(dot.i_activations[lane], int(levels[cycle % count, lane]))
        ctx.set(dot.i_signed, int(signs[max(cycle - dot.sign_latency, 0) % count]))

    got = clocked(dot, drive, lambda ctx: ctx.get(dot.o), range(count + dot.latency), dot.latency)
    weights = codes - (signs[:, None] * (codes >> (bits - 1)) << bits)
    return got[:count], (weights * levels).sum(axis=1).tolist()


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
@pytest.mark.parametrize("bits", SLICES)
@pytest.mark.parametrize("fabric", ["ice40", "ecp5"])
def test_every_slice_times_activations(fabric, bits, lanes):
    got, expected = products(bits, parse("uint8"), lanes, fabric)
    assert got == expected


@settings(max_examples=12)
@given(
    bits=st.sampled_from(SLICES),
    activation=activations,
    lanes=st.integers(1, 9),
    fabric=st.sampled_from(["ice40", "ecp5"]),
)
def test_any_activations(bits, activation, lanes, fabric):
    got, expected = products(bits, activation, lanes, fabric, seed=lanes, count=16)
    assert got == expected


def sums(operands, signed, width, lanes, fabric, seed):
    """Sums of whole weights, slice by slice, and the exact ones in a register that wraps."""
    bits, accumulator = operands.weight.width, Accumulator(11)
    element = mac(operands, lanes, accumulator, doubling=True, sliced=True, fabric=FABRICS[fabric])
    rng, whole = np.random.default_rng(seed), Fixed(width, signed=signed)
    inputs, ends, expected = [], [], []
    for _ in range(5):
        steps = int(rng.integers(1, 4))
        weights = random_levels(rng, whole, (steps, lanes))
        levels = random_levels(rng, operands.activation, (steps, lanes))
        expected.append(accumulator.fit(int((weights * levels).sum())))
        count = -(-width // bits)
        for index in reversed(range(count)):
            top = signed and index == count - 1
            for step in range(steps):
                codes = (weights[step] >> (bits * index)) & ((1 << bits) - 1)
                control = {
                    "enable": 1,
                    "double": int(step == steps - 1 and index > 0),
                    "last": int(step == steps - 1 and index == 0),
                }
                inputs.append((codes.tolist(), levels[step].tolist(), int(top), control))
                ends += [len(inputs) - 1] * control["last"]
                if rng.random() < 0.2:
                    inputs.append(([1] * lanes, levels[0].tolist(), 1, dict.fromkeys(control, 0)))

    def drive(ctx, cycle):
        if cycle < len(inputs):
            for lane in range(lanes):
                ctx.set(element.i_weights[lane], inputs[cycle][0][lane])
                ctx.set(element.i_activations[lane], inputs[cycle][1][lane])
        if 0 <= cycle - element.sign_latency < len(inputs):
            ctx.set(element.i_signed, inputs[cycle - element.sign_latency][2])
        if 0 <= cycle - element.latency < len(inputs):
            ctx.set(element.i_control, inputs[cycle - element.latency][3])

    latency = element.latency + element.delay
    cycles = range(len(inputs) + latency)
    got = clocked(element, drive, lambda ctx: ctx.get(element.o), cycles, latency)
    return [got[end] for end in ends], expected


@settings(max_examples=20)
@given(
    bits=st.sampled_from(SLICES),
    activation=activations,
    signed=st.booleans(),
    width=widths,
    lanes=st.integers(1, 4),
    fabric=st.sampled_from(["any fabric", "ice40", "ecp5"]),
    seed=st.integers(0, 99),
)
def test_slices_sum_to_whole_weights(bits, activation, signed, width, lanes, fabric, seed):
    got, expected = sums(sliced(bits, activation), signed, width, lanes, fabric, seed)
    assert got == expected


@pytest.mark.parametrize(
    ("fabric", "method", "old", "new"),
    [
        ("ice40", "_complemented", 'delay(m, self.i_signed, name="subtracts")', "self.i_signed"),
        ("ice40", "_complemented", "below, flip=self.i_signed", "below"),
        ("ice40", "_complemented", "top).shifted(1)", "top)"),
        ("ecp5", "_subtracted", "added.value >> 1", "added.value"),
        ("ecp5", "_subtracted", "other.eq(self.i_signed)", "other.eq(0)"),
    ],
    ids=["the sign comes a cycle early", "one complement is missing", "the top bit counts once",
         "what is below it counts twice", "nothing is subtracted"],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, fabric, method, old, new):
    edit(monkeypatch, SliceProduct, method, old, new)
    got, expected = products(2, parse("uint4"), 3, fabric)
    assert got != expected


def test_a_sum_that_shifts_by_another_slice_is_found(monkeypatch):
    operands = sliced(2, parse("uint3"))
    got, expected = sums(operands, True, 5, 2, "any fabric", 1)
    assert got == expected
    edit(monkeypatch, Accumulate, "elaborate", "total << self.shift", "total << 1")
    got, expected = sums(operands, True, 5, 2, "any fabric", 1)
    assert got != expected


def test_what_has_no_slices_is_refused():
    two, uint4 = Fixed(2, signed=False), Fixed(4, signed=False)
    for weight, activation in (("int2", "uint4"), ("pow2_4", "uint4"), ("uint2", "bipolar")):
        with pytest.raises(GeometryError, match="unsigned integers and meet integers, not"):
            SliceProduct(Operands(parse(weight), parse(activation)), 2)
    with pytest.raises(GeometryError, match="not multiplied in DSP blocks; multiply in logic"):
        mac(Operands(two, uint4), 2, Accumulator(12), sliced=True, fabric=ANY.using_blocks())
    with pytest.raises(GeometryError, match="accumulator wraps, it does not saturate"):
        mac(Operands(two, uint4), 2, Accumulator(12, "saturate"), sliced=True)
    with pytest.raises(GeometryError, match="1, 2 or 4 bits of a weight, not 3"):
        Geometry(1, 1, 1, slice=3)
