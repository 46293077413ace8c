"""Integer arithmetic after the dot product: accumulate and requantise.

The functions are written with operators, so the same lines run on ``int``, NumPy and torch
integers; the gates in `mac.accumulator` and `requantize` are compared with them by equality.
"""

from dataclasses import dataclass
from typing import Any

from ..errors import GeometryError
from .formats import Bipolar, Format

__all__ = [
    "OVERFLOWS",
    "Accumulator",
    "address_width",
    "bits_for",
    "count_thresholds",
    "requantize",
    "round_shift",
]

OVERFLOWS = ("wrap", "saturate")


def round_shift(level: Any, shift: int, rounding: str = "half_up") -> Any:
    """Divide by ``2**shift``; ``rounding`` says where halves go."""
    if shift == 0:
        return level
    total = level + (1 << (shift - 1))
    rounded = total >> shift
    if rounding == "half_up":
        return rounded
    # a half has become a whole, with nothing below it: the odd one steps back
    return rounded - (rounded & 1) * ((total & ((1 << shift) - 1)) == 0)


def requantize(
    accumulator: Any,
    multiplier: Any,
    bias: Any,
    shift: int,
    output: Format,
    *,
    low: int | None = None,
    high: int | None = None,
    rounding: str = "half_up",
) -> Any:
    """Return the output levels of accumulators (``int``, NumPy or torch; arguments broadcast).

    ``clamp(round_shift(accumulator * multiplier + bias, shift))`` from ``low`` to ``high``, by
    default the range of ``output``; the sign for `Bipolar`.
    """
    scaled = accumulator * multiplier + bias
    if output == Bipolar():
        return 2 * (scaled >= 0) - 1
    low = output.min_level if low is None else low
    high = output.max_level if high is None else high
    return _clip(round_shift(scaled, shift, rounding), low, high)


def count_thresholds(accumulator: Any, thresholds: Any) -> Any:
    """Return how many of ``thresholds``, along their first axis, are at most ``accumulator``."""
    return sum(accumulator >= each for each in thresholds)


def _clip(level: Any, low: int, high: int) -> Any:
    if isinstance(level, int):
        return min(max(level, low), high)
    return level.clip(low, high)


def bits_for(low: int, high: int) -> int:
    """Return the two's complement width that holds every integer from ``low`` to ``high``."""
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1


def address_width(depth: int) -> int:
    """Return the bits that address ``depth`` words; at least 1."""
    return max(1, (depth - 1).bit_length())


@dataclass(frozen=True)
class Accumulator:
    """A two's complement register of ``width`` bits, and what happens where it overflows.

    Parameters
    ----------
    width : int
        Bits, 2 to 48.
    overflow : str
        ``wrap`` keeps the low bits; ``saturate`` stays at the nearest limit. Wrapping commutes
        with addition, saturation does not, so the order of accumulation is part of the result.

    Raises
    ------
    GeometryError
        For a width or an overflow mode that does not exist.
    """

    width: int
    overflow: str = "wrap"

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 48:
            raise GeometryError(f"an accumulator has 2 to 48 bits, not {self.width}")
        if self.overflow not in OVERFLOWS:
            raise GeometryError(f"overflow is {' or '.join(OVERFLOWS)}, not {self.overflow!r}")

    @property
    def min_level(self) -> int:
        """The smallest sum it holds."""
        return -(1 << (self.width - 1))

    @property
    def max_level(self) -> int:
        """The largest sum it holds."""
        return (1 << (self.width - 1)) - 1

    def overflows(self, level: Any) -> Any:
        """Tell, element by element, which exact sums do not fit."""
        return (level < self.min_level) | (level > self.max_level)

    def fit(self, level: Any) -> Any:
        """Return what the register holds after the exact sum ``level`` was put into it."""
        if self.overflow == "wrap":
            return ((level - self.min_level) & ((1 << self.width) - 1)) + self.min_level
        return _clip(level, self.min_level, self.max_level)
