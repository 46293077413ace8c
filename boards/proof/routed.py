"""Rewrites nextpnr's netlist of a routed ECP5 for the models of its cells."""

import json
from typing import Any

from ...hw.errors import EngineRefusal

__all__ = ["plain"]


_OPEN = {
    "TRELLIS_COMB": {"A": "1", "B": "1", "C": "1", "D": "1", "FCI": "0"},
    "TRELLIS_FF": {"LSR": "0"},
}
"""What nextpnr takes open ports of slices for: a carry chain begins with 0, no reset is 0."""


def plain(text: str) -> str:
    """Return a routed netlist with constants at the ports that have them, and without pads.

    nextpnr ties a port to a constant by a parameter (``CEAMUX``) instead of a wire; an open port
    of a block is 1, which such a parameter may invert. A pad becomes a wire.

    Parameters
    ----------
    text : str
        JSON that ``nextpnr-ecp5 --write`` wrote.

    Raises
    ------
    EngineRefusal
        For a port that is inverted and connected, and for a pad that is not an input or an output.
    """
    design = json.loads(text)
    (top,) = [each for name, each in design["modules"].items() if name == "top"]
    same: dict[int, int] = {}
    for name, cell in list(top["cells"].items()):
        if cell["type"] == "TRELLIS_IO":
            _pad(name, cell, same)
            del top["cells"][name]
        elif cell["type"] in ("DP16KD", "MULT18X18D"):
            _tie(name, cell)
        elif cell["type"] == "TRELLIS_COMB" or cell["parameters"].get("LSRMUX") == "LSR":
            for port, value in _OPEN.get(cell["type"], {}).items():
                cell["connections"][port] = cell["connections"].get(port) or [value]
    for cell in top["cells"].values():
        cell["connections"] = {  # open ports may be some that models do not have
            port: [same.get(bit, bit) for bit in bits]
            for port, bits in cell["connections"].items()
            if bits
        }
    top["attributes"]["top"] = f"{1:032b}"
    # names of nets are left out: those of pads would give their wires two
    ports = top["ports"]
    top["netnames"] = {
        name: {"hide_name": 0, "bits": port["bits"], "attributes": {}}
        for name, port in ports.items()
    }
    design["modules"] = {"top": top}
    return json.dumps(design)


def _pad(name: str, cell: dict[str, Any], same: dict[int, int]) -> None:
    """Note which net inside is the pad's, which is the port's."""
    (pad,) = cell["connections"]["B"]
    direction = cell["parameters"]["DIR"].strip()
    if direction not in ("INPUT", "OUTPUT") or cell["connections"].get("T"):
        raise EngineRefusal(
            f"{name}: the pad has the direction {direction}"
            + (" and an enable" if cell["connections"].get("T") else "")
            + "; the batch engine has models of INPUT and OUTPUT without one"
        )
    for bit in cell["connections"].get("O" if direction == "INPUT" else "I", []):
        same[bit] = pad


def _tie(name: str, cell: dict[str, Any]) -> None:
    """Put constants at ports that a parameter ties, in place."""
    for parameter in [each for each in cell["parameters"] if each.endswith("MUX")]:
        port = parameter.removesuffix("MUX")
        value = cell["parameters"].pop(parameter).strip()
        connected = cell["connections"].get(port)
        allowed = (port,) if connected else (port, "INV", "0", "1")
        if value not in allowed:
            raise EngineRefusal(
                f"{name}: {parameter} is {value or 'empty'}; the batch engine has models of "
                f"{', '.join(allowed)} for a port that is {'connected' if connected else 'open'}"
            )
        if not connected and not port.startswith("CLK"):
            cell["connections"][port] = ["1" if value in ("1", port) else "0"]
    for port, bits in cell["connections"].items():
        if port.startswith(("DI", "AD")) and not bits:
            cell["connections"][port] = ["1"]
