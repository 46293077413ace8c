"""The batch engine does what the others do, whatever runs side by side."""

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.implementation import Implementation
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import EngineRefusal, MismatchError, ToolError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim import engine
from narrowgauge.hw.sim.batch import engine as batch_engine
from narrowgauge.hw.sim.batch import native
from narrowgauge.hw.sim.batch.engine import BatchEngine, Session
from narrowgauge.hw.sim.batch.lanes import numbers, vectors
from narrowgauge.hw.sim.batch.lowering import lower
from narrowgauge.hw.sim.batch.netlist import read_netlist
from narrowgauge.hw.sim.batch.plan import make_plan
from narrowgauge.hw.sim.batch.portable import Portable
from narrowgauge.hw.sim.batch.simulate import trace_bytes
from narrowgauge.hw.sim.batch.uniform import taint
from narrowgauge.hw.sim.batch.whole import simulate_whole
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.engine import make_engine
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import EVENT, CycleWindow, Stimulus
from narrowgauge.hw.tools.rtlil import convert
from narrowgauge.model.integers.reference import evaluate

from ..fabrics import FABRICS
from ..networks import convnets, networks, random_levels, random_network
from .planted import planted
from .test_engines import accelerator, convolutional, images_for, needs_compiler


def equal(one, other):
    names = ("cycles", "steps", "overflows", "layer_cycles")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    assert (one.levels == other.levels).all()
    assert (one.labels == other.labels).all()
    assert len(one.events) == len(other.events)
    for field in EVENT.names or ():
        assert (one.events[field] == other.events[field]).all(), field


def block_accelerator(fabric="ice40"):
    network = random_network(4, ("int4", "uint4", "uint4"), (9, 6, 5), Accumulator(14))
    built = Implementation(FABRICS[fabric].using_blocks())
    return Accelerator(Program(network, Geometry(2, 2, 4)), built)


def loaded():
    network = random_network(4, ("int4", "uint4", "uint4"), (9, 6, 5), Accumulator(14))
    return Accelerator(Program(network, Geometry(2, 2, 4), any_weights=True))


