"""Step functions that are given in integers, not by scales: any function that nowhere falls."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...hw.numbers.formats import Format
from .step_function import StepFunction

__all__ = ["IntegerSteps"]


@dataclass(frozen=True, eq=False)
class IntegerSteps(StepFunction):
    """A layer's step function, which some integer arithmetic computes.

    Its steps are found by bisection, so the arithmetic may round as often as it likes, as long as
    no level ever falls.

    Attributes
    ----------
    function : callable
        Returns the int64 levels of int64 sums of shape (channels, any).
    rise, start : float64 arrays of shape (channels,)
        Levels a sum, and the level at sum 0, before rounding: where to look, nothing more.
    """

    name: str
    output: Format
    low: np.ndarray
    high: np.ndarray
    ends: tuple[int, int]
    function: Callable[[np.ndarray], np.ndarray]
    rise: np.ndarray
    start: np.ndarray

    def levels(self, accumulator: np.ndarray) -> np.ndarray:
        """Return the output levels of accumulators of shape (channels, any)."""
        return self.function(accumulator)

    @property
    def slope(self) -> np.ndarray:
        """Output levels per accumulator level, before rounding; shape (channels,)."""
        return self.rise

    @property
    def offset(self) -> np.ndarray:
        """Output level at accumulator 0, before rounding; shape (channels,)."""
        return self.start
