"""The sums of a layer in float32: their range, and whether it is exact."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ....hw.errors import NetworkError
from ....hw.network.layers import Add, AveragePool, Requantised, Size, Weighted
from ....hw.numbers.arithmetic import bits_for

__all__ = ["EXACT", "Float32Sums", "Function", "sums_of"]

EXACT = 1 << 24  # float32 holds every integer up to here

Function = Callable[[np.ndarray], np.ndarray]


class Float32Sums(NamedTuple):
    """What a layer requantises.

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
