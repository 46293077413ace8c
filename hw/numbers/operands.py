"""The formats that are multiplied."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import FormatError
from .arithmetic import bits_for
from .format import Format
from .formats import Bipolar, Fixed, Float, MiniFloat

__all__ = ["Operands", "cheapest", "check_integers", "common", "narrowest", "widest"]


@dataclass(frozen=True)
class Operands:
    """The formats of weights and activations: those of a layer, or those that an array reads."""

    weight: Format
    activation: Format

    def sum_range(self, count: int) -> tuple[int, int]:
        """Return the lowest and the highest sum of at most ``count`` products.

        Raises
        ------
        FormatError
            For floats, whose levels are not added.
        """
        check_integers("range of sums", self.weight, self.activation)
        products = [
            weight * activation
            for weight in (self.weight.min_level, self.weight.max_level)
            for activation in (self.activation.min_level, self.activation.max_level)
        ]
        return count * min(0, *products), count * max(0, *products)


def check_integers(what: str, *formats: Format) -> None:
    """Raise `FormatError` if one of ``formats`` is a float: there is no ``what`` of its levels."""
    for fmt in formats:
        if isinstance(fmt, Float):
            raise FormatError(
                f"there is no {what} of {', '.join(sorted(map(str, formats)))}: the "
                f"levels of {fmt} are ranks, which are not added"
            )


def narrowest(low: int, high: int) -> Fixed:
    """Return the narrowest integers that hold ``low`` to ``high``."""
    width = bits_for(low, high)
    return Fixed(max(width - 1, 1), signed=False) if low >= 0 else Fixed(width)


def cheapest(fmt: Format) -> Format:
    """Return the format with the same levels whose elements are smallest.

    A minifloat of one exponent bit shifts by nothing: its levels are those of the integers of as
    many bits but the lowest, which weights leave out in any case. Multiply-accumulates of integers
    take fewer LUTs, with four lanes of ``uint8`` 7 per cent fewer for ``e1m1`` and 28 for ``e1m6``
    on UP5K. Those without exponent or mantissa have their cheaper names already (`parse`).
    """
    if isinstance(fmt, MiniFloat) and fmt.exponent == 1:
        return Fixed(fmt.width)
    return fmt


def common(formats: Iterable[Format]) -> Format:
    """Return the narrowest format that holds every level of all ``formats``.

    A mixed network runs on one array: equal formats stay as they are, but for the `cheapest` of
    those that have the same levels; others meet in the narrowest `Fixed`.

    Raises
    ------
    FormatError
        Where integers would have more than 32 bits; for different floats, and floats with integers.
    """
    distinct = set(map(cheapest, formats))
    if len(distinct) == 1:
        return distinct.pop()
    check_integers("common format", *distinct)
    return narrowest(min(f.min_level for f in distinct), max(f.max_level for f in distinct))


def widest(each: Iterable[Operands]) -> Operands:
    """Return the operands of an array that multiplies those of every layer.

    Equal formats stay as they are, others meet in the narrowest integers. A multiplier has no
    one-bit mode: bipolar activations meet other weights as integers of two bits. Floats stay as
    they are.

    Raises
    ------
    FormatError
        When an operand would have more than 32 bits.
    """
    pairs = list(each)
    weight = common(pair.weight for pair in pairs)
    activation = common(pair.activation for pair in pairs)
    alone = weight != Bipolar() and activation == Bipolar()
    return Operands(weight, Fixed(2) if alone else activation)
