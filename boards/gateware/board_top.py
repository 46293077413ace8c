"""The top level of every board: its clock, a PLL, a reset, and two pins of a UART."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..catalogue.entries import Board
from ..catalogue.pll import Setting

__all__ = ["RESET_CYCLES", "Top"]

RESET_CYCLES = 255
"""Of reset after the clock is there. The first reads of iCE40's block RAM are wrong for 3 us."""


class Top(wiring.Component):
    """A device on a board.

    The pins are registered nowhere here: that is the device's. What it computes does not depend on
    the board, so its PLL alone is what a virtual board leaves out.

    Parameters
    ----------
    board : Board or None
        Where it runs; None for no board, which has nothing but a clock and a UART.
    device : wiring.Component
        With the ports ``rx`` and ``tx``, in the domain ``sync``.
    clock : Setting
        Of the domain ``sync``; a setting without a cell takes the board's clock.

    Members
    -------
    clk, rx : In(1)
        The board's clock, and what the host sends.
    tx : Out(1)
        What the host receives.
    high_N : Out(1)
        The board's pins that must be high.
    """

    clk: Signal
    rx: Signal
    tx: Signal

    def __init__(self, board: Board | None, device: Any, clock: Setting):
        self.board, self.device, self.clock = board, device, clock
        ports = {"clk": In(1), "rx": In(1), "tx": Out(1)}
        self._high = [f"high_{index}" for index in range(len(board.high) if board else 0)]
        super().__init__(ports | {name: Out(1) for name in self._high})

    def elaborate(self, platform: Any) -> Module:
        """Build the clock, the reset, and the device within them."""
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.domains.start = ClockDomain("start", reset_less=True)
        made, locked = self._made(m)
        waited = Signal(range(RESET_CYCLES + 1))
        running = Signal()
        # the clock of a PLL that has not locked may be too fast; a counter survives that
        with m.If(~locked):
            m.d.start += [waited.eq(0), running.eq(0)]
        with m.Elif(waited != RESET_CYCLES):
            m.d.start += waited.eq(waited + 1)
        with m.Else():
            m.d.start += running.eq(1)
        m.d.comb += [
            ClockSignal("start").eq(made),
            ClockSignal("sync").eq(made),
            ResetSignal("sync").eq(~running),
        ]
        m.submodules.device = self.device
        m.d.comb += [self.device.rx.eq(self.rx), self.tx.eq(self.device.tx)]
        m.d.comb += [getattr(self, name).eq(1) for name in self._high]
        return m

    def _made(self, m: Module) -> tuple[Signal, Any]:
        """Return the clock, and whether it is right."""
        made = Signal(name="made_clock")
        if not self.clock.cell:
            m.d.comb += made.eq(self.clk)
            return made, Const(1)
        locked, late = Signal(), Signal(2)
        lines = _LINES[self.clock.cell](self.clk, made, locked)
        m.submodules.pll = Instance(
            self.clock.cell,
            **{f"p_{name}": _parameter(name, value) for name, value in self._parameters()},
            **_ANALOGUE.get(self.clock.cell, {}),
            **lines,
        )
        # `locked` belongs to no clock: two registers, as for every such input
        m.d.start += late.eq((late << 1) | locked)
        return made, late[1]

    def _parameters(self) -> list[tuple[str, Any]]:
        return [*self.clock.parameters.items(), *_FIXED.get(self.clock.cell, {}).items()]


_BITS = {"DIVR": 4, "DIVF": 7, "DIVQ": 3, "FILTER_RANGE": 3}
"""Widths of the parameters that are vectors."""

_FIXED: dict[str, dict[str, str]] = {
    "rPLL": {
        "DEVICE": "GW1NR-9C",
        "DYN_IDIV_SEL": "false",
        "DYN_FBDIV_SEL": "false",
        "DYN_ODIV_SEL": "false",
        "CLKFB_SEL": "internal",
    }
}

_ANALOGUE = {
    "EHXPLLL": {
        "a_ICP_CURRENT": "12",
        "a_LPF_RESISTOR": "8",
        "a_MFG_ENABLE_FILTEROPAMP": "1",
        "a_MFG_GMCREF_SEL": "2",
    }
}
"""Attributes that set the loop filter: those that Project Trellis's ``ecppll`` writes."""


def _parameter(name: str, value: Any) -> Any:
    return Const(value, _BITS[name]) if name in _BITS else value


def _pad(clk: Signal, made: Signal, locked: Signal) -> dict[str, Any]:
    return {
        "i_PACKAGEPIN": clk,
        "i_RESETB": Const(1),
        "i_BYPASS": Const(0),
        "o_PLLOUTGLOBAL": made,
        "o_LOCK": locked,
    }


def _core(clk: Signal, made: Signal, locked: Signal) -> dict[str, Any]:
    lines = _pad(clk, made, locked)
    lines["i_REFERENCECLK"] = lines.pop("i_PACKAGEPIN")
    return lines


def _ehxplll(clk: Signal, made: Signal, locked: Signal) -> dict[str, Any]:
    idle = ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PHASEDIR", "PHASESTEP", "PHASELOADREG")
    return {
        **{f"i_{name}": Const(0) for name in (*idle, "PLLWAKESYNC", "ENCLKOP")},
        "i_CLKI": clk,
        "i_CLKFB": made,
        "o_CLKOP": made,
        "o_LOCK": locked,
    }


def _rpll(clk: Signal, made: Signal, locked: Signal) -> dict[str, Any]:
    vectors = {"FBDSEL": 6, "IDSEL": 6, "ODSEL": 6, "PSDA": 4, "DUTYDA": 4, "FDLY": 4}
    return {
        **{f"i_{name}": Const(0, width) for name, width in vectors.items()},
        **{f"i_{name}": Const(0) for name in ("CLKFB", "RESET", "RESET_P")},
        "i_CLKIN": clk,
        "o_CLKOUT": made,
        "o_LOCK": locked,
    }


_LINES = {
    "SB_PLL40_PAD": _pad,
    "SB_PLL40_CORE": _core,
    "EHXPLLL": _ehxplll,
    "rPLL": _rpll,
}
"""What each cell's ports are connected to."""
