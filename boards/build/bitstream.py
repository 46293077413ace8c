"""Builds a board's bitstream from a network: maps, chooses a clock, routes, checks, packs."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from ...hw.accelerator.top import Accelerator
from ...hw.errors import FitError, ToolError
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.flow import Netlist, synthesis_scripts, synthesize
from ...hw.synth.placement import check_memories
from ...hw.synth.report import Report, check_fit, parse
from ...hw.tools import rtlil
from ...hw.tools.store import Store
from ..catalogue.entries import Board
from ..catalogue.pll import Setting, highest
from ..gateware.board_top import Top
from ..gateware.device import BAUD, Device
from ..protocol.info import network_digest
from .board_flow import pack_on, route, suffix, versions
from .constraints import constraints

__all__ = ["MARGIN", "SEEDS", "Bitstream", "build", "cells", "design"]

MARGIN = 0.95
"""Of the speed of the first routing: the clock that is tried. Another seed moves it by 5 %."""
SEEDS = (1, 2, 3, 4)
ROUNDS = 3
FIRST = 24e6  # the clock while nothing is routed yet
_RESOURCES = ("lut", "ff", "bram", "spram", "dsp", "io")


@dataclass(frozen=True)
class Bitstream:
    """A network in the form in which a board loads it, and where it came from.

    Attributes
    ----------
    board : Board
    device : Device
        With the accelerator inside.
    clock : Setting
        Of the device.
    seed : int
        Of the routing that was taken.
    report : Report
        Of that routing.
    netlist : Netlist
        What was routed.
    rtlil : str
        What was mapped.
    routed : str
        The routed netlist in JSON; empty where the family's tools write none.
    content : bytes
        What is loaded.
    versions : mapping of str to str
        Tools that had a part in it.
    """

    board: Board
    device: Device
    clock: Setting
    seed: int
    report: Report
    netlist: Netlist = field(repr=False)
    rtlil: str = field(repr=False)
    routed: str = field(repr=False)
    content: bytes = field(repr=False)
    versions: Mapping[str, str] = field(hash=False)

    @property
    def suffix(self) -> str:
        """Of its file: ``bin``, ``bit`` or ``fs``."""
        return suffix(self.board)

    @property
    def fmax(self) -> float:
        """The speed that the routed design has, in Hz."""
        return 1e6 * min(self.report.fmax_mhz.values())

    def utilisation(self) -> dict[str, dict[str, int]]:
        """Return how many of each resource are used, and how many there are."""
        budget = self.board.target.budget
        return {
            name: {"used": used, "available": budget[name]}
            for name in _RESOURCES
            if name in budget and (used := getattr(self.report, name)) is not None
        }

    def provenance(self) -> dict[str, Any]:
        """Return, as plain data, what it is and what made it."""
        program = self.device.accelerator.program
        geometry = program.geometry
        names = ("rows", "columns", "lanes", "chains", "slice")
        return {
            "board": self.board.name,
            "target": self.board.target.name,
            "network": program.network.name,
            "network_digest": network_digest(program.network).hex(),
            **{name: getattr(geometry, name) for name in names},
            "contexts": program.contexts,
            "batch": program.batch,
            "frequency_mhz": round(self.clock.frequency / 1e6, 4),
            "fmax_mhz": round(self.fmax / 1e6, 2),
            "pll": {"cell": self.clock.cell, **self.clock.parameters},
            "baud": self.device.baud,
            "divisor": self.device.divisor,
            "seed": self.seed,
            "utilisation": self.utilisation(),
            "critical_path": self.report.critical_path,
            "bytes": len(self.content),
            "sha256": sha256(self.content).hexdigest(),
            "tools": dict(self.versions),
        }


def design(
    accelerator: Accelerator, board: Board, clock: Setting, *, baud: float = BAUD
) -> tuple[Device, str]:
    """Return the device, and the RTLIL of the top level around it."""
    device = Device(accelerator, clock_frequency=clock.frequency, baud=baud)
    text = rtlil.convert(Top(board, device, clock), platform=board.target)
    return device, rtlil.forget_contents(rtlil.free_collisions(text))


def build(
    program: Program,
    board: Board,
    *,
    frequency: float | None = None,
    baud: float = BAUD,
    multiplier: str = "logic",
    store: Store | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Bitstream:
    """Return the bitstream of a network on a board.

    Without a ``frequency`` the design is routed once to learn how fast it is; the clock is then the
    fastest that the PLL makes below `MARGIN` of that. The design is mapped anew for that clock, as
    the length of a bit on the line depends on it, and routed with one seed of `SEEDS` after the
    other until one meets it. Where none does, a slower clock is tried.

    Parameters
    ----------
    frequency : float, optional
        Of the clock, in Hz; the PLL makes the nearest that is not above it, which must be met.
    baud : float
        Bits a second on the line.
    multiplier : str
        As `accelerator_for` takes it.
    store : Store, optional
        Where steps are looked up and kept.
    note : callable
        Told what is being done.

    Raises
    ------
    FitError
        Where the network is too large, or the design too slow for the clock; with numbers.
    GeometryError
        Where the baud cannot be made of the clock.
    ToolError
        Where a tool is missing or fails.
    """
    bench = _bench(program, board, baud=baud, multiplier=multiplier, store=store, note=note)
    if frequency is not None:
        clock = _begin(board, frequency)
        found = bench.attempt(clock)
        if isinstance(found, Bitstream):
            return found
        raise FitError(
            f"{program.network.name} on {board.name} reaches {found / 1e6:.2f} MHz, the best of "
            f"{len(SEEDS)} seeds, not {clock.frequency / 1e6:.2f}; take a lower --frequency, or "
            "leave it out"
        )
    reached = bench.first()
    for _ in range(ROUNDS):
        clock = highest(board.pll, board.clock_frequency, MARGIN * reached)
        found = bench.attempt(clock)
        if isinstance(found, Bitstream):
            return found
        reached = min(found, MARGIN * reached)
    raise FitError(
        f"{program.network.name} on {board.name} does not meet its timing: {reached / 1e6:.2f} MHz "
        f"in the last of {ROUNDS} rounds; take a --frequency well below"
    )


def cells(
    program: Program,
    board: Board,
    *,
    frequency: float | None = None,
    baud: float = BAUD,
    store: Store | None = None,
) -> int:
    """Return the logic cells that a network takes on a board, its link included.

    They are those of the design that `build` maps first, which finds it in the same store.

    Raises
    ------
    FitError
        Where the network is too large, with its logic cells where they were counted.
    GeometryError
        Where the baud cannot be made of the clock.
    ToolError
        Where a tool is missing or fails.
    """
    bench = _bench(program, board, baud=baud, store=store)
    _, _, netlist = bench.mapped(_begin(board, frequency))
    return bench.packed(netlist).lut or 0


def _begin(board: Board, frequency: float | None) -> Setting:
    """Return the clock that a design is mapped for first."""
    return highest(board.pll, board.clock_frequency, FIRST if frequency is None else frequency)


def _bench(
    program: Program,
    board: Board,
    *,
    baud: float,
    multiplier: str = "logic",
    store: Store | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> "_Bench":
    check_memories(program, board.target)
    accelerator = accelerator_for(program, board.target, multiplier=multiplier)
    return _Bench(board, accelerator, baud, store or Store(), versions(board), note)


@dataclass(frozen=True)
class _Bench:
    """A board and an accelerator, and what keeps the steps of building them."""

    board: Board
    accelerator: Accelerator
    baud: float
    store: Store
    versions: Mapping[str, str]
    note: Callable[[str], None]

    def first(self) -> float:
        """Return how fast the design is at its first routing, in Hz."""
        clock = _begin(self.board, None)
        _, _, netlist = self.mapped(clock)
        return self._fmax(self._routed(netlist, clock, SEEDS[0]))

    def attempt(self, clock: Setting) -> Bitstream | float:
        """Return a bitstream that meets ``clock``, or the speed that was reached, in Hz."""
        device, text, netlist = self.mapped(clock)
        best = 0.0
        for seed in SEEDS:
            routed = self._routed(netlist, clock, seed)
            best = max(best, self._fmax(routed))
            if best >= clock.frequency:
                break
        else:
            return best
        report = parse(routed["report"], netlist.cells, self.board.target.family)
        content = base64.b64decode(routed["content"])
        return Bitstream(
            board=self.board,
            device=device,
            clock=clock,
            seed=seed,
            report=report,
            netlist=netlist,
            rtlil=text,
            routed=routed["routed"],
            content=content,
            versions=self.versions,
        )

    def mapped(self, clock: Setting) -> tuple[Device, str, Netlist]:
        """Map and pack; raises `FitError` where the design is too large."""
        self.note(f"map for {clock.frequency / 1e6:.2f} MHz")
        target, accelerator = self.board.target, self.accelerator
        device, text = design(accelerator, self.board, clock, baud=self.baud)
        dsp = infers_blocks(accelerator)
        scripts = synthesis_scripts(target, dsp=dsp)
        parts = {"rtlil": text, "scripts": scripts, "yosys": self.versions["yosys"]}

        def run() -> dict[str, Any]:
            return asdict(synthesize(text, target, dsp=dsp))

        netlist = Netlist(**self.store.compute("mapped", parts, run))
        if netlist.remark:
            self.note(netlist.remark)
        self.packed(netlist)
        return device, text, netlist

    def packed(self, netlist: Netlist) -> Report:
        """Return what a netlist takes; raises `FitError` where that is too much."""
        target = self.board.target
        key = self._parts(netlist) | {"pins": constraints(self.board)}
        found = self.store.compute("packed", key, lambda: pack_on(netlist, self.board))
        check_fit(found, target)
        return parse(found, netlist.cells, target.family)

    def _routed(self, netlist: Netlist, clock: Setting, seed: int) -> dict[str, Any]:
        """Return report, bitstream and routed netlist of one routing."""
        self.note(f"place and route for {clock.frequency / 1e6:.2f} MHz, seed {seed}")
        parts = self._parts(netlist) | {"seed": seed, "frequency": clock.frequency}
        parts |= {"pins": constraints(self.board), "packer": self.versions["packer"]}
        return self.store.compute(
            "bitstream", parts, lambda: route(netlist, self.board, clock.frequency, seed)
        )

    def _parts(self, netlist: Netlist) -> dict[str, Any]:
        target = self.board.target
        digest = sha256(netlist.text.encode()).hexdigest()
        device = [*target.device, *target.family.router_options]
        return {"netlist": digest, "device": device, "nextpnr": self.versions["nextpnr"]}

    def _fmax(self, routed: Mapping[str, Any]) -> float:
        """Return the speed of a routing in Hz."""
        speeds = [entry["achieved"] for entry in routed["report"]["fmax"].values()]
        if not speeds:
            raise ToolError(f"{self.board.target.family.router} found no clock in the design")
        return 1e6 * min(speeds)
