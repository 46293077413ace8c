"""The tools that a board's bitstream goes through, and the files that they read and write."""

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...hw.errors import FitError, ToolTimeout
from ...hw.synth.flow import Netlist, pack, routing_limit, run_router
from ...hw.tools import programs as tools
from ..catalogue.entries import Board
from .constraints import FILES, constraints

__all__ = ["pack_on", "route", "suffix", "versions"]


@dataclass(frozen=True)
class _Kind:
    """Files that a family's tools write and read.

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


def suffix(board: Board) -> str:
    """Return what the names of a board's bitstreams end in: ``bin``, ``bit`` or ``fs``."""
    return _KINDS[board.target.family.name].suffix


def pack_on(netlist: Netlist, board: Board) -> dict[str, Any]:
    """Return nextpnr's report of the packed design, with the board's pins: a PLL may need them."""
    if board.target.family.feeds:  # where registers are counted apart
        return pack(netlist, board.target)
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        return _nextpnr(netlist, board, ["--pack-only"], Path(scratch))


def route(netlist: Netlist, board: Board, frequency: float, seed: int) -> dict[str, Any]:
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
    """Place and route in ``folder`` with the board's pins, and return the report."""
    family = board.target.family.name
    (folder / FILES[family][0]).write_text(constraints(board), encoding="utf-8")
    options = [*_KINDS[family].pins, *arguments]
    return run_router(netlist, board.target, options, folder, routing_limit(netlist))


def versions(board: Board) -> dict[str, str]:
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
