"""Bounds that an activation keeps its values within: ReLU, ReLU6 and Hardtanh are such."""

from math import inf
from typing import NamedTuple

from torch import Tensor, nn

from ...hw.numbers.formats import Format

__all__ = ["NO_LIMITS", "Clip", "Limits"]


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
        """Return the largest value of level 1 at which all levels of ``fmt`` are within."""
        below = self.low / fmt.min_level if fmt.min_level < 0 and self.low < 0 else inf
        return min(self.high / fmt.max_level, below)

    def module(self) -> nn.Module | None:
        """Return the float activation, or None without bounds."""
        if not self.bounded:
            return None
        return nn.ReLU() if self == Limits(0) else Clip(self)


NO_LIMITS = Limits()
"""Bounds of what is not clipped."""


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
