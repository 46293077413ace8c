"""Gates of two and three inputs, each made once, and a cover of them by LUTs."""

from collections import Counter
from collections.abc import Sequence

__all__ = ["AND", "FALSE", "LEAF", "TRUE", "GateGraph"]

FALSE, TRUE = 0, 1
LEAF, AND, XOR, MUX = range(4)


class GateGraph:
    """A graph of gates. A literal is twice the number of a node, and one more where it is inverted.

    Node 0 is the constant. Nodes are numbered so that none reads one of a higher number.

    Attributes
    ----------
    kinds : list of int
        `LEAF`, `AND`, exclusive or, or multiplexer, of each node.
    fans : list of tuple of int
        The literals that each node reads.
    """

    def __init__(self) -> None:
        self.kinds: list[int] = [LEAF]
        self.fans: list[tuple[int, ...]] = [()]
        self._known: dict[tuple[int, ...], int] = {}
        self._passed: dict[int, int] = {}  # by node, what a multiplexer with a constant lets pass

    def leaf(self) -> int:
        """Return the literal of a new node that reads nothing."""
        self.kinds.append(LEAF)
        self.fans.append(())
        return 2 * len(self.kinds) - 2

    def _gate(self, *key: int) -> int:
        found = self._known.get(key)
        if found is None:
            self.kinds.append(key[0])
            self.fans.append(key[1:])
            found = self._known[key] = 2 * len(self.kinds) - 2
        return found

    def both(self, a: int, b: int) -> int:
        """Return ``a & b``."""
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        return b if a in (TRUE, b) else self._gate(AND, a, b)

    def either(self, a: int, b: int) -> int:
        """Return ``a | b``."""
        return self.both(a ^ 1, b ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        """Return ``a ^ b``."""
        inverted = (a ^ b) & 1
        a, b = sorted((a & ~1, b & ~1))
        if a == b:
            return inverted
        return (b if a == FALSE else self._gate(XOR, a, b)) ^ inverted

    def choose(self, s: int, a: int, b: int) -> int:
        """Return ``a if s else b``."""
        if s <= TRUE or a == b:
            return a if s else b
        if s & 1:
            s, a, b = s ^ 1, b, a
        if a == b ^ 1:
            return self.differ(s, b)
        a = {s: TRUE, s ^ 1: FALSE}.get(a, a)
        b = {s: FALSE, s ^ 1: TRUE}.get(b, b)
        if a <= TRUE or b <= TRUE:
            return self._gated(s, a, b)
        inverted = a & 1
        return self._gate(MUX, s, a ^ inverted, b ^ inverted) ^ inverted

    def _gated(self, s: int, a: int, b: int) -> int:
        """Choose between a constant and something."""
        if a <= TRUE:
            passed, found = b, self.either(s, b) if a else self.both(s ^ 1, b)
        else:
            passed, found = a, self.either(s ^ 1, a) if b else self.both(s, a)
        if self.kinds[found >> 1] == AND:
            self._passed[found >> 1] = passed ^ (found & 1)
        return found

    def without_reset(self, literal: int) -> int:
        """Return what multiplexers with a constant let pass: a register has a reset for these."""
        while literal >> 1 in self._passed:
            literal = self._passed[literal >> 1] ^ (literal & 1)
        return literal

    def cover(self, gates: Sequence[int], readers: Counter[int], inputs: int) -> int:
        """Count the LUTs of ``inputs`` inputs that ascending ``gates`` take.

        A gate with one reader goes into the reader's LUT where the inputs do.
        """
        cuts: dict[int, set[int]] = {}
        absorbed = 0
        for node in gates:
            cut = {fan >> 1 for fan in self.fans[node]}
            inner = [fan for fan in cut if fan in cuts and readers[fan] == 1]
            for fan in sorted(inner, key=lambda each: (len(cuts[each]), each)):
                wider = (cut - {fan}) | cuts[fan]
                if len(wider) <= inputs:
                    cut = wider
                    absorbed += 1
            cuts[node] = cut
        return len(cuts) - absorbed
