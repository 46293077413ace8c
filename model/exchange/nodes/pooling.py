"""Max pools and average pools, and sums, means and maxima along axes."""

from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

import numpy as np
from onnx import NodeProto

from ....hw.network.layers import MaxPool
from ....hw.network.window import Size, Window
from ....hw.numbers.formats import Bipolar, Fixed
from ...exact.ranges import narrowest
from ...exact.tensors import Levels, Pool, Sums
from ...exact.transfer import Transfer, fractions
from ...exact.unsolved import Accumulation
from ..graph.node import attributes, refuse, window_of
from .context import ImportContext, NetworkTensor, Raw
from .levels import WIDEST, levels_of, sums_of
from .parameters import reduced_axes
from .placing import (
    CHANNELS,
    HEIGHT,
    WIDTH,
    arranged,
    as_image,
    image_index,
    in_order,
    index_of,
    joined,
    padded_sides,
    padding_reason,
    roles_of,
    seen_as,
    settled,
    with_roles,
)  # fmt: skip

T = TypeVar("T", Raw, Levels, Sums, NetworkTensor)

__all__ = ["average_pool", "max_pool", "reduce"]

MOST_MEANS = 1 << 14  # elements of an average pool that may have divisors of their own


def max_pool(context: ImportContext, node: NodeProto) -> None:
    """Run a MaxPool of levels, or note one between sums and their quantiser."""
    if len(node.output) > 1 and node.output[1]:
        refuse(node, "indices of the largest elements are not supported")
    values = attributes(node)
    tensor = context.tensor(node)
    is_line = tensor.index.ndim == 3
    tensor = _image(context, node, tensor)
    if node.op_type == "GlobalMaxPool":
        window = Window(padded_sides(tensor))
    else:
        kernel = tuple(values["kernel_shape"])
        _check_axes(node, tensor, kernel)
        if any(each != 1 for each in values.get("dilations", [])):
            found = _dilated(context, node, tensor, kernel)
            context.values[node.output[0]] = replace(found, index=image_index(found.size, is_line))
            return
        window = window_of(node, kernel, padded_sides(tensor))
    found = _largest(context, node, tensor, window)
    context.values[node.output[0]] = replace(found, index=image_index(found.size, is_line))


