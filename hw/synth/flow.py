"""The three steps from RTLIL to a routed design: map, pack, place and route.

Each step is a plain function of plain values, so that it can be pickled, run on any executor and
stored by its arguments. Mapping depends on the family only, packing on the device, and routing on
the seed: all seeds, and all devices of a family, share the longest step.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import FitError, ToolError, ToolFailure, ToolTimeout
from ..tools import programs as tools
from ..tools import rtlil
from .death import Death, keep
from .family import Family
from .targets import Target

__all__ = [
    "Netlist",
    "Routed",
    "pack",
    "place_and_route",
    "place_and_write",
    "routing_limit",
    "run_router",
    "synthesis_scripts",
    "synthesize",
]

_TIMEOUT = 3600.0  # seconds
_ARGUMENTS = ("-q", "-l", "yosys.log", "-s", "map.ys")
# Packing counts, so what these say is about places and wires: the design is too much, not wrong.
_TOO_MUCH = re.compile(
    r"no BELs remaining|[Uu]nable to (find a|place)|legal placement"
    r"|[Ff]ailed to (route|place|expand)"
)


@dataclass(frozen=True)
class Netlist:
    """A design mapped to the cells of a family.

    Attributes
    ----------
    text : str
        Yosys's JSON.
    cells : mapping of str to int
        Cells by type.
    remark : str
        Why it was not mapped as others are; empty where it was.
    """

    text: str = field(repr=False)
    cells: Mapping[str, int] = field(hash=False)
    remark: str = ""


@dataclass(frozen=True)
class Routed:
    """A placed and routed design.

    Attributes
    ----------
    text : str
        nextpnr's JSON (``--write``): cells with their places, nets with their wires.
    sdf : str
        Delays of cells and nets.
    report : mapping
        nextpnr's report.
    """

    text: str = field(repr=False)
    sdf: str = field(repr=False)
    report: Mapping[str, Any] = field(repr=False, hash=False)


def synthesis_scripts(
    target: Target, *, dsp: bool = False, options: Sequence[str] = ()
) -> tuple[str, str]:
    """Return the Yosys scripts that map ``design.il`` to ``netlist.json`` and ``cells.json``.

    The second is for designs at which ABC9 dies, and maps with the older ABC.

    Modules marked by `tools.rtlil.keep_shared` are mapped once and flattened afterwards; merging
    cells that do the same then gives back what their borders cost (12 % of the LUTs of a 4x4 array
    whose elements each decode the same control). The last step of Yosys's commands is left out,
    because it names every cell after all cells on its way: such names cost nextpnr 40 % of its time
    on iCE40. Only registers and what they are packed with are named, for critical paths.
    """
    family = target.family
    registers = family.selection("ff")
    synthesis = " ".join([*target.synthesis(dsp=dsp), *options, "-run "])
    finish = [
        r"setattr -mod -unset keep_hierarchy *",
        "flatten -noscopeinfo",
        f"opt_merge -share_all {family.selection(*family.merged)}",
        "opt_clean",
        "blackbox =A:whitebox",
        *family.finish,
        f"autoname {registers} %ci1:+[D,DI] %ci1",
        "tee -q -o cells.json stat -json",
        "write_json netlist.json",
        "",
    ]
    parts = [f"{synthesis}:map_luts", *family.without_abc9, f"{synthesis}{family.after_luts}:check"]
    first, second = (
        "\n".join(["read_rtlil design.il", *mapping, *finish])
        for mapping in ([f"{synthesis}:check"], parts)
    )
    return first, second


def synthesize(
    text: str,
    target: Target,
    *,
    dsp: bool = False,
    options: Sequence[str] = (),
    timeout: float = _TIMEOUT,
) -> Netlist:
    """Map a design to the cells of the target's family with Yosys.

    Where ABC9 dies, the design is mapped with ABC instead, and the netlist's remark says why.

    Parameters
    ----------
    text : str
        RTLIL with one top module, best from `tools.rtlil.convert`.
    dsp : bool
        Let Yosys infer DSP blocks, where the target has them.
    options : sequence of str
        More options of the family's ``synth_`` command.
    timeout : float
        Seconds.

    Raises
    ------
    ToolError
        Where Yosys is missing, refuses the design or does not end. Of a refusal, the pass and the
        module are named, and design, script and log are kept in a folder that is named too.
    """
    if dsp and r"cell \SB_MAC16 " in text:
        raise ToolError(
            "Yosys does not keep the parameters of SB_MAC16 blocks in a design where it infers "
            "others; synthesize it without dsp"
        )
    scripts = synthesis_scripts(target, dsp=dsp, options=options)
    marked = rtlil.keep_shared(text)
    try:
        return _mapped(marked, scripts[0], timeout)
    except _Died as died:
        if not died.death.of_abc9 or len(scripts) == 1:
            raise
        remark = f"mapped with ABC, because ABC9 failed: {died.death}"
    return replace(_mapped(marked, scripts[1], timeout), remark=remark)


class _Died(ToolFailure):
    """Yosys failed, and where."""

    death: Death


def _died(death: Death, kept: str) -> _Died:
    # an attribute and no parameter, so that a worker of a cluster can send the error
    error = _Died(str(death), kept)
    error.death = death
    return error


def _mapped(text: str, script: str, timeout: float) -> Netlist:
    """Run a script on a design; raises `_Died`."""
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        folder = Path(scratch)
        (folder / "design.il").write_text(text, encoding="utf-8")
        (folder / "map.ys").write_text(script, encoding="utf-8")
        try:
            tools.run(tools.find("yosys"), _ARGUMENTS, folder, timeout=timeout)
        except ToolFailure as error:
            raise _died(Death.read(folder / "yosys.log", str(error)), keep(folder)) from error
        counts = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
        netlist = (folder / "netlist.json").read_text(encoding="utf-8")
    return Netlist(netlist, counts["design"]["num_cells_by_type"])


def pack(netlist: Netlist, target: Target) -> dict[str, Any]:
    """Return nextpnr's report of the packed design: for each cell, how many are used and there.

    Packing takes about a second and does not fail for want of cells, so it tells whether a design
    fits, and by how much it does not (`report.check_fit`).

    Logic cells that only a register uses are among them, also where nextpnr adds them after
    placement (`Family.feeds`): then the registers that share none are counted in the netlist.

    Raises
    ------
    FitError
        Where the design has more pins than the package, and the tool does not choose them.
    ToolError
        Where the tool is missing, or refuses the netlist.
    """
    report, _ = _nextpnr(netlist, target, ["--pack-only"], _TIMEOUT)
    if target.family.feeds:
        report["utilization"][target.family.packed["lut"]]["used"] += _lone_registers(
            netlist, target.family
        )
    return report


def _lone_registers(netlist: Netlist, family: Family) -> int:
    """Count the registers that find no cell in whose output they can end.

    One register can follow each LUT, and each bit of a carry chain.
    """
    cells = list(_top(netlist)["cells"].values())
    outputs = {
        cell["connections"][port][0]
        for cell in cells
        for pattern, port in family.feeds.items()
        if fnmatchcase(cell["type"], pattern) and cell["connections"].get(port)
    }
    registers = [cell for cell in cells if fnmatchcase(cell["type"], str(family.mapped["ff"]))]
    followed = {cell["connections"]["D"][0] for cell in registers} & outputs
    return len(registers) - len(followed)


def _top(netlist: Netlist) -> dict[str, Any]:
    modules = json.loads(netlist.text)["modules"].values()
    return next(module for module in modules if "top" in module["attributes"])


def _constraints(netlist: Netlist, target: Target) -> str:
    """Return Gowin's constraint file: a pin for every bit of every port, the clock's first."""
    ports = sorted(_top(netlist)["ports"].items(), key=lambda port: port[0] != "clk")
    names = [
        f"{name}[{bit}]" if len(port["bits"]) > 1 else name
        for name, port in ports
        for bit in range(len(port["bits"]))
    ]
    pins = target.pins
    if len(names) > len(pins):
        raise FitError(
            f"the design does not fit {target.name}: it needs {len(names)} of {len(pins)} pins"
        )
    return "".join(f'IO_LOC "{name}" {pin};\n' for name, pin in zip(names, pins, strict=False))


def place_and_route(
    netlist: Netlist,
    target: Target,
    *,
    seed: int = 1,
    frequency: float | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Place and route with one seed, and return nextpnr's report.

    Parameters
    ----------
    seed : int
        Of the placer; Fmax moves by some 10 % with it.
    frequency : float, optional
        Clock to aim for, in Hz. A design that is slower is reported, not refused.
    timeout : float, optional
        Seconds, as `tools.programs.run` counts them; `routing_limit` by default.

    Raises
    ------
    FitError
        Where no legal placement or routing was found, or none in time.
    ToolError
        Where the tool is missing, or refuses the netlist.
    """
    return _routed(netlist, target, seed, frequency, timeout)[0]


