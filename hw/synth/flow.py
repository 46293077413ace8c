"""The three steps from RTLIL to a routed design: map, pack, place and route.

Each step is a plain function of plain values, so that it can be pickled, run on any executor and
stored by its arguments. Mapping depends on the family only, packing on the device, and routing on
the seed: all seeds, and all devices of a family, share the longest step.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import rtlil, tools
from ..errors import FitError, ToolError
from .targets import Target

__all__ = ["Netlist", "pack", "place_and_route", "synthesis_script", "synthesize"]

_TIMEOUT = 3600.0  # seconds: a router that has not finished by then goes round in circles
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
    """

    text: str = field(repr=False)
    cells: Mapping[str, int] = field(hash=False)


def synthesis_script(target: Target, *, dsp: bool = False, options: Sequence[str] = ()) -> str:
    """Return the Yosys script that maps ``design.il`` to ``netlist.json`` and ``cells.json``.

    Modules marked by `rtlil.keep_shared` are mapped once and flattened afterwards; merging cells
    that do the same then gives back what their borders cost (12 % of the LUTs of a 4x4 array whose
    elements each decode the same control). The last step
    of Yosys's commands is left out, because it names every cell after all cells on its way: such
    names cost nextpnr 40 % of its time on iCE40. Only registers and what they are packed with
    are named, for critical paths.
    """
    registers = f"t:{target.family.mapped['ff']}"
    logic = " ".join(f"t:{target.family.mapped[name]}" for name in target.family.merged)
    synthesis = " ".join([*target.synthesis(dsp=dsp), *options, "-run", ":check"])
    return "\n".join(
        [
            "read_rtlil design.il",
            synthesis,
            r"setattr -mod -unset keep_hierarchy *",
            "flatten -noscopeinfo",
            f"opt_merge -share_all {logic}",
            "opt_clean",
            "blackbox =A:whitebox",
            f"autoname {registers} %ci1:+[D,DI] %ci1",
            "tee -q -o cells.json stat -json",
            "write_json netlist.json",
            "",
        ]
    )


def synthesize(
    text: str,
    target: Target,
    *,
    dsp: bool = False,
    options: Sequence[str] = (),
    timeout: float = _TIMEOUT,
) -> Netlist:
    """Map a design to the cells of the target's family with Yosys.

    Parameters
    ----------
    text : str
        RTLIL with one top module, best from `rtlil.convert`.
    dsp : bool
        Let Yosys infer multiplier blocks, where the target has them.
    options : sequence of str
        More options of the family's ``synth_`` command.
    timeout : float
        Seconds.

    Raises
    ------
    ToolError
        Where Yosys is missing, refuses the design or does not end.
    """
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        folder = Path(scratch)
        (folder / "design.il").write_text(rtlil.keep_shared(text), encoding="utf-8")
        script = synthesis_script(target, dsp=dsp, options=options)
        (folder / "map.ys").write_text(script, encoding="utf-8")
        tools.run(tools.find("yosys"), ["-q", "-s", "map.ys"], folder, timeout=timeout)
        counts = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
        netlist = (folder / "netlist.json").read_text(encoding="utf-8")
    return Netlist(netlist, counts["design"]["num_cells_by_type"])


def pack(netlist: Netlist, target: Target) -> dict[str, Any]:
    """Return nextpnr's report of the packed design: for each cell, how many are used and there.

    Packing takes about a second and does not fail for want of cells, so it tells whether a design
    fits, and by how much it does not (`report.check_fit`).

    Raises
    ------
    ToolError
        Where the tool is missing, or refuses the netlist.
    """
    return _nextpnr(netlist, target, ["--pack-only"], _TIMEOUT)


def place_and_route(
    netlist: Netlist,
    target: Target,
    *,
    seed: int = 1,
    frequency: float | None = None,
    timeout: float = _TIMEOUT,
) -> dict[str, Any]:
    """Place and route with one seed, and return nextpnr's report.

    Parameters
    ----------
    seed : int
        Of the placer; Fmax moves by some 10 % with it.
    frequency : float, optional
        Clock to aim for, in Hz. A design that is slower is reported, not refused.
    timeout : float
        Seconds.

    Raises
    ------
    FitError
        Where no legal placement or routing was found.
    ToolError
        Where the tool is missing, refuses the netlist or does not end.
    """
    arguments = ["--seed", str(seed), "--timing-allow-fail"]
    if frequency is not None:
        arguments += ["--freq", f"{frequency / 1e6:.6g}"]
    try:
        return _nextpnr(netlist, target, arguments, timeout)
    except ToolError as error:
        if _TOO_MUCH.search(str(error)) is None:
            raise
        raise FitError(
            f"{target.name} was not placed and routed with seed {seed}: {error}"
        ) from error


def _nextpnr(
    netlist: Netlist, target: Target, arguments: Sequence[str], timeout: float
) -> dict[str, Any]:
    family = target.family
    if family.router is None:
        raise ToolError(f"{target.name} can be mapped but not routed")
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        folder = Path(scratch)
        (folder / "netlist.json").write_text(netlist.text, encoding="utf-8")
        files = ["--quiet", "--json", "netlist.json", "--report", "report.json"]
        options = [*target.device, *family.router_options, *files, *arguments]
        tools.run(tools.find(family.router), options, folder, timeout=timeout)
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))