def _dilated(
    context: ImportContext, node: NodeProto, tensor: NetworkTensor, kernel: tuple[int, ...]
) -> Levels:
    """Return the largest elements of windows whose taps are apart, rows first.

    Rows that are ``apart`` rows from each other are neighbours where so many rows are seen as one,
    and so are columns where pixels are seen as one: a move copies the image, and pools do not know.
    """
    if not isinstance(tensor, Levels):
        refuse(node, "is dilated and reads what is not quantised yet; put its Quant before")
    levels = settled(context, node, tensor)
    taps, apart = (
        (1, *each) if len(each) == 1 else each
        for each in (kernel, tuple(map(int, attributes(node)["dilations"])))
    )
    if len(apart) != len(taps) or min(apart) < 1:
        refuse(node, f"dilations {apart} are not {len(taps)} numbers of at least 1")
    wide = tuple((count - 1) * step + 1 for count, step in zip(taps, apart, strict=True))
    own = wide[-len(kernel) :]
    window = window_of(node, own, (levels.size.height, levels.size.width), dilated=True)
    window.positions(levels.size)
    for axis in (HEIGHT, WIDTH):
        step, size, sides = apart[axis], levels.size, window.padding[axis::2]
        if any(each % step for each in (size[axis], *sides)):
            refuse(
                node,
                f"of dilation {step} reads {size[axis]} rows or columns with padding {sides}; only "
                f"multiples of {step} are supported",
            )
        height, width, channels = size
        if step > 1 and axis == HEIGHT:
            levels = seen_as(context, node, levels, Size(height // step, step * width, channels))
        elif step > 1:
            levels = seen_as(context, node, levels, Size(height, width // step, step * channels))
        padding, sizes = [0] * 4, [1, 1]
        padding[axis::2], sizes[axis] = (each // step for each in sides), taps[axis]
        along = Window((sizes[0], sizes[1]), (1, 1), tuple(padding))  # type: ignore[arg-type]
        levels = _largest(context, node, levels, along)
        assert isinstance(levels, Levels)
        left = size[axis] + sum(sides) - wide[axis] + 1
        size = Size(left, width, channels) if axis == HEIGHT else Size(height, left, channels)
        if step > 1:
            levels = seen_as(context, node, levels, size)
    if window.stride == (1, 1):
        return levels
    found = _largest(context, node, levels, Window((1, 1), window.stride))
    assert isinstance(found, Levels)
    return found


def _largest(
    context: ImportContext, node: NodeProto, tensor: NetworkTensor, window: Window
) -> Levels | Sums:
    """Return the largest elements in a window; their index is that of an image."""
    if isinstance(tensor, Sums):
        if any(tensor.padding):
            refuse(node, "reads a padded tensor that is not quantised yet; put its Quant before")
        pool = Pool(node.name, window, tensor.transfer.direction)
        size = Size(*window.positions(tensor.size), tensor.size.channels)
        index = image_index(size)
        return replace(tensor, size=size, index=index, pools=(*tensor.pools, pool))
    levels = levels_of(context, node, tensor)
    if any(each < 0 for each in levels.scale):
        refuse(node, "reads a quantised tensor times a negative number; pool before multiplying")
    if any(levels.padding):
        levels, window = _below(context, node, levels, window)
    size = Size(*window.positions(levels.size), levels.size.channels)
    fmt = levels.format
    name = context.unique(node.name)
    layer = MaxPool(name=name, input=fmt, output=fmt, sources=(levels.source,), window=window)
    context.layers.append(layer)
    return replace(levels, size=size, index=image_index(size), source=layer.name)


def _below(
    context: ImportContext, node: NodeProto, levels: Levels, window: Window
) -> tuple[Levels, Window]:
    """Let a window have the padding of what it reads, if that is never larger than anything."""
    assert levels.pad_value is not None
    lowest = levels.scale * (levels.low + levels.offset)
    if all(levels.pad_value <= lowest):
        return joined(context, node, levels, window)
    return settled(context, node, levels), window


def average_pool(context: ImportContext, node: NodeProto) -> None:
    """Run AveragePool or GlobalAveragePool: sums of levels, and a scale."""
    product, tensor = _swapped(context.tensor(node))
    levels = levels_of(context, node, tensor)
    is_line = levels.index.ndim == 3
    levels = _image(context, node, levels)
    values, kernel = attributes(node), padded_sides(levels)
    if node.op_type == "GlobalAveragePool":
        window: Window | None = Window(kernel) if any(levels.padding) else None
    else:
        kernel = tuple(values["kernel_shape"])
        _check_axes(node, levels, kernel)
        window = window_of(node, kernel, padded_sides(levels))
        ragged = window != window_of(node, kernel, padded_sides(levels), ceil=False)
        counted = bool(values.get("count_include_pad", 0))
        if any(window.padding) and not counted and product is None:
            sums = _over_what_there_is(context, node, levels, window)
            index = sums.index[:, :, 0, :] if is_line else sums.index
            context.values[node.output[0]] = replace(sums, index=index)
            return
        if ragged or (any(window.padding) and not counted):
            refuse(
                node,
                "averages fewer elements at the edges than elsewhere; put a Quant node before it, "
                "and use no count_include_pad where there is ceil_mode",
            )
        if any(window.padding) and (product or not levels.is_plain or levels.format == Bipolar()):
            refuse(node, "pads a tensor whose level 0 is not value 0, or that nothing quantises")
    if window is not None and any(levels.padding):
        levels, window = _with_zeros(context, node, levels, window)
    sums = _averages(node, levels, window)
    if product is not None:
        sums = _product(context, node, product, sums)
    context.values[node.output[0]] = replace(sums, index=image_index(sums.size, is_line))


def _over_what_there_is(
    context: ImportContext, node: NodeProto, levels: Levels, window: Window
) -> Sums:
    """Return averages over the elements that lie within an image, more or fewer of them each.

    Sums are levels of their own. All of them side by side are channels of one pixel, so that each
    has its own divisor; their index is that of the image.
    """
    levels = settled(context, node, levels)
    rows, columns = window.inside(levels.size)
    counts = np.multiply.outer(rows, columns)
    if levels.format == Bipolar():
        refuse(node, "pads signs, none of which is 0; use 2 bits")
    sums = _averages(node, levels, window)
    if len({*counts.ravel().tolist()}) == 1:
        taps = np.full(levels.size.channels, Fraction(window.taps, counts.item(0)), object)
        gain = sums.transfer.gain * taps
        transfer = Transfer.linear(gain, levels.scale * levels.offset)
        return replace(sums, index=image_index(sums.size), transfer=transfer)
    size, (low, high) = sums.size, (int(sums.accumulation.low[0]), int(sums.accumulation.high[0]))
    if size.elements > MOST_MEANS or narrowest(low, high).width > WIDEST:
        refuse(
            node,
            f"averages fewer elements at the edges; {size.elements:,} sums from {low} to {high} "
            f"are too many, or too wide, to divide each by its own number (at most {MOST_MEANS:,} "
            f"of {WIDEST} bits): use count_include_pad and no ceil_mode, or no padding",
        )
    channels = size.channels
    none = np.full(channels, Fraction(0), object)
    whole = replace(sums, index=image_index(size), transfer=Transfer.linear(none + 1, none))
    line = Size(1, 1, size.elements)
    given = levels_of(context, node, whole)
    given = arranged(context, node, given, line, given.index, what="averages what")
    each = fractions(counts.repeat(channels))  # of all elements, channels last
    scale, offset = (np.tile(values, size.positions) for values in (levels.scale, levels.offset))
    found = sums_of(context, node, replace(given, scale=scale / each, offset=offset * each))
    return replace(found, index=image_index(size))


def _swapped(tensor: NetworkTensor) -> tuple[Sums | None, NetworkTensor]:
    """Return a product that can be taken behind an average instead of before, and what it reads.

    That is a 1x1 convolution of which nothing was quantised or clipped: it and an average commute,
    and integers are averaged where there are no more of them than a position has.
    """
    if not isinstance(tensor, Sums) or tensor.pools or tensor.accumulation.weights is None:
        return None, tensor
    accumulation, transfer = tensor.accumulation, tensor.transfer
    pointwise = accumulation.window == Window((1, 1)) and roles_of(tensor) is not None
    if not pointwise or not transfer.is_affine or transfer.clips or any(tensor.padding):
        return None, tensor
    (size,), (fmt,), (source,) = accumulation.input_sizes, accumulation.inputs, accumulation.sources
    roles = roles_of(tensor)
    assert roles is not None
    return tensor, Levels(
        size=size,
        index=index_of(size, roles),
        source=source,
        format=fmt,
        low=fmt.min_level,
        high=fmt.max_level,
        scale=np.full(size.channels, Fraction(1), object),
        offset=np.full(size.channels, Fraction(0), object),
    )


def _product(context: ImportContext, node: NodeProto, product: Sums, averages: Sums) -> Sums:
    """Return the product of averages, whose sums become levels as they are."""
    taps = 1 / averages.transfer.gain[0]
    whole = averages.through(
        lambda transfer: transfer.scaled(np.full(len(transfer.gain), taps, object))
    )
    levels = levels_of(context, node, whole)
    size = Size(levels.size.height, levels.size.width, product.size.channels)
    accumulation = replace(
        product.accumulation,
        sources=(levels.source,),
        inputs=(levels.format,),
        input_sizes=(levels.size,),
        size=size,
        low=product.accumulation.low * int(taps),
        high=product.accumulation.high * int(taps),
    )
    transfer = Transfer.linear(product.transfer.gain / taps, product.transfer.offset)
    return Sums(size=size, index=image_index(size), accumulation=accumulation, transfer=transfer)


def _with_zeros(
    context: ImportContext, node: NodeProto, levels: Levels, window: Window
) -> tuple[Levels, Window]:
    """Let a window have the padding of what it reads, where that is level 0."""
    if levels.pad_level != 0 and levels.pad_level != levels.format.zero_level:
        refuse(node, padding_reason(levels, levels.pad_value))
    if any(window.padding) and any(levels.pad_value):  # type: ignore[arg-type]
        refuse(node, "pads with zeros what a Pad node put another value around")
    if levels.pad_level != levels.format.zero_level:
        return settled(context, node, levels), window
    return joined(context, node, levels, window)


# --- along axes ------------------------------------------------------------------------------


def reduce(context: ImportContext, node: NodeProto) -> None:
    """Run ReduceMean, ReduceSum or ReduceMax along height, width or channels."""
    product, tensor = None, context.tensor(node)
    axes = reduced_axes(context, node, tensor.index.ndim)
    roles = roles_of(tensor)
    if node.op_type != "ReduceMax":
        if roles is not None and CHANNELS not in {roles[axis - 1] for axis in axes}:
            product, tensor = _swapped(tensor)
        tensor = levels_of(context, node, tensor)
    if not axes:
        context.values[node.output[0]] = context.tensor(node)
        return
    tensor, roles = with_roles(context, node, tensor, what="reduces axes of")
    along = {roles[axis - 1] for axis in axes}
    sides = [tensor.size[role] if role in along else 1 for role in (HEIGHT, WIDTH)]
    window = Window((sides[0], sides[1]))
    found: Levels | Sums
    if node.op_type == "ReduceMax":
        if CHANNELS in along:
            refuse(node, "takes the largest of all channels; only of height and width is supported")
        found = _largest(context, node, tensor, window)
    else:
        assert isinstance(tensor, Levels)
        if CHANNELS in along:
            found = _over_channels(node, tensor, window)
        else:
            found = _averages(node, tensor, None if window.kernel == tensor.size[:2] else window)
            found = found if product is None else _product(context, node, product, found)
        if node.op_type == "ReduceSum":
            taps = [tensor.size[role] for role in along]
            factor = np.full(found.size.channels, Fraction(int(np.prod(taps))), object)
            found = found.through(lambda transfer: transfer.scaled(factor))
    index = index_of(found.size, roles)
    if not attributes(node).get("keepdims", 1):
        index = index.squeeze(tuple(axes))
    context.values[node.output[0]] = replace(found, index=index)


def _over_channels(node: NodeProto, levels: Levels, window: Window) -> Sums:
    """Return means over the channels of a window: a convolution with weights of 1."""
    if len({*levels.scale.tolist()}) > 1:
        refuse(node, "reduces channels whose scales differ; use one scale for the whole tensor")
    channels = levels.size.channels
    taps = window.taps * channels
    ends = [np.array([taps * each]) for each in (levels.low, levels.high)]
    accumulation = Accumulation(
        name=node.name,
        sources=(levels.source,),
        inputs=(levels.format,),
        input_sizes=(levels.size,),
        size=Size(*window.positions(levels.size), 1),
        low=ends[0],
        high=ends[1],
        weights=np.ones((1, *window.kernel, channels), np.int64),
        weight=Fixed(2),
        window=window,
    )
    scale = levels.scale[:1]
    offset = scale * sum(levels.offset) / channels
    transfer = Transfer.linear(scale / taps, offset)
    return Sums(
        size=accumulation.size,
        index=image_index(accumulation.size),
        accumulation=accumulation,
        transfer=transfer,
    )


def _image(context: ImportContext, node: NodeProto, tensor: T) -> T | Levels:
    """Return an image of (1, channels, height, width), or without height."""
    if in_order(tensor, tensor.index.ndim == 3):
        return tensor
    if tensor.index.ndim not in (3, 4):
        refuse(
            node,
            f"pools a tensor of {tensor.index.shape} that is no image of channels, height "
            "and width",
        )
    if not isinstance(tensor, Levels):
        refuse(
            node,
            f"pools what a layer of {tensor.size} gives, reshaped to "
            f"{'x'.join(map(str, tensor.index.shape[1:]))}, in another order than it computes it; "
            "put a Quant node between",
        )
    return as_image(context, node, tensor)


def _check_axes(node: NodeProto, tensor: NetworkTensor, kernel: tuple[int, ...]) -> None:
    if len(kernel) != tensor.index.ndim - 2:
        refuse(node, f"a kernel of {kernel} does not fit a tensor of {tensor.index.shape}")


def _averages(node: NodeProto, levels: Levels, window: Window | None) -> Sums:
    """Return the average of a window, or of the whole image; its index is that of an image."""
    channels = levels.size.channels
    taps = levels.size.positions if window is None else window.taps
    places = (1, 1) if window is None else window.positions(levels.size)
    ends = levels.low, levels.high
    if window is not None and any(window.padding):
        zero = levels.format.zero_level
        ends = min(levels.low, zero), max(levels.high, zero)
    accumulation = Accumulation(
        name=node.name,
        sources=(levels.source,),
        inputs=(levels.format,),
        input_sizes=(levels.size,),
        size=Size(*places, channels),
        low=np.full(channels, taps * ends[0]),
        high=np.full(channels, taps * ends[1]),
        window=window,
    )
    transfer = Transfer.linear(levels.scale * Fraction(1, taps), levels.scale * levels.offset)
    return Sums(
        size=accumulation.size,
        index=image_index(accumulation.size),
        accumulation=accumulation,
        transfer=transfer,
    )
