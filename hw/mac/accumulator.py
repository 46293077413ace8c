"""The accumulator of a processing element."""

from amaranth.hdl import Cat, Module, Mux, ResetSignal, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..numbers.arithmetic import Accumulator
from .adder_cells import ChoosingAdder
from .control import CONTROL
from .fabric import ANY, Fabric

__all__ = ["Accumulate"]


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

    A step with ``i_control.enable`` adds ``i``; with ``double``, which does not come with ``last``,
    the partial sum is then shifted, which may overflow too; after a step with ``last`` it starts
    anew. ``latency`` cycles after ``last``, ``o`` is the finished sum, and ``o_overflow`` whether
    any of its steps overflowed.

    Where a register beside the adder costs nothing, ``o`` is combinational, and the register is
    cleared by its reset input. On iCE40 a cell has one output, the sum or the register: ``o`` is
    the register, and the first step of a sum is loaded by the fourth input of the adder's LUTs.
    But a tile of 8 such cells has an input too many, and nextpnr would split a carry chain that
    fills a second one, which takes longer: longer sums are as everywhere else
    (`Fabric.output_registers`).

    Parameters
    ----------
    accumulator : Accumulator
        Width and overflow mode.
    step_width : int
        Bits of the signed input.
    doubling : bool
        Whether ``double`` is used.
    slice : int, optional
        Bits that it shifts the partial sum by, at the end of a slice; None doubles it.
    restart : bool
        Whether ``last`` ends a partial sum; if not, it runs on.
    even : bool
        Whether every step is even, so that the lowest bit takes no cell.
    fabric : Fabric
        The devices that it is for.

    Attributes
    ----------
    latency : int
        Cycles from a step to the partial sum with it: 1 where ``o`` is the register, else 0.

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

    def __init__(
        self,
        accumulator: Accumulator,
        step_width: int,
        *,
        doubling: bool = False,
        slice: int | None = None,
        restart: bool = True,
        even: bool = False,
        fabric: Fabric = ANY,
    ):
        self.accumulator, self.step_width, self.doubling = accumulator, step_width, doubling
        self.shift, self.restart, self.fabric = slice or 1, restart, fabric
        # the step after ``double`` shifts
        self._chooses = slice is not None and doubling and fabric.chooses
        bits = fabric.output_registers
        self.latency = int(bits > 0 and (accumulator.width - even < bits or not restart))
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
        register = Signal(signed(width), reset_less=True)
        sticky = Signal(reset_less=True)
        exact = Signal(signed(max(width, self.step_width) + 1))
        fresh = Signal(init=1)  # the next step is the first one
        loads = bool(self.latency and self.restart)
        added = self._shifted(m, register) if self._chooses else register + self.i
        m.d.comb += exact.eq(Mux(fresh, self.i, added) if loads else added)
        fitted, overflow = _fit(exact, self.accumulator)
        total = Signal(signed(width))
        m.d.comb += total.eq(fitted)
        kept = total
        flags = (sticky & ~fresh if loads else sticky) | overflow
        if self.doubling and not self._chooses:
            doubled, doubled_overflow = _fit((total << self.shift), self.accumulator)
            kept = Mux(self.i_control.double, doubled, total)
            flags = flags | (self.i_control.double & doubled_overflow)
        enable, last = self.i_control.enable, self.i_control.last
        if self.latency:
            m.d.comb += [self.o.eq(register), self.o_overflow.eq(sticky)]
        else:
            m.d.comb += [self.o.eq(total), self.o_overflow.eq(flags)]
        if loads:
            with m.If(enable):
                m.d.sync += [register.eq(kept), sticky.eq(flags), fresh.eq(last)]
            return m
        # reset is one more step that clears: two resets, each with gates, would be none for free
        reset = ResetSignal(allow_reset_less=True)
        with m.If(enable | reset):
            m.d.sync += [register.eq(kept), sticky.eq(flags)]
            with m.If(reset | (last & self.restart)):
                m.d.sync += [register.eq(0), sticky.eq(0)]
        return m

    def _shifted(self, m: Module, register: Signal) -> Signal:
        """Return the sum of the input and the register, shifted if the step before says so."""
        width, shifts = self.accumulator.width, Signal(reset_less=True)
        m.submodules.adder = adder = ChoosingAdder(width, fabric=self.fabric)
        m.d.comb += [
            adder.i_a.eq(self.i),
            adder.i_b.eq(register),
            adder.i_c.eq(register << self.shift),
            adder.i_other.eq(shifts),
        ]
        with m.If(self.i_control.enable):
            m.d.sync += shifts.eq(self.i_control.double)
        return adder.o
