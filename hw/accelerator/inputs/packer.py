"""Packs pieces of memory words into the words of a patch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...gates.address import CodeAddress
from ...gates.table import field

__all__ = ["Packer", "PackerConfig"]


@dataclass(frozen=True)
class PackerConfig:
    """Layouts and tables of a `Packer`.

    Attributes
    ----------
    form : CodeAddress
        How finely pieces are cut: into its units.
    code_width : int
        Bits of a code.
    job, step : StructLayout
        Layouts of a `Job`, and of a `Step`.
    masked : bool
        Lanes may lie outside the image: those that the step's mask has not get the pad code.
    pads : tuple of int
        The pad code of each layer.
    tails : tuple of (int, int), optional
        For each layer the codes of a pass's last word, and the same in the last group: lanes behind
        them get the pad code. None where it does not matter what they carry.
    """

    form: CodeAddress
    code_width: int
    job: data.StructLayout
    step: data.StructLayout
    masked: bool
    pads: tuple[int, ...]
    tails: tuple[tuple[int, int], ...] | None = None


class Packer(wiring.Component):
    """Put pieces of words together, without gaps; codes outside the image become the pad code.

    A piece is rotated to the place where the word before it ended. What does not fit begins the
    next word. Where everything is aligned to words there is nothing to rotate.

    Parameters
    ----------
    config : PackerConfig

    Attributes
    ----------
    latency : int
        Cycles from a step to its word: 2 where pieces are rotated or masked, else 1.

    Members
    -------
    i_job : In(Job)
        The job; stable until its last word is out.
    i_step : In(Step)
        What is being read in this cycle.
    i_data : In(word)
        What was read in the cycle before.
    o_word : Out(word), o_valid : Out(1), o_place : Out(Step)
        A complete word, ``latency`` cycles after its last piece was asked for: with ``i_data``
        where that is 1.
    """

    i_job: data.View
    i_step: data.View
    i_data: Signal
    o_word: Signal
    o_valid: Signal
    o_place: data.View

    def __init__(self, config: PackerConfig):
        self.config, self.form, self.code = config, config.form, config.code_width
        self.latency = 2 if config.masked or config.form.parts > 1 else 1
        width = config.form.lanes * config.code_width
        super().__init__(
            {
                "i_job": In(config.job),
                "i_step": In(config.step),
                "i_data": In(width),
                "o_word": Out(width),
                "o_valid": Out(1),
                "o_place": Out(config.step),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        before, data = self.i_step, self.i_data  # what goes with the next word; what was read
        pad = field(self.config.pads, self.i_job.layer)
        if self.latency == 2:
            read = Signal.like(self.i_step)
            m.d.sync += read.eq(self.i_step)
            if self.config.masked:
                codes = enumerate(self._codes(data))
                data = self._lanes(Mux(read.mask[lane], code, pad) for lane, code in codes)
            piece = Signal(len(data), reset_less=True)
            m.d.sync += piece.eq(self._rotated(m, data))
            before, data = read, piece
        m.d.sync += self.o_place.eq(before)
        m.d.comb += self.o_valid.eq(self.o_place.emit)
        if self.form.parts > 1:
            data = self._merge(m, before, data)
        m.d.comb += self.o_word.eq(self._cut(m, before, data, pad))
        return m

    def _codes(self, word: Value) -> list[Value]:
        """Return the codes of a word."""
        lanes = self.form.lanes
        return [word[lane * self.code : (lane + 1) * self.code] for lane in range(lanes)]

    def _lanes(self, codes: Iterable[Value]) -> Value:
        """Return a word of codes."""
        return Cat(code[: self.code] for code in codes)

    def _rotated(self, m: Module, data: Value) -> Value:
        """Return a piece rotated to the place where the piece before it ended."""
        form = self.form
        width = form.unit * self.code
        distance = Signal(range(form.parts))  # in units, modulo the word
        difference = self.i_step.level - self.i_step.part
        m.d.sync += distance.eq(Mux(difference < 0, difference + form.parts, difference))
        for bit in range(len(distance)):
            amount = (1 << bit) * width
            data = Mux(distance[bit], data.rotate_left(amount), data)
        return data

    def _merge(self, m: Module, before: data.View, piece: Value) -> Value:
        """Put a piece behind what is already there; keep what is left of it for the next word."""
        form, place = self.form, self.o_place
        width = form.unit * self.code
        kept, there = Signal(len(piece)), Signal(form.parts)  # units that are already there
        m.d.sync += there.eq(Cat(before.level > unit for unit in range(form.parts)))
        merged = Signal(len(piece))
        m.d.comb += merged.eq(
            Cat(
                Mux(there[unit], kept[unit * width :][:width], piece[unit * width :][:width])
                for unit in range(form.parts)
            )
        )
        with m.If(place.active):
            m.d.sync += kept.eq(Mux(place.emit, piece, merged))
        return merged

    def _cut(self, m: Module, before: data.View, word: Value, pad: Value) -> Value:
        """Put the pad code into lanes behind the last code of a pass."""
        if self.config.tails is None:
            return word
        lanes = self.form.lanes
        every, last = (self._used_lanes(tails) for tails in zip(*self.config.tails, strict=True))
        used = Signal(lanes)
        tail = Mux(before.last_group, last, every)
        m.d.sync += used.eq(Mux(before.tail, tail, Const((1 << lanes) - 1, lanes)))
        codes = enumerate(self._codes(word))
        return self._lanes(Mux(used[lane], code, pad) for lane, code in codes)

    def _used_lanes(self, tails: Sequence[int]) -> Value:
        """Return the mask of the first lanes, as many as the layer's tail has."""
        return field([(1 << tail) - 1 for tail in tails], self.i_job.layer)
