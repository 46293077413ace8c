"""Walks through the addresses of a job's patches: runs, passes, positions, groups."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ...gates.address import CodeAddress
from ...gates.table import field
from ...numbers.arithmetic import address_width
from ..job import Job, check_contexts, start_address
from .edge import EdgeMask, EdgeMaskConfig, Edges

__all__ = ["PatchLoops", "Step", "Walker", "WalkerConfig"]

RUN_LOOPS = ("inner", "outer", "planes", "width", "height", "images", "groups")
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
"""How far the next run is when a loop goes on, as a field of `PatchLoops` ..."""
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


@dataclass(frozen=True)
class PatchLoops:
    """Loops over what a layer reads: addresses and distances in codes.

    ``*_step`` is the distance from one start to the next in that loop; ``row_step`` and
    ``image_step`` lead from the last position of a row, or of an image, to the next one.

    Attributes
    ----------
    start : int
        First code of the first position, in an image's region; may lie before it.
    groups, height, width : int
        Groups of channels; rows of positions, and positions of a row.
    planes, outer, inner : int
        Passes over a position; rows of runs in a pass, such as those of a kernel, and runs of such
        a row.
    length : int
        Codes of a run.
    separate : bool
        Each run begins a word; else the runs of a pass follow each other without a gap.
    edges : Edges, optional
        Where windows reach beyond the image; None where none does.
    by_column : bool
        Runs go along the columns of a window: ``outer`` counts those, and ``inner`` rows.
    """

    start: int
    groups: int
    height: int
    width: int
    planes: int
    outer: int
    inner: int
    length: int
    group_step: int
    image_step: int
    row_step: int
    x_step: int
    plane_step: int
    outer_step: int
    inner_step: int
    separate: bool
    edges: Edges | None = None
    by_column: bool = False


@dataclass(frozen=True)
class WalkerConfig:
    """Layers and sizes of a `Walker`.

    Attributes
    ----------
    layers : tuple of PatchLoops
        What each layer reads.
    form : CodeAddress
        Words and lanes of the memory; its unit divides every start and distance, the lengths of
        runs that others follow in a word, and of those whose last word the packer cuts.
    contexts : int
        Contexts, 1 or 2.
    context_words : int
        Words of a context's region of the memory.
    images : int
        Images of a context.
    rows : int
        Rows of the array: positions that a bank holds.
    words : int
        The most words that a position takes in a bank.

    Raises
    ------
    GeometryError
        For other than 1 or 2 contexts.
    """

    layers: tuple[PatchLoops, ...]
    form: CodeAddress
    contexts: int
    context_words: int
    images: int
    rows: int
    words: int

    def __post_init__(self) -> None:
        check_contexts(self.contexts)

    @property
    def job(self) -> data.StructLayout:
        """Layout of a `Job`."""
        return Job(self.contexts, len(self.layers))

    @property
    def step(self) -> data.StructLayout:
        """Layout of a `Step`."""
        return Step(self.form, self.rows, self.words)

    @property
    def padded(self) -> bool:
        """Whether a layer's windows reach beyond its image."""
        return any(loops.edges is not None for loops in self.layers)

    @property
    def edge_mask(self) -> EdgeMaskConfig:
        """Configuration of the walker's edge mask."""
        kernels = [
            (loops.inner, loops.outer) if loops.by_column else (loops.outer, loops.inner)
            for loops in self.layers
        ]
        return EdgeMaskConfig(
            form=self.form,
            layers=tuple(loops.edges for loops in self.layers),
            outer=max(rows for rows, _ in kernels),
            inner=max(columns for _, columns in kernels),
            length=max(loops.length for loops in self.layers),
        )