@needs_compiler
@pytest.mark.parametrize(
    "make_design",
    [
        partial(accelerator, ("bipolar", "uint4", "bipolar"), overflow="wrap"),
        block_accelerator,
        loaded,
        partial(convolutional, seed=4, varied=True),  # with thresholds, and halves to even
    ],
)
def test_a_run_is_that_of_the_interpreted_engine(make_design):
    """In cycles too, though lanes have fewer images, and in the sums of images in all lanes."""
    design = make_design()
    count = 13 if design.program.sums < 100 else 3
    stimulus = Stimulus(images_for(design, count), traced=count // 2 + 1)
    equal(BatchEngine(design, width=64).run(stimulus), AmaranthEngine(design).run(stimulus))


@st.composite
def accelerators(draw):
    """Random networks on random arrays."""
    network = draw(st.one_of(networks(max_width=9), convnets(max_layers=2, max_pixels=4)))
    geometry = Geometry(draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    contexts, batch = draw(st.integers(1, 2)), draw(st.integers(1, geometry.rows))
    return Accelerator(Program(network, geometry, contexts=contexts, batch=batch))


@needs_compiler
@settings(max_examples=3, deadline=None, derandomize=True)
@given(accelerators(), st.integers(1, 9))
def test_random_accelerators_are_those_of_the_interpreted_engine(design, count):
    stimulus = Stimulus(images_for(design, count), traced=count // 2)
    equal(BatchEngine(design, width=64).run(stimulus), AmaranthEngine(design).run(stimulus))


@needs_compiler
@settings(max_examples=4, deadline=None, derandomize=True)
@given(accelerators(), st.integers(200, 600), st.sampled_from((64, None)))
def test_every_sum_of_random_accelerators_is_that_of_the_reference(design, count, width):
    """In one word, and in vectors as wide as the processor's."""
    network, lanes = design.program.network, design.program.geometry.lanes
    run, comparison, whole = simulate_whole(
        BatchEngine(design, width=width, workers=1),
        Stimulus(images_for(design, count), traced=count),
        lambda images: evaluate(network, images, lanes, trace=True),
    )
    assert comparison, str(comparison.first)
    assert comparison.traced == count
    assert run.overflows == whole.overflows


def test_without_a_compiler_numpy_does_the_same(monkeypatch):
    design = accelerator(("int2", "uint2", "uint2"), (5, 3, 2))
    images = images_for(design, 65 * design.program.batch)  # lanes of more than a word
    stimulus = Stimulus(images, traced=65)
    with_compiler = BatchEngine(design).run(stimulus)
    monkeypatch.setenv("CXX", "no-such-compiler")
    native.library.cache_clear()
    native.widest.cache_clear()
    with pytest.warns(UserWarning, match="CXX is 'no-such-compiler'.*using NumPy, which is slow"):
        portable = BatchEngine(design)
    equal(portable.run(stimulus), with_compiler)


@needs_compiler
def test_pauses_and_waveforms_are_left_to_others(monkeypatch):
    monkeypatch.setattr(engine, "CompiledEngine", lambda *_, **__: SimpleNamespace(name="compiled"))
    design = accelerator()
    steady = Stimulus(images_for(design, 3))
    paused, waves = replace(steady, gaps=0.1), replace(steady, window=CycleWindow(Path("x.vcd")))
    with pytest.raises(ToolError, match="batch engine has no pauses; take --engine compiled"):
        BatchEngine(design).run(paused)
    assert make_engine(design, work=steady).name == "batch"
    for work in (paused, waves, None):
        assert make_engine(design, work=work, cycles=1e9).name == "compiled"


@needs_compiler
def test_what_runs_no_images_side_by_side_is_left_to_others(monkeypatch):
    monkeypatch.setattr(engine, "CompiledEngine", lambda *_, **__: SimpleNamespace(name="compiled"))

    def refuse(accelerator):
        raise EngineRefusal("the signal o may depend on what images hold")

    design, said = accelerator(), []
    monkeypatch.setattr(engine, "BatchEngine", refuse)
    work = Stimulus(images_for(design, 3))
    assert make_engine(design, work=work, note=said.append).name == "compiled"
    assert said[0] == "the signal o may depend on what images hold; using another engine"
    with pytest.raises(EngineRefusal):
        make_engine(design, "batch", work=work)


@needs_compiler
def test_sums_of_other_images_than_those_traced_are_not_compared():
    design = accelerator()
    network, lanes = design.program.network, design.program.geometry.lanes
    batch, levels = BatchEngine(design, width=64), images_for(design, 200)

    def wrong(images):
        """Return what the reference says, with a sum of the last image changed."""
        found = evaluate(network, images, lanes, trace=True)
        sums = found.layers[0].accumulators
        assert sums is not None
        sums[(images == levels[-1]).all(axis=1), 0] += 1
        return found

    for traced in (0, 70, 199):
        _, comparison, whole = simulate_whole(batch, Stimulus(levels, traced=traced), wrong)
        assert (comparison.traced, comparison.mismatches) == (traced, 0)
        run, comparison, _ = simulate_whole(batch, Stimulus(levels, traced=200), wrong)
        assert (comparison.traced, comparison.mismatches) == (200, 1)
        assert whole.overflows == run.overflows


def edited():
    """A design whose weight memory holds something else than the network's weights."""
    design = accelerator(widths=(12, 7, 5))
    memory = design.weight_memory
    words = list(memory.config.contents or ())
    words[1] ^= 1 << 3
    memory.config = replace(memory.config, contents=tuple(words))
    return design


@needs_compiler
def test_the_first_difference_is_that_of_the_interpreted_engine():
    design = edited()
    program, images = design.program, images_for(design, 40)
    network, lanes = program.network, program.geometry.lanes
    expected = evaluate(network, images, lanes, trace=True)
    run = AmaranthEngine(design).run(Stimulus(images, traced=40))
    wanted = compare(run, expected, network, program.geometry)
    _, found, _ = simulate_whole(
        BatchEngine(design, width=64, workers=1),
        Stimulus(images, traced=40),
        lambda images: evaluate(network, images, lanes, trace=True),
    )
    assert wanted.first is not None
    assert found == wanted


# "a lane masked": one in the last word of a vector
LAST = "V last{}; ((uint64_t *)&last)[WORDS - 1] = 1; s[io.code[i]] = load(from) & ~last;"
FAULTS = {
    "an operation swapped": ("RUN2(OR, a | b)", "RUN2(OR, a ^ b)"),
    "a carry from the wrong operand": ("(a & b) | (c & (a | b));\n                }", "a & b;}"),
    "a lane masked": ("s[io.code[i]] = load(from);", "{ " + LAST + " }"),
    "registers in the wrong order": (
        "for (; n; n--, p += 2) s[p[0]] = s[p[1]];",
        "{ for (uint32_t i = n; i--;) s[p[2 * i]] = s[p[2 * i + 1]]; p += 2 * n; }",
    ),
}


@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_engine_is_found(fault):
    design = accelerator()
    network, lanes = design.program.network, design.program.geometry.lanes
    images = images_for(design, design.program.batch * native.widest())
    stimulus = Stimulus(images, traced=len(images))

    def differs():
        def evaluated(images):
            return evaluate(network, images, lanes, trace=True)

        return simulate_whole(BatchEngine(design, workers=1), stimulus, evaluated)[1].first

    assert differs() is None
    with planted(*FAULTS[fault]), suppress(MismatchError):  # its control may be wrong already
        assert differs() is not None


class Addressed(wiring.Component):
    """A memory whose addresses come from outside, and registers that take from each other."""

    address: Signal
    written: Signal
    data: Signal
    enable: Signal
    o: Signal
    total: Signal

    def __init__(self):
        inputs = {"address": In(2), "written": In(2), "data": In(8), "enable": In(1)}
        super().__init__({**inputs, "o": Out(8), "total": Out(9)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=3, init=[1, 2, 3])
        write, read = memory.write_port(granularity=4), memory.read_port()
        one, two, three = Signal(8, init=5), Signal(8), Signal(8)
        with m.If(self.enable):
            m.d.sync += [one.eq(two), two.eq(one), three.eq(self.data)]
        later = Signal(8)
        m.d.sync += later.eq(three)
        m.d.comb += [
            write.addr.eq(self.written), write.data.eq(self.data),
            write.en.eq(Cat(self.enable, 1)), read.addr.eq(self.address),
            read.en.eq(self.enable | self.data[0]), self.o.eq(read.data),
            self.total.eq(one + Mux(self.enable, later, read.data)),
        ]  # fmt: skip
        return m


def interpreted(stimulus):
    """What Amaranth's simulator says of each cycle."""
    design, found = Addressed(), []

    async def drive(ctx):
        for values in stimulus.tolist():
            for name, value in zip(("address", "written", "data", "enable"), values, strict=True):
                ctx.set(getattr(design, name), value)
            *_, o, total = await ctx.tick().sample(design.o, design.total)
            found.append((o, total))

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return np.array(found)


# "a memory written early": writes before reads take their words
EARLY = (
    "    begin_reads();\n    for (const uint32_t *p = writes; p != plan.ports_end;) write(p);",
    "    for (auto *p = writes; p && p != plan.ports_end;) write(p);\n    begin_reads();",
)


def observed(make, stimulus):
    """What an evaluator says: the lanes have the same addresses and different data."""
    netlist = read_netlist(lower(convert(Addressed())))
    ports = netlist.ports
    found = taint(netlist, ports["data"][1:])
    outputs = [*ports["o"], *ports["total"]]
    plan = make_plan(netlist, outputs, found)
    inputs = [net for name in ("address", "written", "enable", "data") for net in ports[name]]
    codes = stimulus[..., 0] | stimulus[..., 1] << 2 | stimulus[..., 3] << 4
    given = vectors(codes | stimulus[..., 2] << 5, len(inputs))
    slots = [np.array([plan.slot[net] for net in nets], np.uint32) for nets in (inputs, outputs)]
    kept = numbers(make(plan, 64).observe(slots[0], given, slots[1]))
    return np.stack([kept & 255, kept >> 8], axis=-1)


@pytest.mark.parametrize("make", [pytest.param(native.Native, marks=needs_compiler), Portable])
def test_memories_and_registers_are_those_of_the_interpreted_engine(make):
    """Reads that meet writes, and beyond the end; registers in a circle; with a planted twin."""
    rng = np.random.default_rng(0)
    shared = rng.integers(0, 4, (100, 1, 2)), rng.integers(0, 2, (100, 1, 1))
    stimulus = np.concatenate(
        [
            np.broadcast_to(shared[0], (100, 64, 2)),
            rng.integers(0, 256, (100, 64, 1)),
            np.broadcast_to(shared[1], (100, 64, 1)),
        ],
        axis=2,
    )
    stimulus[:, :, 2] = stimulus[:, :, 2] & ~1 | stimulus[:, :1, 0] & 1  # the same in all lanes
    found = observed(make, stimulus)
    for lane in (0, 1, 63):
        assert (found[:, lane] == interpreted(stimulus[:, lane])).all()
    if make is native.Native:
        with planted(*EARLY):
            assert (observed(make, stimulus) != found).any()


def test_what_may_differ_between_lanes_is_refused_by_name():
    netlist = read_netlist(lower(convert(Addressed())))
    ports = netlist.ports
    taint(netlist, ports["data"][1:]).check_memories(netlist)
    with pytest.raises(ToolError, match=r"memory memory: address bit address\[.\] may depend on"):
        taint(netlist, [*netlist.ports["data"][1:], *netlist.ports["address"]]).check_memories(
            netlist
        )
    found = taint(netlist, netlist.ports["data"][1:])
    with pytest.raises(ToolError, match=r"the signal o\[0\] may depend on what images hold"):
        found.require_uniform(netlist, ports["o"], "the signal")


@needs_compiler
def test_an_interrupt_ends_it():
    design = accelerator(("int2", "uint2", "uint2"), (5, 3, 2))
    levels = random_levels(np.random.default_rng(0), design.program.network.input, (400_000, 5))
    batch, started = BatchEngine(design, width=64), []

    def interrupt(share):
        started.append(time.monotonic())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.run(Stimulus(levels, progress=interrupt))
    assert time.monotonic() - started[0] < 2


@needs_compiler
@pytest.mark.parametrize(("share", "width", "length"), [(2.5, 128, 2), (1, 128, 1), (0.3, 64, 1)])
def test_traced_sums_of_a_pass_have_so_many_bytes_at_most(share, width, length, monkeypatch):
    """Lanes have fewer images, then vectors fewer lanes; those of a batch in 64 lanes are kept."""
    design = accelerator()
    program = design.program
    monkeypatch.setattr(
        batch_engine, "MEMORY", int(share * program.batch * trace_bytes(design, 128))
    )
    stimulus = Stimulus(images_for(design, 800), traced=800)
    session = Session(BatchEngine(design, width=128, workers=1), stimulus, whole=True)
    assert session.simulator.width == width
    assert {each.length for each in session.shares[:-1]} == {length * program.batch}
    passes = list(session.passes())
    for each in passes:
        kept = (each.events, each.sums, each.values, each.flags)
        assert sum(array.nbytes for array in kept) <= max(
            batch_engine.MEMORY, program.batch * trace_bytes(design, 64)
        )
