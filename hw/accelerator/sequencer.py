"""The loops of a layer: tiles, bit planes or slices, steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..gates.counter import count_down
from ..gates.table import field
from ..mac.control import CONTROL
from ..numbers.arithmetic import address_width
from .job import FIRST, Bank

__all__ = ["Sequencer", "SequencerConfig", "SequencerLayer"]


@dataclass(frozen=True)
class SequencerLayer:
    """Loop bounds and weight addresses of a layer, for a `Sequencer`.

    Attributes
    ----------
    runs : sequence of pairs of int
        Tiles, and planes of each of them, at least 1 each: one after the other.
    steps : int
        Steps of a plane, at least 1.
    bitwise : bool
        Planes are bits of the same codes: each meets the weights of the one before, and the sum is
        doubled in between. Such a layer has one run.
    signed : bool
        The first one of several slices is signed.
    weight_base : int
        First word of the weights.
    group_weights : int
        Words from one group of channels to the next; 0 where groups share them.
    shifts, shift_words : int
        How often all tiles run from one bank, with the same weights: each time from so many words
        further on. A layer with bit planes has no shifts.
    """

    runs: Sequence[tuple[int, int]]
    steps: int
    bitwise: bool
    weight_base: int
    group_weights: int
    shifts: int = 1
    shift_words: int = 0
    signed: bool = False


@dataclass(frozen=True)
class SequencerConfig:
    """Sizes of a `Sequencer`.

    Attributes
    ----------
    job : StructLayout
        Layout of a `Job`.
    interval : int
        Least cycles between two last steps (`SystolicArray.interval`).
    weight_words, bank_words : int
        Words of the weight memory, and of a bank of a row buffer.
    layers : sequence of SequencerLayer
    gap : int, optional
        Cycles after a last step in which no tile may begin; then the steps of a tile are in
        consecutive cycles. None where any step may wait.
    sliced : bool
        Planes are slices of weights: each has its own, and meets the codes of the one before; the
        sum is shifted in between.
    """

    job: data.StructLayout
    interval: int
    weight_words: int
    bank_words: int
    layers: Sequence[SequencerLayer]
    sliced: bool = False
    gap: int | None = None


class Sequencer(wiring.Component):
    """Walk through the steps of one bank of patches after the other, a step a cycle.

    A bank takes ``shifts * steps`` cycles for each plane of each tile and one more to start, unless
    a tile is shorter than the array needs to drain the last one; then its last step waits, or with
    a ``gap`` its first one, and no tile begins in that.

    Parameters
    ----------
    config : SequencerConfig

    Members
    -------
    banks : In(stream.Signature(Bank))
        The bank to compute from; taken at the end of its use.
    jobs : Out(stream.Signature(Job))
        The jobs as they start, for those who follow the sums.
    o_weight_address, o_word_address : Out
        Addresses of the step's words.
    o_control : Out(CONTROL)
        The step, one cycle after its addresses: together with the words.
    o_signed : Out(1)
        The step is of a signed slice, in the same cycle; only where there are slices.
    o_running : Out(1)
        The layer of the bank has the array; a register.
    """

    banks: stream.Interface
    jobs: stream.Interface
    o_weight_address: Signal
    o_word_address: Signal
    o_control: data.View
    o_signed: Signal
    o_running: Signal

    def __init__(self, config: SequencerConfig):
        self.config = config
        super().__init__(
            {
                "banks": In(stream.Signature(Bank(config.job), payload_init=FIRST)),
                "jobs": Out(stream.Signature(config.job)),
                "o_weight_address": Out(address_width(config.weight_words)),
                "o_word_address": Out(address_width(config.bank_words)),
                "o_control": Out(CONTROL),
                **({"o_signed": Out(1)} if config.sliced else {}),
                "o_running": Out(1),
            }
        )

    def _numbers(self, name: str) -> list[int]:
        return [getattr(layer, name) for layer in self.config.layers]

    def _field(self, name: str) -> Value:
        """Return a number of the current layer: that of the bank."""
        return field(self._numbers(name), self.banks.payload.job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        go, running, start, release = Signal(), Signal(), Signal(), Signal()
        bank = self.banks.payload
        following = self.o_weight_address + 1
        tile_base = Signal.like(self.o_weight_address)
        last_step, last_plane, last_tile, *shifts = self._loops(m, go, start)
        if self.config.gap is None:
            free = self._free(m, go & last_step & last_plane)
            free_or_inside = ~last_step | ~last_plane | free
        else:
            free = free_or_inside = self._begins(m, go & last_step & last_plane)
        bitwise = self._field("bitwise")
        shifts_sum = Const(1) if self.config.sliced else bitwise
        base, current = self._base(m, start)

        m.d.comb += [
            self.o_running.eq(running),
            self.jobs.valid.eq(~running & self.banks.valid & bank.first),
            self.jobs.payload.eq(bank.job),
            start.eq(~running & self.banks.valid & (self.jobs.ready | ~bank.first)),
            go.eq(running & free_or_inside),
            self.banks.ready.eq(release),
            release.eq(reduce(and_, [running, free, last_step, last_plane, last_tile, *shifts])),
        ]
        m.d.sync += [
            self.o_control.enable.eq(go),
            self.o_control.double.eq(last_step & ~last_plane & shifts_sum),
            self.o_control.last.eq(last_step & last_plane),
            running.eq(start | (running & ~release)),
        ]
        with m.If(~running):
            m.d.sync += [tile_base.eq(base), self.o_weight_address.eq(base)]
        with m.Elif(go):
            # bit planes meet the same weights again
            again = last_step & ~last_plane & bitwise
            m.d.sync += [
                self.o_weight_address.eq(Mux(again, tile_base, following)),
                self.o_word_address.eq(self.o_word_address + 1),
            ]
            with m.If(last_step & last_plane):
                m.d.sync += [self.o_word_address.eq(0), tile_base.eq(following)]
        begin: Value = Const(0)
        if shifts:
            begin = self._shift(m, running, go & last_step & last_plane, last_tile, current)
        if self.config.sliced:
            self._slice(m, go & last_step, last_plane, begin)
        return m

    def _slice(self, m: Module, ends, last_slice, begin) -> None:
        """Begin every slice with the words of the first, which alone may be signed."""
        first = Signal(init=1)
        m.d.sync += self.o_signed.eq(first & self._field("signed"))
        with m.If(ends):
            m.d.sync += first.eq(last_slice)
            with m.If(~last_slice):
                m.d.sync += self.o_word_address.eq(begin)

    def _shift(self, m: Module, running, ends, last_tile, current) -> Value:
        """Begin with a bank's words where its shift does, and with the weights every time.

        Return where that is.
        """
        begin = Signal.like(self.o_word_address)
        further = Mux(last_tile, begin + self._field("shift_words"), begin)
        with m.If(~running):
            m.d.sync += [begin.eq(0), self.o_word_address.eq(0)]
        with m.Elif(ends):
            m.d.sync += [begin.eq(further), self.o_word_address.eq(further)]
            with m.If(last_tile):
                m.d.sync += self.o_weight_address.eq(current)
        return begin

    def _loops(self, m: Module, go, start) -> list[Value]:
        """Count steps, planes, tiles and, if any, shifts; return whether each is at its last."""
        layer = self.banks.payload.job.layer
        runs = [run for each in self.config.layers for run in each.runs]
        several = len(runs) > len(self.config.layers)
        run = Signal(range(len(runs))) if several else layer  # of the tile that begins

        def last(name: str, limits: list[int], move: Value, at: Value) -> Value:
            return count_down(m, f"{name}_left", limits, move, layer=at, start=start)[1]

        ends = [last("steps", self._numbers("steps"), go, layer)]
        ends.append(last("planes", [planes for _, planes in runs], go & ends[0], run))
        tile_ends = go & ends[0] & ends[1]
        ends.append(last("tiles", [tiles for tiles, _ in runs], tile_ends, run))
        strips = max(self._numbers("shifts")) > 1
        if several:
            ends[2] = self._follow(m, run, ends[2], start, tile_ends, again=strips)
        if strips:
            ends.append(last("shifts", self._numbers("shifts"), tile_ends & ends[2], layer))
        return ends

    def _follow(
        self, m: Module, run: Signal, last_of_run, start, tile_ends, *, again: bool
    ) -> Value:
        """Tell of which run the next tile is; return whether this one is the last of all.

        Runs are numbered through all layers. ``again`` follows the first one upon the last.
        """
        counts = [len(layer.runs) for layer in self.config.layers]
        first = field(
            [sum(counts[:index]) for index in range(len(counts))], self.banks.payload.job.layer
        )
        lasts = [left == 1 for count in counts for left in range(count, 0, -1)]
        current, last_run = Signal.like(run), Signal()
        following: Value = current + last_of_run
        if again:
            following = Mux(last_of_run & last_run, first, following)
        m.d.comb += run.eq(Mux(start, first, following))
        with m.If(start | tile_ends):
            m.d.sync += [current.eq(run), last_run.eq(field(lasts, run))]
        return last_of_run & last_run

    def _free(self, m: Module, ends) -> Signal:
        """Return whether the array may end a tile: it drains one in ``interval`` cycles."""
        left = Signal(range(self.config.interval))
        free = Signal(init=1)
        with m.If(ends):
            m.d.sync += [left.eq(self.config.interval - 1), free.eq(self.config.interval == 1)]
        with m.Elif(~free):
            m.d.sync += [left.eq(left - 1), free.eq(left == 1)]
        return free

    def _begins(self, m: Module, ends) -> Value:
        """Return whether a step may be taken, with a gap: the first one of a tile may wait.

        It comes so late that the last one is ``interval`` cycles behind that of the tile before.
        """
        gap, interval = self.config.gap or 0, self.config.interval
        waits = [max(gap, interval - layer.steps, 0) for layer in self.config.layers]
        if not max(waits):
            return Const(1)
        free = Signal(init=1)
        passed = Signal(range(max(waits) + 1), init=max(waits))  # cycles since a last step
        more = Mux(ends, 0, Mux(passed == max(waits), passed, passed + 1))[: len(passed)]
        m.d.sync += [passed.eq(more), free.eq(more >= field(waits, self.banks.payload.job.layer))]
        return free

    def _base(self, m: Module, start) -> tuple[Value, Value]:
        """Return the weight address at which the waiting bank begins, and the one that runs."""
        first = self._field("weight_base")
        if not any(self._numbers("group_weights")):
            return first, first
        current = Signal.like(self.o_weight_address)  # of the group that is computed
        base = Signal.like(current)
        further = Mux(self.banks.payload.next_group, self._field("group_weights"), 0)
        m.d.comb += base.eq(Mux(self.banks.payload.first, first, current + further))
        with m.If(start):
            m.d.sync += current.eq(base)
        return base, current
