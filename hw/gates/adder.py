"""Adder trees: the sum of many terms, one register a level.

An adder cell of an FPGA ends in a flip-flop, so a register behind every level costs no cell where
its neighbour is an adder too, and the clock sees one carry chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned

from ..numbers.arithmetic import bits_for

__all__ = ["Term", "adder_tree", "extended", "partial_products", "shape_for", "tree_latency"]


@dataclass(frozen=True)
class Term:
    """A value in a circuit that is known to lie between ``low`` and ``high``.

    A ``negative`` term is subtracted from its sum instead of added.
    """

    value: Value
    low: int
    high: int
    negative: bool = False

    @classmethod
    def of(cls, value: Value) -> "Term":
        """Return ``value`` with the range of its shape."""
        shape = value.shape()
        if shape.signed:
            return cls(value, -(1 << (shape.width - 1)), (1 << (shape.width - 1)) - 1)
        return cls(value, 0, (1 << shape.width) - 1)

    def shifted(self, bits: int) -> "Term":
        """Return the term times ``2**bits``."""
        return Term(self.value << bits, self.low << bits, self.high << bits, self.negative)


def _add(a: Term, b: Term) -> Term:
    """Return the sum of two terms, or their difference where one is negative."""
    if a.negative == b.negative:
        return Term(a.value + b.value, a.low + b.low, a.high + b.high, a.negative)
    if a.negative:
        a, b = b, a
    return Term(a.value - b.value, a.low - b.high, a.high - b.low)


def shape_for(low: int, high: int) -> Shape:
    """Return the shape of all values from ``low`` to ``high``, and 0; signed where one is negative.

    A `range` would do, but not beyond 64 bits.
    """
    return signed(bits_for(low, high)) if low < 0 else unsigned(high.bit_length())


def extended(value: Value, width: int) -> Value:
    """Return the bits of ``value`` in ``width`` bits, which hold it; by its sign, if it has one."""
    sign = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, sign.replicate(width - len(value)))


def _stored(m: Module, term: Term, registered: bool) -> Term:
    """Return ``term`` in a signal no wider than its range, behind a register if asked."""
    signal = Signal(shape_for(term.low, max(term.high, 0)), reset_less=registered)
    domain = m.d.sync if registered else m.d.comb
    domain += signal.eq(term.value)
    return Term(signal, term.low, term.high, term.negative)


def tree_latency(count: int) -> int:
    """Return the levels, and so the cycles, of a registered tree of ``count`` terms; at least 1."""
    return max(1, (count - 1).bit_length())


def _flipped(term: Term, flip: Value) -> Term:
    """Return ``~term`` where ``flip`` is set, else the term."""
    bits = extended(term.value, len(term.value) + 1)
    value = (bits ^ flip.replicate(len(bits))).as_signed()
    return Term(value, min(term.low, ~term.high), max(term.high, ~term.low), term.negative)


def adder_tree(
    m: Module, terms: Sequence[Term], *, registered: bool = True, flip: Value | None = None
) -> Value:
    """Sum ``terms`` in a balanced tree; the result is `tree_latency` cycles late if registered.

    A sum is no wider than the range of its terms. A single term still passes one register, so the
    latency is never 0 when registered. With ``flip``, which comes with the operands of the last
    level, it is the sum's complement: on iCE40 that is another function of the last adder's LUTs.
    """
    level = list(terms)
    for left in reversed(range(tree_latency(len(level)))):
        pairs = [_add(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        rest = [level[-1]] if len(level) % 2 else []
        sums = pairs + rest
        if flip is not None and not left:
            sums = [_flipped(sums[0], flip)]
        level = [_stored(m, term, registered) for term in sums]
    (total,) = level
    if total.negative:
        total = _stored(m, Term(-total.value, -total.high, -total.low), False)
    return total.value


def partial_products(a: Value, b: Value) -> list[Term]:
    """Return one term for each bit of ``b``, ascending; term ``i`` weighs ``2**i`` in ``a * b``.

    The sign bit of a signed ``b`` gives a negative term.
    """
    row = Term.of(a)
    top = b.shape().width - 1
    return [
        Term(
            Mux(b[bit], a, Const(0, a.shape())),
            min(row.low, 0),
            max(row.high, 0),
            negative=b.shape().signed and bit == top,
        )
        for bit in range(top + 1)
    ]
