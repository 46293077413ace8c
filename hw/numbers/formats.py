"""Number formats: one meaning for ``int``, NumPy, torch and Amaranth.

Three words are used everywhere. A **code** is the stored bit pattern, an unsigned integer. Its
**level** is the integer that the arithmetic sees. Its **value** is the real number
``scale * level``. A format owns the maps between them, and is itself an Amaranth shape whose
constants and simulation values are levels::

    >>> int4 = parse("int4")
    >>> int4.to_code(-3), int4.to_level(13)
    (13, -3)
    >>> str(parse("pow2_4")), parse("pow2_4").max_level
    ('pow2_4', 64)
    >>> str(parse("e0m3")), str(parse("e3m0"))  # minifloats without exponent, without mantissa
    ('int4', 'pow2_4')

`Float` is the exception: its levels are ranks, which tell what is larger and are not added.
"""

import re
from dataclasses import dataclass
from typing import Any, Self

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned

from ..errors import FormatError
from .format import Code, Format, Integers, Reals, integers, namespace
from .ieee import Float
from .minifloat import MAX_EXPONENT, MAX_MANTISSA, MiniFloat

__all__ = [
    "FORMATS",
    "Bipolar",
    "Code",
    "Fixed",
    "Float",
    "Format",
    "MiniFloat",
    "PowerOfTwo",
    "default_activation",
    "parse",
]

MAX_WIDTH = 32


@dataclass(frozen=True)
class Bipolar(Format):
    """One bit: code 0 is level -1, code 1 is level +1. There is no zero."""

    names = pattern = "bipolar"
    width = 1
    min_level = -1
    max_level = 1

    def __str__(self) -> str:
        return "bipolar"

    @classmethod
    def from_name(cls, match: re.Match[str]) -> Self:
        return cls()

    def holds(self, level: Integers) -> Integers:
        known: Any = integers(level)
        return (known == 1) | (known == -1)

    def _describe_levels(self) -> str:
        return "-1 and +1"

    def to_level(self, code: Integers) -> Integers:
        return 2 * integers(code) - 1

    def _encode(self, level: Integers) -> Integers:
        return (integers(level) + 1) >> 1

    def neighbours(self, x: Reals) -> tuple[Reals, Reals]:
        xp = namespace(x)
        return -xp.ones_like(x), xp.ones_like(x)

    @property
    def activations(self) -> str:
        """Themselves: then a product is an XNOR gate."""
        return "bipolar"

    def level_of(self, code: Value) -> Value:
        return Cat(1, ~code[0]).as_signed()

    def code_of(self, level: Value) -> Value:
        return level > 0


@dataclass(frozen=True)
class PowerOfTwo(Format):
    """Zero or a signed power of two: a sign bit above an exponent field of ``width - 1`` bits.

    Field 0 is level 0 and field ``f`` is ``2**(f - 1)``, so ``pow2_4`` holds 0, ±1, ±2, ... ±64.

    Raises
    ------
    FormatError
        For other widths than 2 to 6.
    """

    names = "pow2_N (N = 2 to 6)"
    pattern = "pow2_([0-9]{1,3})"
    width: int

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 6:
            raise FormatError(f"pow2_N needs N = 2 to 6, not {self.width}")

    def __str__(self) -> str:
        return f"pow2_{self.width}"

    @classmethod
    def from_name(cls, match: re.Match[str]) -> Self:
        return cls(int(match[1]))

    @property
    def max_exponent(self) -> int:
        """The exponent of the largest level."""
        return (1 << (self.width - 1)) - 2

    @property
    def max_level(self) -> int:  # type: ignore[override]
        """The largest level."""
        return 1 << self.max_exponent

    @property
    def min_level(self) -> int:  # type: ignore[override]
        """The smallest level."""
        return -self.max_level

    def holds(self, level: Integers) -> Integers:
        magnitude: Any = abs(integers(level))
        return ((magnitude & (magnitude - 1)) == 0) & (magnitude <= self.max_level)

    def _describe_levels(self) -> str:
        return f"0 and the signed powers of two up to {self.max_level}"

    def to_level(self, code: Integers) -> Integers:
        code = integers(code)
        field = code & ((1 << (self.width - 1)) - 1)
        magnitude = (1 << field) >> 1
        return magnitude * (1 - 2 * (code >> (self.width - 1)))

    def _encode(self, level: Integers) -> Integers:
        magnitude: Any = abs(integers(level))
        field = sum(((magnitude >> bit) != 0) * 1 for bit in range(self.max_exponent + 1))
        return field + (((level < 0) * 1) << (self.width - 1))

    @property
    def activations(self) -> str:
        """Of 8 bits: a shift costs by the bits of what is shifted, not by those of the exponent."""
        return "uint8"

    def neighbours(self, x: Reals) -> tuple[Reals, Reals]:
        xp = namespace(x)
        magnitude = abs(x)
        _, exponent = xp.frexp(magnitude)
        inner = xp.where(magnitude < 1, xp.zeros_like(x), xp.ldexp(xp.ones_like(x), exponent - 1))
        outer = xp.where(magnitude < 1, xp.ones_like(x), 2 * inner)
        return xp.where(x < 0, -outer, inner), xp.where(x < 0, -inner, outer)

    def level_of(self, code: Value) -> Value:
        field, sign = code[: self.width - 1], code[self.width - 1]
        magnitude = (Const(1, self.max_exponent + 2) << field)[1 : self.max_exponent + 2]
        return Mux(sign, -magnitude, magnitude).as_signed()[: self.max_exponent + 2].as_signed()


