"""The order in which a job's patches are read: runs, passes, positions, groups."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .address import CodeAddress
from .edge import EdgeMask
from .memory import address_width
from .program import Program
from .record import field
from .scoreboard import Job, start_address

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
                "i_job": In(Job(program)),
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
            self.program, self.form, [feed.start for feed in self.feeds], self.i_job
        )

    def _count(self, loop: str) -> int:
        """Return how often a loop runs at most."""
        if loop == "images":
            return self.program.batch
        return max(getattr(feed, loop) for feed in self.feeds)

    def elaborate(self, platform) -> Module:
        m = Module()
        run_done, run_end = Signal(), Signal()
        moves, ends, counters = self._loops(m, run_done)
        entry, part = self._addresses(m, moves, ends)
        pass_end = ends["inner"] & ends["outer"]
        self._words(m, part, run_end, run_done, pass_end)
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
            limit = self.program.batch if name == "images" else self._field(name)
            counter = Signal(range(self._count(name)), name=name)
            last = Signal(name=f"last_{name}")
            m.d.comb += last.eq(counter == limit - 1)
            with m.If(go):
                m.d.sync += counter.eq(Mux(last, 0, counter + 1))
            moves[name], ends[name], counters[name] = go, last, counter
            go = go & last
        return moves, ends, counters

    def _addresses(self, m: Module, moves, ends) -> tuple[Signal, Signal]:
        """Walk from run to run, and on in each.

        Returns the unit at which the run begins in its first word, and the one to read from now.
        """
        form = self.form
        starts = {name: Signal(form.width, name=f"{name}_start") for name in ORIGINS.values()}
        loops = [loop for loop in LOOPS if self._count(loop) > 1]
        base, step = None, None
        for loop in reversed(loops):
            origin, distance = starts[ORIGINS[loop]], self._distance(STEPS[loop])
            base = origin if base is None else Mux(ends[loop], base, origin)
            step = distance if step is None else Mux(ends[loop], step, distance)
        following = form.advance(base, step) if loops else 0
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
        return entry, part

    def _words(self, m: Module, part, run_end, run_done, pass_end) -> None:
        """Count units: when a run ends, when a word is complete."""
        parts, feeds = self.form.parts, self.feeds
        lengths = [-(-feed.length // self.form.unit) for feed in feeds]
        done = Signal(range(max(lengths) + parts))  # units of the run in the words before this one
        level = Signal(range(parts))
        flushing = Signal()  # a pass ended in a word that was already full
        room = parts - part
        rest = (field(lengths, self.i_job.layer) - done).as_unsigned()
        total = level + Mux(run_end, rest, room)
        if parts == 1:  # the same, with fewer gates
            last_word = done == field([length - 1 for length in lengths], self.i_job.layer)
            total = 1
        else:
            last_word = rest <= room
        spill = run_end & pass_end & (total > parts) & ~flushing
        tail = flushing | (run_end & ~spill & (pass_end | self._field("separate")))
        m.d.comb += [
            run_end.eq(last_word),
            run_done.eq(flushing | (run_end & ~spill)),
            self.o_step.active.eq(self.i_enable),
            self.o_step.emit.eq(self.i_enable & (tail | (total >= parts))),
            self.o_step.level.eq(level),
            self.o_step.tail.eq(tail),
        ]
        with m.If(self.i_enable):
            m.d.sync += [
                flushing.eq(spill),
                done.eq(Mux(run_done, 0, done + room)),
                level.eq(Mux(tail, 0, Mux(total >= parts, total - parts, total))),
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
        bank_end = (row == rows - 1) | (image_end & (~single | ends["images"]))
        m.d.comb += [
            self.o_bank_end.eq(position_end & bank_end),
            self.o_job_end.eq(position_end & image_end & ends["images"] & ends["groups"]),
        ]
        with m.If(moves["width"]):
            m.d.sync += [
                row.eq(Mux(bank_end, 0, row + 1)),
                word.eq(0),
                self.o_group_start.eq(moves["images"] & ends["images"]),
            ]
        with m.Elif(self.o_step.emit):
            m.d.sync += word.eq(word + 1)
        return row, word
