from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from narrowgauge.hw import recoding
from narrowgauge.hw.recoding import recoded_product


def wrong_products(widths, pairs):
    """How many of the products of ``pairs`` are wrong."""
    m = Module()
    a, b = (Signal(width) for width in widths)
    product = Signal(sum(widths))
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


def every(*widths):
    return [(a, b) for a in range(1 << widths[0]) for b in range(1 << widths[1])]


@pytest.mark.parametrize("widths", [(1, 1), (2, 2), (3, 2), (2, 3), (3, 3), (4, 4), (6, 1), (5, 4)])
def test_every_product(widths):
    assert wrong_products(widths, every(*widths)) == 0


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
