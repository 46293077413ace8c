"""Search for the integers that equal a step function, and their comparison with it.

From its accumulator level, a channel of a hidden layer computes a norm of a scaled sum, quantised
to the activation format. The sign of a channel with a negative slope is moved into its weights;
then that is a step function of ``acc`` that nowhere falls, and so is
``round_shift(acc * multiplier + bias, shift)``.

**Solving.** Let ``T[k]`` be the smallest accumulator at which the function reaches level ``k``.
Integers that give the same function satisfy, with ``c[k] = k * 2**shift - 2**(shift - 1)``::

    multiplier * T[k]       + bias >= c[k]          level k is reached at T[k]
    multiplier * (T[k] - 1) + bias <= c[k] - 1      and not before

For a given multiplier and shift these are bounds of ``bias``, so the smallest shift for which no
channel's bounds cross gives the narrowest multipliers that are exact. `staircase` finds the bounds
without a list of all ``T[k]``.

**Checking.** What was solved is not trusted: `check` evaluates both functions at the ends of the
reachable range and on both sides of every step of either, and any difference is an error. That is
every sum there is. For the sum ``s`` at which the integers reach level ``k``, it makes sure that
they are at ``k`` or above at ``s`` and below it at ``s - 1``, and that the function has the same
levels at both. Neither ever falls, so the function reaches ``k`` at ``s`` too; and what reaches
every level at the same sum is the same. Given some of the levels only, it proves no more than
those: `staircase.ClosedForm.check` proves all of them before.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from ...hw.errors import NetworkError
from ...hw.numbers.arithmetic import requantize
from ...hw.numbers.formats import Bipolar
from .step_function import BLOCK, StepFunction

__all__ = ["UNBOUNDED", "Integers", "Listed", "check", "trials"]

UNBOUNDED = 1 << 62  # beyond every sum and product that is let into int64


class Integers(NamedTuple):
    """Requantisation of a layer: int64 arrays of shape (channels,), and one shift."""

    multiplier: np.ndarray
    bias: np.ndarray
    shift: int


def trials(function: StepFunction, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Return biases nearest to the offset, of shape (channels,), and what multipliers to try.

    The multipliers have the shape (trials, channels); the first ones are preferred.
    """
    nominal = np.round(function.offset * 2.0**shift).astype(np.int64)
    base = np.floor(function.slope * 2.0**shift).astype(np.int64)
    return nominal, np.maximum(np.stack([base + nearby for nearby in (0, 1, -1, 2)]), 1)


