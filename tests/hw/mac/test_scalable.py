"""Elements of every kind: their sums are exact, whatever came before.

``NARROWGAUGE_LONG=1`` takes all widths of all of them.
"""

import os

import numpy as np
import pytest

from narrowgauge.hw.errors import FormatError, GeometryError
from narrowgauge.hw.mac.scalable.apart import SumApart
from narrowgauge.hw.mac.scalable.base import WORK, Widths
from narrowgauge.hw.mac.scalable.bits import BitSerial
from narrowgauge.hw.mac.scalable.both import BothSliced
from narrowgauge.hw.mac.scalable.joining import Joins
from narrowgauge.hw.mac.scalable.kinds import KINDS, scalable
from narrowgauge.hw.mac.scalable.serial import SerialSlices
from narrowgauge.hw.mac.scalable.together import SumTogether
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed

from ...formal.proof import edit
from ..fabrics import FABRICS
from ..networks import random_levels
from ..simulation import run

LONG = bool(os.environ.get("NARROWGAUGE_LONG"))
BITS = Accumulator(20)
ELEMENTS = [(kind, bits) for kind, made in KINDS.items() for bits in made.allowed]


def schedule(element, widths, rng, tiles=3):
    """Steps of a few sums in a row, the first of extreme operands, and what is to come out."""
    rate, weight = element.rate(widths), Fixed(widths.weight)
    activation = Fixed(widths.activation, signed=False)
    inputs, ends, expected = [], [], []
    for tile in range(tiles):
        count = rate.inputs * (1 + tile % 2)
        weights = random_levels(rng, weight, (rate.outputs, count))
        activations = random_levels(rng, activation, (count,))
        if tile == 0:
            weights[:] = weight.min_level
            activations[:] = activation.max_level
        weights, activations = weights.tolist(), activations.tolist()
        expected.append(element.sums(widths, weights, activations))
        for step in element.steps(widths, weights, activations):
            inputs.append(step)
            if rng.random() < 0.1:
                inputs.append(None)
        ends.append(max(n for n, step in enumerate(inputs) if step))
    return inputs, ends, expected


def sums(element, widths, seed=0):
    """Sums that come out, and those that should."""
    inputs, ends, expected = schedule(element, widths, np.random.default_rng(seed))
    due = {}  # cycle -> outputs to be read
    for tile, (end, wanted) in enumerate(zip(ends, expected, strict=True)):
        for port in wanted:
            at = end + element.latency + element.delays[port]
            due.setdefault(at, []).append((tile, port))
    got = [{} for _ in expected]

    def at(cycle):
        return inputs[cycle] if 0 <= cycle < len(inputs) else None

    async def testbench(ctx):
        for name, value in element.chosen(widths).items():
            ctx.set(getattr(element, name), value)
        await ctx.tick()
        for cycle in range(max(due) + 1):
            if step := at(cycle):
                ctx.set(element.i_weights, step.weights)
                ctx.set(element.i_activations, step.activations)
            if hasattr(element, "i_signed") and (step := at(cycle - element.sign_latency)):
                ctx.set(element.i_signed, step.signed)
            step = at(cycle - element.latency)
            control = {"enable": step is not None}
            control |= {name: bool(step and getattr(step, name)) for name in ("double", "last")}
            ctx.set(element.i_control, control)
            for tile, port in due.get(cycle, ()):
                got[tile][port] = ctx.get(element.o[str(port)])
            await ctx.tick()

    run(element, testbench)
    return got, expected


def some(element):
    """A few widths, an uneven one and the widest; all where there is time."""
    found = element.widths()
    if LONG or len(found) <= 4:
        return found
    uneven = [each for each in found if 1 < each.weight < each.activation < 8]
    large = isinstance(element, BothSliced) and element.slice == 1
    return uneven[:1] if large else [*uneven[:1], found[-1]]


@pytest.mark.parametrize(("kind", "bits"), ELEMENTS)
def test_sums_are_exact(kind, bits):
    for number, widths in enumerate(some(scalable(kind, bits, BITS))):
        fabric = FABRICS[("ice40", "ecp5")[(number + bits) % 2]]
        got, expected = sums(scalable(kind, bits, BITS, fabric=fabric), widths, number)
        assert got == expected, widths


@pytest.mark.parametrize(("kind", "bits", "work"), [("together", 4, 64), ("apart", 2, 256)])
def test_sums_of_other_elements_are_exact(kind, bits, work):
    got, expected = sums(scalable(kind, bits, BITS, work=work), Widths(8))
    assert got == expected


