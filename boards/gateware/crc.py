"""The check of a frame: CRC-32, as in Ethernet, zip and Python's ``zlib``."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Crc32"]

POLYNOMIAL = 0xEDB88320  # bits reversed, because the low bit of a byte goes first
RESIDUE = 0xDEBB20E3


class Crc32(wiring.Component):
    """CRC-32 of bytes, a bit a cycle: a byte on a line takes longer than that.

    A byte is taken every 9 cycles; its effect is there when `i.ready` is high again. In logic cells
    that is about 45, where all bits of a byte at once would take 100 more.

    Members
    -------
    i : In(stream.Signature(8))
    i_clear : In(1)
        Begin anew; a byte that is being taken is forgotten.
    o_register : Out(32)
        The complement of the check. A byte equal to its low byte shifts the other three down, so
        the four bytes of a check can be read there one after the other while they are fed back.
    o_good : Out(1)
        The last four bytes were the check of all before them.
    """

    i: stream.Interface
    i_clear: Signal
    o_register: Signal
    o_good: Signal

    interval = 9

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "i_clear": In(1),
                "o_register": Out(32),
                "o_good": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        register, byte = Signal(32, init=0xFFFFFFFF), Signal(8)
        left, busy = Signal(3), Signal()
        m.d.comb += [self.i.ready.eq(~busy), self.o_register.eq(register)]
        m.d.sync += self.o_good.eq((register == RESIDUE) & ~busy)
        with m.If(~busy):
            with m.If(self.i.valid):
                m.d.sync += [byte.eq(self.i.payload), left.eq(7), busy.eq(1)]
        with m.Else():
            feedback = register[0] ^ byte[0]
            m.d.sync += [
                register.eq((register >> 1) ^ Mux(feedback, POLYNOMIAL, 0)),
                byte.eq(byte >> 1),
                left.eq(left - 1),
                busy.eq(left.any()),
            ]
        with m.If(self.i_clear):
            m.d.sync += [register.eq(0xFFFFFFFF), busy.eq(0)]
        return m
