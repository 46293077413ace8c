"""Skid buffers of streams."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Buffer two elements of a stream in registers.

    The output comes straight from a register, and ``i.ready`` does not depend on ``o.ready``, so
    no path passes through. One element a cycle; an element takes one cycle.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    """

    i: stream.Interface
    o: stream.Interface

    latency = 1

    def __init__(self, shape):
        self.payload_shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()
        spare, occupied = Signal(self.payload_shape), Signal()
        m.d.comb += self.i.ready.eq(~occupied)
        with m.If(self.o.ready | ~self.o.valid):
            # the oldest element moves up: the spare one, or the one that arrives
            with m.If(occupied):
                m.d.sync += [self.o.payload.eq(spare), self.o.valid.eq(1), occupied.eq(0)]
            with m.Else():
                m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
        with m.Elif(self.i.valid & ~occupied):
            m.d.sync += [spare.eq(self.i.payload), occupied.eq(1)]
        return m
