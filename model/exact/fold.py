"""Folding: BatchNorm, scales and activation of a trained model become integers.

A channel of a hidden layer computes, from its accumulator level, a norm of ``unit * acc`` quantised
to the activation format. The sign of a channel with negative gamma is moved into its weights; then
that is a monotone step function of ``acc``, and so is
``round_shift(acc * multiplier + bias, shift)``.

**Solving.** Let ``T[k]`` be the smallest accumulator at which the float function reaches level
``k``. Integers that give the same function satisfy, with ``c[k] = k * 2**shift - 2**(shift - 1)``::

    multiplier * T[k]       + bias >= c[k]          level k is reached at T[k]
    multiplier * (T[k] - 1) + bias <= c[k] - 1      and not before

For a given multiplier and shift these are bounds of ``bias``, so the smallest shift for which no
channel's bounds cross gives the narrowest multipliers that are exact.

**Checking.** What was solved is not trusted: `check` evaluates both functions at the ends of the
reachable range and on both sides of every step of either, and any difference is an error. That is
every level there is. For suppose that they differ at ``a``; let ``s <= a`` be the last level at or
below ``a`` at which either one steps, or the low end. Neither steps between ``s`` and ``a``, so
they differ at ``s`` too, and ``s`` was compared.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...hw.errors import NetworkError
from ...hw.network.layers import MAX_SHIFT
from ...hw.numbers.arithmetic import requantize
from ...hw.numbers.formats import Bipolar, Format

__all__ = [
    "UNBOUNDED",
    "FoldedLayer",
    "Integers",
    "StepFunction",
    "check",
    "reach",
    "solve",
    "solve_together",
    "trials",
]

UNBOUNDED = 1 << 62  # beyond every sum and product that is let into int64
BLOCK = 1 << 18  # channels times levels that are looked at together: some 100 MB


class Integers(NamedTuple):
    """Requantisation of a layer: int64 arrays of shape (channels,), and one shift."""

    multiplier: np.ndarray
    bias: np.ndarray
    shift: int


class StepFunction(ABC):
    """What a layer's channels do to their sums: functions to integer levels that nowhere fall.

    Attributes
    ----------
    name : str
        The layer.
    output : Format
        Its output.
    low, high : int64 arrays of shape (channels,)
        The lowest and the highest accumulator level, over all inputs; see `reach`.
    """

    name: str
    output: Format
    low: np.ndarray
    high: np.ndarray

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
        return self.output.min_level

    @property
    def top(self) -> int:
        """The highest level that it gives."""
        return self.output.max_level

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


@dataclass(frozen=True, eq=False)
class FoldedLayer(StepFunction):
    """The float function of a hidden layer's channels over the levels they reach.

    Attributes
    ----------
    unit : float64 array of shape (channels,)
        Value of accumulator level 1; of the sign of ``gamma``.
    mean, deviation, gamma, beta : float64 arrays of shape (channels,)
        The norm.
    step : float
        Value of output level 1.
    """

    name: str
    output: Format
    low: np.ndarray
    high: np.ndarray
    unit: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    step: float

    def levels(self, accumulator: np.ndarray) -> np.ndarray:
        """Return the output levels of accumulators of shape (channels, any)."""
        unit, mean, deviation, gamma, beta = (
            array[:, None]
            for array in (self.unit, self.mean, self.deviation, self.gamma, self.beta)
        )
        # every operation is monotone in float64, and so is the whole
        return self.output.quantize(
            (accumulator * unit - mean) / deviation * gamma + beta, self.step
        )

    @property
    def slope(self) -> np.ndarray:
        """Output levels per accumulator level, before rounding; shape (channels,)."""
        return self.unit / self.deviation * self.gamma / self.step

    @property
    def offset(self) -> np.ndarray:
        """Output level at accumulator 0, before rounding; shape (channels,)."""
        return (self.beta - self.mean / self.deviation * self.gamma) / self.step


def reach(weights: np.ndarray, fmt: Format) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of ``weights @ x`` over all ``x`` of ``fmt``, each of shape (outputs,)."""
    ends = weights * fmt.min_level, weights * fmt.max_level
    return np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)


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
        while (reached - below > 1).any():
            # where the two have met, the middle is ``below`` again and nothing moves
            middle = (below + reached) >> 1
            up = is_reached(middle) & (reached - below > 1)
            reached, below = np.where(up, middle, reached), np.where(up, below, middle)
        found[:, start : start + size] = reached
    return found


