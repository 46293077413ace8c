"""The arithmetic of TFLite's reference kernels, in integers.

Sources: ``QuantizeMultiplier``, ``MultiplyByQuantizedMultiplier`` with its two roundings, which are
gemmlowp's ``SaturatingRoundingDoublingHighMul`` and ``RoundingDivideByPOT``; the activation ranges
of ``kernel_util``, ``AveragePool`` and ``QuantizedMeanOrSum``; and ``FullyConnected`` as it is
since LiteRT 2, which multiplies in double precision. Levels here are **codes**, as the file has
them, from -128 to 127.

>>> multiplier = FixedPoint.of(0.3)
>>> multiplier
FixedPoint(multiplier=1288490189, shift=-1)
>>> [multiplier.times(np.int64(each)).item() for each in (-5, -4, 4, 5)]
[-2, -1, 1, 2]
"""

import math
from dataclasses import dataclass

import numpy as np

__all__ = [
    "CODES",
    "FixedPoint",
    "RealFactor",
    "activation_ends",
    "mean_multiplier",
    "rounded_quotient",
]

CODES = (-128, 127)
"""The lowest and the highest code of int8."""
BITS = 31  # of the multiplier's fraction
ACTIVATIONS = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


@dataclass(frozen=True)
class FixedPoint:
    """A real number as ``multiplier * 2**(shift - 31)``.

    Attributes
    ----------
    multiplier : int
        0, or from 2**30 to 2**31 - 1.
    shift : int
        From -31 on; a positive one is a shift to the left, before the product.
    """

    multiplier: int
    shift: int

    @classmethod
    def of(cls, real: float) -> "FixedPoint":
        """Return the nearest one to a number that is not negative; 0 for what is below 2**-32."""
        fraction, shift = math.frexp(real)
        multiplier = math.floor(fraction * 2.0**BITS + 0.5)  # which is exact, and rounds halves up
        if multiplier == 1 << BITS:
            multiplier, shift = multiplier // 2, shift + 1
        return cls(0, 0) if multiplier == 0 or shift < -BITS else cls(multiplier, shift)

    @property
    def value(self) -> float:
        """The number."""
        return math.ldexp(self.multiplier, self.shift - BITS)

    def times(self, levels: np.ndarray) -> np.ndarray:
        """Return int64 levels times the number, rounded twice; see `most`.

        The product's halves go up, those of what is shifted to the right then away from zero.
        """
        product = (levels << max(self.shift, 0)) * self.multiplier
        high = (product + (1 << (BITS - 1))) >> BITS
        right = max(-self.shift, 0)
        if right == 0:
            return high
        return (high + (1 << (right - 1)) - (high < 0)) >> right

    @property
    def most(self) -> int:
        """The largest level that it may be multiplied with, so that 32 bits hold it shifted."""
        return ((1 << 31) - 1) >> max(self.shift, 0)


@dataclass(frozen=True)
class RealFactor:
    """A number of double precision, by which dense layers multiply.

    A product is rounded to double precision, which 53 bits of integers could do as well, and then
    to the nearest integer, halves away from zero.
    """

    value: float

    def times(self, levels: np.ndarray) -> np.ndarray:
        """Return int64 levels times the number, rounded; see `most`."""
        products = levels * np.float64(self.value)
        return (np.sign(products) * np.floor(abs(products) + 0.5)).astype(np.int64)

    @property
    def most(self) -> int:
        """The largest level that it may be multiplied with, so that 31 bits hold the product."""
        return int(min((1 << 31) - 1, (1 << 30) / self.value))


def activation_ends(name: str, scale: np.float32, zero: int) -> tuple[int, int] | None:
    """Return the lowest and the highest code of a fused activation; None for an unknown one."""
    if name not in ACTIVATIONS:
        return None
    low, high = CODES
    least, most = ACTIVATIONS[name]
    if least is not None:
        low = max(low, zero + _nearest(np.float32(least) / np.float32(scale)))
    if most is not None:
        high = min(high, zero + _nearest(np.float32(most) / np.float32(scale)))
    return low, high


def _nearest(ratio: np.float32) -> int:
    """Return the nearest integer, halves away from zero."""
    size = math.floor(abs(float(ratio)) + 0.5)
    return size if ratio >= 0 else -size


def rounded_quotient(sums: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """Return the nearest integers to int64 ``sums / count``, halves away from zero."""
    size = (abs(sums) + count // 2) // count
    return np.where(sums < 0, -size, size)


def mean_multiplier(rescaling: FixedPoint, count: int) -> FixedPoint:
    """Return the number by which a sum of ``count`` elements becomes their mean, rescaled."""
    shift = min(count.bit_length() - 1, 32, BITS + rescaling.shift)
    return FixedPoint((rescaling.multiplier << shift) // count, rescaling.shift - shift)
