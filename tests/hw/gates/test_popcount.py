"""Pairs of ones are counted as agreeing lanes are, with other leaves."""

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.gates import popcount

from ...formal.proof import edit
from ..fabrics import FABRICS
from ..simulation import clocked


class Both(wiring.Component):
    a: Signal
    b: Signal
    o: Signal

    def __init__(self, lanes, structure):
        self.lanes, self.structure = lanes, structure
        super().__init__({"a": In(lanes), "b": In(lanes), "o": Out(lanes.bit_length())})

    def elaborate(self, platform):
        m = Module()
        pairs = list(zip(self.a, self.b, strict=True))
        m.d.comb += self.o.eq(popcount.count_both(m, pairs, self.structure))
        return m


def counts(lanes, structure):
    """Counts from the gates, of none, all, and random ones; and those of Python."""
    component, rng = Both(lanes, structure), np.random.default_rng(lanes)
    every = (1 << lanes) - 1
    pairs = [(0, 0), (every, every), (every, 0)]
    pairs += [tuple(int("".join(map(str, bits)), 2) for bits in rng.integers(0, 2, (2, lanes)))
              for _ in range(20)]  # fmt: skip

    def drive(ctx, pair):
        ctx.set(component.a, pair[0])
        ctx.set(component.b, pair[1])

    latency = popcount.bipolar_sum_latency(lanes, structure)
    got = clocked(component, drive, lambda ctx: ctx.get(component.o), pairs, latency)
    return got, [(a & b).bit_count() for a, b in pairs]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 64])
@pytest.mark.parametrize("fabric", ["ice40", "ecp5", "xc7"])
def test_pairs_of_ones_are_counted(fabric, lanes):
    got, expected = counts(lanes, FABRICS[fabric].popcount)
    assert got == expected


@pytest.mark.parametrize("fabric", ["ice40", "xc7"])
def test_other_leaves_are_found(monkeypatch, fabric):
    edit(monkeypatch, popcount, "_not_both", "~(a & b)", "a ^ b")
    got, expected = counts(16, FABRICS[fabric].popcount)
    assert got != expected


def test_lanes_that_constants_would_fill_are_refused():
    with pytest.raises(GeometryError, match=r"1, 2, 4, 8, ... lanes, not in 12; fill them"):
        popcount.count_both(Module(), [(Const(1), Const(1))] * 12, popcount.PLAIN)
