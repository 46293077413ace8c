"""Streams of the accelerator: nothing is lost or repeated, and what is offered stays."""

from collections.abc import Iterator
from functools import partial

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value

from narrowgauge.hw.accelerator.configure import (
    drain_config,
    emitter_config,
    loader_config,
    sequencer_config,
    weight_memory_config,
)
from narrowgauge.hw.accelerator.inputs.loader import Loader
from narrowgauge.hw.accelerator.memories import WeightMemory
from narrowgauge.hw.accelerator.outputs.drain import Drain
from narrowgauge.hw.accelerator.outputs.emitter import Emitter
from narrowgauge.hw.accelerator.sequencer import Sequencer
from narrowgauge.hw.gates.stream import SkidBuffer
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.layout import Program

from ..hw.networks import random_network
from .proof import Assert, Assume, Inside, Proof, Spec, free, planted, some

__all__ = ["PROOFS"]


def program(
    widths=(3, 2),
    family=("int2", "uint3", "uint3"),
    *,
    rows=2,
    lanes=2,
    chains=1,
    output="int4",
    **options,
):
    """A dense network on a small array."""
    network = random_network(0, family, widths, Accumulator(6), output=parse(output))
    return Program(network, Geometry(rows, 2, lanes, chains=chains), **options)


class SkidBufferSpec(Spec):
    """Beside the gates runs a list of at most two elements."""

    def properties(self, m: Module) -> None:
        gates = SkidBuffer(3)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        m.d.comb += [
            gates.i.valid.eq(free(1)), gates.i.payload.eq(free(3)), gates.o.ready.eq(free(1)),
        ]  # fmt: skip
        first, second, count = Signal(3), Signal(3), Signal(2)
        put, take = gates.i.valid & gates.i.ready, gates.o.valid & gates.o.ready
        m.d.sync += count.eq(count + put - take)
        with m.If(take):
            m.d.sync += first.eq(second)
        with m.If(put):
            with m.If(count - take == 0):
                m.d.sync += first.eq(gates.i.payload)
            with m.Else():
                m.d.sync += second.eq(gates.i.payload)
        m.d.comb += [
            Assert(gates.o.valid == (count > 0)),
            Assert((count == 0) | (gates.o.payload == first)),
            Assert(gates.i.ready | (count == 2)),
        ]
        self.holds(m, gates.o)
        self.invariant(
            m,
            count <= 2,
            inside["occupied"] == (count == 2),
            (count < 2) | (inside["spare"] == second),
        )


class WeightMemorySpec(Spec):
    """Any word is read as it was loaded; after the last one nothing is taken."""

    def properties(self, m: Module) -> None:
        plan = program((4, 3))
        config = weight_memory_config(plan, single_port=True)
        m.submodules.gates = gates = WeightMemory(config)
        words = plan.weight_words
        assert words > 2
        where, count, word = (
            some(len(gates.i_address)),
            Signal(range(words + 1)),
            Signal(config.width),
        )
        asked = Signal()
        m.d.comb += [
            gates.i.valid.eq(free(1)),
            gates.i.payload.eq(free(config.width)),
            gates.i_address.eq(free(len(gates.i_address))),
            Assert(gates.i.ready == (count < words)),
            Assert(gates.o_ready == (count == words)),
            Assert(~asked | (gates.o_word == word)),
        ]
        m.d.sync += asked.eq(gates.o_ready & (gates.i_address == where) & (where < words))
        with m.If(gates.i.valid & gates.i.ready):
            m.d.sync += count.eq(count + 1)
            with m.If(count == where):
                m.d.sync += word.eq(gates.i.payload)


