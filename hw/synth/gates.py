"""Gates that a design takes before anything is mapped: a rough synthesis, in milliseconds.

A design's cells, of words, become single gates with equal ones made once, constants folded, and
enables taken into registers; a greedy cover by LUTs counts what is left. Adders, memories and
vendors' cells are counted beside them. Nothing here is exact: `estimate` fits families to it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from amaranth.hdl import Fragment, Value
from amaranth.hdl._ir import PortDirection, build_netlist
from amaranth.hdl import _nir as nir
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["count_gates"]

FALSE, TRUE = 0, 1
_LEAF, _AND, _XOR, _MUX = range(4)


def count_gates(component: Any, platform: object, inputs: int) -> tuple[Counter[str], list[Any]]:
    """Return what a component takes, by name.

    Parameters
    ----------
    component : wiring.Component
        The design, one clock domain.
    platform : object
        As of its elaboration.
    inputs : int
        Of a LUT.
    """
    ports = {}
    for path, member, value in component.signature.flatten(component):
        bits = Value.cast(value)
        if type(bits).__name__ != "Const":
            flow = PortDirection.Input if member.flow is In else PortDirection.Output
            ports["__".join(map(str, path))] = (bits, flow)
    netlist = build_netlist(Fragment.get(component, platform), ports)
    gates = _Gates(netlist)
    found = gates.counted(inputs)
    return found, gates.memories


class _Graph:
    """Gates of two and three inputs; a literal is twice a node, plus one where it is inverted."""

    def __init__(self) -> None:
        self.kinds: list[int] = [_LEAF]
        self.fans: list[tuple[int, ...]] = [()]
        self._known: dict[tuple[int, ...], int] = {}

    def leaf(self) -> int:
        self.kinds.append(_LEAF)
        self.fans.append(())
        return 2 * len(self.kinds) - 2

    def _node(self, *key: int) -> int:
        found = self._known.get(key)
        if found is None:
            self.kinds.append(key[0])
            self.fans.append(key[1:])
            found = self._known[key] = 2 * len(self.kinds) - 2
        return found

    def conjunction(self, a: int, b: int) -> int:
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        if a == TRUE or a == b:
            return b
        return self._node(_AND, a, b)

    def disjunction(self, a: int, b: int) -> int:
        return self.conjunction(a ^ 1, b ^ 1) ^ 1

    def parity(self, a: int, b: int) -> int:
        inverted = (a & 1) ^ (b & 1)
        a, b = sorted((a & ~1, b & ~1))
        if a == b:
            return inverted
        if a == FALSE:
            return b ^ inverted
        return self._node(_XOR, a, b) ^ inverted

    def mux(self, s: int, a: int, b: int) -> int:
        """Return ``a if s else b``."""
        if s <= TRUE:
            return a if s else b
        if a == b:
            return a
        if s & 1:
            s, a, b = s ^ 1, b, a
        if a == b ^ 1:
            return self.parity(s, b)
        if a == s:
            a = TRUE
        if b == s:
            b = FALSE
        if a == s ^ 1:
            a = FALSE
        if b == s ^ 1:
            b = TRUE
        if a == TRUE:
            return self.disjunction(s, b)
        if a == FALSE:
            return self.conjunction(s ^ 1, b)
        if b == FALSE:
            return self.conjunction(s, a)
        if b == TRUE:
            return self.disjunction(s ^ 1, a)
        if a & 1:  # complement at the output, as a normal form
            return self._node(_MUX, s, a ^ 1, b ^ 1) ^ 1
        return self._node(_MUX, s, a, b)


class _Gates:
    def __init__(self, netlist: nir.Netlist):
        self.cells, self.graph = netlist.cells, _Graph()
        self.known: dict[int, int] = {0: FALSE, 1: TRUE}
        self.words: list[tuple[str, list[int], list[int]]] = []  # arithmetic: kind, inputs, outputs
        self.reset: set[int] = set()
        top = self.cells[0]
        for name, (start, width) in top.ports_i.items():
            for bit in range(start, start + width):
                net = nir.Net.from_cell(0, bit)
                self.known[net] = self.graph.leaf()
                if name == "rst":
                    self.reset.add(self.known[net])
        self.flops: dict[int, tuple[int, int]] = {}  # leaf literal to D and enable

    # --- from cells to gates ---

    def literal(self, wanted: int) -> int:
        known, cells = self.known, self.cells
        if wanted in known:
            return known[wanted]
        stack = [wanted]
        while stack:
            net = stack[-1]
            if net in known:
                stack.pop()
                continue
            cell = cells[net >> 16]
            if isinstance(cell, _SOURCES):
                known[net] = self.graph.leaf()
                stack.pop()
                continue
            missing = [n for n, _ in cell.comb_edges_to(net & 0xFFFF) if n not in known]
            if missing:
                stack.extend(missing)
                continue
            self._make(net >> 16, net & 0xFFFF, cell)
            stack.pop()
        return known[wanted]

    def _make(self, index: int, bit: int, cell: Any) -> None:
        known, graph = self.known, self.graph
        if isinstance(cell, nir.AssignmentList):
            value = known[cell.default[bit]]
            for each in cell.assignments:
                at = bit - each.start
                if 0 <= at < len(each.value):
                    value = graph.mux(known[each.cond], known[each.value[at]], value)
            known[nir.Net.from_cell(index, bit)] = value
        elif isinstance(cell, nir.Operator):
            self._operator(index, bit, cell)
        elif isinstance(cell, nir.Matches):
            value = [known[n] for n in cell.value]
            found = FALSE
            for pattern in cell.patterns:
                found = graph.disjunction(found, self._match(value, pattern))
            known[nir.Net.from_cell(index, 0)] = found
        elif isinstance(cell, nir.PriorityMatch):
            free = known[cell.en]
            for n in cell.inputs[:bit]:
                free = graph.conjunction(free, known[n] ^ 1)
            known[nir.Net.from_cell(index, bit)] = graph.conjunction(free, known[cell.inputs[bit]])
        elif isinstance(cell, nir.Part):
            value, offset = [known[n] for n in cell.value], [known[n] for n in cell.offset]
            fill = value[-1] if cell.value_signed else FALSE
            for position, s in enumerate(offset):
                step = cell.stride << position
                last = len(value) + 0
                shifted = [value[i + step] if i + step < last else fill for i in range(last)]
                value = [graph.mux(s, a, b) for a, b in zip(shifted, value, strict=True)]
            value = (value + [fill] * cell.width)[: cell.width]
            for at, each in enumerate(value):
                known[nir.Net.from_cell(index, at)] = each
        else:
            known[nir.Net.from_cell(index, bit)] = graph.leaf()

    def _match(self, value: Sequence[int], pattern: str) -> int:
        found = TRUE
        for each, wanted in zip(value, reversed(pattern), strict=True):
            if wanted != "-":
                found = self.graph.conjunction(found, each if wanted == "1" else each ^ 1)
        return found

    def _operator(self, index: int, bit: int, cell: Any) -> None:
        known, graph, kind = self.known, self.graph, cell.operator
        put = lambda at, value: known.__setitem__(nir.Net.from_cell(index, at), value)
        if kind in ("&", "|", "^"):
            a, b = (known[each[bit]] for each in cell.inputs)
            make = {"&": graph.conjunction, "|": graph.disjunction, "^": graph.parity}[kind]
            return put(bit, make(a, b))
        if kind == "~":
            return put(bit, known[cell.inputs[0][bit]] ^ 1)
        if kind == "m":
            s, a, b = cell.inputs
            return put(bit, graph.mux(known[s[0]], known[a[bit]], known[b[bit]]))
        words = [[known[n] for n in each] for each in cell.inputs]
        if kind in ("b", "r|"):
            return put(0, _tree(graph.disjunction, words[0], FALSE))
        if kind == "r&":
            return put(0, _tree(graph.conjunction, words[0], TRUE))
        if kind == "r^":
            return put(0, _tree(graph.parity, words[0], FALSE))
        if kind in ("==", "!="):
            same = [graph.parity(a, b) ^ 1 for a, b in zip(*words, strict=True)]
            return put(0, _tree(graph.conjunction, same, TRUE) ^ (kind == "!="))
        if kind in ("<<", "u>>", "s>>"):
            value, offset = words
            fill = value[-1] if kind == "s>>" else FALSE
            width = len(value)
            for position, s in enumerate(offset):
                step = min(1 << position, width)
                if kind == "<<":
                    shifted = [FALSE] * step + value[: width - step]
                else:
                    shifted = value[step:] + [fill] * step
                value = [graph.mux(s, a, b) for a, b in zip(shifted, value, strict=True)]
        else:
            value = self._arithmetic(kind, words, cell.width)
        for at, each in enumerate(value):
            put(at, each)
        return None

    def _arithmetic(self, kind: str, words: list[list[int]], width: int) -> list[int]:
        """Keep an adder, comparison or multiplier, and return leaves for what comes out."""
        if all(each <= TRUE for word in words for each in word):
            return self._constant(kind, words, width)
        if kind in ("+", "-") and width == 1:
            return [self.graph.parity(words[0][0], words[1][0] if len(words) > 1 else FALSE)]
        key = (kind, *map(tuple, words))
        if key in self._same:
            return self._same[key]
        low: list[int] = []
        if kind == "+":  # the lowest bits, where one operand has zeros there
            while words[0] and (words[0][0] == FALSE or words[1][0] == FALSE):
                low.append(words[0][0] | words[1][0])
                words = [word[1:] for word in words]
            if not words[0]:
                return low
        elif kind == "-" and len(words) == 2:
            while words[0] and words[1][0] == FALSE:
                low.append(words[0][0])
                words = [word[1:] for word in words]
            if not words[0]:
                return low
        out = [self.graph.leaf() for _ in range(width - len(low))]
        self.words.append((kind, [each for word in words for each in word], out))
        self._same[key] = low + out
        self._shapes.append((kind, words))
        return low + out

    def _constant(self, kind: str, words: list[list[int]], width: int) -> list[int]:
        numbers = [sum(bit << at for at, bit in enumerate(word)) for word in words]
        if kind[0] == "s":
            numbers = [
                n - (1 << len(w)) if w and w[-1] else n for n, w in zip(numbers, words, strict=True)
            ]
        a, b = (numbers + [0])[:2]
        if kind == "-" and len(words) == 1:
            a, b = 0, a
        found = {
            "+": lambda: a + b,
            "-": lambda: a - b,
            "*": lambda: a * b,
            "<": lambda: a < b,
            ">": lambda: a > b,
            "<=": lambda: a <= b,
            ">=": lambda: a >= b,
            "//": lambda: a // b if b else 0,
            "%": lambda: a % b if b else 0,
        }[kind.lstrip("us")]()
        return [int(found) >> at & 1 for at in range(width)]

    _same: dict[Any, list[int]]
    _shapes: list[Any]

    # --- what is used ---

    def counted(self, inputs: int) -> Counter[str]:
        self._same, self._shapes = {}, []
        graph, found = self.graph, Counter[str]()
        roots: list[int] = []
        top = self.cells[0]
        roots += [self.literal(n) for word in top.ports_o.values() for n in word]
        memories: dict[int, list[Any]] = {}
        flops: list[tuple[int, Any]] = []
        for index, cell in enumerate(self.cells):
            if isinstance(cell, nir.FlipFlop):
                flops.append((index, cell))
            elif isinstance(cell, nir.Instance):
                found[f"cell {cell.type}"] += 1
                roots += [self.literal(n) for port in cell.ports_i.values() for n in port[0:]]
            elif isinstance(cell, nir.SyncWritePort):
                memories.setdefault(cell.memory, []).append(cell)
                nets = [*cell.data, *cell.addr, *cell.en]
                roots += [self.literal(n) for n in nets]
            elif isinstance(cell, nir.SyncReadPort):
                memories.setdefault(cell.memory, []).append(cell)
                roots += [self.literal(n) for n in [*cell.addr, cell.en]]
            elif isinstance(cell, nir.AsyncReadPort):
                memories.setdefault(cell.memory, []).append(cell)
                roots += [self.literal(n) for n in cell.addr]
        data, enables = {}, set()
        for index, cell in flops:
            for bit, net in enumerate(cell.data):
                q = self.literal(nir.Net.from_cell(index, bit))
                data[q] = self._register(q, net)
        self._live(roots, data, found, inputs)
        found["memories"] = len(memories)
        self.memories = [
            (self.cells[m].width, self.cells[m].depth, ports) for m, ports in memories.items()
        ]
        return found

    def _register(self, q: int, net: int) -> tuple[int, int]:
        """Return what a register takes, and when; the reset and holding cost nothing."""
        cell, graph, known = self.cells[net >> 16] if net >= 2 else None, self.graph, self.known
        if not isinstance(cell, nir.AssignmentList):
            return self.literal(net), TRUE
        bit = net & 0xFFFF
        value, enable = self.literal(cell.default[bit]), TRUE
        if value == q:
            enable = FALSE
        for each in cell.assignments:
            at = bit - each.start
            if not 0 <= at < len(each.value):
                continue
            cond, given = self.literal(each.cond), self.literal(each.value[at])
            if cond in self.reset:
                continue
            if given == q:
                enable = graph.conjunction(enable, cond ^ 1)
                continue
            value = given if enable == FALSE else graph.mux(cond, given, value)
            enable = graph.disjunction(enable, cond)
        return value, enable

    def _live(
        self,
        roots: Iterable[int],
        data: dict[int, tuple[int, int]],
        found: Counter[str],
        inputs: int,
    ) -> None:
        graph = self.graph
        made = {out >> 1: at for at, (_, _, outs) in enumerate(self.words) for out in outs}
        uses: Counter[int] = Counter()
        seen: set[int] = set()
        words: set[int] = set()
        ends: list[int] = []
        stack = list(roots)
        ends += stack
        flops: list[int] = []
        while stack:
            node = stack.pop() >> 1
            if node in seen:
                continue
            seen.add(node)
            if graph.kinds[node] != _LEAF:
                stack += graph.fans[node]
            elif 2 * node in data:
                flops.append(2 * node)
                pair = data[2 * node]
                stack += pair
                ends += pair
            elif node in made and made[node] not in words:
                words.add(made[node])
                stack += self.words[made[node]][1]
                ends += self.words[made[node]][1]
        for node in seen:
            for each in graph.fans[node]:
                uses[each >> 1] += 1
        # distinct uses from outside: a register's data, and operands
        for each in ends:
            uses[each >> 1] += 1
        outer = set(each >> 1 for each in ends)
        cuts: dict[int, frozenset[int]] = {}
        absorbed: set[int] = set()
        for node in sorted(seen):
            if graph.kinds[node] == _LEAF:
                continue
            cut = {each >> 1 for each in graph.fans[node]}
            for fan in sorted(
                (each >> 1 for each in graph.fans[node]), key=lambda n: len(cuts.get(n, ()))
            ):
                if fan in cuts and uses[fan] == 1 and fan in cut:
                    wider = (cut - {fan}) | cuts[fan]
                    if len(wider) <= inputs:
                        cut = wider
                        absorbed.add(fan)
            cuts[node] = frozenset(cut)
        found["lut"] = len(cuts) - len(absorbed)
        found["ff"] = len(flops)
        # equal registers are one
        found["ff_distinct"] = len({data[q] if data[q][0] > 1 else q for q in flops})
        for q in flops:
            d, enable = data[q]
            node = d >> 1
            if node == 0:
                found["ff_constant"] += 1
            elif (node in cuts or node in made) and uses[node] == 1:
                found["ff_packed"] += 1
            elif node in cuts or node in made:
                found["ff_shared"] += 1
            else:
                found["ff_lone"] += 1
        found["enables"] = len({data[q][1] for q in flops} - {TRUE})
        for at in words:
            self._word(found, *self._shapes[at])

    def _word(self, found: Counter[str], kind: str, words: list[list[int]]) -> None:
        if kind in ("+", "-"):
            if len(words) == 1:
                words = [[FALSE] * len(words[0]), words[0]]
            a, b = words
            both = sum(x > 1 and y > 1 for x, y in zip(a, b, strict=True))
            found["add"] += len(a)
            found["add_both"] += both
            if kind == "-":
                found["sub_inverted"] += sum(y > 1 for y in b)
            found["adders"] += 1
        elif kind == "*":
            a, b = (sum(x > 1 for x in word) for word in words)
            found["product"] += a * b
            found["products"] += 1
            found["product_widths"] += a + b
        else:
            a, b = words
            variable = [x > 1 and y > 1 for x, y in zip(a, b, strict=True)]
            found["compare"] += len(a)
            found["compare_both"] += sum(variable)


_SOURCES = (
    nir.FlipFlop,
    nir.SyncReadPort,
    nir.AsyncReadPort,
    nir.Instance,
    nir.Memory,
)


def _tree(make: Any, literals: Sequence[int], empty: int) -> int:
    found = empty
    for each in literals:
        found = make(found, each)
    return found
