"""Step functions of a layer's sums: levels, slope and offset of each channel, and all steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from ...hw.numbers.formats import Bipolar, Format

__all__ = ["BLOCK", "StepFunction", "count_reached", "first_reaching"]

BLOCK = 1 << 18  # channels times levels that are looked at together: some 100 MB


class StepFunction(ABC):
    """Monotonic functions from a layer's sums to integer levels, one a channel; none ever falls.

    Attributes
    ----------
    name : str
        The layer.
    output : Format
        Its output.
    low, high : int64 arrays of shape (channels,)
        The lowest and the highest accumulator level, over all inputs; see `ranges.reach`.
    ends : tuple of int
        The lowest and the highest level that it can give.
    """

    name: str
    output: Format
    low: np.ndarray
    high: np.ndarray
    ends: tuple[int, int]

    @abstractmethod
    def levels(self, accumulator: np.ndarray) -> np.ndarray:
        """Return the output levels of accumulators of shape (channels, any)."""

    @property
    @abstractmethod
    def slope(self) -> np.ndarray:
        """Output levels per accumulator level, before rounding; shape (channels,)."""

    @property
    @abstractmethod
    def offset(self) -> np.ndarray:
        """Output level at accumulator 0, before rounding; shape (channels,)."""

    @property
    def bottom(self) -> int:
        """The lowest level that it gives."""
        return self.ends[0]

    @property
    def top(self) -> int:
        """The highest level that it gives."""
        return self.ends[1]

    @property
    def span(self) -> int:
        """Number of levels above the lowest."""
        return 1 if self.output == Bipolar() else self.top - self.bottom

    @property
    def goals(self) -> np.ndarray:
        """The levels above the lowest."""
        if self.output == Bipolar():
            return np.array([1])
        return np.arange(self.bottom + 1, self.top + 1)

    def product_limit(self, shift: int) -> float:
        """Return a bound of accumulator times multiplier, and of the bias, at ``shift``."""
        farthest = np.maximum(-self.low, self.high) + 1
        levels = (self.slope + 2.0**-shift * 3) * farthest + np.abs(self.offset)
        return float((levels.max() + self.output.max_level + 1) * 2.0**shift)

    def thresholds(self) -> np.ndarray:
        """Return where each level above the lowest is reached, shape (channels, levels - 1)."""
        return _thresholds(self, self.goals)


def _thresholds(function: StepFunction, goals: np.ndarray) -> np.ndarray:
    """Return the smallest accumulators from ``low`` at which each level of ``goals`` is reached.

    Levels that are never reached get ``high + 1``. Bisection over all channels and as many levels
    as are looked at together, from where the line of `StepFunction.slope` says.
    """
    low, high = function.low[:, None], function.high[:, None]
    fits = max(-int(low.min()), int(high.max()) + 1) < 1 << 31
    found = np.empty((len(low), len(goals)), np.int32 if fits else np.int64)
    size = max(1, BLOCK // len(low))
    for start in range(0, len(goals), size):
        goal = goals[start : start + size]

        def is_reached(at: np.ndarray, goal: np.ndarray = goal) -> np.ndarray:
            return function.levels(at.clip(low, high)) >= goal

        below, reached = _guess(function, goal)
        below = np.where(is_reached(below), low - 1, below)
        reached = np.where(is_reached(reached), reached, high + 1)
        found[:, start : start + size] = first_reaching(is_reached, below, reached)
    return found


def first_reaching(
    is_reached: Callable[[np.ndarray], np.ndarray], below: np.ndarray, reached: np.ndarray
) -> np.ndarray:
    """Return the smallest integers above ``below`` and up to ``reached`` that reach something."""
    while (reached - below > 1).any():
        # where the two have met, the middle is ``below`` again and nothing moves
        middle = (below + reached) >> 1
        up = is_reached(middle) & (reached - below > 1)
        reached, below = np.where(up, middle, reached), np.where(up, below, middle)
    return reached


def count_reached(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return how many of its row's rising thresholds each value reaches; one row serves all."""
    rows = zip(np.broadcast_to(thresholds, (len(values), thresholds.shape[1])), values, strict=True)
    counts = [np.searchsorted(row, each, side="right") for row, each in rows]
    return np.array(counts, np.int64).reshape(values.shape)


def _guess(function: StepFunction, goals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums from ``low - 1`` to ``high + 1`` around the first ones that reach levels."""
    rising = np.where(function.slope > 0, function.slope, 1.0)[:, None]
    at = (goals - 0.5 - function.offset[:, None]) / rising
    low, high = function.low[:, None], function.high[:, None]
    place = np.floor(at.clip(low - 1, high + 1)).astype(np.int64)
    return (place - 2).clip(low - 1, high), (place + 3).clip(low, high + 1)
