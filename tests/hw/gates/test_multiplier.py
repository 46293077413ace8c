from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

from narrowgauge.hw.gates import multiplier as recoding
from narrowgauge.hw.gates.multiplier import recoded_product


def wrong_products(shapes, pairs):
    """How many of the products of ``pairs`` are wrong."""
    m = Module()
    a, b = (Signal(shape) for shape in shapes)
    product = Signal(Shape(len(a) + len(b), a.shape().signed or b.shape().signed))
    m.d.comb += product.eq(recoded_product(m, a, b))
    seen = []

    async def testbench(ctx):
        for left, right in pairs:
            ctx.set(a, left)
            ctx.set(b, right)
            seen.append(ctx.get(product) != left * right)

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return sum(seen)


def every(*shapes):
    ranges = []
    for shape in map(Shape.cast, shapes):
        low = -(1 << shape.width - 1) if shape.signed else 0
        ranges.append(range(low, low + (1 << shape.width)))
    return [(a, b) for a in ranges[0] for b in ranges[1]]


@pytest.mark.parametrize("widths", [(1, 1), (2, 2), (3, 2), (2, 3), (3, 3), (4, 4), (6, 1), (5, 4)])
def test_every_product(widths):
    assert wrong_products(widths, every(*widths)) == 0


@pytest.mark.parametrize("widths", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (2, 5), (6, 3), (3, 4)])
@pytest.mark.parametrize("signs", [(signed, signed), (signed, unsigned), (unsigned, signed)])
def test_every_product_with_signs(widths, signs):
    shapes = [sign(width) for sign, width in zip(signs, widths, strict=True)]
    assert wrong_products(shapes, every(*shapes)) == 0


@pytest.mark.parametrize("widths", [(8, 8), (11, 11), (24, 24), (7, 12), (32, 5)])
def test_products_of_wide_operands(widths):
    rng = np.random.default_rng(0)
    pairs = [[int(rng.integers(0, 1 << width)) for width in widths] for _ in range(200)]
    largest = [(1 << width) - 1 for width in widths]
    assert wrong_products(widths, [*pairs, largest, [0, largest[1]], [largest[0], 0]]) == 0


def test_a_forgotten_one_of_a_negative_row_is_seen(monkeypatch):
    right = recoding._row
    monkeypatch.setattr(recoding, "_row", lambda *args: replace(right(*args), pending=Const(0, 1)))
    pairs = every(4, 4)
    assert 0 < wrong_products((4, 4), pairs) < len(pairs)
