"""Requantisation of each operator, as TFLite's reference kernels do it.

The executor computes with these rules, and the importer finds integers that equal them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .fixed_point import (
    CODES,
    FixedPoint,
    RealFactor,
    activation_ends,
    mean_multiplier,
    rounded_quotient,
)
from .graph import TensorFacts, TfliteGraph, TfliteOperation, refuse

__all__ = ["Addition", "Averaging", "Rescaling", "Rule", "addition", "averaging", "rescaling"]

Factor = FixedPoint | RealFactor
ADD_SHIFT = 20  # bits by which ADD moves both operands to the left
WIDEST = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Rescaling:
    """Codes ``factor[c] * (sum + offset[c]) + zero``, clamped; sums are of codes less zero points.

    Attributes
    ----------
    offset : int64 array of shape (channels,)
        Biases.
    factors : tuple of FixedPoint or RealFactor
        One a channel.
    zero : int
        Zero point of the output.
    ends : tuple of int
        The lowest and the highest code.
    """

    offset: np.ndarray
    factors: tuple[Factor, ...]
    zero: int
    ends: tuple[int, int]

    def codes(self, sums: np.ndarray) -> np.ndarray:
        """Return the codes of int64 sums of shape (channels, any)."""
        rows = [
            factor.times(row + offset)
            for factor, row, offset in zip(self.factors, sums, self.offset, strict=True)
        ]
        return (np.stack(rows) + self.zero).clip(*self.ends)

    @property
    def slope(self) -> np.ndarray:
        """Codes a sum, before rounding; shape (channels,)."""
        return np.array([each.value for each in self.factors])

    @property
    def start(self) -> np.ndarray:
        """Code at sum 0, before rounding; shape (channels,)."""
        return self.slope * self.offset + self.zero

    def holds(self, low: np.ndarray, high: np.ndarray) -> bool:
        """Tell whether 32 bits hold all that is computed from sums of these ends."""
        most = np.array([each.most for each in self.factors])
        return bool((low + self.offset >= -most).all() and (high + self.offset <= most).all())


@dataclass(frozen=True, eq=False)
class Averaging:
    """Codes that are the nearest to a mean of codes, clamped; sums are of codes.

    Attributes
    ----------
    count : int64 array of shape (channels,) or (1,)
        How many there are of each.
    ends : tuple of int
        The lowest and the highest code.
    """

    count: np.ndarray
    ends: tuple[int, int]

    def codes(self, sums: np.ndarray) -> np.ndarray:
        """Return the codes of int64 sums of shape (channels, any)."""
        return rounded_quotient(sums, self.count[:, None]).clip(*self.ends)

    @property
    def slope(self) -> np.ndarray:
        """Codes a sum, before rounding; of the shape of ``count``."""
        return 1 / self.count

    @property
    def start(self) -> np.ndarray:
        """Code at sum 0; of the shape of ``count``."""
        return np.zeros(len(self.count))

    def holds(self, low: np.ndarray, high: np.ndarray) -> bool:
        """Tell whether 32 bits hold all that is computed from sums of these ends."""
        return bool((low >= -WIDEST).all() and (high <= WIDEST).all())


Rule = Rescaling | Averaging


@dataclass(frozen=True, eq=False)
class Addition:
    """Codes of a sum of two tensors, from the codes of both.

    Attributes
    ----------
    zeros : tuple of int
        Their zero points.
    factors : tuple of FixedPoint
        What each is multiplied by, 20 bits to the left.
    rescaled : FixedPoint
        What the sum is multiplied by.
    zero : int
        Zero point of the output.
    ends : tuple of int
        The lowest and the highest code.
    """

    zeros: tuple[int, int]
    factors: tuple[FixedPoint, FixedPoint]
    rescaled: FixedPoint
    zero: int
    ends: tuple[int, int]

    def codes(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """Return the codes of int64 codes, which broadcast."""
        parts = [
            factor.times((codes - zero) << ADD_SHIFT)
            for factor, codes, zero in zip(self.factors, (one, two), self.zeros, strict=True)
        ]
        return (self.rescaled.times(parts[0] + parts[1]) + self.zero).clip(*self.ends)

    @property
    def slopes(self) -> tuple[float, float]:
        """Codes that a code of each adds, before rounding."""
        one, two = (each.value * self.rescaled.value * 2.0**ADD_SHIFT for each in self.factors)
        return one, two


def rescaling(graph: TfliteGraph, operation: TfliteOperation) -> Rescaling:
    """Return the rule of a convolution, a dense layer, a mean, a ReLU or a QUANTIZE."""
    source, result = graph.tensors[operation.inputs[0]], graph.tensors[operation.outputs[0]]
    make = RealFactor if operation.kind == "FULLY_CONNECTED" else FixedPoint.of
    factors: tuple[Factor, ...] = tuple(map(make, FACTORS[operation.kind](graph, operation)))
    offset = np.zeros(len(factors), np.int64)
    if operation.kind in PRODUCTS and len(operation.inputs) > 2 and operation.inputs[2] != -1:
        bias = graph.tensors[operation.inputs[2]]
        if bias.dtype != "INT32" or bias.data is None or bias.data.size != len(offset):
            refuse(operation, f"its bias is no INT32 constant of {len(offset)} channels")
        offset = bias.data.astype(np.int64).ravel()
    if operation.kind == "MEAN":
        count = int(np.prod(source.shape) // np.prod(result.shape))
        (ratio,) = FACTORS["MEAN"](graph, operation)
        factors = (mean_multiplier(FixedPoint.of(ratio), count),)
    name = operation.kind if operation.kind in RELUS else operation.activation
    return Rescaling(offset, factors, result.zero, _ends(operation, name, result))


def averaging(
    graph: TfliteGraph, operation: TfliteOperation, *count: int | np.integer
) -> Averaging:
    """Return the rule of an average pool over so many elements, one number or one a channel."""
    result = graph.tensors[operation.outputs[0]]
    return Averaging(np.array(count, np.int64), _ends(operation, operation.activation, result))


def addition(graph: TfliteGraph, operation: TfliteOperation) -> Addition:
    """Return the rule of an ADD."""
    one, two = (graph.tensors[each] for each in operation.inputs)
    result = graph.tensors[operation.outputs[0]]
    twice = 2 * max(float(one.unit), float(two.unit))
    return Addition(
        zeros=(one.zero, two.zero),
        factors=(FixedPoint.of(float(one.unit) / twice), FixedPoint.of(float(two.unit) / twice)),
        rescaled=FixedPoint.of(twice / (2.0**ADD_SHIFT * float(result.unit))),
        zero=result.zero,
        ends=_ends(operation, operation.activation, result),
    )


def _ends(operation: TfliteOperation, name: str, result: TensorFacts) -> tuple[int, int]:
    found = activation_ends(name, result.unit, result.zero)
    if found is None:
        refuse(operation, f"a fused {name} is not supported")
    low, high = found
    if not CODES[0] <= low <= high <= CODES[1]:
        refuse(operation, f"its activation allows no code: from {low} to {high}")
    return found


def _per_channel(graph: TfliteGraph, operation: TfliteOperation) -> list[float]:
    """Return one factor for each scale of the weights, in double precision."""
    source, weights, result = _scales(graph, operation)
    channels = _channels(graph, operation)
    return [float(source) * each / float(result) for each in _spread(weights, channels)]


def _ratio(graph: TfliteGraph, operation: TfliteOperation) -> list[float]:
    source, result = (graph.tensors[each[0]] for each in (operation.inputs, operation.outputs))
    return [float(source.unit) / float(result.unit)]


def _single_ratio(graph: TfliteGraph, operation: TfliteOperation) -> list[float]:
    """Return the factor of a ReLU: a quotient in float32."""
    source, result = (graph.tensors[each[0]] for each in (operation.inputs, operation.outputs))
    return [float(np.float32(source.unit) / np.float32(result.unit))]


def _scales(
    graph: TfliteGraph, operation: TfliteOperation
) -> tuple[np.float32, np.ndarray, np.float32]:
    source, weights = (graph.tensors[each] for each in operation.inputs[:2])
    return source.unit, weights.scale, graph.tensors[operation.outputs[0]].unit


def _channels(graph: TfliteGraph, operation: TfliteOperation) -> int:
    weights = graph.tensors[operation.inputs[1]]
    return weights.shape[-1 if operation.kind == "DEPTHWISE_CONV_2D" else 0]


def _spread(scale: np.ndarray, channels: int) -> list[float]:
    numbers = scale.astype(np.float64).tolist()
    return numbers * channels if len(numbers) == 1 else numbers


RELUS = ("RELU", "RELU6")
PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
FACTORS: dict[str, Callable[[TfliteGraph, TfliteOperation], list[float]]] = {
    "CONV_2D": _per_channel,
    "DEPTHWISE_CONV_2D": _per_channel,
    "FULLY_CONNECTED": _per_channel,
    "MEAN": _ratio,
    "QUANTIZE": _ratio,
    **dict.fromkeys(RELUS, _single_ratio),
}
