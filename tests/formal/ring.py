"""The ring of bytes in which a frame waits until its check was seen."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal

from narrowgauge.boards.gateware.buffer import FrameBuffer

from .proof import Assert, Assume, Proof, Spec, free, planted

__all__ = ["PROOFS"]


class BufferSpec(Spec):
    """Bytes of good frames come out once and in order, none of a damaged one does."""

    ring = 4

    def properties(self, m: Module) -> None:
        gates = FrameBuffer(1)
        gates.depth = self.ring  # the least block RAM has more
        m.submodules.gates = gates
        events = gates.i_begin, gates.i_store, gates.i_commit
        m.d.comb += [event.eq(free(1)) for event in events]
        m.d.comb += [gates.i_byte.eq(free(8)), gates.o.ready.eq(free(1))]
        # a byte every other cycle at most; a frame that did not fit is not committed
        busy = Signal()
        happens = Cat(*events).any()
        m.d.sync += busy.eq(happens)
        m.d.comb += [
            Assume(~(busy & happens)),
            *(Assume(~(a & b)) for a, b in zip(events, (*events[1:], events[0]), strict=True)),
            Assume(~(gates.i_commit & gates.o_overrun)),
        ]
        # the frame that arrives, and what was committed and is still to come
        fresh, stored = [Signal(8, name=f"fresh_{n}") for n in range(self.ring)], Signal(range(8))
        queue, held = [Signal(8, name=f"held_{n}") for n in range(self.ring)], Signal(range(8))
        tight, lost = Signal(name="tight"), Signal(name="lost")
        taken = gates.o.valid & gates.o.ready
        with m.If(gates.i_begin):
            m.d.sync += [stored.eq(0), tight.eq(0), lost.eq(0)]
        with m.If(gates.i_store):
            m.d.sync += tight.eq(tight | (stored + held >= self.ring - 1))
            with m.If(stored < self.ring):
                m.d.sync += [Array(fresh)[stored[:2]].eq(gates.i_byte), stored.eq(stored + 1)]
            with m.Else():
                m.d.sync += lost.eq(1)
        rest = Mux(taken, held - 1, held)
        with m.If(gates.i_commit):
            m.d.sync += [held.eq(rest + stored), stored.eq(0)]
        with m.Else():
            m.d.sync += held.eq(rest)
        moved = [Mux(taken, after, own) for own, after in zip(queue, [*queue[1:], 0], strict=True)]
        for index, (own, kept) in enumerate(zip(queue, moved, strict=True)):
            new = Array(fresh)[(index - rest)[:2]]
            m.d.sync += own.eq(Mux(gates.i_commit & (rest <= index), new, kept))
        waiting = Signal(range(4))
        m.d.sync += waiting.eq(Mux((held > 0) & ~gates.o.valid, waiting + (waiting != 3), 0))
        m.d.comb += [
            Assert(~gates.o.valid | (held > 0)),
            Assert(~gates.o.valid | (gates.o.payload == queue[0])),
            Assert(waiting < 3),
            # what does not fit is told, and the ring holds all of its bytes but one
            Assert(~lost | gates.o_overrun),
            Assert(~gates.o_overrun | tight),
        ]
        self.holds(m, gates.o)


PROOFS: list[Proof] = [
    planted(
        "FrameBuffer, a ring of 4",
        "bytes of good frames come out once, in order, and hold; none of another frame does",
        BufferSpec,
        ("bmc", 17),
        (FrameBuffer, "elaborate", "right.eq(write)", "right.eq(write + 1)"),
        "one byte too many is committed",
    ),
]
