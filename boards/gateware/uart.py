"""Bytes on a wire: a start bit, eight bits, the low one first, and a stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ...hw.errors import GeometryError

__all__ = ["UartReceiver", "UartTransmitter", "divisor_for"]

LEAST = 4  # cycles of a bit, of which a majority of three are looked at
TOLERANCE = 0.02  # of the bit's length; half a bit is lost after 5 %, and the other side errs too


def divisor_for(clock_frequency: float, baud: float) -> int:
    """Return the cycles of a bit, the nearest whole number.

    Parameters
    ----------
    clock_frequency : float
        Hz.
    baud : float
        Bits a second.

    Raises
    ------
    GeometryError
        Where a bit is shorter than 4 cycles, or would be 2 % too long or too short.
    """
    divisor = round(clock_frequency / baud)
    if divisor < LEAST:
        raise GeometryError(
            f"{baud:g} baud takes a clock of {LEAST * baud / 1e6:g} MHz, {LEAST} cycles a bit, not "
            f"{clock_frequency / 1e6:g} MHz; take a lower baud"
        )
    error = abs(divisor * baud / clock_frequency - 1)
    if error > TOLERANCE:
        raise GeometryError(
            f"{baud:g} baud cannot be made of {clock_frequency / 1e6:g} MHz: {divisor} cycles a "
            f"bit are {100 * error:.1f} % off, {100 * TOLERANCE:g} % are allowed; take a lower baud"
        )
    return divisor


class UartReceiver(wiring.Component):
    """Bytes from a wire.

    The wire is sampled by two registers against metastability. A level counts that two of three
    neighbouring samples have, so a spike of a cycle is not seen. A byte begins with a falling edge
    that is still low in the middle of the bit; bits are taken in their middle. The byte is given in
    the middle of its stop bit, where the wire must be high; where it is low, the byte is dropped
    and nothing begins until the wire has been high.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 4.

    Members
    -------
    rx : In(1)
    o : Out(stream.Signature(8, always_ready=True))
    o_error : Out(1)
        A byte without a stop bit was dropped.
    """

    rx: Signal
    o: stream.Interface
    o_error: Signal

    def __init__(self, divisor: int):
        self.divisor = _checked(divisor)
        super().__init__(
            {
                "rx": In(1),
                "o": Out(stream.Signature(8, always_ready=True)),
                "o_error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        newest, older = Signal(init=1), Signal(2, init=3)
        level, before = Signal(init=1), Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, newest, init=1)
        a, b, c = newest, older[0], older[1]
        m.d.sync += [
            older.eq(Cat(newest, older[0])),
            level.eq((a & b) | (b & c) | (a & c)),
            before.eq(level),
        ]
        byte, bit, middle = self.o.payload, Signal(4), Signal()
        busy, timer = Signal(), Signal(range(self.divisor))
        m.d.comb += middle.eq(busy & (timer == 0))
        m.d.sync += [
            timer.eq(timer - 1),
            self.o.valid.eq(middle & (bit == 9) & level),
            self.o_error.eq(middle & (bit == 9) & ~level),
        ]
        with m.If(~busy):
            m.d.sync += [
                busy.eq(before & ~level),
                bit.eq(0),
                timer.eq(self.divisor // 2 - 1),
            ]
        with m.Elif(middle):
            m.d.sync += [timer.eq(self.divisor - 1), bit.eq(bit + 1)]
            with m.If(bit != 9):
                m.d.sync += byte.eq(Cat(byte[1:], level))
            with m.If((bit == 9) | ((bit == 0) & level)):
                m.d.sync += busy.eq(0)
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a wire.

    A byte takes ten bits and a cycle.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 4.

    Members
    -------
    i : In(stream.Signature(8))
    tx : Out(1)
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, divisor: int):
        self.divisor = _checked(divisor)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        bits, left = Signal(9, init=0x1FF), Signal(range(10))
        busy, timer = Signal(), Signal(range(self.divisor))
        m.d.comb += [self.i.ready.eq(~busy), self.tx.eq(bits[0])]
        m.d.sync += timer.eq(timer - 1)
        with m.If(~busy):
            m.d.sync += [timer.eq(self.divisor - 1), left.eq(9)]
            with m.If(self.i.valid):
                m.d.sync += [busy.eq(1), bits.eq(Cat(Const(0, 1), self.i.payload))]
        with m.Elif(timer == 0):
            m.d.sync += [
                timer.eq(self.divisor - 1),
                left.eq(left - 1),
                bits.eq(Cat(bits[1:], Const(1, 1))),
                busy.eq(left != 0),
            ]
        return m


def _checked(divisor: int) -> int:
    if divisor < LEAST:
        raise GeometryError(f"a bit is at least {LEAST} cycles, not {divisor}")
    return divisor