class Listed:
    """Integers of a step function, from a list of all of its steps.

    Attributes
    ----------
    steps : integer array of shape (channels, levels - 1)
        Where each level above the lowest is reached.
    culprit : int
        The channel that had no integers when `at` found none.
    """

    def __init__(self, function: StepFunction):
        self.function, self.steps, self.culprit = function, function.thresholds(), 0

    def at(self, shift: int, rounding: str = "half_up") -> Integers | None:
        """Return exact integers of a shift, if there are any; a `Bipolar` output needs no shift."""
        if self.function.output == Bipolar():
            one = np.ones(len(self.steps), np.int64)
            return Integers(one, -self.steps[:, 0].astype(np.int64), 0)
        nominal, multipliers = trials(self.function, shift)
        target = _targets(self.function.goals, shift, rounding)
        multiplier, bias, exact = multipliers[0], nominal, np.zeros(len(nominal), bool)
        for trial in multipliers:
            least, most = self._bounds(target, trial)
            better = ~exact & (least <= most)
            multiplier = np.where(better, trial, multiplier)
            bias = np.where(better, nominal.clip(least, most), bias)
            exact |= better
        self.culprit = int(np.argmin(exact))
        return Integers(multiplier, bias, shift) if exact.all() else None

    def check(self, integers: Integers, rounding: str = "half_up") -> int:
        """Compare integers with the function; see `check`."""
        return check(self.function, integers, self.steps, rounding=rounding)

    def _bounds(self, target: np.ndarray, multiplier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest exact bias of each channel; they cross for none."""
        low, high, factor = (
            self.function.low[:, None],
            self.function.high[:, None],
            multiplier[:, None],
        )
        least = np.full(
            len(low), -UNBOUNDED
        )  # a layer that always gives one level has no thresholds
        most = np.full(len(low), UNBOUNDED)
        size = max(1, BLOCK // len(low))
        for start in range(0, len(target), size):
            at, goal = self.steps[:, start : start + size], target[start : start + size]
            lower = np.where(at <= high, goal - factor * at, -UNBOUNDED)
            upper = np.where(at > low, goal - 1 - factor * (at - 1), UNBOUNDED)
            least = np.maximum(least, lower.max(axis=1))
            most = np.minimum(most, upper.min(axis=1))
        return least, most


def check(
    function: StepFunction,
    integers: Integers,
    thresholds: np.ndarray,
    goals: np.ndarray | None = None,
    *,
    rounding: str = "half_up",
) -> int:
    """Compare integers with a function at every level at which either one steps.

    Parameters
    ----------
    function : StepFunction
        What a layer does to its sums.
    integers : Integers
        What shall equal it.
    thresholds : integer array of shape (channels, levels)
        Where the function reaches the levels.
    goals : int64 array of shape (levels,), optional
        The levels whose steps are looked at; None takes all.
    rounding : str
        ``half_up`` or ``half_even``.

    Returns
    -------
    int
        Number of accumulator levels compared, over all channels.

    Raises
    ------
    NetworkError
        At the first difference; the text names layer, channel, accumulator and both levels. Or
        where the integers step elsewhere than their own inverse says.
    """
    goals = function.goals if goals is None else goals
    low, high = function.low[:, None], function.high[:, None]
    compare = partial(_compare, function, integers, rounding)
    compare(np.concatenate([low, high], axis=1))
    is_sign = function.output == Bipolar()
    target = 0 * goals if is_sign else _targets(goals, integers.shift, rounding)
    size = max(1, BLOCK // (4 * len(low)))
    for start in range(0, len(goals), size):
        block = slice(start, start + size)
        own = -((integers.bias[:, None] - target[block]) // integers.multiplier[:, None])
        own = own.clip(low, high + 1)
        got = compare(own), compare(own - 1)
        steps = (own > high) | (got[0] >= goals[block]), (own <= low) | (got[1] < goals[block])
        if not all(each.all() for each in steps):
            raise NetworkError(
                f"layer {function.name}: a step of its integers is not where it is computed to be, "
                "so that they cannot be compared with the layer's function"
            )
        compare(thresholds[:, block])
        compare(thresholds[:, block] - 1)
    return sum(_places(*row) for row in zip(thresholds, function.low, function.high, strict=True))


def _compare(
    function: StepFunction, integers: Integers, rounding: str, sums: np.ndarray
) -> np.ndarray:
    """Return the levels that integers give at sums within reach; raise where others are wanted."""
    sums = sums.clip(function.low[:, None], function.high[:, None])
    expected = function.levels(sums)
    got = requantize(
        sums,
        integers.multiplier[:, None],
        integers.bias[:, None],
        integers.shift,
        function.output,
        low=function.bottom,
        high=function.top,
        rounding=rounding,
    )
    for channel, index in np.argwhere(expected != got)[:1]:
        raise NetworkError(
            f"layer {function.name}, channel {channel}: at accumulator {sums[channel, index]} the "
            f"folded integers give {got[channel, index]}, the layer's function "
            f"{expected[channel, index]}"
        )
    return got


def _places(thresholds: np.ndarray, low: int, high: int) -> int:
    """Return how many sums a channel's ends and both sides of its steps are."""
    sides = np.concatenate([thresholds, thresholds - 1, [low, high]]).clip(low, high)
    sides.sort()
    return 1 + int((np.diff(sides) > 0).sum())


def _targets(goals: np.ndarray, shift: int, rounding: str) -> np.ndarray:
    """Return the smallest ``accumulator * multiplier + bias`` that is rounded to each level."""
    target = (goals << shift) - ((1 << shift) >> 1)
    return target + goals % 2 if rounding == "half_even" and shift else target
