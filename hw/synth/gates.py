"""Gates that a design is made of, before anything is mapped: a rough synthesis in a second.

Cells of words become single gates: equal ones are made once, constants folded, enables and resets
taken into registers, and memories and registers that nothing changes are constants. What is left
is covered by LUTs, as long as one gate has only one reader; adders, comparisons, multipliers,
memories and vendors' cells are counted beside them. No count is exact: `estimate` fits families
to them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from amaranth.hdl import Const, Fragment, Value, _ir
from amaranth.lib.wiring import Component, In

from .cells import (
    AssignmentList,
    AsyncReadPort,
    Cell,
    FlipFlop,
    Instance,
    Matches,
    Memory,
    Net,
    Netlist,
    Operator,
    Part,
    PriorityMatch,
    SyncReadPort,
    SyncWritePort,
)
from .gate_graph import FALSE, LEAF, TRUE, GateGraph

__all__ = ["CountedMemory", "Counts", "count_gates"]

Counts: TypeAlias = "Counter[str]"

_BITS = 16
_IDLE = "i_activations"
"""A port of instances; those to which it brings nothing but constants are idle."""


class CountedMemory(NamedTuple):
    """A memory: bits of a word, words, parts of a word that are written alone, and its attributes.

    Of a memory that is never written ``parts`` is 0.
    """

    width: int
    depth: int
    parts: int
    single_port: bool


def count_gates(
    component: Component, platform: object, inputs: int
) -> tuple[Counts, list[CountedMemory]]:
    """Return what a component takes, by name, and its memories.

    Parameters
    ----------
    component : wiring.Component
        A design with one clock domain; it is elaborated.
    platform : object
        What it is elaborated with.
    inputs : int
        Those of a LUT.

    Returns
    -------
    Counter of str
        ``lut``; ``ff``, of which ``ff_lone`` follow no LUT or adder and ``ff_shared`` one that has
        other readers, too; ``add`` bits of ``adders``, with ``sub_inverted`` bits to invert;
        ``compare`` bits, of which both sides vary in ``compare_both``; ``multiplier AxB`` by the
        bits of its operands; ``cell NAME`` for instances, ``idle cell NAME`` for idle ones.
    """
    ports = {}
    for path, member, value in component.signature.flatten(component):
        bits = Value.cast(value)
        if not isinstance(bits, Const):  # a stream's constant ready or valid is no port
            flow = _ir.PortDirection.Input if member.flow is In else _ir.PortDirection.Output
            ports["__".join(map(str, path))] = (bits, flow)
    netlist = _ir.build_netlist(Fragment.get(component, platform), ports)
    constant: frozenset[Net] = frozenset()
    while True:
        design = _Design(netlist, constant)
        found = design.constants()
        if found == constant:
            return design.counts(inputs), design.memories
        constant = found


@dataclass
class _Word:
    """An adder, comparison or multiplier: its kind, operands, and leaves for what it gives."""

    kind: str
    operands: list[list[int]]
    results: list[int]


class _Register(NamedTuple):
    data: int
    enable: int


class _Design:
    """The gates of a netlist, in which some nets are constant."""

    def __init__(self, netlist: Netlist, constant: frozenset[Net]):
        self._cells, self._top = netlist.cells, netlist.top
        self._constant, self._graph = constant, GateGraph()
        self._known: dict[Net, int] = {0: FALSE, 1: TRUE}
        self._words: list[_Word] = []
        self._equal: dict[object, list[int]] = {}
        self._resets: set[int] = set()
        self._registers: dict[int, _Register] = {}
        self._roots: list[int] = []
        self._instances: Counts = Counter()
        self.memories: list[CountedMemory] = []
        for name, (start, width) in self._top.ports_i.items():
            for bit in range(start, start + width):
                self._known[_net(0, bit)] = literal = self._graph.leaf()
                if name == "rst":
                    self._resets.add(literal)

    # --- from cells to gates ---------------------------------------------------------------------

    def _literal(self, wanted: Net) -> int:
        """Return the literal of a net, and make the gates that it needs."""
        known, stack = self._known, [wanted]
        while stack:
            net = stack[-1]
            cell = self._cells[net >> _BITS]
            if net in known:
                stack.pop()
            elif isinstance(cell, _SOURCES):
                known[net] = self._source(net, cell)
            else:
                edges = cell.comb_edges_to(net & 0xFFFF)
                missing = [read for read, _ in edges if read not in known]
                stack.extend(missing)
                if not missing:
                    self._make(net >> _BITS, net & 0xFFFF, cell)
        return known[wanted]

    def _source(self, net: Net, cell: Cell) -> int:
        if isinstance(cell, FlipFlop) and net in self._constant:
            return cell.init >> (net & 0xFFFF) & 1
        if -getattr(cell, "memory", 0) in self._constant:
            return FALSE
        return self._graph.leaf()

    def _literals(self, nets: Iterable[Net]) -> list[int]:
        return [self._literal(net) for net in nets]

    def _make(self, index: int, bit: int, cell: Cell) -> None:
        """Make the gates of one bit of a cell, or of all, whose operands are known."""
        known, graph = self._known, self._graph
        match cell:
            case AssignmentList():
                value = known[cell.default[bit]]
                for condition, given in _given(cell, bit):
                    value = graph.choose(known[condition], known[given], value)
                known[_net(index, bit)] = value
            case Operator(operator="&" | "|" | "^" | "~" | "m"):
                known[_net(index, bit)] = self._bitwise(cell, bit)
            case Operator():
                words = [[known[net] for net in word] for word in cell.inputs]
                self._put(index, self._operate(cell.operator, words, cell.width))
            case Matches():
                value = [known[net] for net in cell.value]
                matches = [self._match(value, pattern) for pattern in cell.patterns]
                known[_net(index, 0)] = _all(graph.either, matches, FALSE)
            case PriorityMatch():
                before = [known[net] ^ 1 for net in cell.inputs[:bit]]
                free = _all(graph.both, before, known[cell.en])
                known[_net(index, bit)] = graph.both(free, known[cell.inputs[bit]])
            case Part():
                self._put(index, self._part(cell))
            case _:
                known[_net(index, bit)] = graph.leaf()

    def _put(self, index: int, word: Sequence[int]) -> None:
        for bit, literal in enumerate(word):
            self._known[_net(index, bit)] = literal

    def _bitwise(self, cell: Operator, bit: int) -> int:
        known, graph = self._known, self._graph
        if cell.operator == "~":
            return known[cell.inputs[0][bit]] ^ 1
        if cell.operator == "m":
            chosen, one, other = cell.inputs
            return graph.choose(known[chosen[0]], known[one[bit]], known[other[bit]])
        make = {"&": graph.both, "|": graph.either, "^": graph.differ}[cell.operator]
        one, other = cell.inputs
        return make(known[one[bit]], known[other[bit]])

    def _match(self, value: Sequence[int], pattern: str) -> int:
        wanted = zip(value, reversed(pattern), strict=True)
        bits = [literal ^ (bit == "0") for literal, bit in wanted if bit != "-"]
        return _all(self._graph.both, bits, TRUE)

    def _part(self, cell: Part) -> list[int]:
        known = self._known
        value = [known[net] for net in cell.value]
        fill = value[-1] if cell.value_signed else FALSE
        for place, net in enumerate(cell.offset):
            shifted = _shifted(value, cell.stride << place, fill)
            value = self._choose(known[net], shifted, value)
        return (value + [fill] * cell.width)[: cell.width]

    def _choose(self, chosen: int, one: Sequence[int], other: Sequence[int]) -> list[int]:
        pairs = zip(one, other, strict=True)
        return [self._graph.choose(chosen, a, b) for a, b in pairs]

    def _operate(self, kind: str, words: list[list[int]], width: int) -> list[int]:
        """Return what an operator gives whose bits depend on each other."""
        graph = self._graph
        match kind:
            case "b" | "r|":
                return [_all(graph.either, words[0], FALSE)]
            case "r&":
                return [_all(graph.both, words[0], TRUE)]
            case "r^":
                return [_all(graph.differ, words[0], FALSE)]
            case "==" | "!=":
                equal = [graph.differ(a, b) ^ 1 for a, b in zip(*words, strict=True)]
                return [_all(graph.both, equal, TRUE) ^ (kind == "!=")]
            case "<<" | "u>>" | "s>>":
                value, offset = words
                fill = value[-1] if kind == "s>>" else FALSE
                for place, chosen in enumerate(offset):
                    step = (1 << place) * (-1 if kind == "<<" else 1)
                    value = self._choose(chosen, _shifted(value, step, fill), value)
                return value
        return self._compute(kind, words, width)

    def _compute(self, kind: str, words: list[list[int]], width: int) -> list[int]:
        """Keep an adder, a comparison or a multiplier, and return leaves for what it gives."""
        if len(words) == 1:
            words = [[FALSE] * width, *words]  # a sign is taken from nothing
        if all(literal <= TRUE for word in words for literal in word):
            return _constant(kind, words, width)
        low: list[int] = []
        while kind in ("+", "-") and words[0] and _passes(kind, words[0][0], words[1][0]):
            low.append(words[0][0] | words[1][0])
            words = [word[1:] for word in words]
        if len(words[0]) == 1 and kind in ("+", "-"):
            return [*low, self._graph.differ(words[0][0], words[1][0])]
        key = kind, *map(tuple, words)
        if words[0] and key not in self._equal:
            self._equal[key] = [self._graph.leaf() for _ in range(width - len(low))]
            self._words.append(_Word(kind, words, self._equal[key]))
        return low + self._equal.get(key, [])

    # --- registers, memories and instances -------------------------------------------------------

    def constants(self) -> frozenset[Net]:
        """Make all gates; return what never changes: registers, and memories by their negative."""
        found = set(self._constant)
        self._roots += self._literals(n for w in self._top.ports_o.values() for n in w)
        writes: dict[int, list[Net]] = {}
        for index, cell in enumerate(self._cells):
            match cell:
                case FlipFlop():
                    found |= self._register(index, cell)
                case Instance():
                    self._instance(cell)
                case SyncWritePort():
                    writes.setdefault(cell.memory, []).extend(cell.en)
                    self._roots += self._literals([*cell.data, *cell.addr, *cell.en])
                case SyncReadPort():
                    writes.setdefault(cell.memory, [])
                    self._roots += self._literals([*cell.addr, cell.en])
                case AsyncReadPort():
                    writes.setdefault(cell.memory, [])
                    self._roots += self._literals(cell.addr)
        for index, enables in writes.items():
            cell = self._cells[index]
            assert isinstance(cell, Memory)
            if enables and set(self._literals(enables)) == {FALSE} and not any(cell.init):
                found.add(-index)
            else:
                single = cell.attributes.get("ram_style") == "huge"
                parts = len(set(enables))
                self.memories.append(CountedMemory(cell.width, cell.depth, parts, single))
        return frozenset(found)

    def _instance(self, cell: Instance) -> None:
        literals = {name: self._literals(port) for name, port in cell.ports_i.items()}
        idle = "idle " if _IDLE in literals and max(literals[_IDLE]) <= TRUE else ""
        self._instances[f"{idle}cell {cell.type}"] += 1
        self._roots += [literal for port in literals.values() for literal in port]

    def _register(self, index: int, cell: FlipFlop) -> set[Net]:
        """Find what the bits of a register take, and when; return those that never change."""
        never = set()
        for bit, net in enumerate(cell.data):
            own = _net(index, bit)
            if own in self._constant:
                continue
            output = self._literal(own)
            data, enable = self._taken(output, net)
            self._registers[output] = _Register(data, enable)
            if enable == FALSE or data == (cell.init >> bit & 1):
                never.add(own)
        return never

    def _taken(self, output: int, net: Net) -> tuple[int, int]:
        """Return data and enable of a register: holding and its reset need no gates."""
        cell, graph = self._cells[net >> _BITS] if net > TRUE else None, self._graph
        if not isinstance(cell, AssignmentList):
            return graph.without_reset(self._literal(net)), TRUE
        bit = net & 0xFFFF
        value = self._literal(cell.default[bit])
        enable = FALSE if value == output else TRUE
        for condition, given in _given(cell, bit):
            chosen, literal = self._literal(condition), self._literal(given)
            if chosen in self._resets:
                continue
            if literal == output:
                enable = graph.both(enable, chosen ^ 1)
                continue
            value = literal if enable == FALSE else graph.choose(chosen, literal, value)
            enable = graph.either(enable, chosen)
        return graph.without_reset(value), enable

    # --- what is used, and how -------------------------------------------------------------------

    def counts(self, inputs: int) -> Counts:
        """Count what outputs, memories and instances need."""
        found, used = Counter(self._instances), self._used()
        graph = self._graph
        readers = Counter(fan >> 1 for node in used.nodes for fan in graph.fans[node])
        readers.update(literal >> 1 for literal in used.ends)
        gates = sorted(node for node in used.nodes if graph.kinds[node] != LEAF)
        found["lut"] = graph.cover(gates, readers, inputs)
        found["ff"] = len(used.registers)
        driving = set(gates) | used.results
        for output in used.registers:
            node = self._registers[output].data >> 1
            if node not in driving:
                found["ff_lone"] += 1
            elif readers[node] > 1:
                found["ff_shared"] += 1
        for word, bits in used.words:
            found.update(_word_counts(word.kind, [each[:bits] for each in word.operands]))
        return found

    def _used(self) -> "_Used":
        """Return what is used; of adders and multipliers, as many low bits as are read."""
        graph = self._graph
        made = {
            r >> 1: (at, b) for at, w in enumerate(self._words) for b, r in enumerate(w.results)
        }
        used, depths = _Used(set(), list(self._roots), [], set(), []), Counter[int]()
        stack = list(self._roots)
        while stack:
            node = stack.pop() >> 1
            if node in used.nodes:
                continue
            used.nodes.add(node)
            if graph.kinds[node] != LEAF:
                stack += graph.fans[node]
                continue
            read: list[int] = []
            if 2 * node in self._registers:
                used.registers.append(2 * node)
                read = list(self._registers[2 * node])
            elif node in made:
                used.results.add(node)
                at, bit = made[node]
                word, done = self._words[at], depths[at]
                needs = bit + 1 if word.kind in "+-*" else len(word.operands[0])
                depths[at] = max(needs, done)
                read = [each for operand in word.operands for each in operand[done:needs]]
            stack += read
            used.ends.extend(read)
        used.words.extend((self._words[at], bits) for at, bits in depths.items())
        return used


class _Used(NamedTuple):
    """Nodes of the graph, what is read from outside of it, registers, results of words, words."""

    nodes: set[int]
    ends: list[int]
    registers: list[int]
    results: set[int]
    words: list[tuple[_Word, int]]


_SOURCES = FlipFlop, SyncReadPort, AsyncReadPort, Instance, Memory


def _net(cell: int, bit: int) -> Net:
    return cell << _BITS | bit


def _given(cell: AssignmentList, bit: int) -> list[tuple[Net, Net]]:
    """Return conditions and values of the assignments to a bit, in order."""
    places = ((each, bit - each.start) for each in cell.assignments)
    return [(each.cond, each.value[at]) for each, at in places if 0 <= at < len(each.value)]


def _all(make: Callable[[int, int], int], literals: Iterable[int], first: int) -> int:
    found = first
    for literal in literals:
        found = make(found, literal)
    return found


def _shifted(value: list[int], step: int, fill: int) -> list[int]:
    """Return a word whose bits move down by ``step``, or up where it is negative."""
    width = len(value)
    if step < 0:
        return ([fill] * min(-step, width) + value)[:width]
    return (value[step:] + [fill] * min(step, width))[:width]


def _passes(kind: str, one: int, other: int) -> bool:
    """Tell whether the lowest bit of a sum is that of one operand, and nothing is carried."""
    return other == FALSE or (kind == "+" and one == FALSE)


def _constant(kind: str, words: list[list[int]], width: int) -> list[int]:
    one, other = (_number(word, signed=kind[0] == "s") for word in words)
    match kind.lstrip("us"):
        case "+":
            found = one + other
        case "-":
            found = one - other
        case "*":
            found = one * other
        case "//":
            found = one // other if other else 0
        case "%":
            found = one % other if other else 0
        case "<":
            found = one < other
        case ">":
            found = one > other
        case "<=":
            found = one <= other
        case _:
            found = one >= other
    return [int(found) >> bit & 1 for bit in range(width)]


def _number(word: list[int], *, signed: bool) -> int:
    value = sum(bit << place for place, bit in enumerate(word))
    return value - (1 << len(word)) if signed and word and word[-1] else value


def _bits(word: list[int]) -> int:
    """Return the bits of an operand, without those that repeat its sign."""
    width = len(word)
    while width > 1 and word[width - 1] in (word[width - 2], FALSE):
        width -= 1
    return width if word[0] > TRUE or width > 1 else 0


def _word_counts(kind: str, operands: list[list[int]]) -> Counts:
    varying = [[literal > TRUE for literal in word] for word in operands]
    both = sum(a and b for a, b in zip(*varying, strict=True))
    width = len(operands[0])
    if kind in ("+", "-"):
        inverted = sum(varying[1]) if kind == "-" else 0
        return Counter(add=width, adders=1, sub_inverted=inverted)
    if kind == "*":
        larger, smaller = sorted(map(_bits, operands), reverse=True)
        return Counter({f"multiplier {larger}x{smaller}": 1})
    return Counter(compare=width, compare_both=both)
