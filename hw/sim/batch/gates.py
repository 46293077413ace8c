"""Single-bit operations, simplified and shared as they are made."""

from typing import NamedTuple

__all__ = ["KINDS", "ONE", "ZERO", "Gates", "Operation"]

ZERO, ONE = 0, 1
"""The nets that are constant."""

KINDS = (
    *("NOT", "AND", "ANDNOT", "NOR", "OR", "ORNOT", "NAND", "XOR", "XNOR", "MUX"),
    *("XOR3", "MAJORITY", "ADD", "COPY"),
)
"""What an operation can do. ANDNOT and ORNOT invert their second operand; MUX takes its third one
where the first is 1, else its second; ADD is a full adder with two results, the sum first."""


# entries of a table of four whose input, the lowest first, is 0
_HALF = (0x5555, 0x3333, 0x0F0F, 0x00FF)
# tables of three inputs: which result of a full adder it is, and whether it is inverted
_ADDERS = {0x96: (0, False), 0x69: (0, True), 0xE8: (1, False), 0x17: (1, True)}


def _without(table: int, place: int, inputs: int) -> int:
    """Return a table without the input at a place, on which it does not depend."""
    low = (1 << place) - 1
    return sum(
        (table >> ((index & ~low) << 1 | index & low) & 1) << index for index in range(1 << inputs)
    )


class Operation(NamedTuple):
    """``results`` are numbers of nets, one or, for ADD, two."""

    kind: str
    operands: tuple[int, ...]
    results: tuple[int, ...]


class Gates:
    """A list of operations in which each operand comes before its user.

    Nets are numbers. What is equal by its operands is one net, constants are folded, and inverters
    move into what reads them.

    Attributes
    ----------
    operations : list of Operation
    count : int
        Nets so far.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.count = 2
        self._known: dict[tuple, tuple[int, ...]] = {}
        self._inverse: dict[int, int] = {ZERO: ONE, ONE: ZERO}
        self._inverted: dict[int, int] = {}  # result of a NOT: its operand
        self._chosen: dict[int, tuple[int, int, int]] = {}  # result of a MUX: its operands

    def source(self) -> int:
        """Return a new net that no operation drives."""
        self.count += 1
        return self.count - 1

    def _make(self, kind: str, *operands: int, ordered: bool = False) -> tuple[int, ...]:
        key = (kind, operands if ordered else tuple(sorted(operands)))
        results = self._known.get(key)
        if results is None:
            results = (self.source(), self.source()) if kind == "ADD" else (self.source(),)
            self._known[key] = results
            self.operations.append(Operation(kind, operands, results))
        return results

    def _given(self, net: int, select: int, value: int) -> int:
        """Return what is enough for ``net`` where ``select`` has a value.

        Shifters by multiples of a number have chains of such multiplexers.
        """
        while net in self._chosen and self._chosen[net][0] == select:
            net = self._chosen[net][1 + value]
        return net

    def invert(self, a: int) -> int:
        """Return NOT ``a``."""
        if a not in self._inverse:
            (result,) = self._make("NOT", a)
            self._inverse[a], self._inverse[result] = result, a
            self._inverted[result] = a
        return self._inverse[a]

    def both(self, a: int, b: int) -> int:
        """Return ``a`` AND ``b``."""
        if a == b or b == ONE:
            return a
        if a == ONE:
            return b
        if ZERO in (a, b) or self._inverse.get(a) == b:
            return ZERO
        na, nb = self._inverted.get(a), self._inverted.get(b)
        if na is not None and nb is not None:
            return self._make("NOR", na, nb)[0]
        if nb is not None:
            return self._make("ANDNOT", a, nb, ordered=True)[0]
        if na is not None:
            return self._make("ANDNOT", b, na, ordered=True)[0]
        return self._make("AND", a, b)[0]

    def either(self, a: int, b: int) -> int:
        """Return ``a`` OR ``b``."""
        if a == b or b == ZERO:
            return a
        if a == ZERO:
            return b
        if ONE in (a, b) or self._inverse.get(a) == b:
            return ONE
        na, nb = self._inverted.get(a), self._inverted.get(b)
        if na is not None and nb is not None:
            return self._make("NAND", na, nb)[0]
        if nb is not None:
            return self._make("ORNOT", a, nb, ordered=True)[0]
        if na is not None:
            return self._make("ORNOT", b, na, ordered=True)[0]
        return self._make("OR", a, b)[0]

    def differ(self, a: int, b: int, flip: bool = False) -> int:
        """Return ``a`` XOR ``b``, inverted where ``flip``."""
        operands = []
        for net in (a, b):
            if net in self._inverted:
                net, flip = self._inverted[net], not flip
            if net == ONE:
                flip = not flip
            elif net != ZERO:
                operands.append(net)
        if len(operands) == 2 and operands[0] == operands[1]:
            operands = []
        if len(operands) == 2:
            return self._make("XNOR" if flip else "XOR", *operands)[0]
        result = operands[0] if operands else ZERO
        return self.invert(result) if flip else result

    def choose(self, select: int, low: int, high: int) -> int:
        """Return ``high`` where ``select`` is 1, else ``low``."""
        if select in self._inverted:
            select, low, high = self._inverted[select], high, low
        low, high = self._given(low, select, 0), self._given(high, select, 1)
        if select in (ZERO, ONE) or low == high:
            return high if select == ONE else low
        if low in (ZERO, select):
            return self.both(select, high)
        if high in (ONE, select):
            return self.either(select, low)
        if high == ZERO or self._inverse.get(high) == select:
            return self.both(low, self.invert(select))
        if low == ONE or self._inverse.get(low) == select:
            return self.either(high, self.invert(select))
        if self._inverse.get(low) == high:
            return self.differ(select, low)
        (result,) = self._make("MUX", select, low, high, ordered=True)
        self._chosen[result] = select, low, high
        return result

    def add(self, a: int, b: int, c: int) -> tuple[int, int]:
        """Return the sum and the carry of three bits."""
        for x, y, z in ((a, b, c), (b, c, a), (c, a, b)):
            if z == ZERO:
                return self.differ(x, y), self.both(x, y)
            if z == ONE:
                return self.differ(x, y, True), self.either(x, y)
            if x == y:
                return z, x
            if self._inverse.get(x) == y:
                return self.invert(z), z
        total, carry = self._make("ADD", a, b, c)
        return total, carry

    def look_up(self, table: int, inputs: list[int]) -> int:
        """Return bit number ``inputs`` (the first lowest) of ``table``.

        A sum or a majority of three becomes an `add`, which its carry or sum then shares.
        """
        if not inputs:
            return ONE if table & 1 else ZERO
        if inputs[-1] == ZERO:
            return self.look_up(table & ((1 << (1 << (len(inputs) - 1))) - 1), inputs[:-1])
        for place in range(len(inputs)):
            if table & _HALF[place] == table >> (1 << place) & _HALF[place]:
                rest = inputs[:place] + inputs[place + 1 :]
                return self.look_up(_without(table, place, len(rest)), rest)
        if len(inputs) == 3 and table in _ADDERS:
            part, flip = _ADDERS[table]
            result = self.add(*inputs)[part]
            return self.invert(result) if flip else result
        half = 1 << (len(inputs) - 1)
        low, high = table & ((1 << half) - 1), table >> half
        if low == high:
            return self.look_up(low, inputs[:-1])
        if low ^ high == (1 << half) - 1:
            return self.differ(inputs[-1], self.look_up(low, inputs[:-1]))
        parts = (self.look_up(part, inputs[:-1]) for part in (low, high))
        return self.choose(inputs[-1], *parts)
