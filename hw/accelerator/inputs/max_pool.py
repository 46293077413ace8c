"""Pools the maximum of a window, for all channels of a word at once."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...gates.address import CodeAddress
from ...gates.ports import WriteInterface, WriteSignature
from ...gates.table import field
from ...numbers.format import Format
from ..job import Job, check_contexts, start_address

__all__ = ["PoolOutput", "PoolUnit", "PoolUnitConfig", "Tap"]


@dataclass(frozen=True)
class PoolOutput:
    """Destination of a max pool's output: addresses and distances in codes.

    Attributes
    ----------
    start : int
        First code of the output, in an image's region.
    positions, images, groups : int
        Windows of an image, images, and groups of channels, which are the outermost loop.
    row_step, image_step, group_step : int
        From one window, image or group to the next, each from its own start.
    length, last_length : int
        Channels of a group, and of the last one.
    """

    start: int
    positions: int
    images: int
    groups: int
    row_step: int
    image_step: int
    group_step: int
    length: int
    last_length: int


@dataclass(frozen=True)
class PoolUnitConfig:
    """Layers and sizes of a `PoolUnit`.

    Attributes
    ----------
    layers : tuple of PoolOutput or None
        Where each layer's output goes; None for a layer that is no max pool.
    form : CodeAddress
        Words and lanes of the memory; its unit is what is written at once, and divides every start
        and distance.
    code : Format
        Format of a code.
    contexts : int
        Contexts, 1 or 2.
    context_words : int
        Words of a context's region of the memory.

    Raises
    ------
    GeometryError
        For other than 1 or 2 contexts.
    """

    layers: tuple[PoolOutput | None, ...]
    form: CodeAddress
    code: Format
    contexts: int
    context_words: int

    def __post_init__(self) -> None:
        check_contexts(self.contexts)

    @property
    def job(self) -> data.StructLayout:
        """Layout of a `Job`."""
        return Job(self.contexts, len(self.layers))

    @property
    def word(self) -> data.ArrayLayout:
        """Layout of a word."""
        return data.ArrayLayout(self.code, self.form.lanes)


def Tap(job: data.StructLayout, word: data.ArrayLayout) -> data.StructLayout:
    """Return the layout of a word of a window: its `Job`, its codes, and its place."""
    return data.StructLayout({"job": job, "word": word, "first": 1, "last": 1})


class PoolUnit(wiring.Component):
    """Keep the largest of the codes that pass in each lane; write them when the window ends.

    A window takes a cycle a tap, and as many to write as a word has segments, which hides behind
    the next window. Its first segment is offered in the cycle after its last tap.

    Parameters
    ----------
    config : PoolUnitConfig

    Members
    -------
    taps : In(stream.Signature(Tap, always_ready=True))
        The words of windows, one window after another.
    o_ready : Out(1)
        A window may end in the next cycle.
    write : Out(WriteSignature(words, word, segments, shared=True))
    written : Out(stream.Signature(Job, always_ready=True))
        All outputs of the job are in memory, since the cycle before.
    """

    taps: stream.Interface
    o_ready: Signal
    write: WriteInterface
    written: stream.Interface

    def __init__(self, config: PoolUnitConfig):
        self.config, self.form = config, config.form
        form, word = config.form, config.word
        super().__init__(
            {
                "taps": In(stream.Signature(Tap(config.job, word), always_ready=True)),
                "o_ready": Out(1),
                "write": Out(WriteSignature(form.words, word.size, form.parts, shared=True)),
                "written": Out(stream.Signature(config.job, always_ready=True)),
            }
        )

    def _numbers(self, number: Callable[[PoolOutput], int]) -> list[int]:
        """Return a number of each layer; layers that are no max pool have no taps, and any."""
        some = next(pool for pool in self.config.layers if pool is not None)
        return [number(pool or some) for pool in self.config.layers]

    def _field(self, number: Callable[[PoolOutput], int]) -> Value:
        """Return a number of the current layer."""
        return field(self._numbers(number), self.taps.payload.job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        tap = self.taps.payload
        best, largest = Signal(self.config.word), Signal(self.config.word)
        for lane in range(self.form.lanes):
            higher = tap.first | (tap.word[lane].level > best[lane].level)
            m.d.comb += largest[lane].eq(Mux(higher, tap.word[lane], best[lane]))
        with m.If(self.taps.valid):
            m.d.sync += best.eq(largest)
        ends = Signal()
        m.d.comb += ends.eq(self.taps.valid & tap.last)
        address, last_group, job_end = self._walk(m, ends)
        self._write(m, ends, largest, address, last_group, job_end)
        return m

    def _walk(self, m: Module, ends: Signal) -> tuple[Value, Value, Value]:
        """Return where the window goes, whether its group is the last, whether it ends a job."""
        form = self.form
        moves, go = [], ends
        lasts = []
        pools = [pool for pool in self.config.layers if pool is not None]
        for name in ("position", "image", "group"):
            rounds = attrgetter(f"{name}s")
            counter = Signal(range(max(map(rounds, pools))), name=name)
            last = Signal(name=f"last_{name}")
            m.d.comb += last.eq(counter == self._field(rounds) - 1)
            with m.If(go):
                m.d.sync += counter.eq(Mux(last, 0, counter + 1))
            moves.append(go)
            lasts.append(last)
            go = go & last

        def distance(name: str) -> Value:
            return self._field(lambda pool: form.const(getattr(pool, name)))

        fresh = Signal(init=1)
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
            first.eq(self._first()),
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

    def _first(self) -> Value:
        """Return where a job begins."""
        return start_address(
            self.form,
            self._numbers(attrgetter("start")),
            self.taps.payload.job,
            contexts=self.config.contexts,
            region=self.config.context_words,
        )

    def _write(self, m: Module, ends, largest, address, last_group, job_end) -> None:
        form, segment = self.form, self.form.unit
        width = segment * self.config.code.width
        held = Signal(len(largest.as_value()), reset_less=True)
        cursor = Signal(form.width)
        waiting = Signal(range(form.parts + 1))
        finishing = Signal()  # the job ends with what is held
        held_job = Signal(self.config.job)
        whole = self._field(lambda pool: -(-pool.length // segment))
        rest = self._field(lambda pool: -(-pool.last_length // segment))
        done = (waiting == 1) & self.write.granted
        with m.If(ends):
            m.d.sync += [
                held.eq(largest), cursor.eq(address), waiting.eq(Mux(last_group, rest, whole)),
                finishing.eq(job_end), held_job.eq(self.taps.payload.job),
            ]  # fmt: skip
        with m.Elif((waiting != 0) & self.write.granted):
            one = form.const(segment)
            m.d.sync += [
                held.eq(held >> width), cursor.eq(form.advance(cursor, one)),
                waiting.eq(waiting - 1),
            ]  # fmt: skip
        m.d.sync += [self.written.valid.eq(finishing & done), self.written.payload.eq(held_job)]
        m.d.comb += [
            self.o_ready.eq((waiting == 0) & ~ends),
            self.write.address.eq(form.word(cursor)),
            self.write.data.eq(held[:width].replicate(form.parts)),
            self.write.enable.eq(Mux(waiting != 0, 1 << form.part(cursor), 0)),
        ]
