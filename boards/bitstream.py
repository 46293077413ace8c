"""From a network to the bitstream of a board: map, choose a clock, route, check, pack."""

import base64
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..hw import rtlil, tools
from ..hw.accelerator import Accelerator
from ..hw.errors import FitError, ToolError, ToolTimeout
from ..hw.program import Program
from ..hw.synth.build import accelerator_for
from ..hw.synth.flow import Netlist, pack, routing_limit, synthesis_script, synthesize
from ..hw.synth.placement import check_memories
from ..hw.synth.report import Report, check_fit, parse
from ..hw.synth.store import Store
from .board import Board
from .constraints import FILES, constraints
from .device import BAUD, Device
from .info import network_digest
from .pll import Setting, highest
from .top import Top

__all__ = ["MARGIN", "SEEDS", "Bitstream", "build", "design", "suffix"]

MARGIN = 0.95
"""Of the speed of the first routing: the clock that is tried. Another seed moves it by 5 %."""
SEEDS = (1, 2, 3, 4)
ROUNDS = 3
FIRST = 24e6  # the clock while nothing is routed yet
_RESOURCES = ("lut", "ff", "bram", "spram", "dsp", "io")


@dataclass(frozen=True)
class _Kind:
    """What a family's tools write and read.

    Attributes
    ----------
    suffix : str
        Of the bitstream's file.
    pins, outputs : tuple of str
        Options of the place and route tool: for the constraint file, where the family has none,
        and for what the packer reads.
    packer : tuple of str
        The tool, and its arguments.
    routed : str
        The routed netlist, in JSON, where there is one.
    """

    suffix: str
    pins: tuple[str, ...]
    outputs: tuple[str, ...]
    packer: tuple[str, ...]
    routed: str = ""


_KINDS: Mapping[str, _Kind] = {
    "ice40": _Kind(
        "bin", ("--pcf", "pins.pcf"), ("--asc", "top.asc"), ("icepack", "top.asc", "top.bin")
    ),
    "ecp5": _Kind(
        "bit",
        ("--lpf", "pins.lpf"),
        ("--textcfg", "top.config", "--write", "routed.json"),
        ("ecppack", "--compress", "top.config", "top.bit"),
        "routed.json",
    ),
    "gowin": _Kind(
        "fs",
        (),
        ("--write", "routed.json"),
        ("gowin_pack", "-d", "GW1N-9C", "-o", "top.fs", "routed.json"),
        "routed.json",
    ),
}


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
        names = ("rows", "columns", "lanes", "chains")
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


def suffix(board: Board) -> str:
    """Return what the names of a board's bitstreams end in: ``bin``, ``bit`` or ``fs``."""
    return _KINDS[board.target.family.name].suffix


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
    check_memories(program, board.target)
    accelerator = accelerator_for(program, board.target, multiplier=multiplier)
    bench = _Bench(board, accelerator, baud, store or Store(), _versions(board), note)
    if frequency is not None:
        clock = highest(board.pll, board.clock_frequency, frequency)
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
        clock = highest(self.board.pll, self.board.clock_frequency, FIRST)
        _, _, netlist = self._mapped(clock)
        return self._fmax(self._routed(netlist, clock, SEEDS[0]))

    def attempt(self, clock: Setting) -> Bitstream | float:
        """Return a bitstream that meets ``clock``, or the speed that was reached, in Hz."""
        device, text, netlist = self._mapped(clock)
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

    def _mapped(self, clock: Setting) -> tuple[Device, str, Netlist]:
        """Map and pack; raises `FitError` where the design is too large."""
        self.note(f"map for {clock.frequency / 1e6:.2f} MHz")
        target, accelerator = self.board.target, self.accelerator
        device, text = design(accelerator, self.board, clock, baud=self.baud)
        blocks = accelerator.blocks
        dsp = accelerator.requantize_dsp if blocks is None else not blocks.accumulate
        script = synthesis_script(target, dsp=dsp)
        parts = {"rtlil": text, "script": script, "yosys": self.versions["yosys"]}

        def run() -> dict[str, Any]:
            mapped = synthesize(text, target, dsp=dsp)
            return {"text": mapped.text, "cells": dict(mapped.cells)}

        netlist = Netlist(**self.store.compute("mapped", parts, run))
        key = self._parts(netlist) | {"pins": constraints(self.board)}
        check_fit(self.store.compute("packed", key, lambda: _pack(netlist, self.board)), target)
        return device, text, netlist

    def _routed(self, netlist: Netlist, clock: Setting, seed: int) -> dict[str, Any]:
        """Return report, bitstream and routed netlist of one routing."""
        self.note(f"place and route for {clock.frequency / 1e6:.2f} MHz, seed {seed}")
        parts = self._parts(netlist) | {"seed": seed, "frequency": clock.frequency}
        parts |= {"pins": constraints(self.board), "packer": self.versions["packer"]}
        return self.store.compute(
            "bitstream", parts, lambda: _route(netlist, self.board, clock.frequency, seed)
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


def _pack(netlist: Netlist, board: Board) -> dict[str, Any]:
    """Return nextpnr's report of the packed design, with the board's pins: a PLL may need them."""
    if board.target.family.feeds:  # where registers are counted apart
        return pack(netlist, board.target)
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        return _nextpnr(netlist, board, ["--pack-only"], Path(scratch))


def _route(netlist: Netlist, board: Board, frequency: float, seed: int) -> dict[str, Any]:
    """Place and route with the board's pins, and pack the bitstream."""
    kind = _KINDS[board.target.family.name]
    aim = ["--seed", str(seed), "--freq", f"{frequency / 1e6:.6g}", "--timing-allow-fail"]
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        folder = Path(scratch)
        try:
            report = _nextpnr(netlist, board, [*aim, *kind.outputs], folder)
        except ToolTimeout as error:
            raise FitError(
                f"{board.name} was not placed and routed in time with seed {seed}"
            ) from error
        packer, *options = kind.packer
        tools.run(tools.find(packer), options, folder)
        return {
            "report": report,
            "content": base64.b64encode((folder / f"top.{kind.suffix}").read_bytes()).decode(),
            "routed": (folder / kind.routed).read_text(encoding="utf-8") if kind.routed else "",
        }


def _nextpnr(
    netlist: Netlist, board: Board, arguments: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Run place and route in ``folder``, and return its report."""
    target = board.target
    family, kind = target.family, _KINDS[target.family.name]
    if family.router is None:
        raise ToolError(f"{target.name} can be mapped but not routed")
    (folder / "netlist.json").write_text(netlist.text, encoding="utf-8")
    (folder / FILES[family.name][0]).write_text(constraints(board), encoding="utf-8")
    files = ["--quiet", "--json", "netlist.json", "--report", "report.json", *kind.pins]
    options = [*target.device, *family.router_options, *files, *arguments]
    tools.run(tools.find(family.router), options, folder, timeout=routing_limit(netlist))
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def _versions(board: Board) -> dict[str, str]:
    """Return the versions of everything that has a part in a bitstream."""
    family = board.target.family
    router = tools.find(str(family.router))
    packer = tools.find(_KINDS[family.name].packer[0])
    # icepack and ecppack come with nextpnr and tell no version; gowin_pack is Apycula's
    packed_by = f"apycula {version('apycula')}" if family.name == "gowin" else router.version
    return {
        "yosys": tools.find("yosys").version,
        "nextpnr": router.version,
        "packer": f"{packer.name} of {packed_by}",
        "amaranth": version("amaranth"),
        "narrowgauge": version("narrowgauge"),
    }
