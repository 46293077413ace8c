"""Tensors of the graph, as the importer follows them.

`Levels` are integers that hardware stores, `Sums` are sums of products on their way to the next
quantiser, `Weights` are quantised constants; everything else that is constant is a NumPy array.
All know, by `index`, which element in the project's order (channels last) each element of the ONNX
tensor is, so that transposing and reshaping are what they are in NumPy and cost nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Self

import numpy as np

from ...hw.network.window import Size, Window
from ...hw.numbers.formats import Format
from .transfer import Number, Transfer
from .unsolved import Accumulation

__all__ = ["Levels", "Pool", "Ranks", "Sums", "Tensor", "Unquantised", "Weights"]


@dataclass(frozen=True, eq=False)
class Tensor:
    """Base of `Levels` and `Sums`.

    Attributes
    ----------
    size : Size
        Height, width, channels; without the padding.
    index : int64 array of the ONNX shape, for one image
        Element of ``size``, channels last, at each place; one of an enlarged image is at several.
    padding : tuple of int
        Rows and columns that a Pad put around it: top, left, bottom, right.
    """

    size: Size
    index: np.ndarray
    padding: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), kw_only=True)

    def per_channel(self, values: np.ndarray) -> np.ndarray | None:
        """Return what a constant that broadcasts against the tensor is in each channel.

        None where it differs within a channel.
        """
        try:
            spread = np.broadcast_to(values, self.index.shape)
        except ValueError:
            return None
        in_order = np.empty(self.size.elements, values.dtype)
        in_order[self.index.ravel()] = spread.ravel()
        rows = in_order.reshape(-1, self.size.channels)
        alike = (in_order[self.index] == spread).all()  # where an element is at several places
        return rows[0] if alike and (rows == rows[0]).all() else None

    @property
    def repeats(self) -> bool:
        """Whether elements are at several places each."""
        return self.index.size != self.size.elements


@dataclass(frozen=True, eq=False)
class Levels(Tensor):
    """A quantised tensor; in channel ``c`` its values are ``scale[c] * (level + offset[c])``.

    Attributes
    ----------
    source : str
        The layer that gives it, or ``input``.
    format : Format
        How it is stored.
    low, high : int
        The levels that occur.
    scale, offset : object arrays of shape (channels,)
        Fractions; a scale may be negative, and is never 0.
    pad_value : object array of shape (channels,) or None
        The values in the padding: Fractions, or an infinity.
    """

    source: str
    format: Format
    low: int
    high: int
    scale: np.ndarray
    offset: np.ndarray
    pad_value: np.ndarray | None = None

    @property
    def is_plain(self) -> bool:
        """Whether one positive scale serves all channels, and level 0 is value 0."""
        return self.is_uniform and self.scale[0] > 0 and not any(self.offset)

    @property
    def is_uniform(self) -> bool:
        """Whether a level stands for the same value in all channels."""
        return len({*self.scale.tolist()}) == len({*self.offset.tolist()}) == 1

    @property
    def pad_level(self) -> Number | None:
        """Level of the padding, if it is one in all channels, or None; see `pad_level_of`."""
        return self.pad_level_of(self.pad_value)

    def pad_level_of(self, value: np.ndarray | None) -> Number | None:
        """Return the level of ``value``, one or one a channel; a Fraction, or an infinity.

        None where it is another one in each channel.
        """
        (level, *others) = {*(value / self.scale - self.offset).tolist()}
        return None if others else level

    def value_of(self, level: int) -> Fraction:
        """Return the value of a level in the first channel."""
        return self.scale[0] * (level + self.offset[0])


@dataclass(frozen=True, eq=False)
class Pool:
    """A max pool between a layer and its quantiser; ``direction`` of the transfer before it."""

    name: str
    window: Window
    direction: np.ndarray


@dataclass(frozen=True, eq=False)
class Unquantised(Tensor):
    """Values between one quantiser and the next.

    Attributes
    ----------
    transfer : Transfer
        To the tensor's values, from the sums of a layer or from the elements of the input.
    border : Transfer or None
        What happened to the padding since, the same for all sums.
    """

    transfer: Transfer = field(kw_only=True)
    border: Transfer | None = field(default=None, kw_only=True)

    def through(self, change: Callable[[Transfer], Transfer]) -> Self:
        """Return the tensor with another transfer, inside and in the padding."""
        border = None if self.border is None else change(self.border)
        return replace(self, transfer=change(self.transfer), border=border)

    @property
    def border_values(self) -> np.ndarray:
        """Values in the padding, of shape (channels, 1)."""
        assert self.border is not None
        return self.border.values(np.zeros((self.size.channels, 1), np.int64))

    @staticmethod
    def border_of(value: np.ndarray) -> Transfer:
        """Return the transfer of a padding with one value a channel."""
        return Transfer.linear(np.full(len(value), Fraction(0), object), value)


@dataclass(frozen=True, eq=False)
class Sums(Unquantised):
    """Sums of products, and what happened to them since.

    Attributes
    ----------
    accumulation : Accumulation
        The layer that computes them.
    pools : tuple of Pool
        Max pools on the way; ``size`` is that behind them.
    """

    accumulation: Accumulation
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, eq=False)
class Ranks:
    """Result of an ArgMax or a TopK: the places of the largest of ``logits``, or their values."""

    logits: Tensor
    are_places: bool = True


@dataclass(frozen=True, eq=False)
class Weights:
    """A quantised constant: ``scale * levels``.

    The scale is an object array of as many axes, each as long as in the levels or 1; and so are the
    bits of integers that have not all those of ``format``, else None.
    """

    levels: np.ndarray
    scale: np.ndarray
    format: Format
    bits: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        levels: np.ndarray,
        scale: np.ndarray,
        stated: Format,
        bits: np.ndarray | None = None,
    ) -> "Weights":
        """Return weights whose scale and bits broadcast against the levels.

        Raises
        ------
        ValueError
            Where they do not.
        """
        scale = np.asarray(scale, object)  # arithmetic makes scalars of arrays without axes
        scale = scale.reshape((1,) * (levels.ndim - scale.ndim) + scale.shape)
        if np.broadcast_shapes(scale.shape, levels.shape) != levels.shape:
            raise ValueError(f"a scale of {scale.shape} is larger than weights of {levels.shape}")
        if bits is not None:
            bits = np.broadcast_to(bits, levels.shape)
        return cls(levels, scale, stated, bits)

    def transposed(self) -> "Weights":
        """Return the same with its axes in the other order."""
        bits = None if self.bits is None else self.bits.T
        return Weights(self.levels.T, self.scale.T, self.format, bits)

    def values(self) -> np.ndarray:
        """Return its values, as Fractions."""
        return self.levels.astype(object) * self.scale
