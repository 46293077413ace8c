"""Requantisation in float32, which is what QONNX computes in, checked against the integers.

A layer's level is a step function of its sum, nowhere falling. Two kinds of nodes can be the same
function: `MulAdd` scales the sum and lets ``Quant`` round it, `Float32Thresholds` counts the
thresholds that the sum reaches.

**Margins.** ``acc * multiplier + bias`` is an integer, and ``Quant`` rounds ties to even. Where the
integers round halves up, half a unit is added to the bias: then no value is ever a tie, and every
value is at least half a unit from where the rounding changes.

**Checking.** Nothing is trusted: `plan` evaluates the nodes in float32, operation by operation, and
compares them with the integers at both ends of the range of the sum and on both sides of every step
of either function. Every operation is monotone, rounding included, so these stand for all sums, as
`narrowgauge.model.exact.search` explains. Where there are too many levels to look at, all numbers
must be so small that float32 rounds nothing at all, and a sample is compared.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ....hw.errors import NetworkError
from ....hw.network.layers import Add, AveragePool, Requantised, Size, Weighted
from ....hw.numbers.arithmetic import bits_for, requantize
from ....hw.numbers.formats import Bipolar, Format
from ...exact.step_function import count_reached, first_reaching

__all__ = [
    "EXACT",
    "Float32Sums",
    "Float32Thresholds",
    "Function",
    "MulAdd",
    "Plan",
    "plan",
    "sums_of",
]

EXACT = 1 << 24  # float32 holds every integer up to here

Function = Callable[[np.ndarray], np.ndarray]


class Float32Sums(NamedTuple):
    """Ranges of the sums that a layer requantises.

    Attributes
    ----------
    low, high : int64 arrays of shape (channels,), or (1,) where all channels are alike
        Ends of the range of the sum.
    divisor : int
        What the graph divides it by: an average pool's elements.
    """

    low: np.ndarray
    high: np.ndarray
    divisor: int = 1

    def divisions(self) -> list[Function]:
        """Return the ways in which a runtime may turn the sum into a float32 number."""
        if self.divisor == 1:
            return [lambda sums: sums.astype(np.float32)]
        divisor = np.float32(self.divisor)
        return [
            lambda sums: sums.astype(np.float32) / divisor,
            lambda sums: sums.astype(np.float32) * (np.float32(1) / divisor),
        ]


def sums_of(layer: Requantised, size: Size) -> Float32Sums:
    """Return the range of the sums of a layer that reads tensors of ``size``.

    Every part of a sum lies in it, too, in whatever order it is added up.

    Raises
    ------
    NetworkError
        For sums that float32 does not hold; the text names the layer.
    """
    factors, divisor = _factors(layer, size)
    low = high = np.zeros(1)  # in float64: what that rounds is refused
    for factor, fmt in zip(factors, layer.inputs, strict=True):
        products = factor * float(fmt.min_level), factor * float(fmt.max_level)
        low = low + np.minimum(*products).clip(max=0).sum(axis=1)
        high = high + np.maximum(*products).clip(min=0).sum(axis=1)
    if max(-low.min(), high.max()) >= EXACT:
        bits = bits_for(int(low.min()), int(high.max()))
        raise NetworkError(
            f"layer {layer.name}: its sums take {bits} bits, and float32, in which QONNX computes, "
            f"holds those of {bits_for(1 - EXACT, EXACT - 1)}; give it narrower weights or inputs"
        )
    return Float32Sums(low.astype(np.int64), high.astype(np.int64), divisor)


def _factors(layer: Requantised, size: Size) -> tuple[list[np.ndarray], int]:
    """Return what multiplies each input, of shape (channels, any), and the divisor."""
    if isinstance(layer, Weighted):
        return [layer.weights.reshape(layer.channels, -1)], 1
    if isinstance(layer, AveragePool):
        taps = layer.window.taps if layer.window else size.positions
        return [np.full((1, 1), taps)], taps
    assert isinstance(layer, Add)
    return [np.full((1, 1), summand) for summand in layer.summands], 1


MAX_THRESHOLD_BITS = 8
WIDE = 1 << 16  # levels; more than these are not bisected
BLOCK = 1 << 18  # channels times levels looked at together

ALL = slice(None)


@dataclass(frozen=True, eq=False)
class MulAdd:
    """``Mul``, ``Add``, perhaps ``Clip``, and ``Quant`` or ``BipolarQuant``.

    Attributes
    ----------
    scale, offset : float32 arrays of shape (channels,) or (1,)
        What is multiplied, then added.
    clamp : tuple of int
        Lowest and highest level.
    output : Format
        Of the levels.
    """

    scale: np.ndarray
    offset: np.ndarray
    clamp: tuple[int, int]
    output: Format

    method = "mul-add"

    def levels(self, values: np.ndarray, rows: slice = ALL) -> np.ndarray:
        """Return the levels of float32 values of shape (channels, any), for some channels."""
        scaled = values * self.scale[rows, None] + self.offset[rows, None]
        if self.output == Bipolar():
            return np.where(scaled >= 0, 1, -1)
        low, high = map(np.float32, self.clamp)
        return np.round(np.clip(scaled, low, high)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Float32Thresholds:
    """``MultiThreshold``.

    Attributes
    ----------
    thresholds : float32 array of shape (channels, levels - 1) or (1, levels - 1)
        The lowest value of each level but the first, ascending.
    output : Format
        Of the levels.
    """

    thresholds: np.ndarray
    output: Format

    method = "thresholds"

    @property
    def step(self) -> int:
        """Distance of one level from the next."""
        return 2 if self.output == Bipolar() else 1

    def levels(self, values: np.ndarray, rows: slice = ALL) -> np.ndarray:
        """Return the levels of float32 values of shape (channels, any), for some channels."""
        return self.output.min_level + self.step * count_reached(self.thresholds[rows], values)


Plan = MulAdd | Float32Thresholds


def plan(layer: Requantised, sums: Float32Sums) -> tuple[Plan, int]:
    """Return nodes that requantise as ``layer`` does, and the number of sums compared.

    Raises
    ------
    NetworkError
        Where float32 cannot; the text names the layer, and what to do.
    """
    candidates: list[Callable[[Requantised, Float32Sums], Plan]] = (
        [] if layer.uses_thresholds else [_mul_add]
    )
    if layer.output.width <= MAX_THRESHOLD_BITS:
        candidates.append(_thresholds)
    difference = ""
    for candidate in candidates:
        nodes = candidate(layer, sums)
        compared, difference = _compare(layer, nodes, sums)
        if not difference:
            return nodes, compared
    advice = "give it narrower multipliers (an imported network has fewer with --logit-bits 8), or"
    if (layer.multiplier == 1).all():
        advice = f"its biases reach {abs(layer.bias).max()}; give it smaller ones, or"
    raise NetworkError(
        f"layer {layer.name}: float32, in which QONNX computes, gives other levels {difference}; "
        f"{advice} an output of up to {MAX_THRESHOLD_BITS} bits, which can be exported as "
        "thresholds"
    )


def _integers(layer: Requantised, rows: slice = ALL) -> Function:
    """Return the function from sums of shape (channels, any) to levels, in integers."""
    thresholds, (low, high) = layer.thresholds, layer.clamp
    if thresholds is not None:
        return lambda sums: layer.output.min_level + count_reached(thresholds[rows], sums)
    return lambda sums: requantize(
        sums,
        layer.multiplier[rows, None],
        layer.bias[rows, None],
        layer.shift,
        layer.output,
        low=low,
        high=high,
        rounding=layer.rounding,
    )


def _adds_half(layer: Requantised) -> bool:
    is_sign = layer.output == Bipolar()
    return is_sign or (layer.shift > 0 and layer.rounding == "half_up")


def _mul_add(layer: Requantised, sums: Float32Sums) -> MulAdd:
    unit = 1.0 if layer.output == Bipolar() else 2.0**-layer.shift
    # float64 holds more than what float32 will, and `_compare` sees what that loses
    scale = layer.multiplier.astype(np.float64) * sums.divisor * unit
    offset = (layer.bias.astype(np.float64) + 0.5 * _adds_half(layer)) * unit
    return MulAdd(scale.astype(np.float32), offset.astype(np.float32), layer.clamp, layer.output)


def _thresholds(layer: Requantised, sums: Float32Sums) -> Float32Thresholds:
    goals = _above(layer.output.min_level, layer.output.max_level, layer.output)
    reached = _reached(_integers(layer), goals, sums.low, sums.high)
    # averages are fractions: nothing is close to the middle between two of them
    values = reached if sums.divisor == 1 else (reached - 0.5) / sums.divisor
    return Float32Thresholds(values.astype(np.float32), layer.output)


def _above(low: int, high: int, output: Format) -> np.ndarray:
    """Return the levels above ``low``, up to ``high``."""
    if output == Bipolar():
        return np.arange(1, 2 if high > low else 1)
    return np.arange(low + 1, high + 1)


def _reached(
    function: Function, goals: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return the smallest sums, from ``low`` to ``high + 1``, at which each goal is reached."""
    below, reached = (np.repeat(each[:, None], len(goals), axis=1) for each in (low - 1, high + 1))
    ends = low[:, None], high[:, None]
    return first_reaching(lambda at: function(at.clip(*ends)) >= goals, below, reached)


