"""IEEE 754 floats: the format, and its arithmetic on codes, rounded to nearest even.

A float is not an integer: what it is, is its value. It is the baseline that the integer formats are
compared with. The arithmetic here is done on integers only, and is the meaning of the gates in
`mac.ieee`::

    >>> fp16 = Float(5, 10)
    >>> one, third = fp16.from_value(1.0), fp16.from_value(1 / 3)
    >>> hex(one), hex(third), fp16.to_value(fp16.add(one, third))
    ('0x3c00', '0x3555', 1.3330078125)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed

from ..errors import FormatError
from .format import Format, Integers, integers, namespace

__all__ = ["Float", "factor_fields", "float_step", "multiply", "tree_add"]

NAMED = {"fp32": (8, 23), "fp16": (5, 10), "bf16": (8, 7)}
MIN_EXPONENT, MAX_EXPONENT = 2, 8
MAX_MANTISSA = 23
_FAR = 60  # places: nothing of an exact product or sum, which has up to 57 bits, is left


def _arrays(function: Callable) -> Callable:
    """Let a function on arrays of codes take ``int`` too, and give ``int`` for only those."""

    @wraps(function)
    def wrapped(first: Any, *codes: Any) -> Any:
        result = function(first, *(np.asarray(code, np.int64) for code in codes))
        return result.item() if all(isinstance(code, int) for code in codes) else result

    return wrapped


class _Fields(NamedTuple):
    """Codes taken apart: finite ones are ``(-1)**sign * significand * 2**exponent``."""

    sign: np.ndarray
    significand: np.ndarray
    exponent: np.ndarray
    infinite: np.ndarray
    nan: np.ndarray


@dataclass(frozen=True)
class Float(Format):
    """A binary float of IEEE 754: sign, ``exponent`` bits of exponent, ``mantissa`` bits below.

    Exponent field 0 is zero and subnormal; the field of ones is infinity (mantissa 0) and NaN. All
    arithmetic rounds to nearest, ties to even, and keeps subnormals and signed zeros; nothing is
    flushed to zero. Every NaN that it gives is the one of `nan`.

    Its level is its *rank*: 0 for both zeros, 1 for the smallest subnormal and one more for each
    value above, negative below zero. It is the code read as sign and magnitude. So ranks are in the
    order of values: whatever compares or clamps is right, while nothing may add or scale them, and
    what would refuses floats by name. NaN counts as the largest; minus zero has no rank of its own.

    As an Amaranth shape its constants and simulation values are values, as Python floats; read
    ``as_value()`` for the code.

    Parameters
    ----------
    exponent, mantissa : int
        Bits of the two fields, 2 to 8 and 1 to 23.

    Raises
    ------
    FormatError
        For other fields.
    """

    names = (
        f"{', '.join(NAMED)} or floatE_M (E = {MIN_EXPONENT} to {MAX_EXPONENT}, "
        f"M = 1 to {MAX_MANTISSA})"
    )
    pattern = f"(?:{'|'.join(NAMED)})|float([0-9]{{1,3}})_([0-9]{{1,3}})"
    exponent: int
    mantissa: int

    def __post_init__(self) -> None:
        fits = MIN_EXPONENT <= self.exponent <= MAX_EXPONENT and 1 <= self.mantissa <= MAX_MANTISSA
        if not fits:
            raise FormatError(
                f"floatE_M needs E = {MIN_EXPONENT} to {MAX_EXPONENT} and M = 1 to {MAX_MANTISSA}, "
                f"not {self}"
            )

    def __str__(self) -> str:
        fields = (self.exponent, self.mantissa)
        names = {each: name for name, each in NAMED.items()}
        return names.get(fields, "float{}_{}".format(*fields))

    @classmethod
    def from_name(cls, match: re.Match[str]) -> Self:
        if match[0] in NAMED:
            return cls(*NAMED[match[0]])
        return cls(int(match[1]), int(match[2]))

    # --- codes ---------------------------------------------------------------------------------

    @property
    def width(self) -> int:  # type: ignore[override]
        """Bits of a code."""
        return 1 + self.exponent + self.mantissa

    @property
    def activations(self) -> str:
        """Themselves: floats meet no other formats."""
        return str(self)

    @property
    def bias(self) -> int:
        """Difference of the exponent field from the exponent."""
        return (1 << (self.exponent - 1)) - 1

    @property
    def min_exponent(self) -> int:
        """The exponent of the smallest subnormal: the lowest bit of any value."""
        return 1 - self.bias - self.mantissa

    @property
    def infinity(self) -> int:
        """The code of plus infinity."""
        return ((1 << self.exponent) - 1) << self.mantissa

    @property
    def nan(self) -> int:
        """The code of the NaN that arithmetic gives: quiet, positive, no payload."""
        return self.infinity | (1 << (self.mantissa - 1))

    def holds_all(self, other: "Float") -> bool:
        """Tell whether every value of ``other`` is one of this format."""
        return self.exponent >= other.exponent and self.mantissa >= other.mantissa

    def is_nan(self, code: Any) -> Any:
        """Tell, element by element, which codes are NaN."""
        return (code & ((1 << (self.width - 1)) - 1)) > self.infinity

    def is_infinite(self, code: Any) -> Any:
        """Tell, element by element, which codes are infinities."""
        return (code & ((1 << (self.width - 1)) - 1)) == self.infinity

    def is_finite(self, code: Any) -> Any:
        """Tell, element by element, which codes are neither infinite nor NaN."""
        return (code & self.infinity) != self.infinity

    def fields(self, code: np.ndarray) -> _Fields:
        """Take an array of codes apart."""
        field = (code >> self.mantissa) & ((1 << self.exponent) - 1)
        fraction = code & ((1 << self.mantissa) - 1)
        return _Fields(
            sign=code >> (self.width - 1),
            significand=fraction + ((field != 0) * 1 << self.mantissa),
            exponent=np.maximum(field, 1) - 1 + self.min_exponent,
            infinite=self.is_infinite(code),
            nan=self.is_nan(code),
        )

    # --- values --------------------------------------------------------------------------------

    def to_value(self, code: Any) -> Any:
        """Map codes to values: ``float``, or float64 for an array; all are exact."""
        fields = self.fields(np.asarray(code, np.int64))
        value = np.ldexp(fields.significand.astype(np.float64), fields.exponent)
        value = np.where(fields.infinite, np.inf, np.where(fields.nan, np.nan, value))
        signed = np.where(fields.sign == 1, -value, value)
        return float(signed) if isinstance(code, int) else signed

    def from_value(self, value: Any) -> Any:
        """Map values (``float``, or an array) to the nearest codes, ties to even."""
        given = np.asarray(value, np.float64)
        fraction, exponent = np.frexp(np.where(np.isfinite(given), np.abs(given), 0.0))
        significand = np.ldexp(fraction, 53).astype(np.int64)
        # 53 bits are more than rounding takes: what is lost sets the lowest bit
        significand = (significand >> 2) | ((significand & 3) != 0)
        code = self._round(np.signbit(given) * 1, significand, exponent.astype(np.int64) - 51)
        code = np.where(np.isinf(given), (code & (1 << (self.width - 1))) | self.infinity, code)
        code = np.where(np.isnan(given), self.nan, code)
        return int(code) if isinstance(value, (int, float)) else code

    # --- arithmetic ----------------------------------------------------------------------------

    @_arrays
    def add(self, a: Any, b: Any) -> Any:
        """Return the codes of the rounded sums of codes (``int`` or NumPy; they broadcast)."""
        magnitude = (1 << (self.width - 1)) - 1
        swap = (a & magnitude) < (b & magnitude)
        large = self.fields(np.where(swap, b, a))
        small = self.fields(np.where(swap, a, b))
        distance = large.exponent - small.exponent
        # so far below a normal number, all that matters of the smaller one is that it is there
        reach = self.mantissa + 3
        near = distance <= reach
        places = np.where(near, distance, reach)
        addend = np.where(near, small.significand, (small.significand != 0) * 1)
        opposed = large.sign != small.sign
        total = (large.significand << places) + np.where(opposed, -addend, addend)
        # an exact zero is positive, unless both are negative zeros
        sign = np.where(total == 0, large.sign & small.sign, large.sign)
        code = self._round(sign, total, large.exponent - places)
        code = np.where(large.infinite, (large.sign << (self.width - 1)) | self.infinity, code)
        nan = large.nan | small.nan | (large.infinite & small.infinite & opposed)
        return np.where(nan, self.nan, code)

    def _round(self, sign: Any, significand: Any, exponent: Any) -> np.ndarray:
        """Return the codes nearest to ``significand * 2**exponent``, of below 62 bits."""
        length = _bit_length(significand)
        lowest = np.maximum(exponent + length - (self.mantissa + 1), self.min_exponent)
        lowest = np.where(significand == 0, self.min_exponent, lowest)
        right = np.clip(lowest - exponent, 0, _FAR)
        left = np.where(significand == 0, 0, np.maximum(exponent - lowest, 0))
        exact = significand << left
        kept = exact >> right
        kept = kept + _rounds_up(kept, 2 * (exact - (kept << right)), 1 << right)
        # a carry out of the significand is a carry into the exponent, up to infinity
        code = ((lowest - self.min_exponent) << self.mantissa) + kept
        return np.minimum(code, self.infinity) | (sign << (self.width - 1))

    # --- Amaranth shape ------------------------------------------------------------------------

    def const(self, init: Any) -> Const:
        """Return the code of the value ``init`` as a constant; ``None`` is code 0."""
        return Const(0 if init is None else self.from_value(float(init)), self.width)

    def from_bits(self, raw: int) -> Any:
        """Return the value of a code read in simulation."""
        return self.to_value(raw & ((1 << self.width) - 1))

    # --- levels are ranks ----------------------------------------------------------------------

    @property
    def min_level(self) -> int:  # type: ignore[override]
        """The rank of minus infinity."""
        return -self.infinity

    @property
    def max_level(self) -> int:  # type: ignore[override]
        """The rank of NaN, which counts as the largest."""
        return self.nan

    @property
    def max_finite(self) -> int:
        """The rank of the largest finite value."""
        return self.infinity - 1

    @property
    def one(self) -> int:
        """The rank of 1."""
        return self.bias << self.mantissa

    def holds(self, level: Integers) -> Integers:
        known: Any = integers(level)
        return (known >= self.min_level) & ((known <= self.infinity) | (known == self.nan))

    def _describe_levels(self) -> str:
        return f"the ranks {self.min_level} to {self.infinity}, and {self.nan} for NaN"

    def to_level(self, code: Integers) -> Integers:
        code = integers(code)
        magnitude: Any = code & ((1 << (self.width - 1)) - 1)
        nan = (magnitude > self.infinity) * 1
        rank = magnitude * (1 - 2 * (code >> (self.width - 1)))
        return rank * (1 - nan) + self.nan * nan

    def _encode(self, level: Integers) -> Integers:
        known: Any = integers(level)
        return abs(known) + ((known < 0) * 1 << (self.width - 1))

    def neighbours(self, x: Any) -> NoReturn:
        raise FormatError(f"{self} has ranks for levels: they lie at no equal distance")

    def quantize(
        self, value: Any, scale: Any = 1.0, *, rounding: str = "nearest", generator: Any = None
    ) -> Any:
        """Return the ranks of the values nearest to ``value / scale``, ties to even.

        What is beyond the largest finite value is infinite, as IEEE 754 rounds it. Arguments are
        those of `Format.quantize`; nothing is rounded by chance.

        Raises
        ------
        FormatError
            For another rounding.
        """
        if rounding != "nearest":
            raise FormatError(f"{self} rounds to the nearest value; got rounding {rounding!r}")
        if isinstance(value, (int, float)):
            return self.to_level(self.from_value(float(value / scale)))
        scaled, xp = value / scale, namespace(value)
        if xp is np:
            return self.to_level(self.from_value(scaled))
        given = np.asarray(scaled.detach().cpu().double())
        return xp.from_numpy(self.to_level(self.from_value(given))).to(value.device)

    def dequantize(self, level: Any, scale: Any = 1.0) -> Any:
        """Return the values of ranks, times ``scale``: float64 for NumPy, float32 for torch."""
        if isinstance(level, int):
            return self.to_value(self._encode(level)) * scale
        xp, known = namespace(level), np.asarray(level)
        values = self.to_value(self._encode(known))
        if xp is not np:
            values = xp.from_numpy(np.asarray(values)).float().to(level.device)
        return values * scale

    @property
    def level_shape(self) -> Shape:
        return signed(self.width)

    def level_of(self, code: Value) -> Value:
        magnitude = code[:-1]
        return Mux(code[-1], -magnitude, magnitude)[: self.width].as_signed()

    def code_of(self, level: Value) -> Value:
        magnitude = Mux(level[-1], -level, level)[: self.width - 1]
        return Cat(magnitude, level[-1])


def _bit_length(magnitude: np.ndarray) -> np.ndarray:
    """Return the bits of numbers below ``2**62``; a float64 holds those of half of them."""
    upper = magnitude >> 31
    part = np.where(upper != 0, upper, magnitude).astype(np.float64)
    return np.frexp(part)[1] + 31 * (upper != 0)


def _rounds_up(kept: Any, twice_rest: Any, unit: Any) -> Any:
    """Tell whether the nearest is above: of two equally near, the even one is taken."""
    return (twice_rest > unit) | ((twice_rest == unit) & (kept % 2 == 1))


def factor_fields(fmt: Format, code: np.ndarray) -> _Fields:
    """Take codes of any format apart: what has levels is exactly the number that its level is."""
    if isinstance(fmt, Float):
        return fmt.fields(code)
    level = np.asarray(fmt.to_level(code), np.int64)
    none = np.zeros_like(level)
    return _Fields((level < 0) * 1, abs(level), none, none != 0, none != 0)


@_arrays
def multiply(formats: tuple[Format, Float, Float], a: Any, b: Any) -> Any:
    """Return the codes of the rounded products of codes (``int`` or NumPy; they broadcast).

    Parameters
    ----------
    formats : Format, Float and Float
        Of ``a``, of ``b``, and of the result: products are exact before they are rounded to it.
        Where ``a`` is no float, it is the number that its level is.
    a, b : int or numpy.ndarray
        Codes.
    """
    first, second, result = factor_fields(formats[0], a), formats[1].fields(b), formats[2]
    sign = first.sign ^ second.sign
    product = first.significand * second.significand
    code = result._round(sign, product, first.exponent + second.exponent)
    infinite = first.infinite | second.infinite
    code = np.where(infinite, (sign << (result.width - 1)) | result.infinity, code)
    zero = (first.significand == 0) | (second.significand == 0)
    return np.where(first.nan | second.nan | (infinite & zero), result.nan, code)


def tree_add(fmt: Float, codes: Sequence[Any]) -> tuple[Any, Any]:
    """Sum codes in the order of the gates, and tell whether a sum of finite ones became infinite.

    Neighbours are added in pairs, ascending, each sum is rounded, and so on with the sums; an odd
    one at the end waits for the next round.
    """
    level: list[Any] = list(codes)
    overflow: Any = False
    while len(level) > 1:
        odd = level[len(level) // 2 * 2 :]
        sums = []
        for a, b in zip(level[::2], level[1::2], strict=False):
            total = fmt.add(a, b)
            overflow = overflow | _overflowed(fmt, total, fmt, a, fmt, b)
            sums.append(total)
        level = sums + odd
    return level[0], overflow


def float_step(
    formats: tuple[Format, Float, Float], total: Any, weights: Sequence, activations: Sequence
) -> tuple[Any, Any]:
    """Return a partial sum after one step of `mac.ieee.FloatMAC`, and whether it overflowed.

    Parameters
    ----------
    formats : Format, Float and Float
        Of weights, activations and accumulator; see `multiply`.
    total : int or numpy.ndarray of shape (...)
        Codes of the partial sum before the step.
    weights, activations : sequence of lanes codes, each int or numpy.ndarray of shape (...)
        The operands.

    Returns
    -------
    tuple
        Codes of the sum, and whether a product or a sum of finite numbers became infinite.
    """
    weight, activation, result = formats
    products: list[Any] = []
    overflow: Any = False
    for a, b in zip(weights, activations, strict=True):
        products.append(multiply(formats, a, b))
        overflow = overflow | _overflowed(result, products[-1], weight, a, activation, b)
    step, tree_overflow = tree_add(result, products)
    after = result.add(total, step)
    return after, overflow | tree_overflow | _overflowed(result, after, result, total, result, step)


def _overflowed(result: Float, code: Any, first: Format, a: Any, second: Float, b: Any) -> Any:
    finite = first.is_finite(a) if isinstance(first, Float) else True
    return finite & second.is_finite(b) & result.is_infinite(code)
