import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.synth.shell import Shell

from .designs import Array, Through


def test_bits_are_counted():
    shell = Shell(Array(2, 3, width=4))
    assert (shell.inputs, shell.outputs) == (4 * 2 + 4 * 3 + 2, 12 * 3 + 12)
    assert (shell.ff, shell.lut) == (shell.inputs + shell.outputs + 3, shell.outputs)


def test_ignored_outputs_are_not_caught():
    whole = Shell(Array(2, 2))
    assert whole.outputs - Shell(Array(2, 2), ignore=["trace"]).outputs == 12
    assert whole.outputs - Shell(Array(2, 2), ignore=["o"]).outputs == 24


def test_an_unknown_ignore_is_refused():
    with pytest.raises(NarrowgaugeError, match=r"no output named tracer .* outputs are o"):
        Shell(Array(2, 2), ignore=["tracer"])


class Constants(wiring.Component):
    i: stream.Interface
    o: stream.Interface

    def __init__(self):
        constant = stream.Signature(4, always_valid=True, always_ready=True)
        super().__init__({"i": In(constant), "o": Out(constant)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.payload.eq(self.i.payload)
        return m


def test_constant_handshakes_are_no_ports():
    shell = Shell(Constants())
    assert (shell.inputs, shell.outputs) == (4, 4)


def test_a_component_without_outputs_is_refused():
    with pytest.raises(NarrowgaugeError, match="4 input and 0 output bits"):
        Shell(Through(4), ignore=["o"])


def test_what_is_shifted_in_arrives_and_comes_out():
    shell = Shell(Through(6))
    sent, seen = [1, 0, 1, 1, 0, 0], []

    async def drive(ctx):
        ctx.set(shell.shift, 1)
        for bit in sent:
            ctx.set(shell.d, bit)
            await ctx.tick()
        ctx.set(shell.shift, 0)
        ctx.set(shell.load, 1)
        await ctx.tick()
        ctx.set(shell.load, 0)
        await ctx.tick()
        for _ in sent:
            seen.append(ctx.get(shell.q))
            await ctx.tick()

    simulator = Simulator(shell)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run_until(1e-4)
    assert seen == sent