class LoaderSpec(Spec):
    """Every code is written where it belongs, once; a batch is reported when it is complete."""

    def __init__(self, plan: Program):
        super().__init__()
        self.plan = plan

    def properties(self, m: Module) -> None:
        plan = self.plan
        m.submodules.gates = gates = Loader(loader_config(plan))
        inputs, lanes, contexts = plan.network.inputs, plan.geometry.lanes, plan.contexts
        planes, bits = plan.input_planes, plan.operands.activation.width
        width = plan.network.input.width
        words = -(-inputs // lanes)
        offered = gates.i.payload
        m.d.comb += [
            gates.i.valid.eq(free(1)),
            Cat(offered).eq(free(len(Value.cast(offered)))),
            gates.write.granted.eq(free(1)),
        ]
        # a context that was reported stays loaded for as long as it likes
        loaded, released = Signal(contexts), Signal(contexts)
        m.d.comb += [gates.i_loaded.eq(loaded), released.eq(free(contexts))]
        m.d.sync += loaded.eq(
            (loaded & ~released) | (gates.loaded.valid << gates.loaded.payload.context)[:contexts]
        )
        taken, written = (
            gates.i.valid & gates.i.ready,
            gates.write.enable.any() & gates.write.granted,
        )
        codes = [Signal(width, name=f"code_{index}") for index in range(inputs)]
        arrived, closes = Signal(range(inputs + 1)), Signal()
        word, image = Signal(range(words)), Signal(range(plan.batch))
        plane, context = Signal(range(planes)), Signal()
        ends_word = written & (plane == planes - 1)
        ends_image = ends_word & (word == words - 1)
        ends_batch = ends_image & (closes | (image == plan.batch - 1))
        with m.If(taken):
            m.d.comb += Assert(arrived < inputs)
            m.d.sync += [arrived.eq(arrived + 1), closes.eq(offered.last)]
            for index, code in enumerate(codes):
                with m.If(arrived == index):
                    m.d.sync += code.eq(offered.code.as_value())
        with m.If(written):
            m.d.sync += plane.eq(Mux(ends_word, 0, plane + 1))
        with m.If(ends_word):
            m.d.sync += word.eq(Mux(ends_image, 0, word + 1))
        with m.If(ends_image):
            m.d.sync += [arrived.eq(0), image.eq(Mux(ends_batch, 0, image + 1))]
        with m.If(ends_batch):
            m.d.sync += context.eq((context + 1) % contexts)
        region = context * plan.batch + image
        with m.If(written):
            m.d.comb += [
                Assert(gates.write.enable.all()),
                Assert(
                    gates.write.address
                    == region * plan.image_words + plane * plan.plane_words + word
                ),
                Assert(~loaded.bit_select(context, 1)),
                Assert(arrived >= Mux(word == words - 1, inputs, (word + 1) * lanes)),
            ]
            for index, code in enumerate(codes):
                lane = gates.write.data.word_select(index % lanes, bits)
                right = code[::-1].bit_select(plane, 1) if planes > 1 else code
                m.d.comb += Assert((word != index // lanes) | (lane == right))
        m.d.comb += [
            Assert(gates.loaded.valid == ends_batch),
            Assert(~ends_batch | (gates.loaded.payload.batch.count == image + 1)),
            Assert(~ends_batch | (gates.loaded.payload.context == context)),
        ]
        waited, before = (
            Signal(),
            Signal.like(request := Cat(gates.write.address, gates.write.data)),
        )
        m.d.sync += [waited.eq(gates.write.enable.any() & ~gates.write.granted), before.eq(request)]
        m.d.comb += Assert(~waited | (gates.write.enable.any() & (request == before)))


class EmitterSpec(Spec):
    """Levels and labels of any output memory come out in order, once each."""

    def __init__(self, plan: Program):
        super().__init__()
        self.plan = plan

    def properties(self, m: Module) -> None:
        plan = self.plan
        m.submodules.gates = gates = Emitter(emitter_config(plan))
        outputs, chains, contexts = plan.network.outputs, plan.geometry.chains, plan.contexts
        fmt = plan.network.output
        memory = Array([some(len(gates.read.data)) for _ in range(plan.output_words)])
        m.d.sync += gates.read.data.eq(memory[gates.read.address])
        # an area becomes full at any time, with any number of images, and stays so until it is read
        offered, area = gates.batches, gates.batches.payload
        full, count, context = Signal(), Signal(range(plan.batch + 1)), Signal(range(contexts))
        more, many = free(1), free(len(count))
        m.d.comb += [
            offered.valid.eq(full),
            area.context.eq(context),
            area.batch.count.eq(count),
            gates.o.ready.eq(free(1)),
        ]
        with m.If(full):
            m.d.sync += full.eq(~offered.ready)
        with m.Elif(more & (many >= 1) & (many <= plan.batch)):
            m.d.sync += [full.eq(1), count.eq(many)]
        # where the element is that comes next
        image, channel = Signal(range(plan.batch)), Signal(range(outputs))
        taken, ends_image = gates.o.valid & gates.o.ready, channel == outputs - 1
        ends_batch = ends_image & (image + 1 == count)
        base = context * plan.output_context_words + image // chains * outputs
        levels = [
            fmt.level_of(memory[base + n].word_select(image % chains, fmt.width))
            for n in range(outputs)
        ]
        best, label = levels[0], Const(0, len(gates.o.payload.label))
        for n, level in enumerate(levels[1:], start=1):
            label, best = Mux(level > best, n, label), Mux(level > best, level, best)
        with m.If(gates.o.valid):
            m.d.comb += [
                Assert(full),
                Assert(fmt.level_of(gates.o.payload.level.as_value()) == Array(levels)[channel]),
                Assert(gates.o.payload.last == ends_image),
                Assert(~ends_image | (gates.o.payload.label == label)),
            ]
        m.d.comb += Assert(offered.ready == (taken & ends_batch))
        with m.If(taken):
            m.d.sync += channel.eq(Mux(ends_image, 0, channel + 1))
            with m.If(ends_image):
                m.d.sync += image.eq(Mux(ends_batch, 0, image + 1))
            if contexts == 2:
                with m.If(ends_batch):
                    m.d.sync += context.eq(~context)
        # a label is there with the last level only, and until then it moves
        result = gates.o.payload
        label = Mux(result.last, result.label, 0)
        self.holds(m, gates.o, result.level.as_value(), result.last, label)


class SequencerSpec(Spec):
    """The job of every bank that begins one is given once, before the bank is released."""

    def properties(self, m: Module) -> None:
        plan = program((5, 3, 4))
        gates = Sequencer(sequencer_config(plan, interval=3))
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        bank, full = Signal.like(gates.banks.payload), Signal()
        release = gates.banks.ready
        m.d.comb += [
            gates.jobs.ready.eq(free(1)),
            gates.banks.payload.eq(bank),
            gates.banks.valid.eq(full),
            bank.as_value().eq(free(len(bank.as_value()))),
            full.eq(free(1)),
            Assume(bank.job.layer < len(plan.records)),
        ]
        # a bank stays as it is until it is released
        waits, before = Signal(), Signal.like(bank.as_value())
        m.d.sync += [waits.eq(full & ~release), before.eq(bank)]
        m.d.comb += Assume(~waits | (full & (bank.as_value() == before)))
        given, taken = Signal(), gates.jobs.valid & gates.jobs.ready
        m.d.sync += given.eq((given | taken) & ~release)
        m.d.comb += [
            Assert(~gates.jobs.valid | (full & bank.first & ~given)),
            Assert(~gates.jobs.valid | (gates.jobs.payload == bank.job)),
            Assert(~release | (full & (given == bank.first))),
        ]
        self.holds(m, gates.jobs)
        running = inside["running"]
        self.invariant(m, ~running | waits, ~running | (given == bank.first), running | ~given)


class DrainSpec(Spec):
    """Jobs have their sums in the order in which they came; one may wait behind another."""

    def properties(self, m: Module) -> None:
        plan = program((5, 3, 4))
        gates = Drain(drain_config(plan))
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        offered, sums = gates.jobs, gates.i_valid
        m.d.comb += [
            offered.valid.eq(free(1)),
            offered.payload.as_value().eq(free(len(offered.payload.as_value()))),
            Assume(offered.payload.layer < len(plan.records)),
            sums.eq(free(1)),
        ]
        first, second = (Signal.like(offered.payload.as_value()) for _ in range(2))
        count = Signal(2)
        put, ends = offered.valid & offered.ready, gates.tags.payload.last.as_value().all()
        take = sums & ends
        # sums come three cycles after their job at the earliest
        ready = Signal(3)
        m.d.sync += ready.eq(Mux(take, 0, Cat(count > 0, ready)))
        m.d.comb += Assume(~sums | ready.all())
        m.d.sync += count.eq(count + put - take)
        with m.If(take):
            m.d.sync += first.eq(second)
        with m.If(put):
            with m.If(count - take == 0):
                m.d.sync += first.eq(offered.payload)
            with m.Else():
                m.d.sync += second.eq(offered.payload)
        m.d.comb += [
            Assert(~sums | (gates.tags.payload.job.as_value() == first)),
            Assert(offered.ready | (count > 0)),
        ]
        occupied, queued = inside["occupied"], inside["queued"]
        self.invariant(
            m,
            count <= 2,
            count == occupied + queued,
            ~occupied | (inside["job"].as_value() == first),
            ~queued | (inside["waiting"].as_value() == Mux(occupied, second, first)),
            ~ready[0] | (count > 0),
            ~ready[1] | occupied,
            ~ready[2] | ready[1],
            ~ready[1] | ready[0],
        )


# --- the list ----------------------------------------------------------------------------------


def _proofs() -> Iterator[Proof]:
    ordered = "gives every element once, in order, and holds what it offers"
    yield planted(
        "SkidBuffer", ordered, SkidBufferSpec, ("prove", 2),
        (SkidBuffer, "elaborate", "self.i.ready.eq(~occupied)", "self.i.ready.eq(1)"),
        "accepts while it is full", quick=True,
    )  # fmt: skip
    yield planted(
        "SkidBuffer, its output", ordered, SkidBufferSpec, ("prove", 2),
        (SkidBuffer, "elaborate", "m.If(self.o.ready | ~self.o.valid)", "m.If(1)"),
        "goes on without being asked",
    )  # fmt: skip
    yield planted(
        "WeightMemory, loaded", "any word is read as it came; words beyond the last are not taken",
        WeightMemorySpec, ("bmc", 11),
        (WeightMemory, "elaborate", "index == config.words - 1", "index == config.words - 2"),
        "is complete a word early",
    )  # fmt: skip
    loads = "writes each code once and where it belongs, holds a request, reports each batch once"
    for name, plan, depth in [
        ("3 inputs, 2 lanes, 2 contexts", partial(program), 22),
        ("2 inputs, 2 lanes, a context", partial(program, (2, 2), contexts=1), 18),
        ("3 inputs in bit planes", partial(program, family=("bipolar", "uint2", "bipolar")), 22),
    ]:
        yield planted(
            f"Loader, {name}", loads, partial(_spec, LoaderSpec, plan), ("bmc", depth),
            (Loader, "elaborate", "(~pending | (word_done & ~final))", "1"),
            "accepts while a word waits",
        )  # fmt: skip
    emits = "gives every level and label of any memory once, in order, and holds what it offers"
    for name, plan, depth in [
        ("2 levels, 2 contexts of 2 images", partial(program), 30),
        ("3 levels, a context of 2 images in 2 chains",
         partial(program, (2, 3), contexts=1, chains=2), 26),
    ]:  # fmt: skip
        yield planted(
            f"Emitter, {name}", emits, partial(_spec, EmitterSpec, plan), ("bmc", depth),
            (Emitter, "elaborate", "(send & ~self.o.ready)", "(send & 0)"),
            "offers a level for one cycle only", reach=12,
        )  # fmt: skip
    yield planted(
        "Sequencer.jobs", "each bank that begins a job gives it once, and holds it",
        SequencerSpec, ("prove", 2),
        (Sequencer, "elaborate", "& (self.jobs.ready | ~bank.first)", ""),
        "starts without its job being taken",
    )  # fmt: skip
    yield planted(
        "Drain.jobs", "sums find the jobs in the order in which they came, none lost",
        DrainSpec, ("prove", 2),
        (Drain, "elaborate", "m.If(~queued)", "m.If(1)"),
        "a waiting job is overwritten", reach=16,
    )  # fmt: skip


def _spec(kind, plan):
    return kind(plan())


PROOFS = list(_proofs())
