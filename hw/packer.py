"""From words of memory to words of a patch."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .address import CodeAddress
from .program import Program
from .record import field
from .scoreboard import Job
from .walker import Step

__all__ = ["Packer"]


class Packer(wiring.Component):
    """Put pieces of words together, without gaps; codes outside the image become the pad code.

    A piece is rotated to the place where the word before it ended. What does not fit begins the
    next word. Where everything is aligned to words there is nothing to rotate.

    Parameters
    ----------
    program : Program
    form : CodeAddress
        How finely pieces are cut.

    Members
    -------
    i_job : In(Job)
    i_step : In(Step)
        What is being read in this cycle.
    i_data : In(word)
        What was read in the cycle before.
    o_word : Out(word), o_valid : Out(1), o_place : Out(Step)
        A complete word, in the cycle after its last piece was read; combinational from ``i_data``.
    """

    i_job: data.View
    i_step: data.View
    i_data: Signal
    o_word: Signal
    o_valid: Signal
    o_place: data.View

    def __init__(self, program: Program, form: CodeAddress):
        self.program, self.form = program, form
        self.code = program.operands.activation.width
        width = program.geometry.lanes * self.code
        step = Step(program, form)
        super().__init__(
            {
                "i_job": In(Job(program)),
                "i_step": In(step),
                "i_data": In(width),
                "o_word": Out(width),
                "o_valid": Out(1),
                "o_place": Out(step),
            }
        )

    def _field(self, name: str):
        values = [getattr(record.feed, name) for record in self.program.records]
        return field(values, self.i_job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        step = self.o_place
        m.d.sync += step.eq(self.i_step)
        m.d.comb += self.o_valid.eq(step.emit)

        pad = self._field("pad")
        inside = self._lanes(
            (Mux(step.mask[lane], code, pad) for lane, code in enumerate(self._codes(self.i_data)))
        )
        if not any(record.feed.padded for record in self.program.records):
            inside = self.i_data
        merged = inside
        if self.form.parts > 1:
            merged = self._merge(m, inside)
        m.d.comb += self.o_word.eq(self._cut(merged, pad))
        return m

    def _codes(self, word: Value) -> list[Value]:
        """Return the codes of a word."""
        lanes = self.program.geometry.lanes
        return [word[lane * self.code : (lane + 1) * self.code] for lane in range(lanes)]

    def _lanes(self, codes) -> Value:
        return Cat(code[: self.code] for code in codes)

    def _merge(self, m: Module, inside: Value) -> Value:
        """Put a piece behind what is already there; keep what is left of it for the next word."""
        step, form = self.o_place, self.form
        width = form.unit * self.code
        distance = Signal(range(form.parts))  # in units, modulo the word
        difference = self.i_step.level - self.i_step.part
        m.d.sync += distance.eq(Mux(difference < 0, difference + form.parts, difference))
        rotated = inside
        for bit in range(len(distance)):
            amount = (1 << bit) * width
            rotated = Mux(distance[bit], rotated.rotate_left(amount), rotated)
        piece, kept = Signal(len(inside)), Signal(len(inside))
        m.d.comb += piece.eq(rotated)
        merged = Cat(
            Mux(step.level > unit, kept[unit * width :][:width], piece[unit * width :][:width])
            for unit in range(form.parts)
        )
        with m.If(step.active):
            m.d.sync += kept.eq(Mux(step.emit, piece, merged))
        return merged

    def _cut(self, word: Value, pad: Value) -> Value:
        """Put the pad code into lanes behind the last code of a pass, where weights are not 0."""
        program = self.program
        lanes = program.geometry.lanes
        full = all(
            feed.tail == lanes and feed.last_tail == lanes
            for feed in (record.feed for record in program.array_records)
        )
        if program.operands.weight.holds(0) or full:
            return word
        tails = [field(self._used_lanes(name), self.i_job.layer) for name in ("tail", "last_tail")]
        used = Mux(self.o_place.last_group, tails[1], tails[0])
        used = Mux(self.o_place.tail, used, Const((1 << lanes) - 1, lanes))
        codes = enumerate(self._codes(word))
        return self._lanes(Mux(used[lane], code, pad) for lane, code in codes)

    def _used_lanes(self, name: str) -> list[int]:
        return [(1 << getattr(record.feed, name)) - 1 for record in self.program.records]
