"""Writes requantised levels to the activation and output memories."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...gates.address import CodeAddress
from ...gates.counter import count_down
from ...gates.pipeline import delay
from ...gates.ports import WriteInterface, WriteSignature
from ...gates.table import field
from ...numbers.format import Format
from ..job import LOOPS, check_contexts, loops_of, start_address

__all__ = ["Writer", "WriterConfig", "WriterLayer", "WriterOutput"]


@dataclass(frozen=True)
class WriterLayer:
    """Destination of a layer's levels, for a `Writer`; distances in codes, 0 where not stored.

    Attributes
    ----------
    stored : bool
        Whether they go to the activation memory.
    mode : int
        Index of the input that has its levels.
    tiles, chunks, images, groups, shifts : int
        Rounds of these loops of `LOOPS`, at least 1 each.
    start : int
        First code of its output in an image's region.
    row_step, chunk_step, image_step, group_step, shift_step : int
        From one position, chunk, image, group or position of a strip to the next, each from its own
        start; where there are strips, positions and chunks are of those.
    """

    stored: bool
    mode: int
    tiles: int
    chunks: int
    images: int
    groups: int
    start: int
    row_step: int
    chunk_step: int
    image_step: int
    group_step: int
    shifts: int = 1
    shift_step: int = 0


@dataclass(frozen=True)
class WriterOutput:
    """Destination of a layer's levels in the output memory.

    Attributes
    ----------
    layer : int
        Index of the layer.
    channels : int
        Its channels, a word each in a row of sums, one a chain.
    start : int
        Its first word in a context's area.
    image_rows : int
        Those rows of an image, where it has several positions; 0 where images are the rows.
    """

    layer: int
    channels: int
    start: int = 0
    image_rows: int = 0


@dataclass(frozen=True)
class WriterConfig:
    """Sizes of a `Writer`.

    Attributes
    ----------
    tag : StructLayout
        Layout of a `Tag`.
    columns, ranks, chains : int
        Columns of the array, rows of each chain, chains.
    code : Format
        Of the codes of activations.
    levels : sequence of Format
        Of the levels of each mode.
    output : Format
        Of the levels of the output memory.
    form : CodeAddress
        Addresses of segments, its units, in the activation memory.
    contexts, context_words : int
        Contexts, 1 or 2, and the activation words of each.
    outputs : sequence of WriterOutput
        What comes out of the network.
    output_context_words, output_words : int
        Words of the output memory, of a context and all.
    layers : sequence of WriterLayer

    Raises
    ------
    GeometryError
        For other than 1 or 2 contexts.
    """

    tag: data.StructLayout
    columns: int
    ranks: int
    chains: int
    code: Format
    levels: Sequence[Format]
    output: Format
    form: CodeAddress
    contexts: int
    context_words: int
    outputs: Sequence[WriterOutput]
    output_context_words: int
    output_words: int
    layers: Sequence[WriterLayer]

    def __post_init__(self) -> None:
        check_contexts(self.contexts)


class Writer(wiring.Component):
    """Collect levels into segments of activation words; put what comes out of the network apart.

    A tile's row holds ``columns`` channels, an activation word ``lanes``; what both share with the
    channels of every layer, their greatest common divisor, is written at once. Every chain fills a
    segment at the same time; they are written one after the other, from the cycle after the last of
    their levels on.

    Parameters
    ----------
    config : WriterConfig

    Members
    -------
    tags : In(stream.Signature(Tag, always_ready=True))
        Where the levels belong that arrive two cycles later: what follows from that alone is there
        with them.
    i : In(ArrayLayout(level, chains))
        Levels of each mode, in ``levels[k]``; members ``i_0``, ``i_1``.
    activations : Out(WriteSignature(activation_words, word, segments))
    outputs : Out(WriteSignature(output_words, levels of all chains))
    written : Out(stream.Signature(Job, always_ready=True))
        All outputs of the job are in memory.
    """

    tags: stream.Interface
    activations: WriteInterface
    outputs: WriteInterface
    written: stream.Interface

    def __init__(self, config: WriterConfig):
        self.config, self.form = config, config.form
        word = config.form.lanes * config.code.width
        super().__init__(
            {
                "tags": In(stream.Signature(config.tag, always_ready=True)),
                "activations": Out(WriteSignature(config.form.words, word, config.form.parts)),
                "outputs": Out(
                    WriteSignature(config.output_words, config.chains * config.output.width)
                ),
                "written": Out(stream.Signature(config.tag["job"].shape, always_ready=True)),
            }
            | {
                f"i_{k}": In(data.ArrayLayout(fmt.level_shape, config.chains))
                for k, fmt in enumerate(config.levels)
            }
        )

    @property
    def levels(self) -> list[data.View]:
        """The inputs, one for each mode: a level a chain."""
        return [getattr(self, f"i_{k}") for k in range(len(self.config.levels))]

    def _numbers(self, name: str) -> list[int]:
        return [getattr(layer, name) for layer in self.config.layers]

    def _distance(self, job: data.View, name: str, times: int = 1) -> Value:
        """Return a distance of a job's layer as an address."""
        return field([self.form.const(times * step) for step in self._numbers(name)], job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        soon = delay(m, self.tags.payload, ones=True)  # of the next levels
        tag = delay(m, soon, ones=True)  # of these
        outputs = [each.layer for each in config.outputs]
        apart = [layer for layer in outputs if not config.layers[layer].stored]
        goes_out = delay(m, _one_of(soon.job.layer, outputs), ones=True)
        goes_apart = goes_out
        if apart != outputs:
            goes_apart = delay(m, _one_of(soon.job.layer, apart), ones=True)
        valid_soon, ends_soon = _flag(m, self.tags.valid), Signal()
        valid, ends = _flag(m, valid_soon), _flag(m, ends_soon)
        _, last = count_down(m, "filled", [self.form.unit], valid_soon)
        m.d.comb += ends_soon.eq(valid_soon & last)
        used_before, begins = Signal(), Signal(init=1)
        # a segment without a channel is not written: there may be no word for it
        used = Mux(begins, tag.used, used_before)
        with m.If(valid):
            m.d.sync += [begins.eq(ends), used_before.eq(used)]
        mode = None
        if len(config.levels) > 1:
            mode = delay(m, field(self._numbers("mode"), soon.job.layer), ones=True)
        segments = [
            self._collect(m, valid, tag.used, chain, mode) for chain in range(config.chains)
        ]
        address = self._walk(m, soon, ends_soon)
        row_step = delay(m, self._distance(soon.job, "row_step"), ones=True)
        self._write(m, tag, ends, segments, used & ~goes_apart, address, row_step)
        self._write_outputs(m, valid_soon, soon, tag, valid & goes_out, mode)
        return m

    def _collect(self, m: Module, valid, used, chain: int, mode) -> Value:
        """Shift the codes of a chain into a segment; return it, with the current code in it."""
        width = self.config.code.width
        codes = Signal(self.form.unit * width, reset_less=True, name=f"codes_{chain}")
        collected = Cat(codes[width:], self._code(m, used, chain, mode))
        with m.If(valid):
            m.d.sync += codes.eq(collected)
        return collected

    def _code(self, m: Module, used, chain: int, mode) -> Signal:
        """Return the activation code of the current level, code 0 for a channel that is not one."""
        fmt = self.config.code
        code = Signal(fmt.width, name=f"code_{chain}")
        if mode is not None:
            stored = {layer.mode for layer in self.config.layers if layer.stored}
            level = self._level(chain, mode, stored)
            with m.If(used):
                m.d.comb += code.eq(_encoded(fmt, level))
        return code

    def _level(self, chain: int, mode: Value, modes: set[int]) -> Value:
        """Return the level of a chain in the current mode, one of ``modes``."""
        levels = [each[chain] if k in modes else Const(0) for k, each in enumerate(self.levels)]
        return Array(levels[: max(modes, default=0) + 1])[mode]

    def _walk(self, m: Module, soon, ends_soon) -> Signal:
        """Return the address of the first chain's segment that is complete now.

        Like the `Walker`, every loop remembers where it began, and one adder leads to the next.
        What it adds to is a register, and which it is has been decided two cycles before.
        """
        form, config = self.form, self.config
        steps = {
            "column": form.const(form.unit),
            "rank": self._distance(soon.job, "row_step", config.chains),
            "tile": form.const(config.columns),
            "shift": self._distance(soon.job, "shift_step"),
            "chunk": self._distance(soon.job, "chunk_step"),
            "image": self._distance(soon.job, "image_step"),
            "group": self._distance(soon.job, "group_step"),
        }
        counts = {
            "column": config.columns // form.unit,
            "rank": config.ranks,
            "tile": max(self._numbers("tiles")),
            "shift": max(self._numbers("shifts")),
            "chunk": max(self._numbers("chunks")),
            "image": max(self._numbers("images")),
            "group": max(self._numbers("groups")),
        }
        loops = [loop for loop in LOOPS if counts[loop] > 1]
        starts = {name: Signal(form.width, name=f"{name}_start") for name in loops}
        goes, _ = self._turns(self.tags.payload.last, loops)
        _, moves = self._turns(soon.last, loops)
        job_end = Cat(soon.last[name] for name in loops_of(config.tag)).all()
        # where these levels end a segment, the next one may go on from there
        onward = Cat(goes[loop] & moves[loop] for loop in loops).any()
        adds = _flag(m, ends_soon & ~job_end & onward)
        base, following, address = (Signal(form.width) for _ in range(3))
        # or from where a loop began; those that have not moved in this job began with it
        chosen, begun = Const(0), []
        for loop in loops:
            has_moved = Signal(name=f"{loop}_has_moved")
            moves_now = ends_soon & moves[loop]
            moved = ~(ends_soon & job_end) & (has_moved | moves_now)
            m.d.sync += has_moved.eq(moved)
            begun.append(goes[loop] & moved)
            chosen = chosen | Mux(_flag(m, begun[-1]), starts[loop], 0)
            with m.If(_flag(m, moves_now)):
                m.d.sync += starts[loop].eq(following)
        first = delay(m, self._first()[: form.width], ones=True)
        chosen = chosen | Mux(delay(m, ~Cat(begun).any(), ones=True), first, 0)
        fresh_soon, fresh = Signal(init=1), Signal(init=1)  # the job's first segment
        m.d.sync += [
            fresh_soon.eq(Mux(ends_soon, job_end, fresh_soon)),
            fresh.eq(fresh_soon),
        ]
        step: Value = Const(0)  # where no loop goes on, a job ends
        for loop in reversed(loops):
            step = Mux(soon.last[loop], step, steps[loop])
        m.d.comb += [
            following.eq(form.advance(base, delay(m, step[: form.width], ones=True))),
            address.eq(Mux(fresh, base, starts[loops[0]]) if loops else base),
        ]
        m.d.sync += base.eq(Mux(adds, following, chosen))
        return address

    def _first(self) -> Value:
        """Return where a job begins."""
        return start_address(
            self.form,
            self._numbers("start"),
            self.tags.payload.job,
            contexts=self.config.contexts,
            region=self.config.context_words,
        )

    @staticmethod
    def _turns(last, loops: list[str]) -> tuple[dict[str, Value], dict[str, Value]]:
        """Return which loop goes on, and which begin a round: that one and those inside it."""
        goes, moves, move = {}, {}, Const(1)
        for loop in loops:
            goes[loop], moves[loop] = move & ~last[loop], move
            move = move & last[loop]
        return goes, moves

    def _write(self, m: Module, tag, ends, segments, hidden, address, row_step) -> None:
        """Write the complete segments, one chain after the other."""
        form, chains = self.form, len(segments)
        width = len(segments[0])
        cursor = Signal(form.width)
        held = Signal(data.ArrayLayout(width, chains), reset_less=True)
        writing = Signal(chains)  # which of them hold a position
        waiting = Signal(chains)
        job_end, held_job = Signal(), Signal.like(tag.job)
        with m.If(ends):
            m.d.sync += [
                held.eq(Cat(segments)),
                cursor.eq(address),
                writing.eq(Mux(hidden, tag.rows, 0)),
                waiting.eq(~0),
                job_end.eq(Cat(tag.last[name] for name in loops_of(self.config.tag)).all()),
            ]
            m.d.sync += held_job.eq(tag.job)
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
            self.written.valid.eq(job_end & waiting[0] & ~waiting[1:].any()),
            self.written.payload.eq(held_job),
        ]

    def _write_outputs(self, m: Module, valid_soon, soon, tag, arrive, mode) -> None:
        """Write the levels of outputs, those of all chains into one word.

        A rank is a row of the memory, a word for each channel; where images have several positions,
        the chunks of each follow one another.
        """
        config, which = self.config, self._output_index(m)
        bases = [
            context * config.output_context_words + output.start + rank * output.channels
            for output in config.outputs
            for context in range(config.contexts)
            for rank in range(1 << len(tag.rank))
        ]
        begin = field(bases, Cat(soon.rank, soon.job.context, which))
        if any(output.image_rows for output in config.outputs):
            chunk = self._output_chunk(m, valid_soon, soon, which)
            begin = (begin + chunk)[: len(self.outputs.address)]
        base = delay(m, begin, ones=True)
        fmt = config.output
        m.d.sync += [
            self.outputs.address.eq(base + tag.channel),
            self.outputs.data.eq(Cat(_encoded(fmt, level)[: fmt.width]
                                     for level in self._output_levels(m, mode))),
            self.outputs.enable.eq(arrive & tag.used & tag.rows[0]),
        ]  # fmt: skip

    def _output_index(self, m: Module) -> Value:
        """Return which output the next levels are of; any, where they are of none."""
        config = self.config
        if len(config.outputs) == 1:
            return Const(0, 0)
        numbers = [0] * len(config.layers)
        for index, output in enumerate(config.outputs):
            numbers[output.layer] = index
        return delay(m, field(numbers, self.tags.payload.job.layer), ones=True)

    def _output_levels(self, m: Module, mode) -> list[Value]:
        """Return the current level of each chain, as one of the output memory's format."""
        config = self.config
        modes = {config.layers[output.layer].mode for output in config.outputs}
        if len(modes) == 1:
            given = self.levels[modes.pop()]
            levels: list[Value] = [given[chain] for chain in range(config.chains)]
            if config.levels[config.layers[-1].mode] == config.output:
                return levels
        else:
            levels = [self._level(chain, mode, modes) for chain in range(config.chains)]
        held = [Signal(config.output.level_shape, name=f"output_{k}") for k in range(len(levels))]
        m.d.comb += [each.eq(level) for each, level in zip(held, levels, strict=True)]
        return list(held)

    def _output_chunk(self, m: Module, valid_soon, soon, which) -> Signal:
        """Return where, in an output's area, the chunk of the next levels begins.

        Groups of channels begin anew; images follow without a gap, also behind a last chunk that
        has fewer rows.
        """
        config = self.config
        chunk = Signal(range(config.output_words), reset_less=False)
        steps, last_steps = [], []
        for output in config.outputs:
            whole = config.layers[output.layer].chunks - 1
            rows = output.image_rows - whole * config.ranks  # of the last chunk
            steps.append(config.ranks * output.channels)
            last_steps.append(rows * output.channels if output.image_rows else 0)
        step = Mux(soon.last.chunk, _of(last_steps, which), _of(steps, which))
        loops = loops_of(config.tag)
        ends = Cat(soon.last[name] for name in loops[: loops.index("chunk")]).all()
        with m.If(valid_soon & ends):  # of any layer: each job ends where it began
            m.d.sync += chunk.eq(Mux(soon.last.chunk & soon.last.image, 0, chunk + step))
        return chunk


def _of(numbers: list[int], which: Value) -> Value:
    """Return one of several numbers."""
    return field(numbers, which) if len(numbers) > 1 else Const(numbers[0])


def _one_of(layer: Value, numbers: Sequence[int]) -> Value:
    """Return whether a layer is one of some."""
    return reduce(or_, (layer == number for number in numbers))


def _flag(m: Module, flag: Value) -> Value:
    """Return a flag, which is 0 at first, a cycle later."""
    return delay(m, flag, reset_less=False)


def _encoded(fmt: Format, level) -> Value:
    """Return the code of a level that ``fmt`` holds; assigned to a wider signal it is extended."""
    return fmt.code_of(level)