def place_and_write(
    netlist: Netlist,
    target: Target,
    *,
    seed: int = 1,
    frequency: float | None = None,
    timeout: float | None = None,
) -> Routed:
    """Place and route as `place_and_route` does, and return all that nextpnr can tell of it.

    What a design weighs in cells, it weighs in text a hundredfold: some MB.
    """
    report, (text, sdf) = _routed(
        netlist, target, seed, frequency, timeout, {"--write": "routed.json", "--sdf": "routed.sdf"}
    )
    return Routed(text, sdf, report)


def _routed(
    netlist: Netlist,
    target: Target,
    seed: int,
    frequency: float | None,
    timeout: float | None,
    written: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, Any], list[str]]:
    """Return nextpnr's report of a routed design, and what it wrote to files of some options."""
    limit = routing_limit(netlist) if timeout is None else timeout
    arguments = ["--seed", str(seed), "--timing-allow-fail"]
    if frequency is not None:
        arguments += ["--freq", f"{frequency / 1e6:.6g}"]
    try:
        return _nextpnr(netlist, target, arguments, limit, written)
    except ToolTimeout as error:
        raise FitError(
            f"{target.name} was not placed and routed within {limit:g} s with seed {seed}"
        ) from error
    except ToolError as error:
        if _TOO_MUCH.search(str(error)) is None:
            raise
        raise FitError(
            f"{target.name} was not placed and routed with seed {seed}: {error}"
        ) from error


