"""A multiplier of few LUTs: radix-4 Booth recoding, in digits of -1, 0, 1 and 2."""

from dataclasses import dataclass, replace

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from .adder import shape_for
from .pipeline import delay

__all__ = ["recoded_latency", "recoded_product", "recoded_rows"]


@dataclass(frozen=True)
class _Group:
    """Neighbouring rows, summed.

    Attributes
    ----------
    value : Value
        The signed sum, in units of its lowest digit, but for what is pending.
    low, high : int
        Its least and its greatest value.
    places : int
        Bits of all its digits.
    pending : Value
        Whether a one is still to be added at its highest digit.
    negative : bool
        Whether the group is subtracted; then it is the last one.
    """

    value: Value
    low: int
    high: int
    places: int
    pending: Value
    negative: bool = False

    def stored(self, m: Module) -> "_Group":
        """Return the group a cycle later."""
        value = delay(m, self.value, name="pending")
        if isinstance(self.pending, Const):
            return replace(self, value=value)
        return replace(self, value=value, pending=delay(m, self.pending, name="pending"))


def recoded_product(m: Module, a: Value, b: Value, *, registered: bool = False) -> Value:
    """Return the product of two values, signed or not, by Booth recoding of one of them.

    It comes combinationally or, ``registered``, `recoded_latency` cycles later.

    With ``t = b + 0b...0101``, the carries of this one addition recode ``b``: its digits of two
    bits are those of ``t`` less one each, and so -1, 0, 1 or 2. A row of the product, which is one
    of ``-a``, 0, ``a`` and ``2 * a``, then takes one 4-input LUT a bit, where Booth's own digits,
    -2 to 2, take two; and there are half as many rows to add as ``b`` has bits. The rows are added
    in a tree of carry chains. The sign of ``b`` is a row of its own, which is subtracted.
    """
    groups = _rows(m, *_in_order(a, b))
    ends = _registers(len(groups)) if registered else []
    for level in range(_levels(len(groups)) + 1):
        if level:
            pairs = zip(groups[::2], groups[1::2], strict=False)
            groups = [_join(m, *pair) for pair in pairs] + groups[len(groups) // 2 * 2 :]
        if level in ends:
            groups = [group.stored(m) for group in groups]
    product = groups[0].value[: len(a) + len(b)]
    return product.as_signed() if a.shape().signed or b.shape().signed else product


def recoded_latency(a: Shape, b: Shape) -> int:
    """Return the cycles of a registered product of two such operands."""
    _, narrow = _in_order(Signal(a), Signal(b))
    return len(_registers(recoded_rows(len(narrow))))


def recoded_rows(width: int) -> int:
    """Return the rows of a product of which the recoded operand has so many bits."""
    return width // 2 + 1


def _levels(rows: int) -> int:
    """Return the levels of the tree of adders."""
    return (rows - 1).bit_length()


def _registers(rows: int) -> list[int]:
    """Return the levels that end in registers: the rows, then every second one, and the last.

    With registers behind every level, what passes it without an adder takes many cells; without
    them the clock is slower than that of an accumulator of 32 bits.
    """
    return sorted({*range(0, _levels(rows), 2), _levels(rows)})


def _in_order(a: Value, b: Value) -> tuple[Value, Value]:
    """Return the operands, the one that is recoded last: the narrower, or the one without sign."""
    if (len(a), not a.shape().signed) < (len(b), not b.shape().signed):
        a, b = b, a
    if b.shape().signed and len(b) % 2:
        b = Cat(b, b[-1]).as_signed()
    return a, b


def _rows(m: Module, a: Value, b: Value) -> list[_Group]:
    """Return the rows of a product, the one of the lowest digit first."""
    unsigned = b[:-1] if b.shape().signed else b
    digits = len(unsigned) // 2
    t = Signal(len(unsigned) + 1)
    m.d.comb += t.eq(unsigned + sum(1 << (2 * digit) for digit in range(digits)))
    groups = [_row(m, a, t[2 * digit : 2 * digit + 2]) for digit in range(digits)]
    groups.append(_last_row(m, a, t[2 * digits :]))
    if b.shape().signed:
        groups.append(replace(_last_row(m, a, b[-1:]), negative=True))
    return groups


def _bounded(m: Module, value: Value, low: int, high: int) -> Signal:
    """Return a signed ``value`` in as many bits as its bounds need."""
    bounded = Signal(shape_for(min(low, -1), high))
    m.d.comb += bounded.eq(value)
    return bounded


def _signed(value: Value) -> Value:
    return value if value.shape().signed else Cat(value, Const(0, 1)).as_signed()


def _bounds(a: Value) -> tuple[int, int]:
    """Return the extreme values of a shape."""
    shape = a.shape()
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


def _row(m: Module, a: Value, digit: Value) -> _Group:
    """Return ``(digit - 1) * a``; of the negative, the one is pending."""
    least, most = _bounds(a)
    low, high = min(~most, 2 * least), max(~least, 2 * most)
    value = Mux(digit[1], Mux(digit[0], a << 1, a), Mux(digit[0], 0, ~_signed(a)))
    return _Group(_bounded(m, value, low, high), low, high, 2, ~digit.any())


def _last_row(m: Module, a: Value, digit: Value) -> _Group:
    """Return ``digit * a`` of what is left at the top: a bit, or the sum of a bit and a carry."""
    times = len(digit)
    low, high = (times * bound for bound in _bounds(a))
    value = Mux(digit[0], a, 0)
    if times == 2:
        value = Mux(digit[1], a << 1, value)
    return _Group(_bounded(m, value, low, high), low, high, times, Const(0, 1))


def _join(m: Module, low: _Group, high: _Group) -> _Group:
    """Return the sum of two groups, ``high`` above ``low``.

    What lies below the higher group's place is not touched by it and stays out of the adder. This
    also keeps Yosys from merging the adders, for which it would use two LUTs a bit.
    """
    if high.negative:
        # the digit below the sign leaves nothing pending
        kept, least, most = low.places - 1, -high.high, -high.low
        total = low.value[kept:].as_signed() - high.value
    else:
        kept, least, most = low.places - 2, 4 * high.low, 4 * high.high + 1
        addend = Cat(low.pending, Const(0, 1), high.value)
        total = low.value[kept:].as_signed() + addend.as_signed()
    least, most = (low.low >> kept) + least, (low.high >> kept) + most
    total = _bounded(m, total, least, most)
    below = (1 << kept) - 1
    return _Group(
        Cat(low.value[:kept], total).as_signed(),
        least << kept,
        (most << kept) + below,
        low.places + high.places,
        high.pending,
    )
