"""A multiplier of few LUTs: one operand in digits of -1, 0, 1 and 2."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

__all__ = ["recoded_product"]


@dataclass(frozen=True)
class _Group:
    """Neighbouring rows, summed.

    Attributes
    ----------
    value : Value
        The signed sum, in units of its lowest digit, but for what is pending.
    places : int
        Bits of all its digits.
    pending : Value
        Whether a one is still to be added at its highest digit.
    """

    value: Value
    places: int
    pending: Value


def recoded_product(m: Module, a: Value, b: Value) -> Value:
    """Return the product of two unsigned values, combinationally.

    With ``t = b + 0b...0101``, the carries of this one addition recode ``b``: its digits of two
    bits are those of ``t`` less one each, and so -1, 0, 1 or 2. A row of the product, which is one
    of ``-a``, 0, ``a`` and ``2 * a``, then takes one 4-input LUT a bit, where Booth's digits from
    -2 to 2 take two; and there are half as many rows to add as ``b`` has bits. The rows are added
    in a tree of carry chains.
    """
    if len(a) < len(b):
        a, b = b, a
    digits = len(b) // 2
    t = Signal(len(b) + 1)
    m.d.comb += t.eq(b + sum(1 << (2 * digit) for digit in range(digits)))
    groups = [_row(m, a, t[2 * digit : 2 * digit + 2]) for digit in range(digits)]
    groups.append(_last_row(m, a, t[2 * digits :]))
    while len(groups) > 1:
        pairs = zip(groups[::2], groups[1::2], strict=False)
        groups = [_join(m, *pair) for pair in pairs] + groups[len(groups) // 2 * 2 :]
    return groups[0].value[: len(a) + len(b)]


def _row(m: Module, a: Value, digit: Value) -> _Group:
    """Return ``(digit - 1) * a``; of the negative, the one is pending."""
    width = len(a) + 3
    row, negative = Signal(width), ~digit.any()
    single, double = Cat(a, Const(0, 3)), Cat(Const(0, 1), a, Const(0, 2))
    m.d.comb += row.eq(
        Mux(digit[1], Mux(digit[0], double, single), ~single & ~digit[0].replicate(width))
    )
    return _Group(row.as_signed(), 2, negative)


def _last_row(m: Module, a: Value, digit: Value) -> _Group:
    """Return ``digit * a`` of what is left at the top: a carry, or the sum of a bit and a carry."""
    row = Signal(len(a) + 1 + len(digit))
    m.d.comb += row.eq(a & digit[0].replicate(len(a)))
    if len(digit) == 2:
        m.d.comb += row.eq(Mux(digit[1], a << 1, a & digit[0].replicate(len(a))))
    return _Group(row.as_signed(), len(digit), Const(0, 1))


def _join(m: Module, low: _Group, high: _Group) -> _Group:
    """Return the sum of two groups, ``high`` above ``low``.

    What lies below the higher group's place is not touched by it and stays out of the adder. This
    also keeps Yosys from merging the adders, for which it would use two LUTs a bit.
    """
    kept = low.places - 2
    addend = Cat(low.pending, Const(0, 1), high.value)
    total = Signal(len(addend))
    m.d.comb += total.eq(low.value[kept:].as_signed() + addend)
    return _Group(Cat(low.value[:kept], total).as_signed(), low.places + high.places, high.pending)
