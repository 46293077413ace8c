"""The max pool: the largest of a window, for all channels of a word at once."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..gates.address import CodeAddress
from ..gates.ports import WriteInterface, WriteSignature
from ..gates.table import field
from ..program.layout import Program
from .job import Job

__all__ = ["PoolUnit"]


class PoolUnit(wiring.Component):
    """Keep the largest of the codes that pass in each lane; write them when the window ends.

    A window takes a cycle a tap, and as many to write as a word has segments, which hides behind
    the next window.

    Members
    -------
    i_job : In(Job)
        The job whose taps come.
    i_tap : In(word), i_valid, i_first, i_last : In(1)
        A tap of a window, from the feeder.
    o_ready : Out(1)
        A window may end in the next cycle.
    write : Out(WriteSignature(activation_words, word, segments))
    i_granted : In(1)
        The write port is free in this cycle.
    o_written : Out(1), o_written_job : Out(Job)
        All outputs of the job are in memory.
    """

    i_job: data.View
    i_tap: data.View
    i_valid: Signal
    i_first: Signal
    i_last: Signal
    o_ready: Signal
    write: WriteInterface
    i_granted: Signal
    o_written: Signal
    o_written_job: data.View

    def __init__(self, program: Program):
        self.program = program
        lanes, fmt = program.geometry.lanes, program.operands.activation
        self.form = CodeAddress(program.activation_words, lanes, program.segment)
        word = data.ArrayLayout(fmt, lanes)
        super().__init__(
            {
                "i_job": In(Job(program.contexts, len(program.records))),
                "i_tap": In(word),
                "i_valid": In(1),
                "i_first": In(1),
                "i_last": In(1),
                "o_ready": Out(1),
                "write": Out(WriteSignature(program.activation_words, word.size, self.form.parts)),
                "i_granted": In(1),
                "o_written": Out(1),
                "o_written_job": Out(Job(program.contexts, len(program.records))),
            }
        )

    def _field(self, numbers):
        """Return a number of the current layer; 0 for the layers of the array."""
        values = [0 if record.on_array else numbers(record) for record in self.program.records]
        return field(values, self.i_job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        best = Signal.like(self.i_tap)
        largest = Signal.like(self.i_tap)
        for lane in range(self.program.geometry.lanes):
            higher = self.i_first | (self.i_tap[lane].level > best[lane].level)
            m.d.comb += largest[lane].eq(Mux(higher, self.i_tap[lane], best[lane]))
        with m.If(self.i_valid):
            m.d.sync += best.eq(largest)
        ends = Signal()
        m.d.comb += ends.eq(self.i_valid & self.i_last)
        address, last_group, job_end = self._walk(m, ends)
        self._write(m, ends, largest, address, last_group, job_end)
        return m

    def _walk(self, m: Module, ends):
        """Return where the window goes, whether its group is the last, whether it ends a job."""
        form, program = self.form, self.program
        moves, go = [], ends
        lasts = []
        for name, limits in (
            ("position", lambda record: record.place.positions),
            ("image", lambda record: record.place.images),
            ("group", lambda record: record.place.groups),
        ):
            counts = [limits(record) for record in program.pools]
            counter, last = Signal(range(max(counts)), name=name), Signal(name=f"last_{name}")
            m.d.comb += last.eq(counter == self._field(limits) - 1)
            with m.If(go):
                m.d.sync += counter.eq(Mux(last, 0, counter + 1))
            moves.append(go)
            lasts.append(last)
            go = go & last

        def distance(name: str):
            return self._field(lambda record: form.const(getattr(record.place, name)))

        fresh = Signal(init=1)
        context = form.const(program.batch * program.image_words * form.lanes)
        start = Mux(self.i_job.context, context, 0)[: form.width]
        names = ("position", "image", "group")
        starts = [Signal(form.width, name=f"{name}_start") for name in names]
        steps = [distance(name) for name in ("row_step", "image_step", "group_step")]
        base, step = starts[2], steps[2]
        for index in (1, 0):
            base = Mux(lasts[index], base, starts[index])
            step = Mux(lasts[index], step, steps[index])
        first, address = Signal(form.width), Signal(form.width)
        following = Signal(form.width)
        m.d.comb += [
            first.eq(form.advance(start, distance("start"))),
            address.eq(Mux(fresh, first, starts[0])),
            following.eq(form.advance(Mux(fresh, first, base), step)),
        ]
        with m.If(ends):
            m.d.sync += fresh.eq(go)
        for register, move in zip(starts, moves, strict=True):
            with m.If(move):
                m.d.sync += register.eq(following)
            with m.Elif(ends & fresh):
                m.d.sync += register.eq(first)
        return address, lasts[2], go

    def _write(self, m: Module, ends, largest, address, last_group, job_end) -> None:
        form, segment = self.form, self.program.segment
        width = segment * self.program.operands.activation.width
        held = Signal(len(largest.as_value()), reset_less=True)
        cursor = Signal(form.width)
        waiting = Signal(range(form.parts + 1))
        finishing = Signal()  # the job ends with what is held
        held_job = Signal.like(self.i_job)
        whole = self._field(lambda record: -(-record.feed.length // segment))
        rest = self._field(lambda record: -(-record.feed.last_length // segment))
        done = (waiting == 1) & self.i_granted
        with m.If(ends):
            m.d.sync += [
                held.eq(largest), cursor.eq(address), waiting.eq(Mux(last_group, rest, whole)),
                finishing.eq(job_end), held_job.eq(self.i_job),
            ]  # fmt: skip
        with m.Elif((waiting != 0) & self.i_granted):
            one = form.const(segment)
            m.d.sync += [
                held.eq(held >> width), cursor.eq(form.advance(cursor, one)),
                waiting.eq(waiting - 1),
            ]  # fmt: skip
        m.d.sync += [self.o_written.eq(finishing & done), self.o_written_job.eq(held_job)]
        m.d.comb += [
            self.o_ready.eq((waiting == 0) & ~ends),
            self.write.address.eq(form.word(cursor)),
            self.write.data.eq(held[:width].replicate(form.parts)),
            self.write.enable.eq(Mux(waiting != 0, 1 << form.part(cursor), 0)),
        ]