@dataclass(frozen=True)
class Fixed(Format):
    """Two's complement (``int8``) or unsigned (``uint8``) integers.

    Raises
    ------
    FormatError
        For other widths than 1 to 32.
    """

    names = f"intN or uintN (N = 1 to {MAX_WIDTH})"
    pattern = "(u?)int([0-9]{1,3})"
    width: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise FormatError(
                f"{'' if self.signed else 'u'}intN needs N = 1 to {MAX_WIDTH}, not {self.width}"
            )

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'uint'}{self.width}"

    @classmethod
    def from_name(cls, match: re.Match[str]) -> Self:
        return cls(int(match[2]), signed=not match[1])

    @property
    def max_level(self) -> int:  # type: ignore[override]
        """The largest level."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def min_level(self) -> int:  # type: ignore[override]
        """The smallest level."""
        return -(1 << (self.width - 1)) if self.signed else 0

    def to_level(self, code: Integers) -> Integers:
        code = integers(code)
        return code - ((code >> (self.width - 1)) << self.width) if self.signed else code

    def _encode(self, level: Integers) -> Integers:
        return integers(level) & ((1 << self.width) - 1)

    def neighbours(self, x: Reals) -> tuple[Reals, Reals]:
        lower = namespace(x).floor(x)
        return lower, lower + 1

    @property
    def level_shape(self) -> Shape:
        return signed(self.width) if self.signed else unsigned(self.width)

    def level_of(self, code: Value) -> Value:
        return code.as_signed() if self.signed else code.as_unsigned()

    def code_of(self, level: Value) -> Value:
        return level


FORMATS: tuple[type[Format], ...] = (Bipolar, PowerOfTwo, MiniFloat, Fixed, Float)
"""Every kind of format; a new one joins here."""


def parse(text: str) -> Format:
    """Return the format that ``text`` names; ``parse(str(f)) == f`` for every format.

    Raises
    ------
    FormatError
        For a name that no format has, or a width outside its range; the text says what is allowed.
    """
    edge = _minifloat_edge(text)
    if edge is not None:
        return edge
    for kind in FORMATS:
        match = re.fullmatch(kind.pattern, text)
        if match:
            try:
                return kind.from_name(match)
            except FormatError as error:
                raise FormatError(f"{error}; {_all_names()}") from error
    raise FormatError(f"unknown number format {text!r}; {_all_names()}")


def _minifloat_edge(text: str) -> Format | None:
    """Return what a minifloat without exponent or without mantissa is: cheaper by its own name.

    ``e0mM`` has the levels of an integer but the lowest, which weights leave out in any case;
    ``eEm0`` has zero and powers of two, in the codes of `PowerOfTwo`.
    """
    match = re.fullmatch(MiniFloat.pattern, text)
    if match is None:
        return None
    exponent, mantissa = int(match[1]), int(match[2])
    if exponent == 0 and 1 <= mantissa <= MAX_MANTISSA:
        return Fixed(mantissa + 1)
    if mantissa == 0 and 1 <= exponent <= MAX_EXPONENT:
        return PowerOfTwo(exponent + 1)
    return None


def _all_names() -> str:
    return f"formats are {', '.join(kind.names for kind in FORMATS)}"


def default_activation(weight: Format) -> Format:
    """Return the activation format that goes with a weight format (`Format.activations`)."""
    return parse(weight.activations)