def Step(form: CodeAddress, rows: int, words: int) -> data.StructLayout:
    """Return the layout of what goes with an address to the packer.

    Parameters
    ----------
    form : CodeAddress
        Form of the address.
    rows, words : int
        Rows of a bank, and the most words of one.

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
    return data.StructLayout(
        {
            "active": 1,
            "emit": 1,
            "level": form.part_width,
            "part": form.part_width,
            "mask": form.lanes,
            "tail": 1,
            "last_group": 1,
            "row": ceil_log2(rows),
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

    Parameters
    ----------
    config : WalkerConfig

    Members
    -------
    i_job : In(Job)
        The job; stable from ``i_start`` on.
    i_start : In(1)
        Begin; the first address comes in the next cycle.
    i_enable : In(1)
        The address is taken.
    o_word : Out(address of a word), o_step : Out(Step)
        The word to read now, and what to do with it; a new one in the cycle after ``i_enable``.
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

    def __init__(self, config: WalkerConfig):
        self.config, self.form = config, config.form
        super().__init__(
            {
                "i_job": In(config.job),
                "i_start": In(1),
                "i_enable": In(1),
                "o_word": Out(self.form.word_width),
                "o_step": Out(config.step),
                "o_pass_end": Out(1),
                "o_bank_end": Out(1),
                "o_job_end": Out(1),
                "o_group_start": Out(1),
            }
        )

    def _field(self, number: Callable[[PatchLoops], int]) -> Value:
        """Return a number of the current layer."""
        return field([number(loops) for loops in self.config.layers], self.i_job.layer)

    def _distance(self, name: str) -> Value:
        """Return a distance of the current layer as an address."""
        return self._field(lambda loops: self.form.const(getattr(loops, name)))

    def _start(self) -> Value:
        """Return the address at which the job begins, from a table of contexts and layers."""
        return start_address(
            self.form,
            [loops.start for loops in self.config.layers],
            self.i_job,
            contexts=self.config.contexts,
            region=self.config.context_words,
        )

    def _count(self, loop: str) -> int:
        """Return how often a loop runs at most."""
        if loop == "images":
            return self.config.images
        return max(getattr(loops, loop) for loops in self.config.layers)

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
        if self.config.padded:
            kernel_row, kernel_column = self._kernel(counters)
            m.submodules.edge = edge = EdgeMask(self.config.edge_mask)
            m.d.comb += [
                edge.i_layer.eq(self.i_job.layer),
                edge.i_start.eq(self.i_start),
                edge.i_position.eq(moves["width"]),
                edge.i_line.eq(moves["height"]),
                edge.i_image.eq(moves["images"]),
                edge.i_outer.eq(kernel_row),
                edge.i_inner.eq(kernel_column),
                edge.i_run.eq(moves["inner"]),
                edge.i_word.eq(self.i_enable),
                edge.i_entry.eq(entry),
                self.o_step.mask.eq(edge.o),
            ]
        else:
            m.d.comb += self.o_step.mask.eq(~0)
        return m

    def _kernel(self, counters: dict[str, Value]) -> tuple[Value, Value]:
        """Return row and column of the run in the window."""
        row, column = counters["outer"], counters["inner"]
        if not any(loops.by_column for loops in self.config.layers):
            return row, column
        turned = self._field(lambda loops: loops.by_column)
        return Mux(turned, column, row), Mux(turned, row, column)

    def _loops(self, m: Module, run_done) -> tuple[dict, dict, dict]:
        """Count all loops; return when each goes on, which are at their last, and the counters."""
        moves, ends, counters = {}, {}, {}
        go = self.i_enable & run_done
        for name in RUN_LOOPS:
            if self._count(name) == 1:  # in all layers: no gates
                moves[name], ends[name], counters[name] = go, Const(1), Const(0)
                continue
            limit = Const(self.config.images)
            if name != "images":
                limit = self._field(lambda loops, name=name: getattr(loops, name))
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
        loops = [loop for loop in RUN_LOOPS if self._count(loop) > 1]
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
        length = self._field(lambda loops: -(-loops.length // self.form.unit))
        # units of the run from the beginning of this word on, as if it had begun there
        rest = Signal(range((1 << len(length)) + parts))
        run_end = Signal()
        level = Signal(range(parts))
        flushing = Signal()  # a pass has ended; what is left of it goes out
        taken = (Mux(run_end, rest[: len(level) + 1], parts) - part).as_unsigned()
        total = level + taken[: len(level) + 1]
        separate = self._field(lambda loops: loops.separate)
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
        rows = self.config.rows
        row, word = Signal(range(rows)), Signal.like(self.o_step.word)
        single = self._field(lambda loops: loops.width * loops.height == 1)
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
