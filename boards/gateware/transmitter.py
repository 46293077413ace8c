"""Sends frames as bytes."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...hw.numbers.arithmetic import bits_for
from ..protocol.frame import SYNC
from .crc import Crc32

__all__ = ["FrameTransmitter"]


class FrameTransmitter(wiring.Component):
    """Send one frame after the other; the payload comes from a stream while it is sent.

    A frame of ``n`` bytes takes ``n`` times what a byte takes on the line, and two cycles.

    Parameters
    ----------
    limit : int
        The longest payload, in bytes.

    Members
    -------
    i_start : In(1)
        Begin a frame; only while `o_idle`. Its type, sequence number and length are taken now.
    i_type, i_sequence : In(8)
    i_length : In(width of limit)
    i : In(stream.Signature(8))
        The payload, of which ``i_length`` bytes are taken.
    o_left : Out(width of limit)
        Bytes of the payload that are left, the next one included.
    o_idle : Out(1)
    o : Out(stream.Signature(8))
        A byte at most every 12 cycles.
    """

    i_start: Signal
    i_type: Signal
    i_sequence: Signal
    i_length: Signal
    i: stream.Interface
    o_left: Signal
    o_idle: Signal
    o: stream.Interface

    def __init__(self, limit: int):
        width = bits_for(0, limit) - 1
        super().__init__(
            {
                "i_start": In(1),
                "i_type": In(8),
                "i_sequence": In(8),
                "i_length": In(width),
                "i": In(stream.Signature(8)),
                "o_left": Out(width),
                "o_idle": Out(1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()
        kind, sequence, check = Signal(8), Signal(8), Signal(2)
        left, byte, sent = self.o_left, Signal(8), Signal()
        m.d.comb += [
            self.o.payload.eq(byte),
            sent.eq(self.o.valid & self.o.ready),
            crc.i.payload.eq(byte),
            crc.i.valid.eq(sent),
        ]
        header = {"Sync": SYNC, "Type": kind, "Sequence": sequence, "Low": left[:8]}
        with m.FSM(name="place"):
            with m.State("Idle"):
                m.d.comb += self.o_idle.eq(1)
                m.d.sync += [
                    kind.eq(self.i_type),
                    sequence.eq(self.i_sequence),
                    left.eq(self.i_length),
                    check.eq(3),
                ]
                with m.If(self.i_start):
                    m.next = "Sync"
            for (name, content), follower in zip(
                header.items(), [*list(header)[1:], "High"], strict=True
            ):
                with m.State(name):
                    m.d.comb += [self.o.valid.eq(1), byte.eq(content)]
                    if name == "Sync":  # it is not part of what is checked
                        m.d.comb += crc.i_clear.eq(1)
                    with m.If(sent):
                        m.next = follower
            with m.State("High"):
                m.d.comb += [self.o.valid.eq(1), byte.eq(left[8:])]
                with m.If(sent):
                    with m.If(left == 0):
                        m.next = "Check"
                    with m.Else():
                        m.next = "Payload"
            with m.State("Payload"):
                m.d.comb += [
                    self.o.valid.eq(self.i.valid),
                    self.i.ready.eq(self.o.ready),
                    byte.eq(self.i.payload),
                ]
                with m.If(sent):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "Check"
            with m.State("Check"):
                # the register goes back into itself, and its complement goes out
                m.d.comb += [
                    self.o.valid.eq(crc.i.ready),
                    byte.eq(crc.o_register[:8]),
                    self.o.payload.eq(~byte),
                ]
                with m.If(sent):
                    m.d.sync += check.eq(check - 1)
                    with m.If(check == 0):
                        m.next = "Idle"
        return m