@pytest.mark.parametrize(
    ("kind", "fabric", "owner", "method", "old", "new"),
    [
        ("serial", "ice40", SerialSlices, "_steps", "index == count - 1", "False"),
        ("serial", "ice40", SerialSlices, "_steps", "end == ends[-1] and index > 0", "False"),
        ("together", "ice40", SumTogether, "elaborate", "negative[place]", "negative[0]"),
        ("together", "ice40", Joins, "summed", "high << shift", "high << 1"),
        ("together", "ecp5", Joins, "_chosen", "i_c.eq(second[1])", "i_c.eq(second[0])"),
        ("apart", "ice40", SumApart, "elaborate", "controls[level]", "controls[0]"),
        ("apart", "ice40", Joins, "continued", "Const(0, signed(1))", "high"),
        ("apart", "ecp5", Joins, "continued", "low[:shift]", "low[:0]"),
        ("both", "ice40", BothSliced, "elaborate", "negative[place[0]]", "negative[place[1]]"),
        ("both", "ecp5", BothSliced, "_row", "(bits, signed=False)", "(bits - 1, signed=False)"),
        ("bits", "ice40", BitSerial, "elaborate", "i_activations, strict", "i_weights, strict"),
        ("bits", "ice40", BitSerial, "_signed", "flip=self.i_signed", "flip=None"),
        ("bits", "ecp5", BitSerial, "_signed", "i_other.eq(self.i_signed)", "i_other.eq(0)"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, kind, fabric, owner, method, old, new):
    edit(monkeypatch, owner, method, old, new)
    bits = min(2, *KINDS[kind].allowed)
    element = scalable(kind, bits, BITS, fabric=FABRICS[fabric])
    widths = Widths(4, 4) if kind in ("both", "bits") else Widths(4)
    got, expected = sums(element, widths)
    assert got != expected


@pytest.mark.parametrize(
    ("kind", "bits", "rates"),
    [  # products a cycle of weights of 8, 4 and 2 bits with whole activations, and of 4 x 4, 2 x 2
        ("whole", 8, (2, 2, 2, None, None)),
        ("whole", 2, (None, None, 8, None, None)),
        ("serial", 2, (2, 4, 8, None, None)),
        ("together", 2, (2, 4, 8, None, None)),
        ("apart", 2, (2, 4, 8, None, None)),
        ("together", 4, (2, 4, None, None, None)),
        ("both", 2, (2, 4, 8, 8, 32)),
        ("bits", 1, (2, 4, 8, 8, 32)),
    ],
)
def test_products_a_cycle(kind, bits, rates):
    element = scalable(kind, bits, BITS)
    pairs = [Widths(8), Widths(4), Widths(2), Widths(4, 4), Widths(2, 2)]
    there = element.widths()
    assert tuple(element.rate(w).products if w in there else None for w in pairs) == rates
    peak = max(element.rate(w).products * w.weight * w.activation for w in there)
    assert peak == WORK
    assert len(element.outputs(Widths(bits))) == (8 // bits if kind == "apart" else 1)


def test_what_is_not_there_is_refused():
    with pytest.raises(GeometryError, match=r"there are whole, serial, .* elements, not 'none'"):
        scalable("none", 2, BITS)
    with pytest.raises(GeometryError, match="slices of this kind have 1, 2 or 4 bits, not 3"):
        scalable("together", 3, BITS)
    with pytest.raises(GeometryError, match="slices of this kind have 1 bit, not 2"):
        scalable("bits", 2, BITS)
    for kind, made in KINDS.items():
        with pytest.raises(GeometryError, match="accumulator wraps, it does not saturate"):
            scalable(kind, made.allowed[0], Accumulator(24, "saturate"))
    with pytest.raises(GeometryError, match=r"do 64, 128, 256, 512 products of bits .* not 96"):
        scalable("serial", 2, BITS, work=96)
    with pytest.raises(GeometryError, match="no int2 x uint8; it has int4 x uint8, int8 x uint8"):
        scalable("together", 4, BITS).rate(Widths(2))
    with pytest.raises(GeometryError, match="no int4 x uint4; it has int2 x uint8"):
        scalable("serial", 2, BITS).steps(Widths(4, 4), [[1]], [1])


@pytest.mark.parametrize(("kind", "bits"), ELEMENTS)
def test_operands_that_are_no_whole_steps_are_refused(kind, bits):
    element = scalable(kind, bits, BITS)
    widths = Widths(element.widths()[-1].weight)
    rate = element.rate(widths)
    rows, levels = [[1] * rate.inputs for _ in range(rate.outputs)], [1] * rate.inputs
    element.steps(widths, rows, levels)
    for more in ([row + [1] for row in rows], levels + [1]), (rows * 2, levels), (rows, levels[1:]):
        with pytest.raises(GeometryError, match=f"a multiple of {rate.inputs} activations"):
            element.steps(widths, *more)
    low, high = [[-1 << widths.weight - 1] * rate.inputs] * rate.outputs, [255] * rate.inputs
    element.steps(widths, low, high)
    with pytest.raises(FormatError):
        element.steps(widths, [[each - 1 for each in row] for row in low], high)
    with pytest.raises(FormatError):
        element.steps(widths, low, [each + 1 for each in high])
