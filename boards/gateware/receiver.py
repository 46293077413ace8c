"""Finds frames among received bytes, and drops those damaged, cut short or endless."""

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ...hw.numbers.arithmetic import bits_for
from ..protocol.frame import SYNC
from .crc import Crc32

__all__ = ["FrameReceiver"]


class FrameReceiver(wiring.Component):
    """Take frames apart and say which are right.

    Outside of a frame everything but the sync byte is passed over. A frame ends when its last byte
    was taken; when its length is more than there is room for; or when the line has been silent for
    longer than `silence`. So there is no state that a byte, or the end of bytes, does not lead out
    of.

    Parameters
    ----------
    limit : int
        The longest payload, in bytes.
    silence : int
        Cycles without a byte that end a frame, at least; rounded up to a power of two.

    Members
    -------
    i : In(stream.Signature(8, always_ready=True))
        A byte at most every 12 cycles.
    o_type, o_sequence : Out(8)
        Of the current frame, and of the last one until the next begins.
    o_empty, o_full : Out(1)
        Its payload has no bytes, or ``limit``.
    o_begin : Out(1)
        A frame begins.
    o_store : Out(1)
        The byte of this cycle is the type, the sequence number, or one of the payload.
    o_done : Out(1)
        The frame is complete, and its check is right.
    o_damaged : Out(1)
        The frame was given up, or its check is wrong.
    """

    i: stream.Interface
    o_type: Signal
    o_sequence: Signal
    o_empty: Signal
    o_full: Signal
    o_begin: Signal
    o_store: Signal
    o_done: Signal
    o_damaged: Signal

    def __init__(self, limit: int, *, silence: int):
        self.limit, self.silence = limit, silence
        names = ("o_empty", "o_full", "o_begin", "o_store", "o_done", "o_damaged")
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "o_type": Out(8),
                "o_sequence": Out(8),
                **{name: Out(1) for name in names},
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()
        byte, arrives = self.i.payload, self.i.valid
        width = bits_for(0, self.limit) - 1
        left, beyond, check = Signal(width), Signal(), Signal(2)
        last = Signal()
        m.d.sync += last.eq(left == 1)  # bytes are rare: it is right when the next one comes
        silent = self._silence(m)
        m.d.comb += [crc.i.payload.eq(byte), crc.i.valid.eq(arrives)]

        @contextmanager
        def expect(place: str) -> Iterator[None]:
            """Wait for a byte, but not for ever."""
            with m.State(place):
                with m.If(silent):
                    m.d.comb += self.o_damaged.eq(1)
                    m.next = "Hunt"
                with m.Elif(arrives):
                    yield

        with m.FSM(name="place"):
            with m.State("Hunt"):
                m.d.comb += crc.i_clear.eq(1)
                with m.If(arrives & (byte == SYNC)):
                    m.d.comb += self.o_begin.eq(1)
                    m.next = "Type"
            with expect("Type"):
                m.d.comb += self.o_store.eq(1)
                m.d.sync += self.o_type.eq(byte)
                m.next = "Sequence"
            with expect("Sequence"):
                m.d.comb += self.o_store.eq(1)
                m.d.sync += self.o_sequence.eq(byte)
                m.next = "Low"
            with expect("Low"):
                m.d.sync += [left[:8].eq(byte), beyond.eq(byte[width:].any())]
                m.next = "High"
            with expect("High"):
                m.d.sync += [left[8:].eq(byte), beyond.eq(beyond | byte[max(width - 8, 0) :].any())]
                m.next = "Length"
            with m.State("Length"):  # no byte arrives in these two cycles
                m.d.sync += [
                    self.o_empty.eq(left == 0),
                    self.o_full.eq(left == self.limit),
                    beyond.eq(beyond | (left > self.limit)),
                ]
                m.next = "Begin"
            with m.State("Begin"):
                m.d.sync += check.eq(3)
                with m.If(beyond):
                    m.d.comb += self.o_damaged.eq(1)
                    m.next = "Hunt"
                with m.Elif(self.o_empty):
                    m.next = "Check"
                with m.Else():
                    m.next = "Payload"
            with expect("Payload"):
                m.d.comb += self.o_store.eq(1)
                m.d.sync += left.eq(left - 1)
                with m.If(last):
                    m.next = "Check"
            with expect("Check"):
                m.d.sync += check.eq(check - 1)
                with m.If(check == 0):
                    m.next = "Sum"
            with m.State("Sum"):  # the last byte passes through the check
                with m.If(crc.i.ready):
                    m.next = "Verdict"
            with m.State("Verdict"):  # where the check is compared
                m.next = "End"
            with m.State("End"):
                m.d.comb += [self.o_done.eq(crc.o_good), self.o_damaged.eq(~crc.o_good)]
                m.next = "Hunt"
        return m

    def _silence(self, m: Module) -> Signal:
        """Return whether no byte has come for long; its last bit says so, which costs no adder."""
        timer, silent = Signal(ceil_log2(self.silence) + 1), Signal()
        m.d.comb += silent.eq(timer[-1])
        with m.If(self.i.valid):
            m.d.sync += timer.eq(0)
        with m.Elif(~silent):
            m.d.sync += timer.eq(timer + 1)
        return silent
