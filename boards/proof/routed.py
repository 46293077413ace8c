"""Rewrites nextpnr's netlist of a routed ECP5 for the models of its cells."""

import json
from typing import Any

__all__ = ["plain"]


def plain(text: str) -> str:
    """Return a routed netlist with constants at the ports that have them, and without pads.

    nextpnr ties a port to a constant by a parameter (``CEAMUX``) instead of a wire; an open port
    of a block or a LUT is 1, which such a parameter may invert. A pad becomes a wire.

    Parameters
    ----------
    text : str
        JSON that ``nextpnr-ecp5 --write`` wrote.
    """
    design = json.loads(text)
    (top,) = [each for name, each in design["modules"].items() if name == "top"]
    same: dict[int, int] = {}
    for name, cell in list(top["cells"].items()):
        if cell["type"] == "TRELLIS_IO":
            _pad(cell, same)
            del top["cells"][name]
        elif cell["type"] in ("DP16KD", "MULT18X18D"):
            _tie(cell)
        elif cell["type"] == "TRELLIS_COMB":
            for port in "ABCD":
                cell["connections"][port] = cell["connections"].get(port) or ["1"]
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


def _pad(cell: dict[str, Any], same: dict[int, int]) -> None:
    """Note which net inside is the pad's, which is the port's."""
    (pad,) = cell["connections"]["B"]
    inside = "O" if cell["parameters"]["DIR"].strip() == "INPUT" else "I"
    for bit in cell["connections"].get(inside, []):
        same[bit] = pad


def _tie(cell: dict[str, Any]) -> None:
    """Put constants at ports that a parameter ties, in place."""
    for name in [name for name in cell["parameters"] if name.endswith("MUX")]:
        port = name.removesuffix("MUX")
        value = cell["parameters"].pop(name).strip()
        if value in ("CLKA", "CLKB") or cell["connections"].get(port):
            continue
        cell["connections"][port] = ["1" if value in ("1", port) else "0"]
