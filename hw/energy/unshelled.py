"""A mapped netlist without the shell around its component, so that the component can be simulated.

What is placed is a component in a `synth.shell.Shell`: a chain of registers before its inputs, and
one behind its outputs. In the netlist both chains are found by what they are connected to, and go;
where they were, there are ports again. All other bits keep their numbers.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ..errors import ToolError
from ..synth.shell import Shell

__all__ = ["without_shell"]

_PREFIX = "component."  # of what is inside, as the shell calls it
_PORTS = ("clk", "rst")  # which both have


def without_shell(netlist: str, shell: Shell) -> str:
    """Return a netlist of iCE40's cells, in Yosys's JSON, without the shell.

    While the component runs, the chains stand still (``shift`` is 0) and all outputs are caught in
    each cycle (``load`` is 1): these two are constant then.

    Raises
    ------
    ToolError
        Where the chains are not those of this shell.
    """
    found = json.loads(netlist)
    top = found["modules"]["top"]
    registers = _Registers(top["cells"])
    first, shift, load = (
        registers.after(top["ports"][name]["bits"][0]) for name in ("d", "shift", "load")
    )
    inputs = registers.chain(first, shift, shell.inputs)
    results = top["netnames"].get("result", {"bits": ()})["bits"]
    if len(results) != shell.outputs:
        raise _other(f"it catches {len(results)} of {shell.outputs} outputs")
    outputs = [registers.before(bit) for bit in results]
    for bit in (first, shift, load, *inputs, *results):
        del top["cells"][registers.driver[bit]]
    kept = {name: port for name, port in top["ports"].items() if name in _PORTS}
    gone = {bit for name, port in top["ports"].items() if name not in kept for bit in port["bits"]}
    gone |= {first, shift, load, *results}
    fixed = {shift: "0", load: "1"}
    for cell in top["cells"].values():
        for port, bits in cell["connections"].items():
            cell["connections"][port] = [fixed.get(bit, bit) for bit in bits]
    top["cells"] = {_inside(name): cell for name, cell in top["cells"].items()}
    top["ports"] = {
        **kept,
        **_ports(shell.driven, "input", inputs),
        **_ports(shell.caught, "output", outputs),
    }
    for wire in top["netnames"].values():
        wire["bits"] = ["x" if bit in gone else bit for bit in wire["bits"]]
    top["netnames"] = {
        **{_inside(name): wire for name, wire in top["netnames"].items()},
        # what is caught is behind the net of the port's name
        **{
            name: {"hide_name": 0, "bits": port["bits"], "attributes": {}}
            for name, port in top["ports"].items()
        },
    }
    return json.dumps(found)


def _inside(name: str) -> str:
    return name.replace("\\", "").replace(_PREFIX, "")


def _ports(
    widths: Sequence[tuple[str, int]], direction: str, bits: Sequence[Any]
) -> dict[str, dict[str, Any]]:
    """Return ports of these names and widths, with the bits of a chain one after the other."""
    ports, at = {}, 0
    for name, width in widths:
        ports[name] = {"direction": direction, "bits": list(bits[at : at + width])}
        at += width
    return ports


def _other(reason: str) -> ToolError:
    return ToolError(f"the netlist is not that of this shell: {reason}; map it anew")


class _Registers:
    """The registers of a netlist, by the bits at their inputs and outputs."""

    def __init__(self, cells: dict[str, Any]):
        self.cells = cells
        self.driver: dict[Any, str] = {}
        self._reading: dict[Any, list[Any]] = defaultdict(list)
        for name, cell in cells.items():
            if cell["type"].startswith("SB_DFF"):
                ((d,), (q,)) = (cell["connections"][port] for port in "DQ")
                self.driver[q] = name
                self._reading[d].append(q)

    def after(self, bit: Any, enable: Any = None) -> Any:
        """Return the output of the one register that takes a bit, where ``enable`` is 1."""
        found = [q for q in self._reading[bit] if self._connections(q).get("E", [None]) == [enable]]
        if len(found) != 1:
            raise _other(f"{len(found)} registers instead of one take bit {bit} of a chain")
        return found[0]

    def chain(self, first: Any, enable: Any, length: int) -> list[Any]:
        """Return the outputs of a chain that begins behind a bit."""
        found = [first]
        while len(found) <= length:
            found.append(self.after(found[-1], enable))
        return found[1:]

    def before(self, bit: Any) -> Any:
        """Return the input of the register that drives a bit, one without any other."""
        name = self.driver.get(bit)
        if name is None or self.cells[name]["type"] != "SB_DFF":
            raise _other(f"no plain register catches an output as bit {bit}")
        return self._connections(bit)["D"][0]

    def _connections(self, q: Any) -> dict[str, list[Any]]:
        return self.cells[self.driver[q]]["connections"]
