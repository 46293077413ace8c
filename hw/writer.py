"""From requantised levels to the activation and output memories."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .address import CodeAddress
from .drain import LOOPS, Whereabouts
from .memory import WriteInterface, WriteSignature
from .number import Bipolar, Format
from .program import Program
from .record import field
from .scoreboard import Job, start_address

__all__ = ["Writer"]


class Writer(wiring.Component):
    """Collect levels into segments of activation words; put the last layer's apart.

    A tile's row holds ``columns`` channels, an activation word ``lanes``; what both share with the
    channels of every layer, their greatest common divisor, is written at once. Every chain fills a
    segment at the same time; they are written one after the other.

    Members
    -------
    i_valid : In(1)
        Levels arrive.
    i_where : In(Whereabouts)
        Where they belong.
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
                "i_where": In(Whereabouts(program)),
                "activations": Out(WriteSignature(program.activation_words, word, self.form.parts)),
                "outputs": Out(WriteSignature(program.output_words, levels)),
                "o_written": Out(1),
                "o_written_job": Out(Job(program)),
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

    def _distance(self, name: str, times: int = 1):
        """Return a distance of the current layer as an address; the last layer needs none."""
        values = [getattr(record.place, name) for record in self.program.records[:-1]]
        return field([self.form.const(times * value) for value in values] + [0],
                     self.i_where.job.layer)  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        where, segment = self.i_where, self.program.segment
        filled, used_before = Signal(range(segment)), Signal()
        ends = self.i_valid & (filled == segment - 1)
        # a segment without a channel is not written: there may be no word for it
        used = Mux(filled == 0, where.used, used_before)
        with m.If(self.i_valid):
            m.d.sync += [filled.eq(Mux(ends, 0, filled + 1)), used_before.eq(used)]
        segments = [self._collect(m, chain) for chain in range(len(where.rows))]
        self._write(m, ends, segments, used, self._walk(m, ends))
        self._write_outputs(m)
        return m

    def _collect(self, m: Module, chain: int) -> Value:
        """Shift the codes of a chain into a segment; return it, with the current code in it."""
        width = self.program.operands.activation.width
        codes = Signal(self.program.segment * width, reset_less=True, name=f"codes_{chain}")
        collected = Cat(codes[width:], self._code(m, chain))
        with m.If(self.i_valid):
            m.d.sync += codes.eq(collected)
        return collected

    def _code(self, m: Module, chain: int) -> Signal:
        """Return the activation code of the current level, code 0 for a channel that is not one."""
        program = self.program
        code = Signal(program.operands.activation.width, name=f"code_{chain}")
        if len(program.modes) > 1:
            mode = field([record.place.mode for record in program.records], self.i_where.job.layer)
            level = Array(levels[chain] for levels in self.levels[:-1])[mode]
            with m.If(self.i_where.used):
                m.d.comb += code.eq(_encoded(program.operands.activation, level))
        return code

    def _walk(self, m: Module, ends) -> Signal:
        """Return the address of the first chain's segment that is complete now.

        Like the `Walker`, every loop remembers where it began, and one adder leads to the next.
        """
        form, program, where = self.form, self.program, self.i_where
        last, geometry = where.last, program.geometry
        fresh = Signal(init=1)  # the job's first segment
        first, address = Signal(form.width), Signal(form.width)
        begins = [record.place.start for record in program.records]
        m.d.comb += first.eq(start_address(program, form, begins, where.job))
        steps = {
            "column": form.const(program.segment),
            "rank": self._distance("row_step", program.geometry.chains),
            "tile": form.const(program.geometry.columns),
            "chunk": self._distance("chunk_step"),
            "image": self._distance("image_step"),
            "group": self._distance("group_step"),
        }
        counts = {
            "column": geometry.columns // program.segment,
            "rank": geometry.rows // geometry.chains,
            "tile": max(record.tiles.tiles for record in program.records),
            "chunk": max(record.place.chunks for record in program.records),
            "image": max(record.place.images for record in program.records),
            "group": max(record.place.groups for record in program.records),
        }
        starts = {name: Signal(form.width, name=f"{name}_start") for name in LOOPS}
        base, step = first, Const(0)  # where no loop goes on, a job ends
        for loop in reversed([loop for loop in LOOPS if counts[loop] > 1]):
            base, step = Mux(last[loop], base, starts[loop]), Mux(last[loop], step, steps[loop])
        following = Signal(form.width)
        m.d.comb += [
            address.eq(Mux(fresh, first, starts["column"])),
            following.eq(form.advance(Mux(fresh, first, base), step[: form.width])),
        ]
        inner = ends
        with m.If(ends):
            m.d.sync += fresh.eq(Cat(last[name] for name in LOOPS).all())
        for loop in LOOPS:
            with m.If(inner):
                m.d.sync += starts[loop].eq(following)
            with m.Elif(ends & fresh):
                m.d.sync += starts[loop].eq(first)
            inner = inner & last[loop]
        return address

    def _write(self, m: Module, ends, segments, used, address) -> None:
        """Write the complete segments, one chain after the other."""
        form, where, chains = self.form, self.i_where, len(segments)
        width = len(segments[0])
        cursor = Signal(form.width)
        held = Signal(data.ArrayLayout(width, chains), reset_less=True)
        writing = Signal(chains)  # which of them hold a position
        waiting = Signal(chains)
        job_end, held_job = Signal(), Signal.like(where.job)
        hidden = where.job.layer != len(self.program.records) - 1
        with m.If(ends):
            m.d.sync += [
                held.eq(Cat(segments)),
                cursor.eq(address),
                writing.eq(Mux(used & hidden, where.rows, 0)),
                waiting.eq(~0),
                job_end.eq(Cat(where.last[name] for name in LOOPS).all()),
            ]
            m.d.sync += held_job.eq(where.job)
        with m.Else():
            m.d.sync += [writing.eq(writing >> 1), waiting.eq(waiting >> 1)]
        if chains > 1:
            step = Signal(form.width)
            with m.If(ends):
                m.d.sync += step.eq(self._distance("row_step"))
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

    def _write_outputs(self, m: Module) -> None:
        """Write the last layer's levels, those of all chains into one word."""
        program, where = self.program, self.i_where
        outputs = program.network.outputs
        rank = Array(rank * outputs for rank in range(program.output_rows))[where.rank]
        context = Mux(where.job.context, program.output_rows * outputs, 0)
        fmt = program.network.output
        m.d.sync += [
            self.outputs.address.eq(context + rank + where.channel),
            self.outputs.data.eq(Cat(_encoded(fmt, level)[: fmt.width]
                                     for level in self.levels[-1])),
            self.outputs.enable.eq(
                self.i_valid
                & (where.job.layer == len(program.records) - 1)
                & where.used
                & where.rows[0]
            ),
        ]  # fmt: skip


def _encoded(fmt: Format, level) -> Value:
    """Return the code of a level that ``fmt`` holds; assigned to a wider signal it is extended."""
    return level > 0 if fmt == Bipolar() else level
