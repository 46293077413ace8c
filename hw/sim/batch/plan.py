"""Plan of an evaluation: operations as arrays of numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from .gates import KINDS, ONE, Operation
from .netlist import GateNetlist, ReadPort, WritePort
from .order import CHUNK, arrange, order_registers, place, written_in_place
from .uniform import Taint

__all__ = ["READ", "SELECT", "WRITE", "Plan", "Words", "make_plan"]

READ, SELECT, WRITE = range(3)
"""What a port of a memory does: read, read with an address that differs, write."""


@dataclass(frozen=True, eq=False)
class Words:
    """Contents of a memory, and whether they are the same in all lanes."""

    name: str
    init: np.ndarray
    uniform: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """A design for an evaluator. All arrays are of uint32; nets are numbers of their slots.

    Attributes
    ----------
    slots : int
        Vectors of state. The first one is 0, the second one 1.
    operations : array
        Runs: a kind's number, how many, and of each its results and operands.
    registers : array
        Groups: the enable, how many, and of each output and input.
    ones : array
        Slots that begin as 1.
    ports : array
        Of memories, reads first: `READ`, the memory, the enable, how many bits of address, these;
        how many of data, these. `SELECT`, the same, with the number of bits that differ, and their
        places, before the data. `WRITE`: the memory, bits of address, these; how many bits of data,
        and of each its enable and itself.
    memories : tuple of Words
    slot : dict of int to int
        Of every net that is kept.
    apart : bool
        Whether addresses and enables of memories may differ between lanes.
    """

    slots: int
    operations: np.ndarray
    registers: np.ndarray
    ones: np.ndarray
    ports: np.ndarray
    memories: tuple[Words, ...]
    slot: dict[int, int]
    apart: bool


def make_plan(
    netlist: GateNetlist,
    outputs: Iterable[int],
    taint: Taint | None,
    chunk: int = CHUNK,
    *,
    whole: bool = False,
) -> Plan:
    """Lay a netlist out for an evaluator.

    Parameters
    ----------
    netlist : GateNetlist
    outputs : iterable of int
        Nets that are looked at between the operations and the clock's edge.
    taint : Taint or None
        What may differ between lanes; None for all: then lanes go each their own way.
    chunk : int
        Operations that are put in order together.
    whole : bool
        Whether every net has a slot of its own, and keeps its value until the next cycle.
    """
    outputs = set(outputs)
    copied: set[int] = set()
    groups = order_registers(netlist.registers, copied)
    copies = {net: netlist.count + index for index, net in enumerate(sorted(copied))}
    operations = arrange(netlist.operations, chunk)
    operations += [Operation("COPY", (net,), (copy,)) for net, copy in copies.items()]
    at_ports = {net for memory in netlist.memories for net in _nets(memory)}
    in_place = {} if whole else written_in_place(netlist, operations, outputs | at_ports)
    kept = outputs | at_ports | set(copies.values())
    kept.update(net for r in netlist.registers for net in (r.d, r.enable))
    if whole:
        kept.update(net for op in operations for net in op.results)
    slot = place(netlist, operations, kept, in_place)
    moved = {
        net: slot[copies.get(net, net)]
        for register in netlist.registers
        for net in (register.d, register.enable)
    }
    done = set(in_place.values())
    numbers: list[int] = []
    for enable, members in groups:
        left = [register for register in members if register.q not in done]
        if left:
            numbers += (moved[enable], len(left))
            for register in left:
                numbers += (slot[register.q], moved[register.d])
    return Plan(
        slots=max(slot.values()) + 1,
        operations=_runs(operations, slot),
        registers=np.array(numbers, np.uint32),
        ones=np.array([ONE, *(slot[r.q] for r in netlist.registers if r.init)], np.uint32),
        ports=np.array(_ports(netlist, slot, taint), np.uint32),
        memories=tuple(
            Words(
                memory.name,
                memory.init,
                memory.name not in taint.memories if taint else not memory.writes,
            )
            for memory in netlist.memories
        ),
        slot=slot,
        apart=taint is None,
    )


def _nets(memory) -> set[int]:
    reads = {net for port in memory.reads for net in (port.enable, *port.address)}
    for port in memory.writes:
        reads.update((*port.enable, *port.address, *port.data))
    return reads


def _runs(operations: list[Operation], slot: dict[int, int]) -> np.ndarray:
    numbers: list[int] = []
    for kind, run in groupby(operations, key=lambda op: op.kind):
        members = list(run)
        numbers += (KINDS.index(kind), len(members))
        for op in members:
            numbers += [slot[net] for net in (*op.results, *op.operands)]
    return np.array(numbers, np.uint32)


def _ports(netlist: GateNetlist, slot: dict[int, int], taint: Taint | None) -> list[int]:
    reads: list[int] = []
    writes: list[int] = []
    for index, memory in enumerate(netlist.memories):
        for port in memory.reads:
            selected = taint.selected(memory, port.address) if taint else []
            reads += _read(index, port, selected, slot)
        for port in memory.writes:
            writes += _write(index, port, slot)
    return reads + writes


def _read(index: int, port: ReadPort, selected: list[int], slot: dict[int, int]) -> list[int]:
    address, data = ([slot[net] for net in nets] for nets in (port.address, port.data))
    chosen = [len(selected), *selected] if selected else []
    head = [SELECT if selected else READ, index, slot[port.enable], len(address), *address]
    return [*head, *chosen, len(data), *data]


def _write(index: int, port: WritePort, slot: dict[int, int]) -> list[int]:
    address = [slot[net] for net in port.address]
    pairs = [slot[net] for pair in zip(port.enable, port.data, strict=True) for net in pair]
    return [WRITE, index, len(address), *address, len(port.data), *pairs]
