"""Makes adversarial inputs: levels that take the sums of a layer to the ends of their interval.

By the signs of a channel's weights every level is the lowest or the highest that the layer can
read, so that its sum reaches an end of `exact_bound`. A layer behind others need not get such
levels from any image, so it is driven alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...hw.errors import NetworkError
from ...hw.network.layers import Conv2d, Layer, Size, Window
from ...hw.network.network import INPUT, Network
from ...hw.numbers.format import Format
from ...hw.numbers.operands import check_integers, common
from ...hw.program.bounds import exact_bound
from ...hw.program.mapping import MappedLayer, map_network, operands
from .words import words

__all__ = ["DrivenLayer", "drive", "extreme_levels"]


@dataclass(frozen=True, eq=False)
class DrivenLayer:
    """A layer alone, and the images that overflow it where anything can.

    Attributes
    ----------
    network : Network
        The layer is the last one, and has the array's weights and steps that it has in its own
        network; with the accumulator of that.
    images : int64 array of shape (images, height, width, channels)
        What takes each channel's sums to both ends.
    least_bits : int
        Of an accumulator with which the layer gets its levels; of a narrower one, layers in front
        of it would overflow before.
    """

    network: Network
    images: np.ndarray
    least_bits: int


def extreme_levels(mapped: MappedLayer, lanes: int) -> list[np.ndarray]:
    """Return the levels of its sources at which a layer's sums are the lowest and the highest.

    Every end of every row of `exact_bound` is reached, of final sums and of those after a step.

    Parameters
    ----------
    mapped : MappedLayer
        A layer that runs on the array.
    lanes : int
        Pairs a step.

    Returns
    -------
    list of int64 arrays of shape (images, height, width, channels)
        One a source.

    Raises
    ------
    FormatError
        For floats, whose sums have no bounds.
    """
    check_integers(f"extreme of the sums of layer {mapped.layer.name}", *mapped.layer.inputs)
    size, sources = mapped.patch.size, len(mapped.ranges)
    elements = sources * size.elements
    numbered = torch.arange(1, elements + 1).reshape(sources, 1, *size)  # 0 is no element
    read = words(list(numbered), mapped.patch, lanes, 0, torch.int64).numpy()
    low, high = (
        np.repeat(np.array([ends[which] for ends in mapped.ranges], np.int64), size.elements)
        for which in (0, 1)
    )
    found = []
    for row, weights in enumerate(_added(mapped, lanes)):
        for group in _groups(mapped, row):
            for place in _places(mapped, read[group]):
                for added in weights:
                    sums = np.bincount(read[group, place], added, elements + 1)[1:]
                    found += [np.where(sums > 0, low, high), np.where(sums > 0, high, low)]
    images = np.unique(np.array(found), axis=0).reshape(-1, sources, *size)
    return [images[:, source] for source in range(sources)]


def _added(mapped: MappedLayer, lanes: int) -> Iterator[np.ndarray]:
    """Yield, for each row, what each code was multiplied by in all, after the steps that matter.

    Where every code is read once that is the last one: what is best there was best before. Passes
    with weights of their own read codes again, and may take back what they gave.
    """
    weights = mapped.weights.reshape(len(mapped.weights), -1, mapped.steps, lanes)
    for passes in weights:
        if len(passes) == 1:
            yield passes.reshape(1, -1)
            continue
        once = np.eye(mapped.steps, dtype=np.int64)[None, :, :, None] * passes[:, :, None]
        yield once.reshape(-1, mapped.steps * lanes).cumsum(axis=0)


def _groups(mapped: MappedLayer, row: int) -> list[int]:
    """Return groups whose sums of a row differ; the last one may read less than the others."""
    if not mapped.shared:
        return [row // mapped.group_channels]
    same = mapped.has_pad_level or row >= mapped.last_group_channels
    return [0] if same or mapped.patch.groups == 1 else [0, mapped.patch.groups - 1]


def _places(mapped: MappedLayer, read: np.ndarray) -> np.ndarray:
    """Return positions where all that differs by what lies outside the image can be seen."""
    outside = read == 0
    patterns, places = np.unique(outside, axis=0, return_index=True)
    inside = (patterns == outside.all(axis=0)).all(axis=1)
    return places[inside] if mapped.has_pad_level and inside.any() else places


def drive(network: Network, name: str, lanes: int, *, sliced: bool = False) -> DrivenLayer:
    """Return a layer of a network alone, with the images that take its sums to their ends.

    What the layer reads comes from the images as it is; where the array would multiply otherwise
    without the network's other layers, and of sums of tensors, layers in front of it pass it on.

    Parameters
    ----------
    network : Network
        What the layer is of.
    name : str
        The layer.
    lanes : int
        Pairs a step.
    sliced : bool
        Whether the array multiplies slices of weights.

    Raises
    ------
    NetworkError
        For a layer that does not sum, and one that adds otherwise alone.
    """
    layers = {each.layer.name: each for each in map_network(network, lanes, sliced=sliced)}
    mapped = layers.get(name)
    if mapped is None or not mapped.on_array:
        sums = ", ".join(each.layer.name for each in layers.values() if each.on_array)
        raise NetworkError(f"network {network.name} sums in {sums}; there is no {name} that does")
    weight = operands(network, sliced=sliced).weight
    levels = extreme_levels(mapped, lanes)
    alone = [_passed(network, mapped, weight)] if weight.holds(1) else []
    if len(levels) == 1:
        alone.insert(0, _direct(network, mapped))
    for each in alone:
        *passing, last = map_network(each, lanes, sliced=sliced)
        if _adds_alike(last, mapped):
            bits = [exact_bound(before).partial.bits for before in passing]
            return DrivenLayer(each, _joined(mapped, levels), max(bits, default=2))
    raise NetworkError(
        f"layer {name} of {network.name} cannot be driven alone: without the other layers the "
        "array would add in other steps"
    )


def _direct(network: Network, mapped: MappedLayer) -> Network:
    """Return the network of a layer that reads the image."""
    (source,) = network.sources(mapped.layer)
    return _network(network, (replace(mapped.layer, sources=()),), network.sizes[source])


def _passed(network: Network, mapped: MappedLayer, weight: Format) -> Network:
    """Return the network of a layer behind others, each of which gives it one of its tensors."""
    layer, size = mapped.layer, mapped.patch.size
    ones = np.ones(size.channels, np.int64)
    passing = [
        Conv2d(
            name=f"{layer.name}_reads{index}",
            input=common(layer.inputs),
            output=fmt,
            weight=weight,
            weights=ones.reshape(-1, 1, 1, 1),
            bias=0 * ones,
            multiplier=ones,
            low=None if low == fmt.min_level else low,
            high=None if high == fmt.max_level else high,
            window=Window((1, 1)),
            groups=size.channels,
            sources=(INPUT,),
        )
        for index, (fmt, (low, high)) in enumerate(zip(layer.inputs, mapped.ranges, strict=True))
    ]
    names = tuple(each.name for each in passing)
    return _network(network, (*passing, replace(layer, sources=names)), size)


def _network(network: Network, layers: Sequence[Layer], size: Size) -> Network:
    name = f"{network.name}-{layers[-1].name}"
    return Network(name, tuple(layers), network.accumulator, input_size=size)


def _adds_alike(one: MappedLayer, other: MappedLayer) -> bool:
    """Tell whether two mapped layers add the same in the same steps."""
    same = (one.planes, one.steps, one.bitwise, one.pad)
    return same == (other.planes, other.steps, other.bitwise, other.pad) and np.array_equal(
        one.weights, other.weights
    )


def _joined(mapped: MappedLayer, levels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the images that give a layer's sources their levels, which layers in front clamp."""
    if len(levels) == 1:
        return levels[0]
    (low, high), own = zip(*mapped.ranges, strict=True), np.stack(levels)
    column = (-1, *(1,) * levels[0].ndim)
    up, down = own == np.reshape(high, column), own == np.reshape(low, column)
    if not (up.all(axis=0) | down.all(axis=0)).all():
        raise NetworkError(
            f"layer {mapped.layer.name} cannot be driven alone: in an array without a 0 its two "
            "tensors have to be at opposite ends"
        )
    return np.where(up.all(axis=0), max(high), min(low))
