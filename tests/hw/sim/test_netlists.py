"""Random designs, in RTL and mapped to each family's cells, are those of the interpreted engine."""

import random

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import ToolError
from narrowgauge.hw.sim.batch import native
from narrowgauge.hw.sim.batch.lanes import numbers, vectors
from narrowgauge.hw.sim.batch.lowering import FAMILIES, lower
from narrowgauge.hw.sim.batch.netlist import read_netlist
from narrowgauge.hw.sim.batch.plan import make_plan
from narrowgauge.hw.synth.flow import synthesize
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools.rtlil import convert

from .test_engines import needs_compiler

WIDTH, INPUTS, CYCLES = 6, 3, 40
TARGETS = {"ice40": "up5k", "ecp5": "ecp5-25k", "gowin": "gw1n-9"}


class Tangle(wiring.Component):
    """Arithmetic, logic, registers and memories, put together at random."""

    i: Signal
    o: Signal

    def __init__(self, seed, *, large=False):
        self.seed, self.large = seed, large
        super().__init__({"i": In(WIDTH * INPUTS), "o": Out(3 * WIDTH)})

    def elaborate(self, platform):
        m, chance = Module(), random.Random(self.seed)
        values = [self.i.word_select(index, WIDTH) for index in range(INPUTS)]

        def pick():
            return chance.choice(values)

        for index in range(16):
            made = Signal(WIDTH, name=f"made_{index}", init=chance.randrange(1 << WIDTH))
            a, b, c = pick(), pick(), pick()
            expressions = (
                a + b, a - b, (a * b)[2:8], a & ~b, a ^ b ^ c, Mux(c[0], a, b), Mux(a > b, c, a),
                Cat(b[3:], a[:3]), (a + b + c)[1:], Mux(a == b, c + 1, b << c[:2]),
            )  # fmt: skip
            domain = chance.choice((m.d.comb, m.d.sync, m.d.sync))
            value = chance.choice(expressions)
            if domain is m.d.sync and chance.random() < 0.5:
                with m.If(c[1] | a[0]):
                    domain += made.eq(value)
            else:
                domain += made.eq(value)
            values.append(made)
        depth = 512 if self.large else chance.choice((13, 16))
        init = [chance.randrange(1 << WIDTH) for _ in range(depth)]
        m.submodules.memory = memory = Memory(shape=WIDTH, depth=depth, init=init)
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(Cat(pick(), pick())), write.data.eq(pick()), write.en.eq(pick()[0]),
            read.addr.eq(Cat(pick(), pick())), read.en.eq(pick()[1]),
            self.o.eq(Cat(read.data ^ values[-1], values[-2], pick() ^ pick())),
        ]  # fmt: skip
        return m


def interpreted(seed, stimulus, large):
    design, found = Tangle(seed, large=large), []

    async def drive(ctx):
        for value in stimulus.tolist():
            ctx.set(design.i, value)
            *_, o = await ctx.tick().sample(design.o)
            found.append(o)

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return found


def observed(top, stimulus):
    """What the lanes give, which go each their own way."""
    netlist = read_netlist(top)
    inputs, outputs = netlist.ports["i"], netlist.ports["o"]
    plan = make_plan(netlist.live(outputs), outputs, None)
    slots = [np.array([plan.slot[net] for net in nets], np.uint32) for nets in (inputs, outputs)]
    given = vectors(stimulus, len(inputs))
    return numbers(native.Native(plan, 64).observe(slots[0], given, slots[1]))


def compare(seed, top, large=False):
    stimulus = np.random.default_rng(seed).integers(0, 1 << WIDTH * INPUTS, (CYCLES, 64))
    found = observed(top, stimulus)
    for lane in (0, 1, 63):
        assert found[:, lane].tolist() == interpreted(seed, stimulus[:, lane], large)


@needs_compiler
@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 20))
def test_random_designs_are_those_of_the_interpreted_engine(seed):
    compare(seed, lower(convert(Tangle(seed), share=False)))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "seed"), [(family, seed) for family in FAMILIES for seed in (5, 6)]
)
def test_random_netlists_are_those_of_the_interpreted_engine(family, seed):
    """With block RAM of its own; reads and writes of lanes meet, which RTL has to order."""
    text = convert(Tangle(seed, large=True), share=False, platform=None)
    netlist = synthesize(text, target(TARGETS[family]))
    compare(seed, lower(netlist.text, "json", family), large=True)


def test_another_family_is_refused():
    with pytest.raises(ToolError, match="netlists of xilinx are not simulated; ecp5, gowin, ice40"):
        lower("", "json", "xilinx")
