"""Bytes on a wire: the receiver comes out of every state, and both sides agree."""

from collections.abc import Iterator
from functools import partial

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal

from narrowgauge.boards.gateware.uart import UartReceiver, UartTransmitter

from .proof import Assert, Inside, Proof, Spec, free, planted, some

__all__ = ["PROOFS"]


class RecoverySpec(Spec):
    """From any state, after a quiet line, exactly the next byte is taken."""

    def __init__(self, divisor: int):
        super().__init__()
        self.divisor = divisor
        # through the samples, then nine bits at most, or until a counter of bits has gone round
        self.quiet = 10 * divisor + 8
        self.depth = self.quiet + 10 * divisor + 8

    def properties(self, m: Module) -> None:
        divisor, quiet, depth = self.divisor, self.quiet, self.depth
        m.submodules.gates = gates = UartReceiver(divisor)
        time, byte, seen = Signal(range(depth + 1)), some(8), Signal(2)
        bits = Cat(Const(0, 1), byte, Const(1, 1))
        levels = [Const(1, 1)] * quiet + [bit for bit in bits for _ in range(divisor)]
        m.d.sync += time.eq(time + (time != depth))
        m.d.comb += gates.rx.eq(Array(levels)[time] | (time >= len(levels)))
        with m.If(time >= quiet):
            m.d.comb += [
                Assert(~gates.o_error),
                Assert(~gates.o.valid | (gates.o.payload == byte)),
                Assert(~gates.o.valid | (seen == 0)),
            ]
            m.d.sync += seen.eq(seen + gates.o.valid)
        m.d.comb += Assert((time < depth - 1) | (seen == 1))


class TransmitterSpec(Spec):
    """The wire carries what was taken, bit by bit, and rests high."""

    def __init__(self, divisor: int):
        super().__init__()
        self.divisor = divisor

    def properties(self, m: Module) -> None:
        divisor = self.divisor
        gates = UartTransmitter(divisor)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        m.d.comb += [gates.i.valid.eq(free(1)), gates.i.payload.eq(free(8))]
        byte, sends = Signal(8, name="byte"), Signal(name="sends")
        bit, cycle = Signal(range(10), name="bit"), Signal(range(divisor), name="cycle")
        with m.If(~sends):
            m.d.sync += [bit.eq(0), cycle.eq(0), sends.eq(gates.i.valid), byte.eq(gates.i.payload)]
        with m.Elif(cycle != divisor - 1):
            m.d.sync += cycle.eq(cycle + 1)
        with m.Else():
            m.d.sync += [cycle.eq(0), bit.eq(bit + 1), sends.eq(bit != 9)]
        frame = Cat(Const(0, 1), byte, Const(1, 1))
        m.d.comb += [
            Assert(gates.i.ready == ~sends),
            Assert(gates.tx == Mux(sends, frame.bit_select(bit, 1), 1)),
        ]
        rest = (Cat(frame, Const(-1, 9)) >> bit)[:9]
        self.invariant(
            m,
            inside["bits"] == Mux(sends, rest, 0x1FF),
            ~sends | (inside["timer"] == divisor - 1 - cycle),
            ~sends | (inside["left"] == 9 - bit),
            ~sends | (bit <= 9),
            ~sends | (cycle < divisor),
        )


class LoopSpec(Spec):
    """What one side sends the other gives, in order and once, while bytes come at any time."""

    def properties(self, m: Module) -> None:
        m.submodules.transmitter = transmitter = UartTransmitter(4)
        m.submodules.receiver = receiver = UartReceiver(4)
        m.d.comb += [
            transmitter.i.valid.eq(free(1)),
            transmitter.i.payload.eq(free(8)),
            receiver.rx.eq(transmitter.tx),
        ]
        # one may be on its way through the samples while the next begins
        byte, older, count = Signal(8), Signal(8), Signal(2)
        taken = transmitter.i.valid & transmitter.i.ready
        with m.If(taken):
            m.d.sync += [byte.eq(transmitter.i.payload), older.eq(byte)]
        m.d.sync += count.eq(count + taken - receiver.o.valid)
        m.d.comb += [
            Assert(~receiver.o_error),
            Assert(~receiver.o.valid | (count > 0)),
            Assert(~receiver.o.valid | (receiver.o.payload == Mux(count == 2, older, byte))),
            Assert(~taken | (count < 2)),
        ]


def _proofs() -> Iterator[Proof]:
    for divisor in (4, 5):
        yield planted(
            f"UartReceiver, {divisor} cycles a bit",
            f"from any state, after {10 * divisor + 8} cycles of a high line, takes the next byte",
            partial(RecoverySpec, divisor),
            ("any", RecoverySpec(divisor).depth),
            (UartReceiver, "elaborate", "| ((bit == 0) & level)", ""),
            "a false start is not given up",
        )
        yield planted(
            f"UartTransmitter, {divisor} cycles a bit",
            "the wire carries every byte that was taken once, in order, and else is high",
            partial(TransmitterSpec, divisor),
            ("prove", 2),
            (UartTransmitter, "elaborate", "left.eq(9)", "left.eq(8)"),
            "no stop bit",
            reach=60,
        )
    yield planted(
        "UartTransmitter and UartReceiver",
        "every byte arrives once and in order",
        LoopSpec,
        ("bmc", 100),
        (
            UartReceiver,
            "elaborate",
            "timer.eq(self.divisor - 1), bit",
            "timer.eq(self.divisor - 2), bit",
        ),
        "bits are a cycle short",
    )


PROOFS = list(_proofs())
