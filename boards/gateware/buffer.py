"""Holds a frame until its check is seen to be right."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ...hw.gates.attributes import NO_COLLISIONS

__all__ = ["FrameBuffer", "buffer_depth"]

BLOCK = 512  # bytes of the smallest block RAM there is, iCE40's: a shorter buffer costs as much


def buffer_depth(entry: int) -> int:
    """Return the bytes of a ring for frames of ``entry`` bytes; it holds one byte less."""
    return 1 << ceil_log2(max(entry + 1, BLOCK))


class FrameBuffer(wiring.Component):
    """A ring of bytes, whose newest are there for the reader only after `i_commit`.

    So nothing of a damaged frame reaches the accelerator, and the next image arrives while this one
    is read. One block RAM of an iCE40 is 512 bytes: it holds seven images of 64 codes of 8 bits.

    Parameters
    ----------
    entry : int
        Bytes of the longest frame; the ring holds at least one of them, and 511 bytes.

    Members
    -------
    i_begin : In(1)
        A frame begins: forget what was stored since the last `i_commit`.
    i_store : In(1), i_byte : In(8)
        Store a byte.
    i_commit : In(1)
        What was stored is right.
    i_forget : In(1)
        Forget everything; what comes of the current frame does not fit.
    o_overrun : Out(1)
        A byte of the current frame did not fit.
    o_more : Out(1)
        There are bytes behind the one that is offered.
    o : Out(stream.Signature(8))
        A byte every other cycle.
    """

    i_begin: Signal
    i_store: Signal
    i_byte: Signal
    i_commit: Signal
    i_forget: Signal
    o_overrun: Signal
    o_more: Signal
    o: stream.Interface

    def __init__(self, entry: int):
        self.depth = buffer_depth(entry)
        super().__init__(
            {
                "i_begin": In(1),
                "i_store": In(1),
                "i_byte": In(8),
                "i_commit": In(1),
                "i_forget": In(1),
                "o_overrun": Out(1),
                "o_more": Out(1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=8, depth=self.depth, init=[], attrs=NO_COLLISIONS
        )
        store, fetch = memory.write_port(), memory.read_port()
        write, right, read = (Signal(range(self.depth), name=n) for n in ("write", "right", "read"))
        full = Signal()
        m.d.comb += [
            store.addr.eq(write),
            store.data.eq(self.i_byte),
            store.en.eq(self.i_store & ~full),
            fetch.addr.eq(read),
            fetch.en.eq(self.o_more & ~self.o.valid),
            self.o.payload.eq(fetch.data),
        ]
        # A byte is stored or fetched every other cycle at most, so what depends on a pointer may be
        # known a cycle after it moved.
        m.d.sync += [full.eq((write + 1)[: len(read)] == read), self.o_more.eq(read != right)]
        with m.If(store.en):
            m.d.sync += write.eq(write + 1)
        with m.If(self.i_store & full):
            m.d.sync += self.o_overrun.eq(1)
        with m.If(self.i_begin):
            m.d.sync += [write.eq(right), self.o_overrun.eq(0)]
        with m.If(self.i_commit):
            m.d.sync += right.eq(write)
        with m.If(fetch.en):
            m.d.sync += [read.eq(read + 1), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i_forget):
            m.d.sync += [
                *(pointer.eq(0) for pointer in (write, right, read)),
                self.o.valid.eq(0),
                self.o_more.eq(0),
                self.o_overrun.eq(1),
            ]
        return m
