"""The proof that control does not depend on data: what is equal in all lanes."""

from collections import defaultdict
from collections.abc import Iterable

from ...errors import EngineRefusal
from .netlist import GateNetlist, Memory

__all__ = ["Taint", "taint"]

SELECTED = 10
"""Bits of an address, at most, that may depend on data: as many as a threshold search has."""


class Taint:
    """Nets and memories that depend on data.

    Attributes
    ----------
    nets : bytearray
        1 for each net that may differ between lanes.
    memories : set of str
        Names of the memories whose contents may.
    """

    def __init__(self, nets: bytearray, memories: set[str]):
        self.nets, self.memories = nets, memories

    def require_uniform(self, netlist: GateNetlist, nets: Iterable[int], what: str) -> None:
        """Raise `EngineRefusal`, with the signal's name, for one that may differ between lanes."""
        for net in nets:
            if self.nets[net]:
                raise EngineRefusal(
                    f"{what} {netlist.name(net)} may depend on what images hold, so they cannot "
                    "run side by side; take --engine compiled"
                )

    def selected(self, memory: Memory, address: Iterable[int]) -> list[int]:
        """Return the places of the bits of an address that depend on data."""
        return [place for place, net in enumerate(address) if self.nets[net]]

    def check_memories(self, netlist: GateNetlist) -> None:
        """Raise `EngineRefusal` for an address that depends on data and cannot be a multiplexer."""
        for memory in netlist.memories:
            for port in memory.writes:
                self.require_uniform(netlist, port.address, f"memory {memory.name}: address bit")
            for port in memory.reads:
                chosen = self.selected(memory, port.address)
                if memory.name in self.memories or len(chosen) > SELECTED:
                    what = f"memory {memory.name}: address bit"
                    self.require_uniform(netlist, port.address, what)


def taint(netlist: GateNetlist, sources: Iterable[int]) -> Taint:
    """Follow ``sources`` through operations, registers and memories to all that may depend on them.

    Whether a dependence can show is not asked: an operation's results depend on its operands, a
    register on its input and its enable, a word on what is written and where.
    """
    readers: dict[int, list[int]] = defaultdict(list)
    for op in netlist.operations:
        for operand in op.operands:
            readers[operand].extend(op.results)
    for register in netlist.registers:
        readers[register.d].append(register.q)
        readers[register.enable].append(register.q)
    written: dict[int, list[Memory]] = defaultdict(list)
    for memory in netlist.memories:
        for port in memory.reads:
            for net in (port.enable, *port.address):
                readers[net].extend(port.data)
        for port in memory.writes:
            for net in (*port.enable, *port.address, *port.data):
                written[net].append(memory)
    nets, memories = bytearray(netlist.count), set()
    pending = list(sources)
    while pending:
        net = pending.pop()
        if nets[net]:
            continue
        nets[net] = 1
        pending += readers[net]
        for memory in written[net]:
            if memory.name not in memories:
                memories.add(memory.name)
                pending += [each for port in memory.reads for each in port.data]
    return Taint(nets, memories)
