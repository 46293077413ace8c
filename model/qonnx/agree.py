"""Agreement of a graph, as QONNX's executor runs it, with the integers that were imported.

The executor computes in float32. Every quantised tensor that it gives is turned into levels and
compared with those of the integer reference, layer by layer; the reference goes on from the
executor's own levels, so that a difference is found where it arises and counted once.

A difference is a **tie** where float32 decided it (`ties`).
"""

from dataclasses import dataclass

import numpy as np
import torch

from ...hw.errors import DataError
from ...hw.network import INPUT
from ..preparation import Preparation
from ..reference import Result, evaluate
from .exact.tensors import Levels
from .executor import Executor
from .importer import Imported
from .nodes.walk import Watched
from .ties import ties

__all__ = ["Agreement", "TensorAgreement", "agree", "levels_of_values"]


@dataclass(frozen=True)
class TensorAgreement:
    """How a quantised tensor of the graph and a layer's levels agree.

    Attributes
    ----------
    layer, tensor : str
        Names in the network and in the graph.
    elements : int
        Levels compared.
    different : int
        Those that differ, given the same inputs of the layer.
    ties : int
        Of those, the ones that float32's rounding decided.
    distance : float
        The largest distance of a tie from the border between two levels, in levels.
    first : str
        The first difference that is no tie; empty where there is none.
    """

    layer: str
    tensor: str
    elements: int
    different: int
    ties: int
    distance: float
    first: str


@dataclass(frozen=True, eq=False)
class Agreement:
    """How a graph and its import agree on images.

    Attributes
    ----------
    tensors : tuple of TensorAgreement
        One for each quantiser that is not on weights.
    levels : int64 array of shape (images, height, width, channels)
        Input levels.
    result : Result
        What the integer reference gives for them, from beginning to end.
    same_class : int
        Images that the executor and the reference give the same class.
    same_levels : int
        Images all of whose levels are the same in both, from beginning to end.
    """

    tensors: tuple[TensorAgreement, ...]
    levels: np.ndarray
    result: Result
    same_class: int
    same_levels: int


def agree(imported: Imported, images: np.ndarray, lanes: int = 4) -> Agreement:
    """Run images through executor and reference and compare them.

    Parameters
    ----------
    imported : Imported
        What `import_qonnx` returned.
    images : float array of shape (images, ...)
        As the graph reads them.
    lanes : int
        Lanes of the reference.

    Raises
    ------
    DataError
        For images of another shape.
    NetworkError
        For a node that cannot be executed.
    """
    network = imported.network
    preparation = Preparation.from_about(network.about)
    if preparation is None:
        raise DataError(f"network {network.name} does not say how images become levels")
    own = preparation.levels(images)
    names = {name for each in imported.watched for name in (each.tensor, each.before)}
    values = Executor(imported.model).run(images, keep={*names, imported.output})
    given = {
        each.levels.source: levels_of_values(each.levels, values[each.tensor])
        for each in imported.watched
    }
    replaced = {name: torch.from_numpy(levels) for name, levels in given.items() if name != INPUT}
    start = given.get(INPUT, own)
    traced = evaluate(network, start, lanes, trace=True, replaced=replaced)
    computed = {INPUT: own} | {
        trace.name: trace.levels.numpy().reshape(-1, *network.sizes[trace.name])
        for trace in traced.layers
    }
    tensors = computed | given
    whole = evaluate(network, own, lanes, trace=True)
    return Agreement(
        tensors=tuple(_compare(each, computed, tensors, values) for each in imported.watched),
        levels=own,
        result=whole,
        same_class=_same_class(imported, whole, values),
        same_levels=_same_levels(own, whole, given),
    )


def levels_of_values(levels: Levels, values: np.ndarray) -> np.ndarray:
    """Return the levels that a graph's values stand for, of shape (images, height, width, c)."""
    flat = values.reshape(-1, levels.index.size)
    in_order = np.empty(flat.shape, np.float64)
    in_order[:, levels.index.ravel()] = flat
    shaped = in_order.reshape(-1, *levels.size)
    scale, offset = (each.astype(np.float64) for each in (levels.scale, levels.offset))
    return np.rint(shaped / scale - offset).astype(np.int64)


def _same_class(imported: Imported, result: Result, values: dict[str, np.ndarray]) -> int:
    """Count images of one class; an output of whole numbers, one an image, is a class already."""
    output = values[imported.output].reshape(len(result.labels), -1)
    labels = output[:, 0] if output.dtype.kind in "iu" else output.argmax(axis=1)
    return int((labels == result.labels.numpy()).sum())


def _same_levels(own: np.ndarray, whole: Result, given: dict[str, np.ndarray]) -> int:
    """Count images whose levels are the same everywhere, one run beside the other."""
    same = np.ones(len(own), bool)
    traces = {trace.name: trace.levels.numpy() for trace in whole.layers}
    for name, levels in given.items():
        found = own if name == INPUT else traces[name]
        same &= (found.reshape(len(own), -1) == levels.reshape(len(own), -1)).all(axis=1)
    return int(same.sum())


def _compare(
    watched: Watched,
    computed: dict[str, np.ndarray],
    tensors: dict[str, np.ndarray],
    values: dict[str, np.ndarray],
) -> TensorAgreement:
    """Compare the levels of one tensor: ``computed`` from ``tensors``, and the executor's."""
    levels = watched.levels
    expected = levels_of_values(levels, values[watched.tensor])
    found = computed[levels.source]
    places = np.argwhere(found != expected)
    distances = ties(watched, places, tensors, values[watched.before])
    wrong = [place for place, each in zip(places, distances, strict=True) if each is None]
    within = [each for each in distances if each is not None]
    first = ""
    if wrong:
        image, row, column, channel = wrong[0]
        first = (
            f"layer {levels.source}, image {image}, row {row}, column {column}, channel {channel}: "
            f"{found[tuple(wrong[0])]} in the reference, {expected[tuple(wrong[0])]} in the "
            f"executor's {watched.tensor}"
        )
    return TensorAgreement(
        layer=levels.source,
        tensor=watched.tensor,
        elements=expected.size,
        different=len(places),
        ties=len(within),
        distance=max(within, default=0.0),
        first=first,
    )
