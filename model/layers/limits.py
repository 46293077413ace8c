"""Bounds that an activation keeps its values within: ReLU, ReLU6 and Hardtanh are such."""

from math import ceil, floor, inf
from typing import NamedTuple

from torch import Tensor, nn

from ...hw.numbers.formats import Bipolar, Format

__all__ = ["NO_LIMITS", "RELU", "Clip", "Limits"]

ROOM = 1e-6  # of a bound: what float32 takes from a scale does not take its last level


class Limits(NamedTuple):
    """The lowest and the highest value; infinite where there is no bound.

    >>> Limits(-1, 1).then(Limits(0))
    Limits(low=0, high=1)
    """

    low: float = -inf
    high: float = inf

    @property
    def relu(self) -> bool:
        """Whether nothing is negative."""
        return self.low >= 0

    @property
    def bounded(self) -> bool:
        """Whether there is a bound at all."""
        return self != Limits()

    def then(self, other: "Limits") -> "Limits":
        """Return the bounds of values that are clipped to these, then to others."""
        low, high = (min(max(each, other.low), other.high) for each in self)
        return Limits(low, high)

    def largest_scale(self, fmt: Format) -> float:
        """Return the value of level 1 beyond which ``fmt`` has levels that no value reaches.

        It takes the levels of both signs to the bounds; of uneven bounds one side has levels to
        spare, see `levels`.
        """
        below = self.low / fmt.min_level if fmt.min_level < 0 and self.low < 0 else 0.0
        return max(self.high / fmt.max_level, below)

    def levels(self, fmt: Format, scale: float) -> tuple[int, int]:
        """Return the lowest and the highest level of ``fmt`` within the bounds.

        Parameters
        ----------
        fmt : Format
            Of the levels. Those of `Bipolar` are all within. A bound of 0 is left to the format: of
            a signed one it keeps the negative levels.
        scale : float
            Value of level 1.
        """
        low, high = fmt.min_level, fmt.max_level
        if fmt == Bipolar():
            return low, high
        if -inf < self.low < 0:
            low = max(low, ceil(self.low / scale * (1 + ROOM)))
        if self.high < inf:
            high = min(high, floor(self.high / scale * (1 + ROOM)))
        return low, high

    def module(self) -> nn.Module | None:
        """Return the float activation, or None without bounds."""
        if not self.bounded:
            return None
        return nn.ReLU() if self == RELU else Clip(self)


NO_LIMITS = Limits()
"""Bounds of what is not clipped."""
RELU = Limits(0)
"""Bounds of a ReLU."""


class Clip(nn.Module):
    """Clips to bounds.

    Parameters
    ----------
    limits : Limits
        The bounds.
    """

    def __init__(self, limits: Limits):
        super().__init__()
        self.limits = limits

    def forward(self, x: Tensor) -> Tensor:
        """Map values of any shape."""
        return x.clamp(*self.limits)