def _compare(layer: Requantised, nodes: Plan, sums: Float32Sums) -> tuple[int, str]:
    """Compare nodes with the integers; return the number of sums, and the first difference."""
    ends = _integers(layer)(np.stack([sums.low, sums.high], axis=1))
    lowest, highest = int(ends.min()), int(ends.max())
    steps = highest - lowest  # there may be 2**32 of them
    if steps > WIDE and not _rounds_nothing(layer, sums):
        return 0, f"(its scaled sums are too large for {steps + 1} levels)"
    goals = _above(lowest, min(highest, lowest + WIDE), layer.output)
    compared = 0
    for rows in _blocks(len(sums.low), min(steps, WIDE)):
        low, high, integers = sums.low[rows], sums.high[rows], _integers(layer, rows)
        floats = [_after(division, nodes, rows) for division in sums.divisions()]
        if steps > WIDE:
            at = np.linspace(low, high, WIDE, axis=1).round().astype(np.int64)
        else:
            at = _around_steps([integers, *floats], goals, low, high)
        for function in floats:
            for row, column in np.argwhere(function(at) != integers(at))[:1]:
                return compared, f"(channel {rows.start + row} at the sum {at[row, column]})"
        compared += sum(len(np.unique(row)) for row in at)
    return compared, ""


def _after(division: Function, nodes: Plan, rows: slice) -> Function:
    return lambda sums: nodes.levels(division(sums), rows)


def _blocks(channels: int, goals: int) -> Iterator[slice]:
    size = max(1, BLOCK // max(1, goals))
    return (slice(start, start + size) for start in range(0, channels, size))


def _around_steps(
    functions: list[Function], goals: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return the sums on both sides of every step of all functions, and the ends."""
    steps = [_reached(each, goals, low, high) for each in functions]
    sides = [side for each in steps for side in (each - 1, each)]
    ends = np.stack([low, high], axis=1)
    return np.concatenate([*sides, ends], axis=1).clip(low[:, None], high[:, None])


def _rounds_nothing(layer: Requantised, sums: Float32Sums) -> bool:
    """Tell whether all numbers are multiples of one unit, so few that float32 holds them."""
    farthest = np.maximum(-sums.low, sums.high).astype(np.float64)
    scaled = farthest * layer.multiplier + np.abs(layer.bias)
    units = 2 * scaled + 1 if _adds_half(layer) else scaled
    is_power = sums.divisor & (sums.divisor - 1) == 0
    return is_power and bool((units < EXACT).all())
