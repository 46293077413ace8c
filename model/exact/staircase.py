"""Rounded lines in closed form: integers that equal them, however many levels they have.

A channel's level is a line of its sum, rounded and clamped. It reaches level ``k`` at the sum
``T[k]``, and `search` explains which ``multiplier``, ``bias`` and ``shift`` give the same::

    c[k] - multiplier * T[k]  <=  bias  <=  c[k] - 1 - multiplier * (T[k] - 1)    for all k

with ``c[k] = k * 2**shift - 2**(shift - 1)``. There may be 2**32 levels, so they are not looked at.

**Runs.** Along a run of levels, all of them or every second one, the line is rounded by one rule:
``T`` is ``ceil((rise * j + start) / run)`` in integers, ``j`` counting its levels. Rounding halves
to even takes two runs, as odd and even levels treat a tie differently; rounding by magnitude takes
two, below zero and above.

**Bounds.** ``c`` rises by a constant along a run, so each bound is the extreme of a line plus a
multiple of a rounded line, over consecutive ``j``. `largest` finds it as Euclid finds a divisor.
Before the first level of a run and beyond the last one nothing is left to prove: the level at the
lowest sum is not below that of the function if it is no clamp and its ``c`` is reached there; the
next level is not reached at the highest sum. Both functions nowhere fall. So a bias within the
bounds gives the same level at *every* sum, and one without does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

import numpy as np

from ...hw.errors import NetworkError
from .search import UNBOUNDED, Integers, check, trials
from .step_function import StepFunction

__all__ = ["ClosedForm", "Stairs", "StepRun", "largest"]

LISTED = 1 << 19  # steps that are compared one by one, over all channels; of more, as many
SMALL = 1 << 62  # below it, int64 does


def largest(count: int, a: int, b: int, c: int, d: int, m: int) -> int:
    """Return the largest ``a * x + b * floor((c * x + d) / m)`` for ``x`` from 0 to ``count - 1``.

    ``count`` and ``m`` are positive. With whole multiples of ``m`` taken out, ``c`` and ``d`` are
    from 0 to ``m - 1``, and the quotient ``y`` rises from 0 to some ``last``, by at most 1 a step.

    - Where ``a`` and ``b`` have one sign, or ``y`` is constant, the largest is at an end.
    - Where only ``a`` is positive, it is at an end or at the last ``x`` of some ``y < last``, which
      is ``floor((m * y + m - d - 1) / c)``.
    - Where only ``b`` is positive, it is at an end or at the first ``x`` of some ``y > 0``, one
      more than the last of ``y - 1``.

    The last two are the question again, ``x`` and ``y`` exchanged. ``m`` and ``c`` go the way of
    Euclid's algorithm, so that takes few steps.
    """
    base, best = 0, None
    while True:
        a, c = a + b * (c // m), c % m
        base, d = base + b * (d // m), d % m
        last = (c * (count - 1) + d) // m
        end = max(base, base + a * (count - 1) + b * last)
        best = end if best is None else max(best, end)
        if last == 0 or (a >= 0) == (b >= 0):
            return best
        if a < 0:
            base += a + b
        count, a, b, c, d, m = last, b, a, m, m - d - 1, c


class StepRun(NamedTuple):
    """Levels ``first + step * j`` for ``j`` below ``many``.

    Each is reached at the sum ``ceil((rise * j + start) / run)``; ``rise`` and ``run`` are
    positive.
    """

    first: int
    step: int
    many: int
    rise: int
    start: int
    run: int

    def reduced(self) -> "StepRun":
        """Return the same in the smallest integers."""
        common = gcd(self.rise, self.run)
        return self._replace(
            rise=self.rise // common, start=-(-self.start // common), run=self.run // common
        )

    def every_second(self) -> Iterator["StepRun"]:
        """Yield runs of one parity."""
        if self.step % 2 == 0:
            yield self
            return
        for skipped in range(min(2, self.many)):
            yield StepRun(
                self.first + skipped * self.step,
                2 * self.step,
                (self.many - skipped + 1) // 2,
                2 * self.rise,
                self.start + skipped * self.rise,
                self.run,
            )

    def sums(self, levels: np.ndarray) -> np.ndarray:
        """Return the sums at which some of its levels are reached, as int64."""
        places = (levels - self.first) // self.step
        if self.rise * self.many + abs(self.start) >= SMALL or self.run >= SMALL:
            places = places.astype(object)
        return (-((-self.start - self.rise * places) // self.run)).astype(np.int64)


@dataclass(frozen=True)
class Stairs:
    """One channel's steps.

    Attributes
    ----------
    low, high : int
        The lowest and the highest sum.
    first, last : int
        The levels there.
    bottom, top : int
        The clamp of the layer's levels.
    runs : tuple of StepRun
        The levels from ``first + 1`` to ``last``, each once.
    """

    low: int
    high: int
    first: int
    last: int
    bottom: int
    top: int
    runs: tuple[StepRun, ...]

    def bounds(self, multiplier: int, shift: int, rounding: str) -> tuple[int, int]:
        """Return the smallest and the largest exact bias; where there is none, they cross."""
        even = rounding == "half_even" and shift > 0

        def target(level: int) -> int:
            return (level << shift) - ((1 << shift) >> 1) + (level % 2 if even else 0)

        least, most = -UNBOUNDED, UNBOUNDED
        if self.first > self.bottom:
            least = target(self.first) - multiplier * self.low
        if self.last < self.top:
            most = target(self.last + 1) - 1 - multiplier * self.high
        for whole in self.runs:
            for run in whole.every_second() if even else (whole,):
                c, slope = target(run.first), run.step << shift
                line = run.rise, run.start + run.run - 1, run.run
                least = max(least, c + largest(run.many, slope, -multiplier, *line))
                most = min(most, c - 1 + multiplier - largest(run.many, -slope, multiplier, *line))
                if least > most:
                    return least, most
        return least, most

    def thresholds(self, goals: np.ndarray) -> np.ndarray:
        """Return the sums at which levels are reached: ``low`` for ``first``, else ``high + 1``."""
        found = np.where(goals <= self.first, self.low, self.high + 1).astype(np.int64)
        for run in self.runs:
            past = goals - run.first
            own = (past >= 0) & (past < run.step * run.many) & (past % run.step == 0)
            found[own] = run.sums(goals[own])
        return found


class ClosedForm:
    """Integers of a step function whose channels are rounded lines.

    Parameters
    ----------
    function : StepFunction
        The layer; its slope and offset say which multipliers are tried, and its levels are what
        integers are compared with.
    stairs : sequence of Stairs
        Its channels.

    """

    def __init__(self, function: StepFunction, stairs: Sequence[Stairs]):
        self.function, self.stairs = function, tuple(stairs)
        self._order = list(range(len(self.stairs)))  # what failed last comes first

    def at(self, shift: int, rounding: str = "half_up") -> Integers | None:
        """Return exact integers of a shift, if there are any."""
        nominal, multipliers = trials(self.function, shift)
        found = Integers(np.ones_like(nominal), np.zeros_like(nominal), shift)
        for place, channel in enumerate(self._order):
            for trial in dict.fromkeys(multipliers[:, channel].tolist()):
                least, most = self.stairs[channel].bounds(trial, shift, rounding)
                if least <= most:
                    found.multiplier[channel] = trial
                    found.bias[channel] = min(max(int(nominal[channel]), least), most)
                    break
            else:
                self._order.insert(0, self._order.pop(place))
                return None
        return found

    @property
    def culprit(self) -> int:
        """The channel that had no integers when `at` last found none."""
        return self._order[0]

    @property
    def steps(self) -> np.ndarray:
        """Sums at which each level above the lowest is reached, shape (channels, levels - 1)."""
        return self.thresholds(self.function.goals)

    def thresholds(self, goals: np.ndarray) -> np.ndarray:
        """Return where levels are reached, shape (channels, levels)."""
        return np.stack([each.thresholds(goals) for each in self.stairs])

    def check(self, integers: Integers, rounding: str = "half_up") -> int:
        """Prove that integers are exact, and compare them with the function; see `search.check`.

        Where there are too many steps to list them, bounds still stand for all, and the comparison
        is of some steps, from the lowest to the highest.
        """
        pairs = zip(integers.multiplier.tolist(), integers.bias.tolist(), strict=True)
        for channel, (stairs, (multiplier, bias)) in enumerate(
            zip(self.stairs, pairs, strict=True)
        ):
            least, most = stairs.bounds(multiplier, integers.shift, rounding)
            if not least <= bias <= most:
                raise NetworkError(
                    f"layer {self.function.name}, channel {channel}: the folded integers are not "
                    f"the layer's function; a bias from {least} to {most} is, not {bias}"
                )
        goals = self.some_goals()
        return check(self.function, integers, self.thresholds(goals), goals, rounding=rounding)

    def some_goals(self) -> np.ndarray:
        """Return levels above the lowest that are given: all, or as many as can be listed."""
        first = min(each.first for each in self.stairs)
        last = max(each.last for each in self.stairs)
        bottom, top = max(first, self.function.bottom + 1), min(last + 1, self.function.top)
        most = max(LISTED // len(self.stairs), 2)
        if top - bottom < most:
            return np.arange(bottom, top + 1)
        return np.unique(np.linspace(bottom, top, most).round().astype(np.int64))
