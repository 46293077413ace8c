"""The multiplication of floats, and of floats with what is exactly a number of few bits."""

from collections.abc import Callable
from dataclasses import dataclass, field

from amaranth.hdl import Cat, Const, Mux, Value

from ..errors import GeometryError
from ..numbers.format import Format
from ..numbers.formats import Bipolar, Fixed, MiniFloat, PowerOfTwo
from ..numbers.ieee import Float
from .ieee import Parts, Sum, round_and_pack
from .pipeline import Path

__all__ = ["Factor", "multiply", "product_places"]


def _no() -> Value:
    return Const(0, 1)


@dataclass(frozen=True)
class Factor:
    """An operand of a multiplication: ``(-1)**sign * significand * 2**(exponent + lowest)``.

    Attributes
    ----------
    significand, exponent : Value
        Unsigned.
    lowest : int
        The exponent of the significand's lowest bit, where ``exponent`` is 0.
    sign : Value
        Of anything but NaN.
    zeros : int
        Above the leading one of a significand that is not 0 there are at most as many.
    least : int
        The least value of ``exponent``.
    special, nan : Value
        Whether it is infinite or NaN; whether it is NaN.
    zero : Value
        Whether it is 0.
    """

    significand: Value
    exponent: Value
    lowest: int
    sign: Value
    zeros: int
    least: int = 0
    special: Value = field(default_factory=_no)
    nan: Value = field(default_factory=_no)
    zero: Value = field(default_factory=_no)

    @property
    def top(self) -> int:
        """The exponent that all numbers with such zeros are below."""
        return self.lowest + self.least + self.zeros

    @classmethod
    def of(cls, fmt: Format, code: Value) -> "Factor":
        """Take a code apart; of a format with levels, it is the number that its level is.

        Minus zero, which is written by nothing, is taken for what it says.
        """
        if isinstance(fmt, Float):
            parts, lowest = Parts.of(fmt, code), fmt.min_exponent - 1
            about = parts.special, parts.nan, ~(parts.normal | parts.mantissa.any())
            fields = parts.significand, parts.biased, lowest, parts.sign
            return cls(*fields, fmt.mantissa, 1, *about)
        significand, exponent, lowest, sign, zeros = _of_level(fmt, code)
        return cls(significand, exponent, lowest, sign, zeros, zero=~significand.any())


def _of_level(fmt: Format, code: Value) -> tuple[Value, Value, int, Value, int]:
    """Return the first attributes of a `Factor` that is a level."""
    none = _no()
    match fmt:
        case Bipolar():
            return Const(1, 1), none, 0, ~code[0], 0
        case PowerOfTwo():
            return code[:-1].any(), code[:-1], -1, code[-1], 0
        case MiniFloat():
            significand, shift, sign = fmt.fields(code)
            return significand, shift, 0, sign, fmt.mantissa
        case Fixed(signed=True):
            magnitude = Mux(code[-1], -code.as_signed(), code)[: fmt.width]
            return magnitude, none, 0, code[-1], fmt.width - 1
        case Fixed():
            return code, none, 0, none, fmt.width - 1
    raise GeometryError(f"{fmt} is not multiplied with floats; take another format of weights")


def multiply(
    path: Path,
    result: Float,
    a: Factor,
    b: Factor,
    significands: Callable[[Path, Value, Value], Value],
) -> Sum:
    """Return the product, rounded to ``result``, as many cycles late as the path has registers.

    Registers may come inside of ``significands``, which multiplies two unsigned values, behind it
    (``product``), and where `round_and_pack` has them.
    """
    special, nan = a.special | b.special, a.nan | b.nan
    infinite = a.special & ~a.nan, b.special & ~b.nan
    nan = path.later(nan | (infinite[0] & b.zero) | (a.zero & infinite[1]))
    special, sign = path.later(special), path.later(a.sign ^ b.sign)
    bits, pad = _bits(a, b), _pad(result, a, b)
    limit = path.later(a.exponent + b.exponent + Const(_least(result, a, b) + pad))
    (product,) = path.cut("product", significands(path, a.significand, b.significand))
    below = max(0, result.mantissa + 2 - pad - bits)
    word = Cat(Const(0, below), product[:bits], Const(0, pad))
    beside, places = (special, sign, nan), product_places(result, a, b)
    return round_and_pack(path, result, word, _no(), limit(), places, beside)


def product_places(result: Float, a: Factor, b: Factor) -> int:
    """Return by how many places a product may have to be shifted."""
    return _pad(result, a, b) + _zeros(result, a, b)


def _bits(a: Factor, b: Factor) -> int:
    """Return the bits of a product of significands."""
    widths = len(a.significand), len(b.significand)
    return sum(widths) if min(widths) > 1 else max(widths)


def _least(result: Float, a: Factor, b: Factor) -> int:
    """Return the biased exponent of the place below the top of a product, of exponents of 0."""
    return _bits(a, b) - 2 + a.lowest + b.lowest + result.bias


def _pad(result: Float, a: Factor, b: Factor) -> int:
    """Return zeros above a product: shifted by none, what vanishes is below the rounding bit."""
    return result.mantissa + 2 if _least(result, a, b) + a.least + b.least < 0 else 0


def _zeros(result: Float, a: Factor, b: Factor) -> int:
    """Return the zeros that may be at the top of a product that is not rounded to 0."""
    # where both have zeros there, both exponents are the least
    if a.top + b.top < result.min_exponent:
        return max(a.zeros, b.zeros) + 1
    return a.zeros + b.zeros + 1
