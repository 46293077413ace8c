"""Agreement of a TFLite file, as its kernels run it, with the integers that were imported.

Both compute in integers, so every code of every tensor is equal; there are no ties. The reference
goes on from the kernels' own levels, so that a difference is found where it arises.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ....hw.network.network import INPUT
from ...integers.reference import Result, evaluate
from ..preparation import Preparation
from .importer import ImportedTflite
from .kernels import run_kernels
from .state import StoredTensor

__all__ = ["CodeAgreement", "Kernels", "TfliteAgreement", "agree_tflite"]

Kernels = Callable[[np.ndarray], dict[int, np.ndarray]]
"""Returns the codes of tensors, given those of the input."""


@dataclass(frozen=True)
class CodeAgreement:
    """Agreement of a tensor of the file with a layer's levels.

    Attributes
    ----------
    layer, tensor : str
        Names in the network and in the file.
    elements, different : int
        Codes compared, and those that differ, given the same inputs of the layer.
    first : str
        The first difference; empty where there is none.
    """

    layer: str
    tensor: str
    elements: int
    different: int
    first: str


@dataclass(frozen=True, eq=False)
class TfliteAgreement:
    """Agreement of a file with its import, on images.

    Attributes
    ----------
    tensors : tuple of CodeAgreement
        One for each tensor that is a layer's levels.
    levels : int64 array of shape (images, height, width, channels)
        Input levels.
    result : Result
        What the integer reference gives for them, from beginning to end.
    same_class : int
        Images whose class is the same in both.
    """

    tensors: tuple[CodeAgreement, ...]
    levels: np.ndarray
    result: Result
    same_class: int

    @property
    def first(self) -> str:
        """The first difference; empty where there is none."""
        return next((each.first for each in self.tensors if each.first), "")


def agree_tflite(
    imported: ImportedTflite, images: np.ndarray, lanes: int = 4, kernels: Kernels | None = None
) -> TfliteAgreement:
    """Run images through the kernels and the reference and compare them.

    Parameters
    ----------
    imported : ImportedTflite
        What `import_tflite` returned.
    images : array of shape (images, ...)
        Real values as the model reads them, or of int8 where it reads that.
    lanes : int
        Lanes of the reference.
    kernels : callable, optional
        Runs the graph; by default `run_kernels` does.

    Raises
    ------
    DataError
        For images of another shape.
    """
    network, start = imported.network, imported.watched[imported.start]
    preparation = Preparation.from_about(network.about)
    assert preparation is not None
    own = preparation.levels(images)
    codes = (own + start.base).reshape(len(own), *preparation.shape)
    found = kernels(codes) if kernels else run_kernels(imported.graph, imported.start, codes)
    given = {
        stored.source: _levels(stored, found[tensor])
        for tensor, stored in imported.watched.items()
        if tensor in found and stored.source != INPUT
    }
    replaced = {name: torch.from_numpy(levels) for name, levels in given.items()}
    traced = evaluate(network, own, lanes, trace=True, replaced=replaced)
    computed = {trace.name: trace.levels.numpy() for trace in traced.layers}
    whole = evaluate(network, own, lanes)
    last = given[network.layers[-1].name].reshape(len(own), -1)
    return TfliteAgreement(
        tensors=tuple(
            _compare(imported, tensor, stored, computed[stored.source], given[stored.source])
            for tensor, stored in imported.watched.items()
            if stored.source in given
        ),
        levels=own,
        result=whole,
        same_class=int((last.argmax(axis=1) == whole.labels.numpy()).sum()),
    )


def _levels(stored: StoredTensor, codes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(codes.reshape(len(codes), *stored.size)) - stored.base


def _compare(
    imported: ImportedTflite, tensor: int, stored: StoredTensor, own: np.ndarray, given: np.ndarray
) -> CodeAgreement:
    """Compare a layer's levels with those that the kernels give."""
    name, expected = imported.graph.tensors[tensor].name, given.reshape(own.shape)
    places = np.argwhere(own != expected)
    first = ""
    if len(places):
        image, element = places[0]
        row, column, channel = np.unravel_index(element, stored.size)
        first = (
            f"layer {stored.source}, image {image}, row {row}, column {column}, channel {channel}: "
            f"code {own[image, element] + stored.base} in the reference, "
            f"{expected[image, element] + stored.base} in the kernels' {name}"
        )
    return CodeAgreement(stored.source, name, expected.size, len(places), first)
