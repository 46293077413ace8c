"""The order in which a job's patches are read: runs, passes, positions, groups."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..gates.address import CodeAddress
from ..gates.table import field
from ..numbers.arithmetic import address_width
from ..program.layout import Program
from .edge import EdgeMask
from .job import Job, start_address

__all__ = ["Step", "Walker"]

LOOPS = ("inner", "outer", "planes", "width", "height", "images", "groups")
"""The loops over runs, from the inside."""
STEPS = {
    "inner": "inner_step",
    "outer": "outer_step",
    "planes": "plane_step",
    "width": "x_step",
    "height": "row_step",
    "images": "image_step",
    "groups": "group_step",
}
"""How far the next run is when a loop goes on, as a field of `Feed` ..."""
ORIGINS = {
    "inner": "run",
    "outer": "row",
    "planes": "pass",
    "width": "position",
    "height": "position",
    "images": "position",
    "groups": "group",
}
"""... and from where: all loops over positions count from the position before."""


def Step(program: Program, form: CodeAddress) -> data.StructLayout:
    """Return what goes with an address to the packer.

    Attributes
    ----------
    active, emit : bits
        Something is read; it completes a word.
    level, part : units
        What the word already has; the first unit that is read.
    mask : bits
        Lanes inside the image.
    tail, last_group : bits
        The word is the last of a pass, or of a run that stands apart; of the last group.
    row, word : int
        Where the word goes in the row buffers.
    first, last : bits
        First and last run of a pass.
    """
    words = max(record.tiles.words for record in program.records)
    return data.StructLayout(
        {
            "active": 1,
            "emit": 1,
            "level": form.part_width,
            "part": form.part_width,
            "mask": program.geometry.lanes,
            "tail": 1,
            "last_group": 1,
            "row": ceil_log2(program.geometry.rows),
            "word": address_width(words),
            "first": 1,
            "last": 1,
        }
    )


class Walker(wiring.Component):
    """Put out the addresses of a job, a word a cycle.

    Loops, from the outside: groups of channels; images, rows and columns of positions; passes; rows
    of the kernel, or tensors; runs in them; words of a run. Every loop remembers where it began,
    and one adder leads from run to run: it adds the step of the innermost loop that goes on to
    where that loop began.

    Members
    -------
    i_job : In(Job)
        The job; stable from ``i_start`` on.
    i_start : In(1)
        Begin; the first address comes in the next cycle.
    i_enable : In(1)
        The address is taken.
    o_word : Out(address of a word)
    o_step : Out(Step)
    o_pass_end, o_bank_end, o_job_end : Out(1)
        The address is the last one of a pass, of what a bank holds, of the job.
    o_group_start : Out(1)
        The position is the first one of another group.
    """

    i_job: data.View
    i_start: Signal
    i_enable: Signal
    o_word: Signal
    o_step: data.View
    o_pass_end: Signal
    o_bank_end: Signal
    o_job_end: Signal
    o_group_start: Signal

    def __init__(self, program: Program):
        self.program = program
        self.feeds = [record.feed for record in program.records]
        steps = [step for feed in self.feeds for step in feed.steps]
        self.form = CodeAddress.for_steps(program.activation_words, program.geometry.lanes, steps)
        super().__init__(
            {
                "i_job": In(Job(program.contexts, len(program.records))),
                "i_start": In(1),
                "i_enable": In(1),
                "o_word": Out(self.form.word_width),
                "o_step": Out(Step(program, self.form)),
                "o_pass_end": Out(1),
                "o_bank_end": Out(1),
                "o_job_end": Out(1),
                "o_group_start": Out(1),
            }
        )

    def _field(self, name: str):
        """Return a number of the current layer."""
        return field([getattr(feed, name) for feed in self.feeds], self.i_job.layer)

    def _distance(self, name: str):
        """Return a distance of the current layer as an address."""
        form = self.form
        return field([form.const(getattr(feed, name)) for feed in self.feeds], self.i_job.layer)

    def _start(self):
        """Return the address at which the job begins, from a table of contexts and layers."""
        return start_address(
            self.form,
            [feed.start for feed in self.feeds],
            self.i_job,
            contexts=self.program.contexts,
            region=self.program.batch * self.program.image_words,
        )

    def _count(self, loop: str) -> int:
        """Return how often a loop runs at most."""
        if loop == "images":
            return self.program.batch
        return max(getattr(feed, loop) for feed in self.feeds)

    def elaborate(self, platform) -> Module:
        m = Module()
        run_done = Signal()
        moves, ends, counters = self._loops(m, run_done)
        target, entry, part = self._addresses(m, moves, ends)
        pass_end = ends["inner"] & ends["outer"]
        self._words(m, target, part, run_done, pass_end)
        row, word = self._places(m, moves, ends)
        m.d.comb += [
            self.o_pass_end.eq(run_done & pass_end),
            self.o_step.part.eq(part),
            self.o_step.row.eq(row),
            self.o_step.word.eq(word),
            self.o_step.last_group.eq(ends["groups"]),
            self.o_step.first.eq((counters["inner"] == 0) & (counters["outer"] == 0)),
            self.o_step.last.eq(pass_end),
        ]
        if any(feed.padded for feed in self.feeds):
            m.submodules.edge = edge = EdgeMask(self.program, self.form)
            m.d.comb += [
                edge.i_layer.eq(self.i_job.layer),
                edge.i_start.eq(self.i_start),
                edge.i_position.eq(moves["width"]),
                edge.i_line.eq(moves["height"]),
                edge.i_image.eq(moves["images"]),
                edge.i_outer.eq(counters["outer"]),
                edge.i_inner.eq(counters["inner"]),
                edge.i_run.eq(moves["inner"]),
                edge.i_word.eq(self.i_enable),
                edge.i_entry.eq(entry),
                self.o_step.mask.eq(edge.o),
            ]
        else:
            m.d.comb += self.o_step.mask.eq(~0)
        return m

    def _loops(self, m: Module, run_done) -> tuple[dict, dict, dict]:
        """Count all loops; return when each goes on, which are at their last, and the counters."""
        moves, ends, counters = {}, {}, {}
        go = self.i_enable & run_done
        for name in LOOPS:
            if self._count(name) == 1:  # in all layers: no gates
                moves[name], ends[name], counters[name] = go, Const(1), Const(0)
                continue
            limit = Const(self.program.batch) if name == "images" else self._field(name)
            counter, last = Signal(range(self._count(name)), name=name), Signal(name=f"last_{name}")
            # whether the next round is the last is found out in this one: it decides where to go on
            with m.If(go):
                m.d.sync += [
                    counter.eq(Mux(last, 0, counter + 1)),
                    last.eq(Mux(last, limit == 1, counter + 2 == limit)),
                ]
            with m.If(self.i_start):
                m.d.sync += last.eq(limit == 1)
            moves[name], ends[name], counters[name] = go, last, counter
            go = go & last
        return moves, ends, counters

    def _addresses(self, m: Module, moves, ends) -> tuple[Signal, Signal, Signal]:
        """Walk from run to run, and on in each.

        Returns where the next run begins, the unit at which this one began in its first word, and
        the unit to read from now.
        """
        form = self.form
        starts = {name: Signal(form.width, name=f"{name}_start") for name in ORIGINS.values()}
        loops = [loop for loop in LOOPS if self._count(loop) > 1]
        base = step = Const(0)  # where no loop goes on, a job ends
        for loop in reversed(loops):
            origin, distance = starts[ORIGINS[loop]], self._distance(STEPS[loop])
            outermost = loop == loops[-1]
            base = origin if outermost else Mux(ends[loop], base, origin)
            step = distance if outermost else Mux(ends[loop], step, distance)
        following = form.advance(base, step)
        target = Signal(form.width)
        m.d.comb += target.eq(Mux(self.i_start, self._start(), following))
        # a loop begins anew when the one around it goes on
        for loop, name in (("inner", "run"), ("outer", "row"), ("planes", "pass"),
                           ("width", "position"), ("groups", "group")):  # fmt: skip
            with m.If(moves[loop] | self.i_start):
                m.d.sync += starts[name].eq(target)

        entry, part = Signal(form.part_width), Signal(form.part_width)
        with m.If(moves["inner"] | self.i_start):
            m.d.sync += [
                self.o_word.eq(form.word(target)),
                entry.eq(form.part(target)),
                part.eq(form.part(target)),
            ]
        with m.Elif(self.i_enable):
            m.d.sync += [self.o_word.eq(self.o_word + 1), part.eq(0)]
        return target, entry, part

    def _words(self, m: Module, target, part, run_done, pass_end) -> None:
        """Count units: when a run ends, when a word is complete.

        That the next word ends its run is found out in this one, like the ends of loops.
        """
        parts = self.form.parts
        length = field([-(-feed.length // self.form.unit) for feed in self.feeds], self.i_job.layer)
        # units of the run from the beginning of this word on, as if it had begun there
        rest = Signal(range((1 << len(length)) + parts))
        run_end = Signal()
        level = Signal(range(parts))
        flushing = Signal()  # a pass has ended; what is left of it goes out
        taken = (Mux(run_end, rest[: len(level) + 1], parts) - part).as_unsigned()
        total = level + taken[: len(level) + 1]
        separate = self._field("separate")
        flushes = run_end & pass_end & ~separate & ~flushing if parts > 1 else Const(0)
        full = ~flushing & (total >= parts) if parts > 1 else Const(1)
        tail = flushing | (run_end & (separate | pass_end) & ~flushes)
        m.d.comb += [
            run_done.eq(flushing | (run_end & ~flushes)),
            self.o_step.active.eq(self.i_enable),
            self.o_step.emit.eq(self.i_enable & (full | (tail & ~(flushing & (level == 0))))),
            self.o_step.level.eq(level),
            self.o_step.tail.eq(tail),
        ]
        with m.If(self.i_start | (self.i_enable & run_done)):
            m.d.sync += [
                rest.eq(length + self.form.part(target)),
                run_end.eq(length + self.form.part(target) <= parts),
            ]
        with m.Elif(self.i_enable):
            m.d.sync += [rest.eq(rest - parts), run_end.eq(rest <= 2 * parts)]
        with m.If(self.i_enable):
            m.d.sync += [
                flushing.eq(flushes),
                level.eq(Mux(tail, 0, Mux(full, total - parts, total))),
            ]

    def _places(self, m: Module, moves, ends) -> tuple[Signal, Signal]:
        """Count the rows of a bank and the words of a row.

        A bank holds positions of one image, or the single position of each image.
        """
        rows = self.program.geometry.rows
        row, word = Signal(range(rows)), Signal.like(self.o_step.word)
        single = field([feed.width * feed.height == 1 for feed in self.feeds], self.i_job.layer)
        position_end = self.o_pass_end & ends["planes"]
        image_end = ends["width"] & ends["height"]
        last_row = Signal(init=rows == 1)
        bank_end = last_row | (image_end & (~single | ends["images"]))
        m.d.comb += [
            self.o_bank_end.eq(position_end & bank_end),
            self.o_job_end.eq(position_end & image_end & ends["images"] & ends["groups"]),
        ]
        with m.If(moves["width"]):
            m.d.sync += [
                row.eq(Mux(bank_end, 0, row + 1)),
                last_row.eq(Mux(bank_end, rows == 1, row == rows - 2)),
                word.eq(0),
                self.o_group_start.eq(moves["images"] & ends["images"]),
            ]
        with m.Elif(self.o_step.emit):
            m.d.sync += word.eq(word + 1)
        return row, word
