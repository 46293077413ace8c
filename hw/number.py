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

The maps are written with operators only, so the same lines serve ``int``, NumPy and torch; this
module never imports torch.
"""

import re
import sys
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import (
    Cat,
    Const,
    Mux,
    Shape,
    ShapeCastable,
    Value,
    ValueCastable,
    signed,
    unsigned,
)

from .errors import FormatError

__all__ = ["Bipolar", "Code", "Fixed", "Format", "PowerOfTwo", "common", "parse"]

MAX_WIDTH = 32
GRAMMAR = "bipolar, pow2_N (N = 2 to 6), intN or uintN (N = 1 to 32)"


def _namespace(array: Any) -> Any:
    """Return the module, torch or NumPy, whose functions work on ``array``."""
    return sys.modules["torch"] if type(array).__module__.startswith("torch") else np


def _integers(array: Any) -> Any:
    """``array`` with room for shifts: ``int`` stays, NumPy and torch become 64 bits wide."""
    if hasattr(array, "astype"):
        return array.astype(np.int64)
    return array.long() if hasattr(array, "long") else array


class Format(ShapeCastable):
    """A number format; immutable, compared by value, named by ``str()``.

    Attributes
    ----------
    width : int
        Bits of a code.
    min_level, max_level : int
        The smallest and the largest level.
    """

    width: int
    min_level: int
    max_level: int

    # --- codes and levels ----------------------------------------------------------------------

    @abstractmethod
    def to_level(self, code: Any) -> Any:
        """Map codes to levels (``int``, NumPy or torch; any shape)."""

    @abstractmethod
    def _encode(self, level: Any) -> Any:
        """Map levels that are known to be held to codes."""

    @abstractmethod
    def neighbours(self, x: Any) -> tuple[Any, Any]:
        """Return the adjacent levels around each ``x``, ``lower <= x <= upper``, as floats."""

    def holds(self, level: Any) -> Any:
        """Tell, element by element, which integers are levels of this format."""
        level = _integers(level)  # torch compares int8 with 255 as if 255 were -1
        return (level >= self.min_level) & (level <= self.max_level)

    def to_code(self, level: Any) -> Any:
        """Map levels to codes; raises `FormatError` for an integer that is not a level."""
        held = self.holds(level)
        if not (held if isinstance(held, bool) else bool(held.all())):
            raise FormatError(f"{self} holds {self._describe_levels()}; got {self._worst(level)}")
        return self._encode(level)

    def _describe_levels(self) -> str:
        return f"the integers {self.min_level} to {self.max_level}"

    def _worst(self, level: Any) -> int:
        """Return the offending integer of ``level`` that an error names."""
        if isinstance(level, int):
            return level
        return int(level[~self.holds(level)].reshape(-1)[0])

    @property
    def zero_level(self) -> int:
        """The level of code 0, which padding carries: 0, except for `Bipolar`, where it is -1."""
        return self.to_level(0)

    # --- values --------------------------------------------------------------------------------

    def quantize(
        self, value: Any, scale: Any = 1.0, *, rounding: str = "nearest", generator: Any = None
    ) -> Any:
        """Return the integer levels nearest to ``value / scale``, clamped to the format's range.

        Parameters
        ----------
        value : float, numpy.ndarray or torch.Tensor
            Real numbers of any shape.
        scale : float or array
            The value of level 1; broadcast against ``value``.
        rounding : str
            ``nearest`` (halves up) or ``stochastic`` (up with probability of the fractional
            distance).
        generator : numpy.random.Generator or torch.Generator
            Source of chance for ``stochastic``; seeded by the caller, so results repeat.

        Raises
        ------
        FormatError
            For an unknown rounding, or stochastic rounding without a generator.
        """
        if isinstance(value, (int, float)):
            return int(
                self.quantize(
                    np.asarray(value, np.float64), scale, rounding=rounding, generator=generator
                )
            )
        xp = _namespace(value)
        x = xp.clip(value / scale, float(self.min_level), float(self.max_level))
        lower, upper = self.neighbours(x)
        fraction = (x - lower) / (upper - lower)
        if rounding == "nearest":
            threshold: Any = 0.5
        elif rounding == "stochastic" and generator is not None:
            threshold = _uniform(x, generator)
        else:
            raise FormatError(
                f"rounding is 'nearest', or 'stochastic' with a generator; got {rounding!r}"
                + (" without a generator" if rounding == "stochastic" else "")
            )
        rounded = xp.where(fraction >= threshold, upper, lower)
        # clamped again as integers: 2**31 - 1 is no float32
        return xp.clip(_integers(rounded), self.min_level, self.max_level)

    def dequantize(self, level: Any, scale: Any = 1.0) -> Any:
        """Return the values ``scale * level``."""
        return level * scale

    # --- Amaranth shape ------------------------------------------------------------------------

    @property
    def level_shape(self) -> Shape:
        """The Amaranth shape that holds every level."""
        return Shape.cast(range(self.min_level, self.max_level + 1))

    def as_shape(self) -> Shape:
        """Codes travel as plain bits."""
        return unsigned(self.width)

    def const(self, init: Any) -> Const:
        """Return the code of level ``init`` as a constant; ``None`` is code 0."""
        return Const(0 if init is None else self.to_code(int(init)), self.width)

    def from_bits(self, raw: int) -> int:
        """Return the level of a code read in simulation."""
        return self.to_level(raw & ((1 << self.width) - 1))

    def __call__(self, target: Any) -> "Code":
        return Code(self, Value.cast(target))

    @abstractmethod
    def level_of(self, code: Value) -> Value:
        """Return gates that turn a code into its level, of shape `level_shape`."""


def _uniform(x: Any, generator: Any) -> Any:
    """Uniform numbers in (0, 1], so that an exact level never moves."""
    if isinstance(generator, np.random.Generator):
        return 1.0 - generator.random(x.shape)
    return 1.0 - sys.modules["torch"].rand(x.shape, generator=generator)


class Code(ValueCastable):
    """A code in a circuit that remembers its format; ``.level`` is what the arithmetic uses."""

    def __init__(self, fmt: Format, value: Value):
        self._format, self._value = fmt, value

    def shape(self) -> Format:
        """Return the format."""
        return self._format

    def as_value(self) -> Value:
        """Return the plain bits."""
        return self._value

    @property
    def level(self) -> Value:
        """The level, as gates."""
        return self._format.level_of(self._value)

    def eq(self, other: Any) -> Any:
        """Assign another code, or a level known at build time."""
        return self._value.eq(self._format.const(other) if isinstance(other, int) else other)


@dataclass(frozen=True)
class Bipolar(Format):
    """One bit: code 0 is level -1, code 1 is level +1. There is no zero."""

    width = 1
    min_level = -1
    max_level = 1

    def __str__(self) -> str:
        return "bipolar"

    def holds(self, level: Any) -> Any:
        level = _integers(level)
        return (level == 1) | (level == -1)

    def _describe_levels(self) -> str:
        return "-1 and +1"

    def to_level(self, code: Any) -> Any:
        return 2 * _integers(code) - 1

    def _encode(self, level: Any) -> Any:
        return (_integers(level) + 1) >> 1

    def neighbours(self, x: Any) -> tuple[Any, Any]:
        xp = _namespace(x)
        return -xp.ones_like(x), xp.ones_like(x)

    def level_of(self, code: Value) -> Value:
        return Cat(1, ~code[0]).as_signed()


@dataclass(frozen=True)
class PowerOfTwo(Format):
    """Zero or a signed power of two: a sign bit above an exponent field of ``width - 1`` bits.

    Field 0 is level 0 and field ``f`` is ``2**(f - 1)``, so ``pow2_4`` holds 0, ±1, ±2, ... ±64.
    """

    width: int

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 6:
            raise FormatError(f"pow2_N needs N = 2 to 6, not {self.width}; formats are {GRAMMAR}")

    def __str__(self) -> str:
        return f"pow2_{self.width}"

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

    def holds(self, level: Any) -> Any:
        level = _integers(level)
        magnitude = abs(level)
        return ((magnitude & (magnitude - 1)) == 0) & (magnitude <= self.max_level)

    def _describe_levels(self) -> str:
        return f"0 and the signed powers of two up to {self.max_level}"

    def to_level(self, code: Any) -> Any:
        code = _integers(code)
        field = code & ((1 << (self.width - 1)) - 1)
        magnitude = (1 << field) >> 1
        return magnitude * (1 - 2 * (code >> (self.width - 1)))

    def _encode(self, level: Any) -> Any:
        level = _integers(level)
        magnitude = abs(level)
        field = sum(((magnitude >> bit) != 0) * 1 for bit in range(self.max_exponent + 1))
        return field + (((level < 0) * 1) << (self.width - 1))

    def neighbours(self, x: Any) -> tuple[Any, Any]:
        xp = _namespace(x)
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
    """Two's complement (``int8``) or unsigned (``uint8``) integers."""

    width: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise FormatError(
                f"{'' if self.signed else 'u'}intN needs N = 1 to {MAX_WIDTH}, not {self.width}; "
                f"formats are {GRAMMAR}"
            )

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'uint'}{self.width}"

    @property
    def max_level(self) -> int:  # type: ignore[override]
        """The largest level."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def min_level(self) -> int:  # type: ignore[override]
        """The smallest level."""
        return -(1 << (self.width - 1)) if self.signed else 0

    def to_level(self, code: Any) -> Any:
        code = _integers(code)
        return code - ((code >> (self.width - 1)) << self.width) if self.signed else code

    def _encode(self, level: Any) -> Any:
        return _integers(level) & ((1 << self.width) - 1)

    def neighbours(self, x: Any) -> tuple[Any, Any]:
        lower = _namespace(x).floor(x)
        return lower, lower + 1

    @property
    def level_shape(self) -> Shape:
        return signed(self.width) if self.signed else unsigned(self.width)

    def level_of(self, code: Value) -> Value:
        return code.as_signed() if self.signed else code.as_unsigned()


_NAME = re.compile(
    r"(?P<bipolar>bipolar)|pow2_(?P<pow2>[0-9]{1,3})|(?P<u>u?)int(?P<fixed>[0-9]{1,3})"
)


def parse(text: str) -> Format:
    """Return the format that ``text`` names; ``parse(str(f)) == f`` for every format.

    Raises
    ------
    FormatError
        For a name outside the grammar, or a width outside its range; the text says what is allowed.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise FormatError(f"unknown number format {text!r}; formats are {GRAMMAR}")
    if match["bipolar"]:
        return Bipolar()
    if match["pow2"]:
        return PowerOfTwo(int(match["pow2"]))
    return Fixed(int(match["fixed"]), signed=not match["u"])


def common(formats: Iterable[Format]) -> Format:
    """Return the narrowest format that holds every level of all ``formats``.

    A mixed network runs on one array: equal formats stay as they are, others meet in the
    narrowest `Fixed`.
    """
    distinct = set(formats)
    if len(distinct) == 1:
        return distinct.pop()
    low = min(fmt.min_level for fmt in distinct)
    high = max(fmt.max_level for fmt in distinct)
    if low >= 0:
        return Fixed(max(high.bit_length(), 1), signed=False)
    return Fixed(max(high.bit_length(), (-low - 1).bit_length()) + 1)
