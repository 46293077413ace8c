"""Recovers a netlist from a bitstream: the logic that an iCE40 would have, loaded with it.

IceStorm's ``iceunpack`` and ``icebox_vlog`` turn configuration bits into Verilog: logic cells,
registers, carry chains, block RAM with its contents, pins and PLL. ``icebox_vlog`` leaves out
DSP blocks and single-port RAM; those are added here, from the places of their ports and
configuration bits in IceStorm's database.
"""

import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...hw.errors import ToolError
from ...hw.tools import programs as tools
from ..catalogue.entries import Board

__all__ = ["Segment", "find_icebox", "recover"]

Segment = tuple[int, int, str]
"""A piece of wire: column and row of its tile, and its name there."""

_NET = re.compile(r"^(?:wire|reg) (\S+?)(?: = 0)?;$")
_SEGMENT = re.compile(r"^// \((\d+), (\d+), '([^']+)'\)$")
_TRACED = re.compile(r"^/\* DSP\d .*\n", re.MULTILINE)  # assignments to wires that nothing declares
_PACKAGES = {"up5k": "sg48", "hx8k": "ct256"}
_SCRIPT = Path(__file__).with_name("icebox_blocks.py")


def find_icebox() -> tools.Tool:
    """Return IceStorm's ``icebox_vlog``.

    Raises
    ------
    ToolError
        Where it is not there; the text says how to get it.
    """
    try:
        return tools.find("icebox_vlog")
    except ToolError as error:
        raise ToolError(
            "icebox_vlog was not found, which reads bitstreams of iCE40: install IceStorm (on "
            "Debian and Ubuntu `apt install --no-install-recommends fpga-icestorm`), or set "
            "ICEBOX_VLOG"
        ) from error


def recover(bitstream: bytes, board: Board) -> str:
    """Return the Verilog of module ``top`` that the bitstream configures.

    Its ports are those of `gateware.board_top.Top`.

    Raises
    ------
    ToolError
        Without IceStorm; for a family that it does not know; for a bitstream that is none, or
        whose clock is not where the board's is.
    """
    if board.target.family.name != "ice40":
        raise ToolError(
            f"{board.name}: bitstreams of {board.target.family.name} are not turned back into "
            "netlists; those of ice40 are"
        )
    icebox = find_icebox()
    # the constraints' plain form: icebox_vlog does not know options
    pins = "".join(f"set_io {pin.port} {pin.site}\n" for pin in board.pins)
    with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
        folder = Path(scratch)
        (folder / "top.bin").write_bytes(bitstream)
        (folder / "pins.pcf").write_text(pins, encoding="utf-8")
        tools.run(tools.find("iceunpack"), ["top.bin", "top.asc"], folder)
        text = tools.run(icebox, ["-p", "pins.pcf", "-n", "top", "top.asc"], folder)
        described = _describe(icebox, folder, board)
    return _completed(text, described, board)


def _describe(icebox: tools.Tool, folder: Path, board: Board) -> dict[str, Any]:
    home = Path(icebox.command[-1]).resolve().parent
    command = (sys.executable, str(_SCRIPT))
    package = _PACKAGES[board.target_name]
    reader = tools.Tool("icebox", command, icebox.source)
    return json.loads(tools.run(reader, [str(home), "top.asc", package], folder).splitlines()[-1])


def _completed(text: str, described: Mapping[str, Any], board: Board) -> str:
    """Add what is missing in the text of ``icebox_vlog``."""
    nets, pads = _nets(text)
    body = _TRACED.sub("", text)
    body = _clocked(body, pads, described["pins"], board)
    cells = [
        cell
        for index, block in enumerate(described["blocks"])
        if (cell := _cell(index, block, nets))
    ]
    return body.replace("\nendmodule", "\n" + "\n".join(cells) + "\nendmodule")


def _nets(text: str) -> tuple[dict[Segment, str], dict[str, Segment]]:
    """Return the net of each segment, and the pad that a net is at."""
    nets: dict[Segment, str] = {}
    pads: dict[str, Segment] = {}
    name = ""
    for line in text.splitlines():
        if match := _NET.match(line):
            name = match[1]
        elif match := _SEGMENT.match(line):
            segment = int(match[1]), int(match[2]), match[3]
            nets[segment] = name
            if segment[2].endswith("/PAD"):
                pads[name] = segment
    return nets, pads


def _clocked(text: str, pads: Mapping[str, Segment], pins: Any, board: Board) -> str:
    """Connect the port ``clk`` to a PLL that takes its clock from a pad; see `Board.pll`."""
    found = re.search(r"\.PACKAGEPIN\((\w+)\)", text)
    if found is None:
        return text
    x, y, pad = pads[found[1]]
    (site,) = [pin.site for pin in board.pins if pin.port == "clk"]
    if [x, y, f"io_{pins[site][2]}/PAD"] != [*pins[site][:2], pad]:
        raise ToolError(f"{board.name}: the bitstream's PLL does not take the clock of pin {site}")
    return text.replace(found[0], ".PACKAGEPIN(clk)")


def _cell(index: int, block: Mapping[str, Any], nets: Mapping[Segment, str]) -> str:
    """Return a block's instance; nothing where it is not used."""
    ports: dict[str, dict[int, str]] = defaultdict(dict)
    driven = False
    for name, (x, y, wire) in block["ports"].items():
        stem, _, number = name.rpartition("_") if name[-1].isdigit() else (name, "", "0")
        wire = "lutff_global/clk" if wire == "clk" else wire
        net = nets.get((x, y, wire))
        is_output = stem in ("O", "CO", "DATAOUT")
        driven = driven or (is_output and net is not None)
        default = "" if is_output else "1'b1" if stem == "CE" else "1'b0"
        ports[stem][int(number)] = net or default
    if not driven:
        return ""
    lines = [_port(name, bits, f"unused_{index}_{name}") for name, bits in ports.items()]
    declared = "\n".join(line for declaration, _ in lines for line in declaration)
    connected = ", ".join(text for _, text in lines)
    return f"{declared}\n{block['cell']} {_parameters(block)} block_{index} ({connected});"


def _port(name: str, bits: Mapping[int, str], unused: str) -> tuple[list[str], str]:
    """Return declarations of wires for open bits, and the port's connection."""
    declared, names = [], []
    for bit in sorted(bits, reverse=True):
        names.append(bits[bit] or f"{unused}_{bit}")
        declared += [] if bits[bit] else [f"wire {names[-1]};"]
    return declared, f".{name}({{{', '.join(names)}}})"


def _parameters(block: Mapping[str, Any]) -> str:
    """Return the parameters of a DSP block, from its configuration bits."""
    if block["cell"] != "SB_MAC16":
        return ""
    vectors: dict[str, dict[int, int]] = defaultdict(dict)
    for name, value in block["bits"].items():
        stem, _, number = name.rpartition("_")
        wide = stem.endswith(("SELECT", "LOWERINPUT"))
        vectors[stem if wide else name][int(number) if wide else 0] = value
    values = {
        name: f"{len(bits)}'b" + "".join(str(bits[bit]) for bit in sorted(bits, reverse=True))
        for name, bits in vectors.items()
    }
    return "#(" + ", ".join(f".{name}({value})" for name, value in values.items()) + ")"
