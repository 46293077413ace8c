"""Registers of a pipeline."""

from typing import Any

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.gates import pipeline
from narrowgauge.hw.gates.pipeline import delay, delays
from narrowgauge.hw.tools import rtlil

from ..simulation import clocked, run

FLAGS = data.StructLayout({"valid": 1, "place": signed(3)})


class Late(wiring.Component):
    """A value some cycles later."""

    i: Any
    enable: Signal
    o: Any

    def __init__(self, shape, cycles, **options):
        self.cycles, self.options = cycles, options
        super().__init__({"i": In(shape), "enable": In(1), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            late = delay(m, self.i, self.cycles, **self.options)
        m.d.comb += self.o.eq(late)
        return m


def drive(late):
    def set_inputs(ctx, value):
        ctx.set(late.enable, 1)
        ctx.set(late.i, value)

    return set_inputs


@pytest.mark.parametrize("cycles", [1, 3])
def test_the_same_values_later(cycles):
    late = Late(signed(4), cycles)
    values = [-8, 7, 0, -1, 3]
    assert clocked(late, drive(late), lambda ctx: ctx.get(late.o), values, cycles) == values


def test_a_register_less_is_seen(monkeypatch):
    right = pipeline.delays
    monkeypatch.setattr(
        pipeline, "delays", lambda m, v, n, **options: right(m, v, n - 1, **options)
    )
    late = Late(signed(4), 2)
    values = [-8, 7, 0, -1, 3]
    assert clocked(late, drive(late), lambda ctx: ctx.get(late.o), values, 2) != values


def test_a_layout_stays_one_and_a_register_waits_for_its_condition():
    late, seen = Late(FLAGS, 1), []

    async def testbench(ctx):
        ctx.set(late.i, {"valid": 1, "place": -2})
        for enable in (0, 1, 0):
            ctx.set(late.enable, enable)
            await ctx.tick()
            seen.append((ctx.get(late.o.valid), ctx.get(late.o.place)))

    run(late, testbench)
    assert seen == [(0, 0), (1, -2), (1, -2)]


@pytest.mark.parametrize(
    ("shape", "first"), [(FLAGS, FLAGS.from_bits(15)), (3, 7), (signed(3), -1)]
)
def test_registers_that_begin_as_ones(shape, first):
    late, seen = Late(shape, 2, ones=True), []

    async def testbench(ctx):
        seen.append(ctx.get(late.o))

    run(late, testbench)
    assert seen == [first]


def test_all_stages_have_the_shape_of_the_value():
    for value in (Signal(FLAGS), Signal(signed(2)), Signal(4)):
        for ones in (False, True):
            stages = delays(Module(), value, 2, ones=ones)
            assert stages[0] is value
            assert [each.shape() for each in stages] == [value.shape()] * 3


@pytest.mark.parametrize("reset_less", [True, False])
def test_names_and_resets(reset_less):
    text = rtlil.convert(Late(2, 2, name="word_{}", reset_less=reset_less))
    assert all(f"wire width 2 \\word_{cycle}\n" in text for cycle in (0, 1))
    assert ("switch \\rst" in text) == (not reset_less)


def test_no_cycle_is_no_register():
    m, i = Module(), Signal(2)
    assert delay(m, i, 0) is i
