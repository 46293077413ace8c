"""The accumulator of a processing element."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import Accumulator

__all__ = ["CONTROL", "Accumulate"]

CONTROL = data.StructLayout({"enable": 1, "double": 1, "last": 1})
"""What travels with a step: accumulate it; double afterwards (end of a bit plane); end the sum."""


def _fit(value: Value, accumulator: Accumulator) -> tuple[Value, Value]:
    """Return ``accumulator.fit(value)`` as gates, and whether the exact value did not fit."""
    width = accumulator.width
    if len(value) <= width:
        return value, value[0] & 0
    upper = value[width - 1 :]
    overflow = ~(upper.all() | ~upper.any())
    if accumulator.overflow == "wrap":
        return value[:width].as_signed(), overflow
    sign = value[-1]
    limit = Cat((~sign).replicate(width - 1), sign)
    return Mux(overflow, limit, value[:width]).as_signed(), overflow


class Accumulate(wiring.Component):
    """Sum the steps of a dot product in a register that wraps or saturates.

    A step with ``i_control.enable`` adds ``i``; with ``double`` the sum is then doubled, which may
    overflow too; with ``last`` the register starts anew. ``o`` and ``o_overflow`` are
    combinational: in the cycle of ``last`` they are the finished sum and whether any of its steps
    overflowed. The register itself is cleared by its reset input, which costs no logic.

    Parameters
    ----------
    accumulator : Accumulator
        Width and overflow mode.
    step_width : int
        Bits of the signed input.
    doubling : bool
        Whether ``double`` is used.

    Members
    -------
    i : In(signed(step_width))
    i_control : In(CONTROL)
    o : Out(signed(accumulator.width))
    o_overflow : Out(1)
    """

    i: Signal
    i_control: data.View
    o: Signal
    o_overflow: Signal

    latency = 0

    def __init__(self, accumulator: Accumulator, step_width: int, *, doubling: bool = False):
        self.accumulator, self.step_width, self.doubling = accumulator, step_width, doubling
        super().__init__(
            {
                "i": In(signed(step_width)),
                "i_control": In(CONTROL),
                "o": Out(signed(accumulator.width)),
                "o_overflow": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        width = self.accumulator.width
        register = Signal(signed(width))
        sticky = Signal()
        exact = Signal(signed(max(width, self.step_width) + 1))
        m.d.comb += exact.eq(register + self.i)
        fitted, overflow = _fit(exact, self.accumulator)
        m.d.comb += self.o.eq(fitted)
        kept, flags = self.o, sticky | overflow
        if self.doubling:
            doubled, doubled_overflow = _fit((self.o << 1), self.accumulator)
            kept = Mux(self.i_control.double, doubled, self.o)
            flags = flags | (self.i_control.double & doubled_overflow)
        m.d.comb += self.o_overflow.eq(flags)
        with m.If(self.i_control.enable):
            m.d.sync += [register.eq(kept), sticky.eq(flags)]
            with m.If(self.i_control.last):
                m.d.sync += [register.eq(0), sticky.eq(0)]
        return m
