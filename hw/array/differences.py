"""Sums of tiles from accumulators that are never cleared."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..gates.attributes import NO_COLLISIONS

__all__ = ["Differences"]


class Differences(wiring.Component):
    """Turn running totals, as they drain, into the partial sums of tiles.

    An accumulator that wraps counts modulo a power of two, so what a tile added is the difference
    of two totals, exactly. An accumulator in a DSP block, which could only be cleared in a
    cycle of its own, thus never has to be. The totals of the last tile are kept, one word for each
    place of the chain; those of the first tile since reset are the sums themselves.

    Latency: 3 cycles, so that the memory and the subtraction each have one.

    Parameters
    ----------
    width : int
        Bits of a partial sum.
    chains : int
        Sums that come at once.
    words : int
        Sums of a tile on each chain. Valid cycles come ``words`` at a time.

    Members
    -------
    i, o : In/Out(ArrayLayout(signed(width), chains))
    i_valid : In(1)
    """

    i: data.View
    o: data.View
    i_valid: Signal

    latency = 3

    def __init__(self, width: int, chains: int, words: int):
        self.chains, self.words = chains, words
        layout = data.ArrayLayout(signed(width), chains)
        super().__init__({"i": In(layout), "i_valid": In(1), "o": Out(layout)})

    def elaborate(self, platform) -> Module:
        m = Module()
        layout = self.i.shape()
        index = Signal(range(self.words))
        first = Signal(init=1)  # the first tile since reset
        total, now, before = (Signal(layout, reset_less=True) for _ in range(3))
        valid, early, alone = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [total.eq(self.i), valid.eq(self.i_valid), early.eq(first)]
        with m.If(self.i_valid):
            last = index == self.words - 1
            m.d.sync += index.eq(Mux(last, 0, index + 1))
            with m.If(last):
                m.d.sync += first.eq(0)
        previous = self._previous(m, index, total, valid)
        m.d.sync += [now.eq(total), before.eq(previous), alone.eq(early)]
        for chain in range(self.chains):
            difference = now[chain] - before[chain]
            m.d.sync += self.o[chain].eq(Mux(alone, now[chain], difference))
        return m

    def _previous(self, m: Module, index: Signal, total: Signal, valid: Signal) -> Value:
        """Return the last tile's totals beside ``total``, and keep that for the next tile."""
        layout = total.shape()
        if self.words == 1:
            kept = Signal(layout, reset_less=True)
            with m.If(valid):
                m.d.sync += kept.eq(total)
            return kept
        m.submodules.totals = totals = Memory(
            shape=layout, depth=self.words, init=[], attrs=NO_COLLISIONS
        )
        write, read = totals.write_port(), totals.read_port()
        place = Signal.like(index, reset_less=True)
        m.d.sync += place.eq(index)
        m.d.comb += [
            read.addr.eq(index),
            write.addr.eq(place),
            write.data.eq(total),
            write.en.eq(valid),
        ]
        return read.data