def _guess(function: StepFunction, goals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums from ``low - 1`` to ``high + 1`` around the first ones that reach levels."""
    rising = np.where(function.slope > 0, function.slope, 1.0)[:, None]
    at = (goals - 0.5 - function.offset[:, None]) / rising
    low, high = function.low[:, None], function.high[:, None]
    place = np.floor(at.clip(low - 1, high + 1)).astype(np.int64)
    return (place - 2).clip(low - 1, high), (place + 3).clip(low, high + 1)


def trials(layer: StepFunction, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Return biases nearest to the offset, of shape (channels,), and what multipliers to try.

    The multipliers have the shape (trials, channels); the first ones are preferred.
    """
    nominal = np.round(layer.offset * 2.0**shift).astype(np.int64)
    base = np.floor(layer.slope * 2.0**shift).astype(np.int64)
    return nominal, np.maximum(np.stack([base + nearby for nearby in (0, 1, -1, 2)]), 1)


def solve(
    layer: StepFunction,
    thresholds: np.ndarray,
    shift: int,
    *,
    stride: int = 1,
    rounding: str = "half_up",
) -> tuple[Integers, np.ndarray]:
    """Return integers for one shift, and which channels they are exact for.

    Parameters
    ----------
    layer : StepFunction
        The float function.
    thresholds : int64 array of shape (channels, levels - 1)
        Its `StepFunction.thresholds`.
    shift : int
        The rounding shift to use; a `Bipolar` output has none, and is always exact.
    stride : int
        Look at every so many thresholds only, to rule out a shift quickly.
    rounding : str
        ``half_up``, or ``half_even``: then an odd level is reached only beyond the tie.
    """
    if layer.output == Bipolar():
        one = np.ones(len(thresholds), np.int64)
        return Integers(one, -thresholds[:, 0].astype(np.int64), 0), one == 1
    thresholds, goals = thresholds[:, ::stride], layer.goals[::stride]
    nominal, multipliers = trials(layer, shift)
    multiplier = multipliers[0]
    bias, exact = nominal, np.zeros(len(nominal), bool)
    for trial in multipliers:
        least, most = _bounds(layer, thresholds, _targets(goals, shift, rounding), trial)
        better = ~exact & (least <= most)
        multiplier = np.where(better, trial, multiplier)
        bias = np.where(better, nominal.clip(least, most), bias)
        exact |= better
    return Integers(multiplier, bias, shift), exact


def _bounds(
    layer: StepFunction, thresholds: np.ndarray, target: np.ndarray, multiplier: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest bias of each channel; they cross where none is exact."""
    low, high, factor = layer.low[:, None], layer.high[:, None], multiplier[:, None]
    least = np.full(len(low), -UNBOUNDED)  # a layer that always gives one level has no thresholds
    most = np.full(len(low), UNBOUNDED)
    size = max(1, BLOCK // len(low))
    for start in range(0, len(target), size):
        at, goal = thresholds[:, start : start + size], target[start : start + size]
        lower = np.where(at <= high, goal - factor * at, -UNBOUNDED)
        upper = np.where(at > low, goal - 1 - factor * (at - 1), UNBOUNDED)
        least = np.maximum(least, lower.max(axis=1))
        most = np.minimum(most, upper.min(axis=1))
    return least, most


def check(
    layer: StepFunction,
    integers: Integers,
    thresholds: np.ndarray,
    goals: np.ndarray | None = None,
    *,
    rounding: str = "half_up",
) -> int:
    """Compare integers with the float function at every level at which either one steps.

    Parameters
    ----------
    layer : StepFunction
        The float function.
    integers : Integers
        What shall equal it.
    thresholds : integer array of shape (channels, levels)
        Where the float function reaches the levels.
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
        At the first difference; the text names layer, channel, accumulator and both levels.
    """
    goals = layer.goals if goals is None else goals
    low, high = layer.low[:, None], layer.high[:, None]

    def folded(accumulator: np.ndarray) -> np.ndarray:
        return requantize(
            accumulator,
            integers.multiplier[:, None],
            integers.bias[:, None],
            integers.shift,
            layer.output,
            low=layer.bottom,
            high=layer.top,
            rounding=rounding,
        )

    def compare(levels: np.ndarray) -> np.ndarray:
        levels = levels.clip(low, high)
        expected, got = layer.levels(levels), folded(levels)
        for channel, index in np.argwhere(expected != got)[:1]:
            raise NetworkError(
                f"layer {layer.name}, channel {channel}: at accumulator {levels[channel, index]} "
                f"the folded integers give {got[channel, index]}, the float function "
                f"{expected[channel, index]}"
            )
        return got

    compare(np.concatenate([low, high], axis=1))
    is_sign = layer.output == Bipolar()
    target = 0 * goals if is_sign else _targets(goals, integers.shift, rounding)
    size = max(1, BLOCK // (4 * len(low)))
    for start in range(0, len(goals), size):
        block = slice(start, start + size)
        own = -((integers.bias[:, None] - target[block]) // integers.multiplier[:, None])
        own = own.clip(low, high + 1)
        got = compare(own), compare(own - 1)
        steps = (own > high) | (got[0] >= goals[block]), (own <= low) | (got[1] < goals[block])
        assert all(each.all() for each in steps), "a step of the integers is somewhere else"
        compare(thresholds[:, block])
        compare(thresholds[:, block] - 1)
    return sum(_places(*row) for row in zip(thresholds, layer.low, layer.high, strict=True))


def _places(thresholds: np.ndarray, low: int, high: int) -> int:
    """Return how many sums a channel's ends and both sides of its steps are."""
    sides = np.concatenate([thresholds, thresholds - 1, [low, high]]).clip(low, high)
    sides.sort()
    return 1 + int((np.diff(sides) > 0).sum())


def _targets(goals: np.ndarray, shift: int, rounding: str) -> np.ndarray:
    """Return the smallest ``accumulator * multiplier + bias`` that is rounded to each level."""
    target = (goals << shift) - ((1 << shift) >> 1)
    return target + goals % 2 if rounding == "half_even" and shift else target


def solve_together(layers: Sequence[StepFunction]) -> list[tuple[Integers, int]]:
    """Return integers at the smallest common shift, and the number of levels compared, per layer.

    Raises
    ------
    NetworkError
        When no shift up to 40, with products inside 62 bits, is exact; the text names the layer and
        the channel that need more.
    """
    steps = [layer.thresholds() for layer in layers]
    culprit = ""
    for shift in range(MAX_SHIFT + 1):
        if any(layer.product_limit(shift) >= UNBOUNDED for layer in layers):
            break
        for stride in (64, 1):
            solved = [
                solve(layer, thresholds, shift, stride=stride)
                for layer, thresholds in zip(layers, steps, strict=True)
            ]
            culprit = _first_inexact(layers, [exact for _, exact in solved])
            if culprit:
                break
        if not culprit:
            triples = zip(layers, solved, steps, strict=True)
            return [(each[0], check(layer, each[0], at)) for layer, each, at in triples]
    raise NetworkError(
        f"{culprit}: no multiplier and shift within 62-bit products give the float function "
        "exactly; train with multiplier_bits, or a narrower activation format"
    )


def _first_inexact(layers: Sequence[StepFunction], exact: Sequence[np.ndarray]) -> str:
    """Name the first layer and channel that are not exact, or return nothing."""
    for layer, channels in zip(layers, exact, strict=True):
        for channel in np.flatnonzero(~channels)[:1]:
            return f"layer {layer.name}, channel {channel}"
    return ""
