"""Values that a network's output levels stand for, in the order of the imported model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ...hw.errors import NetworkError
from ...hw.network.ends import End
from ...hw.network.network import Network
from ..exact.tensors import Tensor

__all__ = ["OutputErrors", "OutputValues", "result_card", "result_order"]


def result_order(tensor: Tensor) -> dict[str, object]:
    """Return the shape of a result, and where each of its elements is among the output's levels.

    Without an order they are the same; elements of an enlarged image are at several places.
    """
    index = tensor.index[0]
    found: dict[str, object] = {"shape": list(index.shape)}
    if tensor.repeats or (index.ravel() != np.arange(index.size)).any():
        found["order"] = index.ravel().tolist()
    return found


@dataclass(frozen=True)
class OutputErrors:
    """Errors of values: their mean and their largest magnitude, over all images and elements."""

    mean: float
    largest: float

    @classmethod
    def of(cls, found: np.ndarray, expected: np.ndarray) -> Self:
        """Return how far two arrays of one shape are from each other."""
        wrong = abs(found.astype(np.float64) - expected.astype(np.float64))
        return cls(float(wrong.mean()), float(wrong.max()))

    def __str__(self) -> str:
        return f"mean error {self.mean:.3g}, largest {self.largest:.3g}"


def result_card(network: Network, end: End) -> Mapping[str, Any]:
    """Return what a network's card says of an output.

    Raises
    ------
    NetworkError
        Where the card is damaged.
    """
    plain = network.about.get("result", {})
    if len(network.ends) > 1:
        results = network.about.get("results", {})
        plain = results.get(end.name, {}) if isinstance(results, Mapping) else results
    if not isinstance(plain, Mapping):
        raise NetworkError(f"the network's result is damaged ({plain!r:.40} is no mapping)")
    return plain


@dataclass(frozen=True)
class OutputValues:
    """Map of output levels to values: ``scale * (level + offset)``.

    Attributes
    ----------
    shape : tuple of int
        Of the values of an image.
    scale, offset : float
        1 and 0 where the network does not say what its levels stand for.
    order : tuple of int, or None
        Which level is at each place of that shape, each at least once; None for the same order,
        channels last.
    """

    shape: tuple[int, ...]
    scale: float = 1.0
    offset: float = 0.0
    order: tuple[int, ...] | None = None

    @classmethod
    def of(cls, network: Network, end: End | None = None) -> Self:
        """Return those of a network's output, or of an ``end`` of several.

        Raises `NetworkError` where the card is damaged, or where it is not said which of several.
        """
        first, *others = network.ends
        if end is None and others:
            raise NetworkError(f"network {network.name} has several outputs: name one of them")
        end = end or first
        plain = result_card(network, end)
        try:
            shape = tuple(int(each) for each in plain.get("shape", end.size))
            order = tuple(int(each) for each in plain["order"]) if "order" in plain else None
            found = cls(shape, float(plain.get("scale", 1)), float(plain.get("offset", 0)), order)
        except (TypeError, ValueError) as error:
            raise NetworkError(f"the network's result is damaged ({error})") from error
        places = range(end.size.elements)
        count = len(places if order is None else order)
        if math.prod(shape) != count or (order is not None and {*order} != {*places}):
            raise NetworkError(f"the network's result is damaged ({shape} is not its output)")
        return found

    def values(self, levels: np.ndarray) -> np.ndarray:
        """Return float64 values of shape (images, *shape).

        Parameters
        ----------
        levels : int array of shape (images, outputs)
            Channels last, as hardware gives them; those of one output.
        """
        found = self.scale * (levels.reshape(len(levels), -1) + self.offset)
        if self.order is not None:
            found = found[:, list(self.order)]
        return found.reshape(len(levels), *self.shape)
