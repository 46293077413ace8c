"""Simulates a routed iCE40 design with its delays, and counts how often every net changes.

Why delays: where the pins of a gate change one after the other, its output may change several times
in a cycle (*glitches*), and each change costs as much as one that lasts. A simulation without
delays sees those only that last, the *settled* toggles.

Wires have transport delays: they are chains of buffers, each much faster than the whole, so that
pulses come through. Cells have inertial delays by default: what is shorter than a cell's own delay
does not leave it, as it does not charge the node inside. With ``inertial=False`` cells let
everything through, which is an upper bound. Both end every cycle at the same values.

An edge of the clock comes when everything rests, however long that takes, and reaches all registers
at once: nextpnr gives all ends of a global net the same delay. Inputs change at the edge.
"""

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import EngineRefusal
from ..sim.batch.native import compiled
from .routed import RoutedBlock, RoutedCells, RoutedGate, RoutedMemory, RoutedPin, RoutedRegister

__all__ = ["EventSimulator", "Toggles"]

_COUNTS = ("nodes", "gates", "registers", "memories", "blocks", "inputs", "inertial")


@dataclass(frozen=True, eq=False)
class Toggles:
    """How often nodes changed.

    Attributes
    ----------
    names : list of str
        Of every node, as `RoutedCells.names`.
    total, settled : int64 array
        Changes with delays, and cycles at whose end a node is not what it was.
    cycles : int
    latest : int
        Picoseconds after an edge until the last change of all.
    """

    names: list[str]
    total: np.ndarray
    settled: np.ndarray
    cycles: int
    latest: int

    @property
    def factor(self) -> float:
        """Changes with delays for each that lasts."""
        return float(self.total.sum() / max(1, self.settled.sum()))

    def by_name(self) -> dict[str, tuple[int, int]]:
        """Return total and settled toggles of every node but the constants."""
        pairs = zip(self.names, self.total.tolist(), self.settled.tolist(), strict=True)
        return {name: (total, settled) for name, total, settled in list(pairs)[2:]}


class EventSimulator:
    """A simulation that has begun: all inputs 0, registers as the device begins.

    Parameters
    ----------
    routed : RoutedCells
    inertial : bool
        Whether cells swallow pulses that are shorter than their delay.

    Raises
    ------
    EngineRefusal
        For a design that never comes to rest.
    ToolError
        Without a C++ compiler.
    """

    def __init__(self, routed: RoutedCells, *, inertial: bool = True):
        self.routed, self.cycles = routed, 0
        self.inputs = list(routed.inputs)
        self._library = _library()
        self._parts = _laid_out(routed)
        counts = (len(routed.names), *_sizes(routed), inertial)
        design = (ctypes.c_uint64 * (len(_COUNTS) + len(self._parts)))(
            *counts, *(part.ctypes.data for part in self._parts)
        )
        self._simulation = self._library.create(ctypes.addressof(design))
        if not self._simulation:
            raise EngineRefusal("the design never comes to rest: it has a combinational loop")
        self._end = weakref.finalize(self, self._library.destroy, self._simulation)

    def run(self, inputs: np.ndarray, *, watch: Sequence[int] = ()) -> np.ndarray:
        """Run cycles; the first of all begins without an edge.

        Parameters
        ----------
        inputs : array of shape (cycles, inputs)
            Bits, in the order of the attribute ``inputs``.
        watch : sequence of int
            Nodes.

        Returns
        -------
        uint8 array of shape (cycles, watched)
            What the nodes are at the end of each cycle.

        Raises
        ------
        EngineRefusal
            Where a cycle never comes to rest.
        """
        given = np.ascontiguousarray(inputs, np.uint8)
        if given.ndim != 2 or given.shape[1] != len(self.inputs):
            raise ValueError(f"inputs are of shape (cycles, {len(self.inputs)}), not {given.shape}")
        found = np.zeros((len(given), len(self.routed.names)), np.uint8) if watch else None
        address = None if found is None else found.ctypes.data
        if self._library.run(self._simulation, given.ctypes.data, len(given), address):
            raise EngineRefusal("a cycle never comes to rest: there is a combinational loop")
        self.cycles += len(given)
        return np.zeros((len(given), 0), np.uint8) if found is None else found[:, list(watch)]

    def count_from_here(self) -> None:
        """Forget the toggles so far, such as those of filling a pipeline."""
        self._library.count_from_here(self._simulation)
        self.cycles = 0

    def toggles(self) -> Toggles:
        """Return the toggles since the beginning, or since `count_from_here`."""
        total, settled = np.zeros((2, len(self.routed.names)), np.int64)
        addresses = total.ctypes.data, settled.ctypes.data
        latest = self._library.counts(self._simulation, *addresses)
        return Toggles(self.routed.names, total, settled, self.cycles, latest)


@cache
def _library() -> ctypes.CDLL:
    source = Path(__file__).with_name("events.cc").read_text(encoding="utf-8")
    loaded = ctypes.CDLL(str(compiled(source, ())))
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    loaded.create.argtypes, loaded.create.restype = [pointer], pointer
    loaded.destroy.argtypes, loaded.destroy.restype = [pointer], None
    loaded.run.argtypes, loaded.run.restype = [pointer, pointer, number, pointer], ctypes.c_int
    loaded.count_from_here.argtypes, loaded.count_from_here.restype = [pointer], None
    loaded.counts.argtypes, loaded.counts.restype = [pointer] * 3, number
    return loaded


def _sizes(routed: RoutedCells) -> tuple[int, ...]:
    parts = (routed.gates, routed.registers, routed.memories, routed.blocks, routed.inputs)
    return tuple(len(part) for part in parts)


def _laid_out(routed: RoutedCells) -> list[np.ndarray]:
    """Return the arrays of ``Design`` in ``events.cc``."""
    sinks: list[list[tuple[int, int, int]]] = [[] for _ in routed.names]
    pinned: list[tuple[RoutedPin, ...]] = [part.pins for part in (*routed.gates, *routed.blocks)]
    for part, pins in enumerate(pinned):
        for index, pin in enumerate(pins):
            sinks[pin.node].append((part, index, pin.wire))
    starts = np.cumsum([0, *map(len, sinks)])
    return [
        np.array(starts, np.uint32),
        np.array([number for each in sinks for sink in each for number in sink], np.uint32),
        np.array([number for gate in routed.gates for number in _gate(gate)], np.uint32),
        np.array([number for each in routed.registers for number in _register(each)], np.uint32),
        np.frombuffer(b"".join(map(_memory, routed.memories)), np.uint8),
        np.array([number for block in routed.blocks for number in _block(block)], np.uint32),
        np.array(list(routed.inputs.values()), np.uint32),
    ]


def _gate(gate: RoutedGate) -> list[int]:
    delays = [pin.cell for pin in gate.pins]
    return [gate.output, gate.table, *delays, *[0] * (4 - len(delays))]


def _register(register: RoutedRegister) -> RoutedRegister:
    return register


def _memory(memory: RoutedMemory) -> bytes:
    head = [memory.read_mode, memory.write_mode, *memory.read, *memory.write, *memory.data]
    words = np.array(memory.words, np.uint16)
    return np.array([*head, memory.delay], np.uint32).tobytes() + words.tobytes()


def _block(block: RoutedBlock) -> list[int]:
    nodes = [pin.node for pin in block.pins]
    return [*block.modes, *nodes, *block.outputs, block.delay, block.from_clock]
