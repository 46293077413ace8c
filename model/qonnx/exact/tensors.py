"""What a tensor of the graph is, while the importer walks through it.

`Levels` are integers that hardware stores, `Sums` are sums of products on their way to the next
quantiser, `Weights` are quantised constants; everything else that is constant is a NumPy array.
All know, by `index`, which element in the project's order (channels last) each element of the ONNX
tensor is, so that transposing and reshaping are what they are in NumPy and cost nothing.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ....hw.number import Format
from ....hw.window import Size, Window
from .curve import Curve
from .draft import Draft

__all__ = ["Levels", "Pool", "Ranks", "Sums", "Tensor", "Weights"]


@dataclass(frozen=True, eq=False)
class Tensor:
    """What `Levels` and `Sums` share.

    Attributes
    ----------
    size : Size
        Height, width, channels.
    index : int64 array of the ONNX shape, for one image
        Element of ``size``, channels last, at each place.
    """

    size: Size
    index: np.ndarray

    def per_channel(self, values: np.ndarray) -> np.ndarray | None:
        """Return what a constant that broadcasts against the tensor is in each channel.

        None where it differs within a channel.
        """
        try:
            spread = np.broadcast_to(values, self.index.shape)
        except ValueError:
            return None
        in_order = np.empty(self.index.size, values.dtype)
        in_order[self.index.ravel()] = spread.ravel()
        rows = in_order.reshape(-1, self.size.channels)
        return rows[0] if (rows == rows[0]).all() else None


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
    padding : tuple of int
        Rows and columns that a Pad put around it: top, left, bottom, right.
    pad_value : Fraction
        What the Pad put there.
    """

    source: str
    format: Format
    low: int
    high: int
    scale: np.ndarray
    offset: np.ndarray
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: Fraction = Fraction(0)

    @property
    def is_plain(self) -> bool:
        """Whether one positive scale serves all channels, and level 0 is value 0."""
        uniform = len({*self.scale.tolist()}) == 1
        return uniform and self.scale[0] > 0 and not any(self.offset)


@dataclass(frozen=True, eq=False)
class Pool:
    """A max pool between a layer and its quantiser; ``direction`` of the curve before it."""

    name: str
    window: Window
    direction: np.ndarray


@dataclass(frozen=True, eq=False)
class Sums(Tensor):
    """Sums of products, and what happened to them since.

    Attributes
    ----------
    draft : Draft
        The layer that computes them.
    curve : Curve
        From its sums to the tensor's values.
    pools : tuple of Pool
        Max pools on the way; ``size`` is that behind them.
    """

    draft: Draft
    curve: Curve
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, eq=False)
class Ranks:
    """What an ArgMax or a TopK gives: the places of the largest of ``logits``, or their values."""

    logits: Tensor
    are_places: bool = True


@dataclass(frozen=True, eq=False)
class Weights:
    """A quantised constant: ``scale * levels``.

    The scale is an object array of as many axes, each as long as in the levels or 1.
    """

    levels: np.ndarray
    scale: np.ndarray
    format: Format

    @classmethod
    def of(cls, levels: np.ndarray, scale: np.ndarray, stated: Format) -> "Weights":
        """Return weights whose scale broadcasts against the levels; raises `ValueError` if not."""
        scale = np.asarray(scale, object)  # arithmetic makes scalars of arrays without axes
        scale = scale.reshape((1,) * (levels.ndim - scale.ndim) + scale.shape)
        if np.broadcast_shapes(scale.shape, levels.shape) != levels.shape:
            raise ValueError(f"a scale of {scale.shape} is larger than weights of {levels.shape}")
        return cls(levels, scale, stated)

    def values(self) -> np.ndarray:
        """Return its values, as Fractions."""
        return self.levels.astype(object) * self.scale
