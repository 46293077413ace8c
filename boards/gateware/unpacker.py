"""Unpacks codes of any width from bytes."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...hw.gates.counter import count_up

__all__ = ["Unpacker"]


class Unpacker(wiring.Component):
    """Cut bytes into groups of codes, a bit a cycle, as `protocol.frame.packed` puts them together.

    A bit takes a cycle and a code one more, so a byte takes at most 16, which is less than it takes
    on the line; neither a shifter nor more than a code of registers is needed for any width, and no
    path passes through. What the last byte of a group has left over is passed over.

    Parameters
    ----------
    width : int
        Bits of a code.
    count : int
        Codes of a group.

    Members
    -------
    i : In(stream.Signature(8))
    i_more : In(1)
        There will be another group at once.
    o : Out(stream.Signature(width))
    o_last : Out(1)
        The offered code ends a group behind which there is no other yet; holds as long as it.
    o_end : Out(1)
        The last byte of a group is taken in this cycle.
    """

    i: stream.Interface
    i_more: Signal
    o: stream.Interface
    o_last: Signal
    o_end: Signal

    def __init__(self, width: int, count: int):
        self.width, self.count = width, count
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "i_more": In(1),
                "o": Out(stream.Signature(width)),
                "o_last": Out(1),
                "o_end": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        step, complete, end = Signal(), Signal(), Signal()
        index = Signal(3)
        _, last_bit = count_up(m, "bit", [self.width], step)
        _, last_code = count_up(m, "code", [self.count], complete)
        m.d.comb += [
            step.eq(self.i.valid & ~self.o.valid),
            complete.eq(step & last_bit),
            end.eq(complete & last_code),
            self.o_end.eq(end),
            self.i.ready.eq((step & index.all()) | end),
        ]
        with m.If(step):
            bit = self.i.payload.bit_select(index, 1)
            m.d.sync += self.o.payload.eq(Cat(self.o.payload[1:], bit))
        with m.If(self.i.ready):
            m.d.sync += index.eq(0)
        with m.Elif(step):
            m.d.sync += index.eq(index + 1)
        with m.If(complete):
            m.d.sync += [self.o.valid.eq(1), self.o_last.eq(last_code & ~self.i_more)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
