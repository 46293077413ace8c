"""From requantised levels to the activation and output memories."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..gates.address import CodeAddress
from ..gates.counter import count_down
from ..gates.ports import WriteInterface, WriteSignature
from ..gates.table import field
from ..numbers.formats import Bipolar, Format
from ..program.layout import Program
from .job import LOOPS, Job, Tag, start_address

__all__ = ["Writer"]


class Writer(wiring.Component):
    """Collect levels into segments of activation words; put the last layer's apart.

    A tile's row holds ``columns`` channels, an activation word ``lanes``; what both share with the
    channels of every layer, their greatest common divisor, is written at once. Every chain fills a
    segment at the same time; they are written one after the other.

    Members
    -------
    i_valid : In(1), i_where : In(Tag)
        Whether levels arrive two cycles later, and where they belong: what follows from that alone
        is there with them.
    activations : Out(WriteSignature(activation_words, word, segments))
    outputs : Out(WriteSignature(output_words, levels of all chains))
    o_written : Out(1), o_written_job : Out(Job)
        All outputs of the job are in memory.
    """

    i_valid: Signal
    i_where: data.View
    activations: WriteInterface
    outputs: WriteInterface
    o_written: Signal
    o_written_job: data.View

    def __init__(self, program: Program):
        self.program = program
        geometry, width = program.geometry, program.operands.activation.width
        self.form = CodeAddress(program.activation_words, geometry.lanes, program.segment)
        word = geometry.lanes * width
        levels = geometry.chains * program.network.output.width
        super().__init__(
            {
                "i_valid": In(1),
                "i_where": In(
                    Tag(
                        Job(program.contexts, len(program.records)),
                        chains=program.geometry.chains,
                        ranks=program.geometry.rows // program.geometry.chains,
                        channels=max(
                            record.place.groups * record.place.group_channels
                            for record in program.records
                        )
                        + program.geometry.columns,
                    )
                ),
                "activations": Out(WriteSignature(program.activation_words, word, self.form.parts)),
                "outputs": Out(WriteSignature(program.output_words, levels)),
                "o_written": Out(1),
                "o_written_job": Out(Job(program.contexts, len(program.records))),
            }
            | {
                f"i_{k}": In(data.ArrayLayout(mode.output.level_shape, geometry.chains))
                for k, mode in enumerate(program.modes)
            }
        )

    @property
    def levels(self) -> list[data.View]:
        """The inputs, one for each mode: a level a chain."""
        return [getattr(self, f"i_{k}") for k in range(len(self.program.modes))]

    def _distance(self, job, name: str, times: int = 1):
        """Return a distance of a job's layer as an address; the last layer needs none."""
        values = [getattr(record.place, name) for record in self.program.records[:-1]]
        return field([self.form.const(times * value) for value in values] + [0],
                     job.layer)  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        program, segment = self.program, self.program.segment
        soon = _later(m, self.i_where)  # of the next levels
        where = _later(m, soon)  # of these
        last_layer = _later(m, soon.job.layer == len(program.records) - 1)
        valid_soon, ends_soon = _stored(m, self.i_valid), Signal()
        valid, ends = _stored(m, valid_soon), _stored(m, ends_soon)
        _, last = count_down(m, "filled", [segment], valid_soon)
        m.d.comb += ends_soon.eq(valid_soon & last)
        used_before, begins = Signal(), Signal(init=1)
        # a segment without a channel is not written: there may be no word for it
        used = Mux(begins, where.used, used_before)
        with m.If(valid):
            m.d.sync += [begins.eq(ends), used_before.eq(used)]
        mode = None
        if len(program.modes) > 1:
            modes = [record.place.mode for record in program.records]
            mode = _later(m, field(modes, soon.job.layer))
        chains = range(len(where.rows))
        segments = [self._collect(m, valid, where.used, chain, mode) for chain in chains]
        address = self._walk(m, soon, ends_soon)
        row_step = _later(m, self._distance(soon.job, "row_step"))
        self._write(m, where, ends, segments, used & ~last_layer, address, row_step)
        self._write_outputs(m, soon, where, valid & last_layer)
        return m

    def _collect(self, m: Module, valid, used, chain: int, mode) -> Value:
        """Shift the codes of a chain into a segment; return it, with the current code in it."""
        width = self.program.operands.activation.width
        codes = Signal(self.program.segment * width, reset_less=True, name=f"codes_{chain}")
        collected = Cat(codes[width:], self._code(m, used, chain, mode))
        with m.If(valid):
            m.d.sync += codes.eq(collected)
        return collected

    def _code(self, m: Module, used, chain: int, mode) -> Signal:
        """Return the activation code of the current level, code 0 for a channel that is not one."""
        program = self.program
        code = Signal(program.operands.activation.width, name=f"code_{chain}")
        if mode is not None:
            level = Array(levels[chain] for levels in self.levels[:-1])[mode]
            with m.If(used):
                m.d.comb += code.eq(_encoded(program.operands.activation, level))
        return code

    def _walk(self, m: Module, soon, ends_soon) -> Signal:
        """Return the address of the first chain's segment that is complete now.

        Like the `Walker`, every loop remembers where it began, and one adder leads to the next.
        What it adds to is a register, and which it is has been decided two cycles before.
        """
        form, program = self.form, self.program
        geometry = program.geometry
        steps = {
            "column": form.const(program.segment),
            "rank": self._distance(soon.job, "row_step", program.geometry.chains),
            "tile": form.const(program.geometry.columns),
            "chunk": self._distance(soon.job, "chunk_step"),
            "image": self._distance(soon.job, "image_step"),
            "group": self._distance(soon.job, "group_step"),
        }
        counts = {
            "column": geometry.columns // program.segment,
            "rank": geometry.rows // geometry.chains,
            "tile": max(record.tiles.tiles for record in program.records),
            "chunk": max(record.place.chunks for record in program.records),
            "image": max(record.place.images for record in program.records),
            "group": max(record.place.groups for record in program.records),
        }
        loops = [loop for loop in LOOPS if counts[loop] > 1]
        starts = {name: Signal(form.width, name=f"{name}_start") for name in loops}
        goes, _ = self._turns(self.i_where.last, loops)
        _, moves = self._turns(soon.last, loops)
        job_end = Cat(soon.last[name] for name in LOOPS).all()
        # where these levels end a segment, the next one may go on from there
        onward = Cat(goes[loop] & moves[loop] for loop in loops).any()
        adds = _stored(m, ends_soon & ~job_end & onward)
        base, following, address = (Signal(form.width) for _ in range(3))
        # or from where a loop began; those that have not moved in this job began with it
        chosen, begun = Const(0), []
        for loop in loops:
            has_moved = Signal(name=f"{loop}_has_moved")
            moves_now = ends_soon & moves[loop]
            moved = ~(ends_soon & job_end) & (has_moved | moves_now)
            m.d.sync += has_moved.eq(moved)
            begun.append(goes[loop] & moved)
            chosen = chosen | Mux(_stored(m, begun[-1]), starts[loop], 0)
            with m.If(_stored(m, moves_now)):
                m.d.sync += starts[loop].eq(following)
        first = _later(m, self._first()[: form.width])
        chosen = chosen | Mux(_later(m, ~Cat(begun).any()), first, 0)
        fresh_soon, fresh = Signal(init=1), Signal(init=1)  # the job's first segment
        m.d.sync += [
            fresh_soon.eq(Mux(ends_soon, job_end, fresh_soon)),
            fresh.eq(fresh_soon),
        ]
        step: Value = Const(0)  # where no loop goes on, a job ends
        for loop in reversed(loops):
            step = Mux(soon.last[loop], step, steps[loop])
        m.d.comb += [
            following.eq(form.advance(base, _later(m, step[: form.width]))),
            address.eq(Mux(fresh, base, starts[loops[0]]) if loops else base),
        ]
        m.d.sync += base.eq(Mux(adds, following, chosen))
        return address

    def _first(self) -> Value:
        """Return where a job begins."""
        begins = [record.place.start for record in self.program.records]
        return start_address(
            self.form,
            begins,
            self.i_where.job,
            contexts=self.program.contexts,
            region=self.program.batch * self.program.image_words,
        )

    @staticmethod
    def _turns(last, loops: list[str]) -> tuple[dict[str, Value], dict[str, Value]]:
        """Return which loop goes on, and which begin a round: that one and those inside it."""
        goes, moves, move = {}, {}, Const(1)
        for loop in loops:
            goes[loop], moves[loop] = move & ~last[loop], move
            move = move & last[loop]
        return goes, moves

    def _write(self, m: Module, where, ends, segments, hidden, address, row_step) -> None:
        """Write the complete segments, one chain after the other."""
        form, chains = self.form, len(segments)
        width = len(segments[0])
        cursor = Signal(form.width)
        held = Signal(data.ArrayLayout(width, chains), reset_less=True)
        writing = Signal(chains)  # which of them hold a position
        waiting = Signal(chains)
        job_end, held_job = Signal(), Signal.like(where.job)
        with m.If(ends):
            m.d.sync += [
                held.eq(Cat(segments)),
                cursor.eq(address),
                writing.eq(Mux(hidden, where.rows, 0)),
                waiting.eq(~0),
                job_end.eq(Cat(where.last[name] for name in LOOPS).all()),
            ]
            m.d.sync += held_job.eq(where.job)
        with m.Else():
            m.d.sync += [writing.eq(writing >> 1), waiting.eq(waiting >> 1)]
        if chains > 1:
            step = Signal(form.width)
            with m.If(ends):
                m.d.sync += step.eq(row_step)
            with m.Else():
                m.d.sync += [
                    held.eq(held.as_value() >> width),
                    cursor.eq(form.advance(cursor, step)),
                ]
        m.d.comb += [
            self.activations.address.eq(form.word(cursor)),
            self.activations.data.eq(held[0].replicate(form.parts)),
            self.activations.enable.eq(Mux(writing[0], 1 << form.part(cursor), 0)),
        ]
        # with the last of its segments, and a cycle later it can be read
        m.d.sync += [
            self.o_written.eq(job_end & waiting[0] & ~waiting[1:].any()),
            self.o_written_job.eq(held_job),
        ]

    def _write_outputs(self, m: Module, soon, where, arrive) -> None:
        """Write the last layer's levels, those of all chains into one word."""
        program = self.program
        rows, outputs = program.output_rows, program.network.outputs
        bases = [
            (context * rows + rank) * outputs
            for context in range(2)
            for rank in range(1 << len(where.rank))
        ]
        base = _later(m, field(bases, Cat(soon.rank, soon.job.context)))
        fmt = program.network.output
        m.d.sync += [
            self.outputs.address.eq(base + where.channel),
            self.outputs.data.eq(Cat(_encoded(fmt, level)[: fmt.width]
                                     for level in self.levels[-1])),
            self.outputs.enable.eq(arrive & where.used & where.rows[0]),
        ]  # fmt: skip


def _later(m: Module, value: Any) -> Any:
    """Return ``value`` a cycle later.

    Bits begin as 1: flags that a program never clears, such as the last round of a loop of one,
    then take no registers.
    """
    shape, bits = value.shape(), Value.cast(value)
    later = Signal(len(bits), reset_less=True, init=(1 << len(bits)) - 1)
    m.d.sync += later.eq(bits)
    return shape(later) if isinstance(shape, data.Layout) else later


def _stored(m: Module, flag: Value) -> Signal:
    """Return a flag, which is 0 at first, a cycle later."""
    later = Signal()
    m.d.sync += later.eq(flag)
    return later


def _encoded(fmt: Format, level) -> Value:
    """Return the code of a level that ``fmt`` holds; assigned to a wider signal it is extended."""
    return level > 0 if fmt == Bipolar() else level
