"""Sums of floats that are not rounded on their way: a wide fixed-point register (Kulisch).

Products are added in it as they are, and only the finished sum is rounded. Where the register holds
every bit of every product, the order of the steps is of no account.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..errors import GeometryError
from .format import Format
from .ieee import Float, factor_fields

__all__ = ["FixedSum", "fixed_total", "product_range"]

MAX_WIDTH = 640


def product_range(weight: Format, activation: Float) -> tuple[int, int]:
    """Return the exponent of the lowest bit of any product, and one that all are below."""
    lowest, top = activation.min_exponent, activation.bias + 1
    if isinstance(weight, Float):
        return lowest + weight.min_exponent, top + weight.bias + 1
    return lowest, top + max(weight.max_level, -weight.min_level).bit_length()


@dataclass(frozen=True)
class FixedSum:
    """A two's complement register for exact products of floats; the sum is rounded to ``format``.

    Bits of a product below the register are cut off. What does not fit above, a product or a sum,
    counts as infinite, with its sign, and the register goes on with what is left of it.

    Parameters
    ----------
    format : Float
        Of the finished sum, rounded to nearest even; zero is plus zero.
    width : int
        Bits of the register, up to 640.
    lowest : int
        The exponent of its lowest bit: it counts ``2**lowest``.

    Raises
    ------
    GeometryError
        For a register that is narrower than a significand with two more bits, or wider than that,
        or that ends below the normal numbers of ``format``.
    """

    format: Float
    width: int
    lowest: int

    def __post_init__(self) -> None:
        if not self.format.mantissa + 3 <= self.width <= MAX_WIDTH:
            raise GeometryError(
                f"a register for {self.format} has {self.format.mantissa + 3} to {MAX_WIDTH} bits, "
                f"not {self.width}"
            )
        if self.lowest + self.width - 2 + self.format.bias < 0:
            raise GeometryError(
                f"all of a register of {self.width} bits from 2**{self.lowest} on is below the "
                f"normal numbers of {self.format}; take a wider one, or a higher lowest bit"
            )

    @classmethod
    def exact(cls, weight: Format, activation: Float, fmt: Float, terms: int = 1024) -> Self:
        """Return the register in which any ``terms`` products are summed exactly."""
        lowest, top = product_range(weight, activation)
        return cls(fmt, top - lowest + 1 + (terms - 1).bit_length(), lowest)


def fixed_total(
    operands: tuple[Format, Float], accumulator: FixedSum, weights: Any, activations: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of products, rounded once, and whether something finite became infinite.

    Parameters and results are those of `float_sum.float_total`, but for the register: a product
    and a sum may be beyond it, and count as infinite then.
    """
    pair = np.broadcast_arrays(np.asarray(weights, np.int64), np.asarray(activations, np.int64))
    shape = pair[0].shape[:-2]
    rows = [each.reshape(-1, *each.shape[-2:]) for each in pair]
    sums = [_total(operands, accumulator, *row) for row in zip(*rows, strict=True)]
    found = np.array(sums, np.int64).reshape(*shape, 2)
    return found[..., 0], found[..., 1] == 1


def _total(
    operands: tuple[Format, Float], accumulator: FixedSum, weights: Any, activations: Any
) -> tuple[int, bool]:
    """Return one sum; ``int`` has as many bits as it takes."""
    limit = 1 << (accumulator.width - 1)
    a, b = (factor_fields(*each) for each in zip(operands, (weights, activations), strict=True))
    nan = a.nan | b.nan | (a.infinite & (b.significand == 0)) | ((a.significand == 0) & b.infinite)
    signs, infinite = a.sign ^ b.sign, (a.infinite | b.infinite) & ~nan
    signed = {sign for sign in (0, 1) if (infinite & (signs == sign)).any()}
    overflow, total = False, 0
    product, places = a.significand * b.significand, a.exponent + b.exponent - accumulator.lowest
    for step in range(len(product)):
        for lane in np.flatnonzero(~(nan | infinite)[step]):
            value, place = int(product[step, lane]), int(places[step, lane])
            term = value << place if place >= 0 else value >> -place
            if term >= limit:
                overflow = True
                signed.add(int(signs[step, lane]))
            term &= limit - 1
            total += -term if signs[step, lane] else term
        if not -limit <= total < limit:
            overflow = True
            signed.add(int(total < 0))
            total = ((total + limit) & (2 * limit - 1)) - limit
    fmt = accumulator.format
    if nan.any() or len(signed) == 2:
        return fmt.nan, overflow
    if signed:
        return fmt.infinity | (signed.pop() << (fmt.width - 1)), overflow
    # what is cut off must set a bit below the rounding one
    beyond = max(abs(total).bit_length() - 60, 0)
    size = (abs(total) >> beyond) | (abs(total) % (1 << beyond) != 0)
    parts = int(total < 0), size, accumulator.lowest + beyond
    code = int(fmt._round(*map(np.array, parts)))
    magnitude = code & ((1 << (fmt.width - 1)) - 1)
    return (code if magnitude else 0), overflow or magnitude == fmt.infinity
