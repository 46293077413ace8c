"""Agreement of a graph, as QONNX's executor runs it, with the integers that were imported.

The executor computes in float32. Every quantised tensor that it gives is turned into levels and
compared with those of the integer reference, layer by layer; the reference goes on from the
executor's own levels, so that a difference is found where it arises and counted once.

A difference is a **tie** where float32 decided it: what the quantiser reads is, in the executor and
in float64 from the reference's sums, the same number but for float32's rounding, and the border
between two levels lies within that rounding.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ...hw.errors import DataError
from ...hw.network import INPUT
from ...hw.window import Window
from ..preparation import Preparation
from ..reference import Result, evaluate
from .exact.draft import Draft
from .exact.tensors import Levels, Sums
from .executor import Executor
from .importer import Imported
from .nodes.walk import Watched

__all__ = ["Agreement", "TensorAgreement", "agree", "levels_of_values"]

EPSILON = 2.0**-24  # of float32
ROUNDINGS = 16  # errors of float32 that may add up, of the largest number on the way


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
    distances, allowed = _doubts(watched, tensors, values, found.shape)
    is_tie = [bool(distances[tuple(place)] <= allowed[tuple(place)]) for place in places]
    ties = [
        float(distances[tuple(place)]) for place, tie in zip(places, is_tie, strict=True) if tie
    ]
    wrong = [place for place, tie in zip(places, is_tie, strict=True) if not tie]
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
        ties=len(ties),
        distance=max(ties, default=0.0),
        first=first,
    )


def _doubts(
    watched: Watched,
    tensors: dict[str, np.ndarray],
    values: dict[str, np.ndarray],
    shape: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each element is from a border, and how far float32 may have moved it.

    Both in levels, of the shape of the levels. The distance is the largest one of three: from the
    border to what the executor's quantiser reads, and to the same in float64, and between those
    two. Where the two are the same float32 rounded nothing, and so decided nothing: a difference
    there is no tie, however near the border, and its distance is infinite.
    """
    index = watched.levels.index.ravel()
    read = np.empty((shape[0], index.size), np.float64)
    read[:, index] = values[watched.before].reshape(shape[0], -1)
    read = read.reshape(shape)
    scale = watched.quantizer.unit.astype(np.float64)
    exact, largest = read, abs(read) / scale
    if watched.sums is not None:
        exact, reach = _in_float64(watched.sums, tensors)
        largest = np.broadcast_to(reach / scale, shape)
    distance = np.maximum(_to_border(watched, read / scale), _to_border(watched, exact / scale))
    if watched.sums is not None:
        moved = _moved(watched, read, exact)
        distance = np.where(moved > 0, np.maximum(distance, moved), np.inf)
    return distance, ROUNDINGS * EPSILON * (largest + 1)


def _moved(watched: Watched, read: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return how far float32 moved what is rounded to a level; the division by the scale counts."""
    quantizer = watched.quantizer
    scale, zero = quantizer.scale.astype(np.float64), float(quantizer.zero_point)
    single = read.astype(np.float32) / scale.astype(np.float32) + np.float32(zero)
    return abs(single - (exact / scale + zero)) / float(quantizer.divisor or 1)


def _to_border(watched: Watched, ratio: np.ndarray) -> np.ndarray:
    """Return the distance of values, in levels, from the nearest border between two levels."""
    quantizer = watched.quantizer
    if quantizer.divisor:  # what it rounds first; the second rounding is one of whole numbers
        divisor = float(quantizer.divisor)
        code = ratio * divisor + float(quantizer.zero_point) - 0.5
        return abs(code - np.round(code)) / divisor
    shifted = ratio + float(quantizer.zero_point)
    if quantizer.is_bipolar:
        return abs(shifted)
    half = 0.5 if quantizer.rounding in ("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN") else 0.0
    return abs(shifted - half - np.round(shifted - half))


def _in_float64(sums: Sums, tensors: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return what the quantiser reads, in float64, and how large it can be in each channel.

    A max pool takes the smallest of what falls behind it.
    """
    curve, draft = sums.curve, sums.draft
    found = _summed(draft, [tensors[source] for source in draft.sources])
    columns = np.moveaxis(found, -1, 0).reshape(draft.size.channels, -1)
    gain, offset = (each.astype(np.float64) for each in (curve.gain, curve.offset))
    if curve.is_affine:
        low, high = (each.astype(np.float64)[:, None] for each in (curve.low, curve.high))
        real = (columns * gain[:, None] + offset[:, None]).clip(low, high)
    else:
        real = curve.values(np.rint(columns).astype(np.int64))
    found = np.moveaxis(real.reshape(draft.size.channels, *found.shape[:3]), 0, -1)
    for pool in sums.pools:
        falls = pool.direction * curve.direction < 0
        found = _pooled(found, pool.window, np.where(falls, -1.0, 1.0))
    reach = np.maximum(abs(draft.low), abs(draft.high)) * abs(gain) + abs(offset)
    return found, reach


def _summed(draft: Draft, tensors: list[np.ndarray]) -> np.ndarray:
    """Return the sums of a layer in float64, of shape (images, height, width, channels)."""
    if draft.is_sum:
        one, two = (tensor.astype(np.float64) for tensor in tensors)
        first, second = draft.summands or (1.0, float(1 / draft.ratio))
        return one * first + two * second
    image = torch.from_numpy(tensors[0].astype(np.float64))
    if draft.weights is not None and draft.weights.ndim == 2:
        flat = image.flatten(1) @ torch.from_numpy(draft.weights.T.astype(np.float64))
        return flat.numpy()[:, None, None, :]
    image = image.permute(0, 3, 1, 2)
    window = draft.window or Window(tuple(image.shape[2:]))  # type: ignore[arg-type]
    top, left, bottom, right = window.padding
    level = float(draft.inputs[0].zero_level)
    image = functional.pad(image, (left, right, top, bottom), value=level)
    weights, groups = draft.weights, draft.groups
    if weights is None:
        groups = image.shape[1]
        weights = np.ones((groups, *window.kernel, 1))
    kernel = torch.from_numpy(weights.astype(np.float64)).permute(0, 3, 1, 2)
    sums = functional.conv2d(image, kernel, stride=window.stride, groups=groups)
    return sums.permute(0, 2, 3, 1).numpy()


def _pooled(values: np.ndarray, window: Window, sign: np.ndarray) -> np.ndarray:
    """Return the largest values in windows, or the smallest where ``sign`` is -1."""
    top, left, bottom, right = window.padding
    image = torch.from_numpy(values * sign).permute(0, 3, 1, 2)
    image = functional.pad(image, (left, right, top, bottom), value=float("-inf"))
    pooled = functional.max_pool2d(image, window.kernel, window.stride)
    return pooled.permute(0, 2, 3, 1).numpy() * sign
