"""A TFLite graph as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np

from ....hw.errors import NetworkError

__all__ = ["TensorFacts", "TfliteGraph", "TfliteOperation", "refuse"]


@dataclass(frozen=True, eq=False)
class TensorFacts:
    """A tensor of the file.

    Attributes
    ----------
    name, dtype : str
        Its name, and its type as the schema calls it, such as ``INT8``.
    shape : tuple of int
        With the batch, which is 1.
    scale : float32 array of shape (channels,), (1,) or (0,)
        Values of one code; none where it is not quantised.
    zero_point : int64 array of shape (channels,), (1,) or (0,)
        The code of value 0.
    axis : int
        Axis that its scales belong to.
    data : array or None
        The elements of a constant of INT8 or INT32, of ``shape``: a view of the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    data: np.ndarray | None

    @property
    def unit(self) -> np.float32:
        """Value of one code of an activation."""
        return self.scale[0]

    @property
    def zero(self) -> int:
        """Code of value 0 of an activation."""
        return int(self.zero_point[0])


@dataclass(frozen=True, eq=False)
class TfliteOperation:
    """An operator of the graph.

    Attributes
    ----------
    place : int
        Its number in the file.
    kind : str
        As the schema calls it, such as ``CONV_2D``.
    inputs, outputs : tuple of int
        Tensors; -1 is an input that is left out.
    options : mapping of str to number or str
        Those of its kind that are known, in snake case; enumerations by their names.
    """

    place: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int | float | str]

    def number(self, name: str) -> int:
        """Return an option that is a number."""
        return int(self.options[name])

    @property
    def activation(self) -> str:
        """The fused activation's name."""
        return str(self.options.get("fused_activation_function", "NONE"))

    @property
    def label(self) -> str:
        """What errors call it."""
        return f"operator {self.place} ({self.kind})"


@dataclass(frozen=True, eq=False)
class TfliteGraph:
    """The one subgraph of a file.

    Attributes
    ----------
    content : bytes
        The file.
    tensors : tuple of TensorFacts
        All of them.
    operations : tuple of TfliteOperation
        In the order in which they run.
    input, output : int
        The tensors that it reads and gives.
    """

    content: bytes
    tensors: tuple[TensorFacts, ...]
    operations: tuple[TfliteOperation, ...]
    input: int
    output: int

    @cached_property
    def _readers(self) -> dict[int, list[TfliteOperation]]:
        found: dict[int, list[TfliteOperation]] = {}
        for operation in self.operations:
            for tensor in set(operation.inputs):
                found.setdefault(tensor, []).append(operation)
        return found

    def readers(self, tensor: int) -> list[TfliteOperation]:
        """Return the operators that read a tensor."""
        return self._readers.get(tensor, [])


def refuse(operation: TfliteOperation, reason: str) -> NoReturn:
    """Raise a `NetworkError` that names an operator."""
    raise NetworkError(f"{operation.label}: {reason}")
