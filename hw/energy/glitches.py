"""How many changes of a routed design do not last, and where: the factor of glitches.

An engine without delays counts settled toggles, of as many images as one likes. What glitches add
is found with delays in a few thousand cycles of the same design, as a factor for the settled ones.
Of all nets alike it is the factor of toggles; for energy each toggle counts by the length of its
net's wires (`model.LENGTHS`).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import ToolTimeout
from .events import EventSimulator, Toggles
from .model import LENGTHS, charged
from .routed import MAJORITY, RoutedCells
from .wires import Wires

__all__ = ["Glitches", "find_glitches", "run_stream"]

DEEP = 4  # LUTs behind each other from which on they share a class


@dataclass(frozen=True)
class Glitches:
    """Toggles of the nets of a design.

    Attributes
    ----------
    cycles, registers : int
    classes : dict of str to (int, int)
        Total and settled toggles of nets from a ``register`` (or a memory, a block, a pad), a
        ``carry``, and a LUT by how many LUTs lie behind each other up to it: ``lut 1`` to
        ``lut 4+``. A LUT that only its own register reads has no net, and is in none.
    charged, settled : dict of str to int
        Wires that change by kind: all changes, and those that last.
    latest : int
        Picoseconds after an edge until everything rests.
    """

    cycles: int
    registers: int
    classes: dict[str, tuple[int, int]]
    charged: dict[str, int]
    settled: dict[str, int]
    latest: int

    @property
    def toggles(self) -> float:
        """Changes for each that lasts."""
        total, settled = (sum(pair[i] for pair in self.classes.values()) for i in (0, 1))
        return total / settled

    @property
    def factor(self) -> float:
        """Length of wires that changes for that of changes that last: the factor of energy."""
        total, settled = (
            sum(LENGTHS[kind] * counts[kind] for kind in LENGTHS)
            for counts in (self.charged, self.settled)
        )
        return total / settled


def find_glitches(routed: RoutedCells, toggles: Toggles, wires: Mapping[str, Wires]) -> Glitches:
    """Return the glitches of a simulated design, whose nets have these wires."""
    kinds = _kinds(routed)
    classes: dict[str, tuple[int, int]] = {}
    for node in routed.nets.values():
        kind = kinds.get(node, "register")
        counts = int(toggles.total[node]), int(toggles.settled[node])
        old = classes.get(kind, (0, 0))
        classes[kind] = old[0] + counts[0], old[1] + counts[1]
    total, settled = (
        charged({name: int(counts[node]) for name, node in routed.nets.items()}, wires)
        for counts in (toggles.total, toggles.settled)
    )
    found = dict(sorted(classes.items()))
    sizes = toggles.cycles, len(routed.registers)
    return Glitches(*sizes, found, total, settled, toggles.latest)


def _kinds(routed: RoutedCells) -> dict[int, str]:
    """Return the class of every gate's output."""
    gates = {gate.output: gate for gate in routed.gates}
    levels: dict[int, int] = {}
    readers = defaultdict(list)
    left = {}
    for output, gate in gates.items():
        sources = {pin.node for pin in gate.pins} & gates.keys()
        left[output] = len(sources)
        for source in sources:
            readers[source].append(output)
    ready = [output for output, number in left.items() if not number]
    while ready:
        output = ready.pop()
        gate = gates[output]
        own = 0 if gate.table == MAJORITY else 1
        levels[output] = own + max((levels.get(pin.node, 0) for pin in gate.pins), default=0)
        for reader in readers[output]:
            left[reader] -= 1
            if not left[reader]:
                ready.append(reader)
    return {
        output: "carry" if gates[output].table == MAJORITY else _lut(level)
        for output, level in levels.items()
    }


def _lut(level: int) -> str:
    return f"lut {level}" if level < DEEP else f"lut {DEEP}+"


def run_stream(
    simulator: EventSimulator, codes: np.ndarray, width: int, outputs: int, limit: int
) -> np.ndarray:
    """Stream input codes through an accelerator whose ports are pads, and return what comes out.

    Parameters
    ----------
    codes : int array
        Of all images, element by element; the stream never pauses, and ``last`` stays 0.
    width : int
        Bits of a code.
    outputs : int
        How many levels come out.
    limit : int
        Cycles.

    Returns
    -------
    int array
        Payloads, as unsigned numbers.

    Raises
    ------
    ToolTimeout
        Where not all came out within the limit.
    """
    names = simulator.inputs
    pads = simulator.routed.outputs
    payload = [pads[name] for name in _bus(pads, "o__payload")]
    watched = [pads["i__ready"], pads["o__valid"], *payload]
    places = [names.index(name) for name in _bus(names, "i__payload")[:width]]
    given = np.zeros((1, len(names)), np.uint8)
    given[0, names.index("o__ready")] = 1
    found, sent = [], 0
    for _ in range(limit):
        given[0, names.index("i__valid")] = sent < len(codes)
        if sent < len(codes):
            given[0, places] = int(codes[sent]) >> np.arange(width) & 1
        ready, valid, *bits = simulator.run(given, watch=watched)[0].tolist()
        sent += ready and sent < len(codes)
        if valid:
            found.append(sum(bit << index for index, bit in enumerate(bits)))
        if len(found) == outputs:
            return np.array(found)
    raise ToolTimeout(f"{len(found)} of {outputs} levels came out within {limit} cycles")


def _bus(names: Mapping[str, int] | list[str], name: str) -> list[str]:
    """Return the names of a port's bits, the lowest first."""
    bits = [f"{name}[{index}]" for index in range(sum(each.startswith(name) for each in names))]
    return [bit for bit in bits if bit in names] or [name]
