"""Reads the tools' reports from their JSON and never from their logs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import FitError, ToolError
from .family import Family
from .targets import Target

__all__ = ["RESOURCES", "Report", "check_budget", "check_fit", "parse"]

RESOURCES = ("lut", "lut4", "ff", "carry", "bram", "spram", "dsp", "io")
_WORDS = {
    "lut": "logic cells",
    "ff": "registers",
    "bram": "block RAMs",
    "spram": "single-port RAMs",
    "dsp": "DSP blocks",
    "io": "pins",
}
# What nextpnr counts without its taking a place: parts of Gowin's multipliers.
_NO_CELLS = ("DUMMY_CELL",)
# nextpnr's names for a clock that came in through a pin and was put on a global net.
_CLOCK = re.compile(r"^\$glbnet\$|\$(SB_IO_IN|TRELLIS_IO_IN).*$|_IBUF_I_O$")
# Yosys names a cell after the net that it drives, and appends how it came about.
_MAPPED = re.compile(
    r"_(SB_|TRELLIS_|LUT\d|CCU2C|PFUMX|L6MUX21|DP16KD|MULT|DFF|ALU_|MUX2_|SDP[BX]|DPB|DPX9B|SPX?\d?_).*$"
)


@dataclass(frozen=True)
class Report:
    """Resources and speed of one routed design.

    What a family does not have, or its tool does not count, is None.

    Attributes
    ----------
    lut : int or None
        Logic cells used after packing, the number that a device runs out of. iCE40: logic cells
        (``ICESTORM_LC``), each a LUT4, a register, a carry bit or all three. ECP5:
        ``TRELLIS_COMB``, each a LUT4, half a carry cell or a quarter of a small memory. Gowin:
        LUT sites, each a LUT4, a carry bit (``ALU``), with or without a register after it, or
        a register alone. xc7, which nothing packs: the same as ``lut4``, so that a packer, which
        puts two LUTs of shared inputs into one, can only lower it.
    lut4 : int or None
        LUTs that Yosys mapped to, before packing: the number that is compared between families
        and with the literature. On xc7, of up to six inputs.
    ff : int or None
        Registers.
    carry : int or None
        Carry cells that Yosys mapped to: of one bit on iCE40 (``SB_CARRY``) and Gowin (``ALU``,
        which is an adder and takes no LUT beside it), two on ECP5 (``CCU2C``), four on xc7
        (``CARRY4``).
    bram, spram, dsp, io : int or None
        Block RAMs (4 kbit on iCE40, 18 kbit on the others; a RAMB36 of xc7 is two), single-port
        RAMs of 256 kbit, DSP blocks (of 18x18 on Gowin, which hold two of 9x9), pins.
    fmax_mhz : mapping of str to float
        Highest frequency in MHz by clock; empty before routing.
    critical_path : str
        The slowest path from register to register, in a line; empty before routing.
    """

    lut: int | None = None
    lut4: int | None = None
    ff: int | None = None
    carry: int | None = None
    bram: int | None = None
    spram: int | None = None
    dsp: int | None = None
    io: int | None = None
    fmax_mhz: Mapping[str, float] = field(default_factory=dict, hash=False)
    critical_path: str = ""


def parse(report: Mapping[str, Any] | None, cells: Mapping[str, int], family: Family) -> Report:
    """Return what nextpnr's ``--report`` file and Yosys's cell counts say.

    Parameters
    ----------
    report : mapping or None
        The file's JSON, of a packed or a routed design; None for one that is only mapped.
    cells : mapping of str to int
        Cells by type, as Yosys's ``stat -json`` counts them.

    Raises
    ------
    ToolError
        Where the report does not have nextpnr's form.
    """
    found: dict[str, Any] = family.count_mapped(cells)
    if report is None:
        return Report(**found)
    try:
        used = {cell: entry["used"] for cell, entry in report["utilization"].items()}
        fmax = {_CLOCK.sub("", clock): entry["achieved"] for clock, entry in report["fmax"].items()}
        critical = _critical_path(report["critical_paths"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ToolError(f"{family.router} wrote a report of unknown form: {error!r}") from error
    found |= family.count_packed(used)
    return Report(**found, fmax_mhz=fmax, critical_path=critical)


def check_fit(report: Mapping[str, Any], target: Target) -> None:
    """Compare what a packed design uses with what there is.

    Parameters
    ----------
    report : mapping
        JSON of nextpnr's ``--report`` after ``--pack-only``.

    Raises
    ------
    FitError
        With both numbers of every resource that is exhausted.
    """
    packed = target.family.packed.items()
    word = {cell: _WORDS[name] for name, cell in packed if isinstance(cell, str)}
    used = {cell: entry["used"] for cell, entry in report["utilization"].items()}
    _refuse(
        target,
        [
            f"{entry['used']} of {entry['available']} {word.get(cell, cell)}"
            for cell, entry in report["utilization"].items()
            if entry["used"] > entry["available"] and cell not in _NO_CELLS
        ],
        target.family.count_packed(used).get("lut"),
    )


def check_budget(found: Report, target: Target) -> None:
    """Compare what a design uses with the target's budget, where no tool compares the two.

    Raises
    ------
    FitError
        With both numbers of every resource that is exhausted.
    """
    _refuse(
        target,
        [
            f"{getattr(found, name)} of {available} {_WORDS[name]}"
            for name, available in target.budget.items()
            if (getattr(found, name) or 0) > available
        ],
        found.lut,
    )


def _refuse(target: Target, short: list[str], lut: int | None) -> None:
    if short:
        raise FitError(
            f"the design does not fit {target.name}: it needs {' and '.join(short)}", lut=lut
        )


def _critical_path(paths: list[dict[str, Any]]) -> str:
    """Describe the slowest path that begins and ends at a clock."""
    clocked = [path for path in paths if "<async>" not in (path["from"], path["to"])]
    if not clocked:
        return ""
    steps = max(clocked, key=_delay)["path"]
    cells = sum(step["type"] == "logic" for step in steps)
    wires = sum(step["delay"] for step in steps if step["type"] == "routing")
    begin, end = (_MAPPED.sub("", step["cell"]) for step in (steps[0]["from"], steps[-1]["to"]))
    total = sum(step["delay"] for step in steps)
    return f"{begin} -> {end}: {total:.1f} ns, {cells} cells, {wires:.1f} ns in wires"


def _delay(path: Mapping[str, Any]) -> float:
    return sum(step["delay"] for step in path["path"])
