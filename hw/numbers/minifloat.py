"""Small floating-point formats whose levels are still integers.

The level counts smallest subnormals, so a significand shifted by its exponent is exact, as an
integer: products and sums of minifloats need no rounding and no normalisation anywhere.
"""

import re
from dataclasses import dataclass
from typing import Any, Self

from amaranth.hdl import Cat, Mux, Value

from ..errors import FormatError
from .format import Format, Integers, Reals, integers, namespace

__all__ = ["MiniFloat"]

MAX_EXPONENT = 5
MAX_MANTISSA = 10


@dataclass(frozen=True)
class MiniFloat(Format):
    """A sign bit, ``exponent`` bits of exponent, ``mantissa`` bits of mantissa; all are numbers.

    Exponent field 0 is subnormal: its level is the mantissa. Field ``e`` is
    ``(2**mantissa + m) << (e - 1)``. There are no infinities and no NaN. The magnitudes of ``e2m1``
    are 0, 1, 2, 3, 4, 6, 8 and 12.

    Parameters
    ----------
    exponent, mantissa : int
        Bits of the two fields, 1 to 5 and 1 to 10.

    Raises
    ------
    FormatError
        For other fields.
    """

    names = f"eEmM (E = 0 to {MAX_EXPONENT}, M = 0 to {MAX_MANTISSA}, one of them above 0)"
    pattern = "e([0-9]{1,3})m([0-9]{1,3})"
    exponent: int
    mantissa: int

    def __post_init__(self) -> None:
        if not (1 <= self.exponent <= MAX_EXPONENT and 1 <= self.mantissa <= MAX_MANTISSA):
            why = ""
            if self.exponent == self.mantissa == 0:
                why = ": without either, 0 is the only level"
            elif self.exponent > MAX_EXPONENT:
                why = (
                    f", whose levels reach beyond 2**(2**{self.exponent} - 2): no accumulator "
                    "holds its products"
                )
            raise FormatError(
                f"eEmM needs E = 0 to {MAX_EXPONENT} and M = 0 to {MAX_MANTISSA}, one of them "
                f"above 0, not {self}{why}"
            )

    def __str__(self) -> str:
        return f"e{self.exponent}m{self.mantissa}"

    @classmethod
    def from_name(cls, match: re.Match[str]) -> Self:
        return cls(int(match[1]), int(match[2]))

    @property
    def width(self) -> int:  # type: ignore[override]
        """Bits of a code."""
        return 1 + self.exponent + self.mantissa

    @property
    def max_shift(self) -> int:
        """Places by which the largest exponent shifts a significand."""
        return (1 << self.exponent) - 2

    @property
    def max_significand(self) -> int:
        """The largest significand."""
        return (2 << self.mantissa) - 1

    @property
    def max_level(self) -> int:  # type: ignore[override]
        """The largest level."""
        return self.max_significand << self.max_shift

    @property
    def min_level(self) -> int:  # type: ignore[override]
        """The smallest level."""
        return -self.max_level

    @property
    def activations(self) -> str:
        """Of 8 bits: a shift costs by the bits of what is shifted, not by those of the exponent."""
        return "uint8"

    def _shift(self, magnitude: Any) -> Any:
        """Return the places that leave a significand of ``magnitude``, at most `max_shift`."""
        first = self.mantissa + 1
        bits = range(first, first + self.max_shift)
        return sum(((magnitude >> bit) != 0) * 1 for bit in bits) + 0 * magnitude

    def holds(self, level: Integers) -> Integers:
        level = integers(level)
        magnitude = abs(level)
        shift = self._shift(magnitude)
        return ((magnitude >> shift) << shift == magnitude) & (magnitude <= self.max_level)

    def _describe_levels(self) -> str:
        return f"{super()._describe_levels()} that have up to {self.mantissa + 1} significant bits"

    def to_level(self, code: Integers) -> Integers:
        bits: Any = integers(code)
        field = (bits >> self.mantissa) & ((1 << self.exponent) - 1)
        normal = (field != 0) * 1
        significand = (bits & ((1 << self.mantissa) - 1)) + (normal << self.mantissa)
        return (significand << (field - normal)) * (1 - 2 * (bits >> (self.width - 1)))

    def _encode(self, level: Integers) -> Integers:
        level = integers(level)
        magnitude = abs(level)
        shift = self._shift(magnitude)
        # unshifted, the leading bit of a significand is the lowest bit of its exponent field
        code = (shift << self.mantissa) + (magnitude >> shift)
        return code + (((level < 0) * 1) << (self.width - 1))

    def neighbours(self, x: Reals) -> tuple[Reals, Reals]:
        xp = namespace(x)
        magnitude = abs(x)
        _, exponent = xp.frexp(magnitude)
        step = xp.ldexp(xp.ones_like(x), xp.clip(exponent - (self.mantissa + 1), 0, None))
        inner = xp.floor(magnitude / step) * step
        outer = inner + step
        return xp.where(x < 0, -outer, inner), xp.where(x < 0, -inner, outer)

    def fields(self, code: Value) -> tuple[Value, Value, Value]:
        """Return gates for the significand, the places that it is shifted by, and the sign."""
        field = code[self.mantissa : self.width - 1]
        normal = field.any()
        significand = Cat(code[: self.mantissa], normal)
        return significand, (field - normal)[: self.exponent], code[self.width - 1]

    def level_of(self, code: Value) -> Value:
        significand, shift, sign = self.fields(code)
        magnitude = (significand << shift)[: self.mantissa + 1 + self.max_shift]
        return Mux(sign, -magnitude, magnitude)[: len(magnitude) + 1].as_signed()
