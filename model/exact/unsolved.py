"""Layers whose sums are known and whose integers are still to be solved."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Required, TypedDict

import numpy as np

from ...hw.errors import NetworkError
from ...hw.network.layers import Add, AveragePool, Conv2d, Dense, Layer
from ...hw.network.window import Size, Window
from ...hw.numbers.formats import Fixed, Format
from .ranges import channel_formats
from .step_function import StepFunction
from .transfer import Transfer

__all__ = ["Accumulation", "Clamp", "Parameters", "UnsolvedLayer"]


class Clamp(TypedDict, total=False):
    """Ends of a layer's levels, where they are not those of its format."""

    low: int
    high: int


class Parameters(Clamp, total=False):
    """Parameters of a `Requantised` layer; and its output, where solving finds that."""

    multiplier: Required[np.ndarray]
    bias: Required[np.ndarray]
    shift: int
    rounding: str
    thresholds: np.ndarray
    output: Format


@dataclass(frozen=True, eq=False)
class Accumulation:
    """Sums of products.

    Attributes
    ----------
    name : str
        The layer: the path of a module, or an ONNX node.
    sources : tuple of str
        What it reads.
    inputs : tuple of Format
        Their formats.
    input_sizes : tuple of Size
        Their sizes.
    size : Size
        Of its output.
    low, high : int64 arrays of shape (channels,)
        The smallest and the largest sum, over all inputs that occur.
    weights : int64 array or None
        Levels in the order of `Dense` or `Conv2d`; None for average pools and sums of tensors.
    weight : Format or None
        Their format.
    widths : tuple of int or None
        Bits of the weights of each channel, where they are not all those of the format.
    window : Window or None
        Of a convolution or a pool; None for dense layers and for pools of the whole image.
    groups : int
        Of a convolution.
    summands : tuple of int
        Of a sum of two tensors: their multipliers; empty while they are unknown.
    ratio : Fraction
        Of a sum of two tensors: value of a level of the first one over that of the second.
    ends : tuple of (int, int)
        Of a sum of two tensors: the smallest and the largest level of each.
    """

    name: str
    sources: tuple[str, ...]
    inputs: tuple[Format, ...]
    input_sizes: tuple[Size, ...]
    size: Size
    low: np.ndarray
    high: np.ndarray
    weights: np.ndarray | None = None
    weight: Format | None = None
    widths: tuple[int, ...] | None = None
    window: Window | None = None
    groups: int = 1
    summands: tuple[int, ...] = ()
    ratio: Fraction = Fraction(1)
    ends: tuple[tuple[int, int], ...] = ()

    @property
    def is_weighted(self) -> bool:
        """Whether it is a dense layer or a convolution."""
        return self.weights is not None

    @property
    def is_sum(self) -> bool:
        """Whether it adds two tensors."""
        return len(self.sources) == 2

    def per_channel(self) -> "Accumulation":
        """Return the same sums from a layer whose channels have parameters of their own.

        An average pool has one multiplier for all channels; a depthwise convolution with weights of
        1 gives the same sums.
        """
        if self.is_weighted:
            return self
        if self.is_sum:
            raise NetworkError(
                f"layer {self.name}: its channels are scaled differently before the next "
                "quantiser, and a sum of two tensors has one scale; quantise it first"
            )
        (size,) = self.input_sizes
        kernel = (size.height, size.width) if self.window is None else self.window.kernel
        window = Window(kernel, kernel) if self.window is None else self.window
        weights = np.ones((self.size.channels, *kernel, 1), np.int64)
        return replace(
            self, weights=weights, weight=Fixed(2), window=window, groups=self.size.channels
        )

    def flipped(self, channels: np.ndarray) -> "Accumulation":
        """Return the accumulation of the negative sums in some channels."""
        if not channels.any():
            return self
        if self.is_sum:
            raise NetworkError(f"layer {self.name}: its sums are subtracted; not supported")
        accumulation = self.per_channel()
        assert accumulation.weights is not None
        assert accumulation.weight is not None
        sign = np.where(channels, -1, 1).reshape(-1, *[1] * (accumulation.weights.ndim - 1))
        weights = accumulation.weights * sign
        weight, widths = channel_formats(accumulation.weight, accumulation.widths, weights)
        return replace(
            accumulation,
            weights=weights,
            weight=weight,
            widths=widths,
            low=np.where(channels, -self.high, self.low),
            high=np.where(channels, -self.low, self.high),
        )

    def layer(self, name: str, output: Format, parameters: Parameters) -> Layer:
        """Return the layer, given how its sums become levels."""
        common: dict[str, Any] = {
            **parameters,
            "name": name,
            "sources": self.sources,
            "input": self.inputs[0],
            "output": output,
        }
        if self.is_sum:
            one, two = self.summands
            return Add(**common, other=self.inputs[1], summands=(one, two))
        if self.weights is None:
            return AveragePool(**common, window=self.window)
        common |= {"weights": self.weights, "weight": self.weight, "widths": self.widths}
        if self.weights.ndim == 2:
            return Dense(**common)
        assert self.window is not None
        return Conv2d(**common, window=self.window, groups=self.groups)


@dataclass(frozen=True, eq=False)
class UnsolvedLayer:
    """A layer whose sums become levels by a step function, which is still to be solved.

    ``steps`` is None where sums are levels already, within ``ends``; and in the last layer where it
    has no quantiser: its ``transfer`` gives the logits.
    """

    name: str
    accumulation: Accumulation
    output: Format | None
    steps: StepFunction | None = None
    ends: tuple[int, int] | None = None
    transfer: Transfer | None = None