def routing_limit(netlist: Netlist) -> float:
    """Return the seconds after which a router goes round in circles: a multiple of what it takes.

    Designs of some hundred cells take seconds, those that fill an iCE40 up to five minutes, and
    those of 20,000 cells on ECP5 five.
    """
    return 120.0 + 0.1 * sum(netlist.cells.values())


def _nextpnr(
    netlist: Netlist,
    target: Target,
    arguments: Sequence[str],
    timeout: float,
    written: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, Any], list[str]]:
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        folder = Path(scratch)
        if target.pins:
            constraints = _constraints(netlist, target)
            (folder / "pins.cst").write_text(constraints, encoding="utf-8")
        files = [part for option in written.items() for part in option]
        report = run_router(netlist, target, [*arguments, *files], folder, timeout)
        return report, [(folder / name).read_text(encoding="utf-8") for name in written.values()]


def run_router(
    netlist: Netlist, target: Target, arguments: Sequence[str], folder: Path, timeout: float
) -> dict[str, Any]:
    """Run the place and route tool in ``folder``, where constraints lie; return its report.

    Raises
    ------
    ToolError
        For a family that is not routed; where the tool is missing, refuses the netlist, or does not
        end within ``timeout`` seconds (`ToolTimeout`).
    """
    family = target.family
    if family.router is None:
        raise ToolError(f"{target.name} can be mapped but not routed")
    (folder / "netlist.json").write_text(netlist.text, encoding="utf-8")
    files = ["--quiet", "--json", "netlist.json", "--report", "report.json"]
    options = [*target.device, *family.router_options, *files, *arguments]
    tools.run(tools.find(family.router), options, folder, timeout=timeout)
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))
