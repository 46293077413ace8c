"""Regroups convolutions, so that what the feeder reads serves more sums.

Of a depthwise convolution a group has one channel: a word of ``lanes`` codes holds one that it
needs, a tile of ``columns`` output channels one that there is. Two things mend that, and neither
changes a sum:

**Groups together.** So many groups as have a word's channels are one, with weights of 0 between
them. A word is read for all of its channels, and all columns have one.

**Strips.** Windows overlap: of the 9 pixels of a 3x3 kernel 3 are new. The positions of a strip
share a patch that is read once, and the array takes it from another word on for each of them.

Strips serve convolutions without groups, too. A layer is regrouped where that takes fewer cycles,
and where no order of its products can make the accumulator overflow: then the order is not part of
the result.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..network.layers import Conv2d
from ..numbers.arithmetic import Accumulator
from ..numbers.formats import Bipolar, Fixed
from .bounds import any_order, type_bound
from .mapping import MappedLayer, map_weighted
from .patch import Patch, patch_of

__all__ = ["alternatives", "cannot_overflow", "grouped"]

WIDEST = 4  # words that the channels of a group fill at most, where several groups become one
LONGEST = 16  # columns of the window of a strip


def alternatives(
    mapped: MappedLayer,
    lanes: int,
    accumulator: Accumulator,
    *,
    any_weights: bool = False,
    strips: bool = True,
) -> Iterator[MappedLayer]:
    """Yield other ways to run a layer, each with the same sums; none for most layers.

    Parameters
    ----------
    mapped : MappedLayer
        The layer as it is.
    lanes : int
        Pairs a step.
    accumulator : Accumulator
        Of all sums.
    any_weights : bool
        The layer may get other weights of its format.
    strips : bool
        Its levels can be written strip by strip.
    """
    layer = mapped.layer
    if not isinstance(layer, Conv2d) or mapped.operands is None or mapped.bitwise:
        return
    if not mapped.operands.weight.holds(0) or not cannot_overflow(mapped, accumulator, any_weights):
        return
    each = layer.weights.shape[3]
    for count in range(1, layer.groups + 1):
        if layer.groups % count == 0 and (count - 1) * each < WIDEST * lanes:
            together = grouped(layer, count)
            patch = patch_of(together, mapped.patch.size, lanes)
            way = map_weighted(together, patch, lanes, mapped.operands)
            way = replace(way, levels=mapped.levels)
            if count > 1:
                yield replace(way, layer=layer)
            for shifts in range(2, patch.positions[1] + 1):
                if strips and _shares(patch, shifts, lanes):
                    yield replace(_strips(together, way, shifts, lanes), layer=layer)


def grouped(layer: Conv2d, count: int) -> Conv2d:
    """Return the same convolution with ``count`` groups as one, and weights of 0 between them."""
    outputs, height, width, each = layer.weights.shape
    shape = (layer.groups // count, count, outputs // layer.groups, height, width)
    weights = np.zeros((*shape, count, each), np.int64)
    for index, own in enumerate(np.moveaxis(layer.weights.reshape(*shape, each), 1, 0)):
        weights[:, index, :, :, :, index] = own
    return replace(
        layer,
        weight=Fixed(2) if layer.weight == Bipolar() else layer.weight,  # which has a 0
        weights=weights.reshape(outputs, height, width, count * each),
        groups=layer.groups // count,
    )


def _shares(patch: Patch, shifts: int, lanes: int) -> bool:
    """Tell whether strips of so many positions fill the image, and begin at words."""
    (height, width), (_, kernel) = patch.positions, patch.window.kernel
    step, row = patch.window.stride[1], patch.size.width * patch.size.channels
    # rows and columns of the kernel are neighbours
    whole = patch.outer_step == row and patch.inner_step in (0, patch.size.channels)
    whole = whole and width % shifts == 0 and height * width > shifts
    words = step * patch.window.kernel[0] * _codes_of(patch) % lanes == 0
    return step < kernel and whole and words and kernel + (shifts - 1) * step <= LONGEST


def _codes_of(patch: Patch) -> int:
    """Return the codes that a group has of a pixel."""
    return patch.size.channels // patch.groups


def _strips(layer: Conv2d, way: MappedLayer, shifts: int, lanes: int) -> MappedLayer:
    """Return a way to run a layer with strips of so many positions."""
    patch, (rows, columns) = way.patch, way.patch.window.kernel
    (down, across), (height, width) = patch.window.stride, patch.positions
    pixel = patch.size.channels
    strip = replace(
        patch,
        window=replace(
            patch.window,
            kernel=(rows, columns + (shifts - 1) * across),
            stride=(down, shifts * across),
        ),
        positions=(height, width // shifts),
        outer=columns + (shifts - 1) * across,
        inner=rows,
        length=_codes_of(patch),
        outer_step=pixel,
        inner_step=patch.size.width * pixel,
        shifts=shifts,
        by_column=True,
    )
    turned = layer.weights.swapaxes(1, 2).reshape(layer.channels, -1)
    weights = np.pad(turned, ((0, 0), (0, way.weights.shape[1] - turned.shape[1])))
    words = across * rows * _codes_of(patch) // lanes
    return replace(way, patch=strip, weights=weights, shift_words=words)


def cannot_overflow(mapped: MappedLayer, accumulator: Accumulator, any_weights: bool) -> bool:
    """Tell whether no products, in whatever order, can make the accumulator overflow."""
    low, high = type_bound(mapped).partial.ends if any_weights else any_order(mapped)
    return not (accumulator.overflows(low) or accumulator.overflows(high))
