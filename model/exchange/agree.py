"""Agreement of a graph, as QONNX's executor runs it, with the integers that were imported.

The executor computes in float32. Every quantised tensor that it gives is turned into levels and
compared with those of the integer reference, layer by layer; the reference goes on from the
executor's own levels, so that a difference is found where it arises and counted once.

A difference is a **tie** where float32 decided it (`ties`). What the graph ends with, logits and
classes, is compared in `classes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...hw.errors import DataError
from ...hw.network.network import INPUT
from ..exact.tensors import Levels
from ..integers.reference import Result, evaluate
from .classes import ClassAgreement, compare_classes
from .executor import Executor
from .importer import Imported
from .nodes.context import Watched
from .nodes.placing import inside
from .preparation import Preparation
from .ties import in_order, ties

__all__ = ["Agreement", "TensorAgreement", "agree", "levels_of_values"]


@dataclass(frozen=True)
class TensorAgreement:
    """Agreement of a quantised tensor of the graph with a layer's levels.

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
    """Agreement of a graph with its import, on images.

    Attributes
    ----------
    tensors : tuple of TensorAgreement
        One for each quantiser that is not on weights.
    levels : int64 array of shape (images, height, width, channels)
        Input levels.
    result : Result
        What the integer reference gives for them, from beginning to end.
    ends : tuple of ClassAgreement
        How what the graph ends with agrees, for each of its results.
    same_levels : int
        Images all of whose levels are the same in both, from beginning to end.
    """

    tensors: tuple[TensorAgreement, ...]
    levels: np.ndarray
    result: Result
    ends: tuple[ClassAgreement, ...]
    same_levels: int

    @property
    def classes(self) -> ClassAgreement:
        """How the graph's first result agrees."""
        return self.ends[0]

    @property
    def same_class(self) -> int:
        """Images that the executor and the reference give the same class."""
        return len(self.levels) - self.classes.different

    @property
    def first(self) -> str:
        """The first difference that nothing explains; empty where there is none."""
        found = [each.first for each in self.tensors if each.first]
        return (*found, *(each.first for each in self.ends if each.first), "")[0]


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
    for end in imported.endings:
        names |= {end.output, end.scores, end.logits}
    values = Executor(imported.model, kernels=imported.kernels).run(images, keep=names)
    values |= {  # a Pad before a quantiser is one behind it
        name: inside(each.levels, values[name])
        for each in imported.watched
        for name in (each.tensor, each.before)
    }
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
    same = _same_levels(own, whole, given)
    labels = whole.labels.numpy().reshape(len(own), -1)
    return Agreement(
        tensors=_compared(imported.watched, computed, tensors, values),
        levels=own,
        result=whole,
        ends=tuple(
            compare_classes(end, computed, tensors, values, labels[:, index], same)
            for index, end in enumerate(imported.endings)
        ),
        same_levels=int(same.sum()),
    )


def levels_of_values(levels: Levels, values: np.ndarray) -> np.ndarray:
    """Return the levels that a graph's values stand for, of shape (images, height, width, c)."""
    shaped = in_order(levels, values)
    scale, offset = (each.astype(np.float64) for each in (levels.scale, levels.offset))
    return np.rint(shaped / scale - offset).astype(np.int64)


def _same_levels(own: np.ndarray, whole: Result, given: dict[str, np.ndarray]) -> np.ndarray:
    """Tell of each image whether its levels are the same everywhere, in two runs side by side."""
    same = np.ones(len(own), bool)
    traces = {trace.name: trace.levels.numpy() for trace in whole.layers}
    for name, levels in given.items():
        found = own if name == INPUT else traces[name]
        same &= (found.reshape(len(own), -1) == levels.reshape(len(own), -1)).all(axis=1)
    return same


def _compared(
    watched: Sequence[Watched],
    computed: dict[str, np.ndarray],
    tensors: dict[str, np.ndarray],
    values: dict[str, np.ndarray],
) -> tuple[TensorAgreement, ...]:
    """Compare all tensors; a quantiser that changes nothing goes on from the executor's levels."""
    found, seen = [], dict[str, np.ndarray]()
    for each in watched:
        source = each.levels.source
        expected = levels_of_values(each.levels, values[each.tensor])
        own = computed[source] if each.sums is not None else seen.get(source, computed[source])
        seen.setdefault(source, expected)
        found.append(_compare(each, own, expected, tensors, values[each.before]))
    return tuple(found)


def _compare(
    watched: Watched,
    found: np.ndarray,
    expected: np.ndarray,
    tensors: dict[str, np.ndarray],
    before: np.ndarray,
) -> TensorAgreement:
    """Compare the levels of one tensor: ``found`` from ``tensors``, and the executor's."""
    levels = watched.levels
    places = np.argwhere(found != expected)
    pairs = np.stack([each[tuple(places.T)] for each in (found, expected)], axis=1)
    distances = ties(watched, places, pairs, tensors, before)
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
