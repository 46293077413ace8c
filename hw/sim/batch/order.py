"""Orders operations, and gives each net a slot of the state."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .gates import KINDS, ONE, ZERO, Operation
from .netlist import GateNetlist, Register

__all__ = ["CHUNK", "arrange", "order_registers", "place", "written_in_place"]

CHUNK = 600
"""Operations, depth first, among which equal kinds are put together: these stay in the cache."""
_KIND = {kind: index for index, kind in enumerate(KINDS)}


def arrange(operations: Sequence[Operation], chunk: int = CHUNK) -> list[Operation]:
    """Return operations in an order in which long runs are of one kind, and results stay near.

    What is given depth first is cut into chunks, and each is sorted by the level in it, then by
    kind. A switch for each operation would take almost twice as long.
    """
    arranged: list[Operation] = []
    for start in range(0, len(operations), min(chunk, max(1, len(operations)))):
        level: dict[int, int] = {}
        keyed = []
        for op in operations[start : start + chunk]:
            depth = 1 + max(level.get(operand, 0) for operand in op.operands)
            for result in op.results:
                level[result] = depth
            keyed.append((depth, _KIND[op.kind], op))
        keyed.sort(key=lambda each: each[:2])
        arranged += [op for _, _, op in keyed]
    return arranged


def written_in_place(
    netlist: GateNetlist, operations: Sequence[Operation], kept: Iterable[int]
) -> dict[int, int]:
    """Return the inputs of registers that can be computed into the register, and its output.

    That is so where nothing reads the output after the operation: these registers cost no copy.
    ``kept`` are nets that are read after all operations, inputs of registers not among them.
    """
    driven = {net: index for index, op in enumerate(operations) for net in op.results}
    last: dict[int, int] = {}
    for index, op in enumerate(operations):
        for net in op.operands:
            last[net] = index
    needed = set(kept)
    needed.update(net for r in netlist.registers for net in (r.d, r.enable))
    found: dict[int, int] = {}
    for register in netlist.registers:
        at = driven.get(register.d)
        if register.enable != ONE or at is None or register.d in found or register.q in needed:
            continue
        if last.get(register.q, -1) <= at:
            found[register.d] = register.q
    return found


def place(
    netlist: GateNetlist,
    operations: Sequence[Operation],
    kept: Iterable[int],
    in_place: dict[int, int],
) -> dict[int, int]:
    """Return the slot of every net; results that nothing reads any more leave theirs to others.

    ``kept`` are nets that are read after all operations; those ``in_place`` lie in the slot of
    another net.
    """
    slots = {ZERO: ZERO, ONE: ONE}
    data = (net for memory in netlist.memories for port in memory.reads for net in port.data)
    for net in (*sorted(netlist.inputs), *data, *(r.q for r in netlist.registers)):
        slots.setdefault(net, len(slots))
    slots.update({net: slots[output] for net, output in in_place.items()})
    last = {net: index for index, op in enumerate(operations) for net in op.operands}
    last.update(dict.fromkeys(kept, len(operations)))
    state, count, free = set(slots), len(set(slots.values())), []
    for index, op in enumerate(operations):
        # operands are loaded before results are stored, so a slot may serve both
        free += [slots[n] for n in set(op.operands) if n not in state and last[n] == index]
        for net in op.results:
            if net not in state:
                slots[net] = free.pop() if free else count
                count = max(count, slots[net] + 1)
        free += [slots[n] for n in op.results if n not in state and n not in last]
    return slots


def order_registers(
    registers: Sequence[Register], copied: set[int]
) -> list[tuple[int, list[Register]]]:
    """Group registers by their enable, in an order in which none is overwritten before it is read.

    A register whose input is another one's output goes first. Where that cannot be, what it reads
    goes into ``copied``: nets of which a copy is to be made after all operations.
    """
    groups: dict[int, list[Register]] = defaultdict(list)
    for register in registers:
        groups[register.enable].append(register)
    plain = groups.pop(ONE, [])
    # what plain registers take from enabled ones comes first, then these, then the others
    enabled = {register.q for members in groups.values() for register in members}
    early = [register for register in plain if register.d in enabled]
    late = [register for register in plain if register.d not in enabled]
    overwritten: set[int] = set()
    ordered: list[tuple[int, list[Register]]] = []
    for enable, members in ((ONE, early), *groups.items(), (ONE, late)):
        if members:
            copied.update({enable, *(register.d for register in members)} & overwritten)
            ordered.append((enable, _readers_first(members, copied)))
            overwritten.update(register.q for register in members)
    return ordered


def _readers_first(registers: list[Register], copied: set[int]) -> list[Register]:
    """Order registers: each before the one whose output it takes; a circle is cut by a copy."""
    outputs = {register.q: register for register in registers}
    readers = dict.fromkeys(outputs, 0)  # that are still to come
    for register in registers:
        if register.d in outputs and register.d != register.q and register.d not in copied:
            readers[register.d] += 1
    ready = [register for register in registers if not readers[register.q]]
    ordered: dict[int, Register] = {}
    pending = iter(registers)
    while len(ordered) < len(registers):
        if not ready:
            start = next(each for each in pending if each.q not in ordered)
            copied.add(start.q)
            ready = [start]
        register = ready.pop()
        if register.q in ordered:
            continue
        ordered[register.q] = register
        if readers.get(register.d, 0) and register.d != register.q:
            readers[register.d] -= 1
            if not readers[register.d]:
                ready.append(outputs[register.d])
    return list(ordered.values())
