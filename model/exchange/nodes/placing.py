"""Layouts of tensors, and the layers that pad, crop and put elements in order.

Most movements cost nothing: `Tensor.index` follows them, and a Pad waits for the window of a
convolution or a pool. What neither can say becomes moves of blocks, or a layer whose weights are
0 and 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

import numpy as np
from onnx import NodeProto

from ....hw.errors import NetworkError
from ....hw.network.layers import Move
from ....hw.network.moving import BlockMove, moves_of
from ....hw.network.window import Size, Window
from ....hw.numbers.formats import Bipolar, Fixed
from ...exact.ranges import narrowest
from ...exact.tensors import Levels, Tensor
from ...exact.unsolved import Accumulation, UnsolvedLayer
from ..graph.node import refuse
from .context import ImportContext, NetworkTensor
from .levels import levels_of, sums_of

__all__ = [
    "CHANNELS",
    "HEIGHT",
    "WIDTH",
    "Ends",
    "arranged",
    "as_image",
    "image_index",
    "in_order",
    "index_of",
    "inside",
    "joined",
    "padded_sides",
    "padding_reason",
    "roles_of",
    "seen_as",
    "settle",
    "settled",
    "shifted",
    "upside_down",
    "with_roles",
]

HEIGHT, WIDTH, CHANNELS = range(3)  # places in a `Size`
MOST = 1 << 26  # multiplications that putting elements in order may take
FEW = 1 << 16  # multiplications that are better than moving single elements
FIRST = ((CHANNELS, HEIGHT, WIDTH), (HEIGHT, WIDTH, CHANNELS), (CHANNELS, WIDTH), (CHANNELS,))
"""Layouts in the order in which they are tried, all others behind them."""


# --- layouts ---------------------------------------------------------------------------------


def index_of(size: Size, roles: tuple[int, ...]) -> np.ndarray:
    """Return the index of a tensor whose axes, behind the batch, have these roles."""
    rest = tuple(role for role in range(3) if role not in roles)
    index = np.arange(size.elements).reshape(size).transpose(roles + rest)
    return index.reshape(1, *(size[role] for role in roles))


def roles_of(tensor: Tensor) -> tuple[int, ...] | None:
    """Return which of height, width and channels each axis behind the batch is.

    None where the elements lie in another order.
    """
    axes = tensor.index.ndim - 1
    if not 1 <= axes <= 3:
        return None
    trials = dict.fromkeys([*(each for each in FIRST if len(each) == axes), *_orders(axes)])
    for roles in trials:
        alone = all(tensor.size[role] == 1 for role in range(3) if role not in roles)
        if alone and np.array_equal(tensor.index, index_of(tensor.size, roles)):
            return roles
    return None


def _orders(axes: int) -> list[tuple[int, ...]]:
    return list(permutations((CHANNELS, WIDTH, HEIGHT), axes))


def with_roles(
    context: ImportContext, node: NodeProto, tensor: NetworkTensor, *, what: str
) -> tuple[NetworkTensor, tuple[int, ...]]:
    """Return a tensor whose layout is known, and that: put in order if it must be."""
    roles = roles_of(tensor)
    if roles is None and isinstance(tensor, Levels) and tensor.index.ndim in (3, 4):
        tensor = as_image(context, node, tensor)
        roles = roles_of(tensor)
    if roles is None:
        refuse(
            node,
            f"{what} a tensor of {tensor.index.shape} that a layer of {tensor.size} gives, in an "
            "order that is not one of height, width and channels",
        )
    return tensor, roles


def inside(levels: Levels, values: np.ndarray) -> np.ndarray:
    """Return a graph's values of a padded tensor, of shape (images, ...), without the padding."""
    roles = roles_of(levels)
    if not any(levels.padding) or roles is None:
        return values
    top, left, _, _ = levels.padding
    start = {HEIGHT: top, WIDTH: left, CHANNELS: 0}
    cut = [slice(start[role], start[role] + levels.size[role]) for role in roles]
    return values[(slice(None), *cut)]


# --- padding and cropping --------------------------------------------------------------------


class Ends(NamedTuple):
    """Padding before and behind a tensor; a negative one is cut off."""

    rows: tuple[int, int] = (0, 0)
    columns: tuple[int, int] = (0, 0)
    channels: tuple[int, int] = (0, 0)


def settle(context: ImportContext, node: NodeProto) -> None:
    """Give every padded tensor that a node reads a layer of its own.

    Raises
    ------
    NetworkError
        Where it is not quantised yet, or its padding is no level.
    """
    for name in node.input:
        value = context.values.get(name)
        if isinstance(value, Tensor) and any(value.padding):
            context.values[name] = settled(context, node, value)


def settled(context: ImportContext, node: NodeProto, tensor: Tensor) -> Levels:
    """Return a tensor with its padding, if it has any, as elements."""
    if not isinstance(tensor, Levels):
        refuse(node, "reads a padded tensor that is not quantised yet; put its Quant node before")
    if not any(tensor.padding):
        return tensor
    top, left, bottom, right = tensor.padding
    bare = replace(tensor, padding=(0, 0, 0, 0), pad_value=None)
    return shifted(context, node, bare, Ends((top, bottom), (left, right)), tensor.pad_value)


def padded_sides(tensor: Tensor) -> tuple[int, int]:
    """Return the height and width of a tensor, with its padding."""
    (height, width, _), (top, left, bottom, right) = tensor.size, tensor.padding
    return height + top + bottom, width + left + right


def joined(
    context: ImportContext, node: NodeProto, levels: Levels, window: Window
) -> tuple[Levels, Window]:
    """Return a tensor without its padding and the window that has it, where a window can.

    A window that would lie beside the image altogether needs the padding as elements.
    """
    padding = tuple(map(sum, zip(window.padding, levels.padding, strict=True)))
    try:
        window = replace(window, padding=padding)
    except NetworkError:
        return settled(context, node, levels), window
    return replace(levels, padding=(0, 0, 0, 0), pad_value=None), window


def shifted(
    context: ImportContext, node: NodeProto, levels: Levels, ends: Ends, value: np.ndarray | None
) -> Levels:
    """Plan a layer that pads a tensor with a value, and crops it.

    Parameters
    ----------
    levels : Levels
        Not padded yet, of a layout that `roles_of` knows.
    value : object array of shape (channels,)
        What is put there; not looked at where there is only cropping.
    """
    grows = max(map(max, ends)) > 0
    if grows and levels.pad_level_of(value) == 0 and levels.format == Bipolar():
        levels = _integers(context, node, levels)
    zero = levels.format.zero_level
    if grows and levels.pad_level_of(value) != zero:
        refuse(node, padding_reason(levels, value))
    if max(ends.channels) > 0 and (zero or not levels.is_uniform):
        refuse(node, "adds channels to signs, or to channels whose scales or zero points differ")
    taps, at, around = zip(*(_tap(*each) for each in (ends.rows, ends.columns)), strict=True)
    window = Window(taps, (1, 1), (*(each[0] for each in around), *(each[1] for each in around)))
    own = levels.size.channels
    source = np.arange(-ends.channels[0], own + ends.channels[1])
    size = Size(*window.positions(levels.size), len(source))
    separate = not any(ends.channels)
    weights = np.zeros((len(source), *taps, 1 if separate else own), np.int64)
    real = (source >= 0) & (source < own)
    weights[real, at[0], at[1], 0 if separate else source[real]] = 1
    low, high = levels.low, levels.high
    if grows:
        low, high = min(low, zero), max(high, zero)
    roles = roles_of(levels)
    assert roles is not None
    groups = own if separate else 1
    moved = _plan_move(
        context, node, levels, weights, size, (low, high), window=window, groups=groups
    )
    near = source.clip(0, own - 1)
    return replace(
        moved,
        index=index_of(size, roles),
        scale=levels.scale[near],
        offset=levels.offset[near],
    )


def _tap(before: int, behind: int) -> tuple[int, int, tuple[int, int]]:
    """Return a kernel's taps, the one that is 1, and the padding, to move an axis by ``before``."""
    at = max(-before, behind, 0)
    taps = max(at, before + at, at - behind) + 1
    return taps, at, (before + at, behind + taps - 1 - at)


def padding_reason(levels: Levels, value: np.ndarray | None) -> str:
    """Return why a tensor cannot be padded with a value."""
    assert value is not None
    numbers = sorted({float(each) for each in np.ravel(value)})
    level, zero = levels.pad_level_of(value), levels.format.zero_level
    found = f"level {float(level or 0):g}"
    if level is None:
        found = "another level in each channel"
    elif float(level) != round(float(level), 9):
        found = "no level"
    return (
        f"it pads with {numbers[0]:g}, which is {found} of its input; outside an image there is "
        f"only level {zero}, whose value is {float(levels.value_of(zero)):g}"
    )


# --- order -----------------------------------------------------------------------------------


def arranged(
    context: ImportContext,
    node: NodeProto,
    levels: Levels,
    size: Size,
    index: np.ndarray,
    *,
    what: str,
) -> Levels:
    """Return a tensor whose elements lie as ``index`` of ``size`` says; plan layers for that.

    Parameters
    ----------
    index : int array of the shape of the tensor in the graph
        Element, channels last, that each place shall be.
    what : str
        What the node does with the tensor, for errors.
    """
    if levels.size == size and np.array_equal(levels.index, index):
        return levels
    count = size.elements
    read = np.empty(count, np.int64)
    read[index.ravel()] = levels.index.ravel()
    moved = _moved(context, node, levels, size, index, read)
    if moved is not None:
        return moved
    reason = (
        f"{what} {levels.source} gives as {levels.size}, reshaped to "
        f"{'x'.join(map(str, index.shape[1:]))}, in another order than it computes them"
    )
    if not levels.is_uniform:
        refuse(node, f"{reason}; their scales differ, too; use one scale for the whole tensor")
    if size.positions * count**2 > MOST:
        refuse(
            node,
            f"{reason}; a layer that puts {count} elements in order takes {count}x{count} weights, "
            f"too many for {size.positions} positions (at most {MOST:,} multiplications)",
        )
    if size.positions > 1 and levels.format == Bipolar():  # it will be padded
        levels = _integers(context, node, levels)
    ends = levels.low, levels.high
    if levels.size.positions > 1 or size.positions == 1:
        weights = np.zeros((count, count), np.int64)
        weights[np.arange(count), read] = 1
        levels = _plan_move(context, node, levels, weights, Size(1, 1, count), ends)
        read = np.arange(count)
    if size.positions > 1:  # one tap of the kernel lies in the single pixel, another at each place
        height, width, channels = size
        weights = np.zeros((channels, height, width, count), np.int64)
        rows, columns, each = np.unravel_index(np.arange(count), size)
        weights[each, height - 1 - rows, width - 1 - columns, read] = 1
        around = (height - 1, width - 1, height - 1, width - 1)
        window = Window((height, width), (1, 1), around)
        levels = _plan_move(context, node, levels, weights, size, ends, window=window)
    channels = size.channels
    return replace(
        levels,
        index=index,
        scale=np.full(channels, levels.scale[0], object),
        offset=np.full(channels, levels.offset[0], object),
    )


def _moved(
    context: ImportContext,
    node: NodeProto,
    levels: Levels,
    size: Size,
    index: np.ndarray,
    read: np.ndarray,
) -> Levels | None:
    """Return a tensor of which each element is the one of ``levels`` that ``read`` says.

    None where moves cannot give it, or where they would move so few single elements that a product
    is better: all layers write as many codes at once as a block has.
    """
    moves = moves_of(read, levels.size.elements)
    if moves is None:
        return None
    smallest = min((move.length for move in moves), default=size.channels)
    if smallest == 1 and not levels.repeats and size.positions * size.elements**2 <= FEW:
        return None
    channels = (read % levels.size.channels).reshape(-1, size.channels)
    scale, offset = levels.scale[channels], levels.offset[channels]
    if (scale != scale[0]).any() or (offset != offset[0]).any():
        refuse(node, f"moves channels of {levels.source} that have other scales or zero points")
    found = _moved_to(context, node, levels, moves, size)
    found = replace(found, index=index, scale=scale[0], offset=offset[0])
    if np.array_equal(levels.index.shape, index.shape):
        # whoever else reads the same tensor reads the same layer
        same = [key for key, value in context.values.items() if value is levels]
        context.values |= dict.fromkeys(same, found)
    return found


def _moved_to(
    context: ImportContext,
    node: NodeProto,
    levels: Levels,
    moves: Sequence[BlockMove],
    size: Size,
) -> Levels:
    """Plan moves, or a copy where there are none; of the tensor that it gives see to the rest."""
    whole = BlockMove((size.positions, 1), (size.channels, 0), size.channels)
    source, *others = levels.source, *(moves or (whole,))
    for place, move in enumerate(others):
        name, last = context.unique(f"{node.name}/move"), place == len(others) - 1
        context.layers.append(
            Move(
                name=name,
                sources=(source,),
                input=levels.format,
                output=levels.format,
                size=size if last else Size(*move.blocks, move.length),
                **move._asdict(),
            )
        )
        source = name
    return replace(levels, source=source, size=size)


def seen_as(context: ImportContext, node: NodeProto, levels: Levels, size: Size) -> Levels:
    """Return the same elements in the same order as a tensor of another size; a move copies them.

    Its index, and scales of its channels, are what they were and mean nothing.
    """
    return _moved_to(context, node, levels, (), size)


def in_order(tensor: Tensor, is_line: bool = False) -> bool:
    """Tell whether a tensor is an image: (1, channels, height, width), or without height."""
    return np.array_equal(tensor.index, image_index(tensor.size, is_line))


def as_image(context: ImportContext, node: NodeProto, tensor: Levels) -> Levels:
    """Return a tensor of (1, channels, height, width), or without height, in that order."""
    is_line = tensor.index.ndim == 3
    if in_order(tensor, is_line):
        return tensor
    tensor = settled(context, node, tensor)
    _, channels, *sides = tensor.index.shape
    height, width = [1, 1, *sides][-2:]
    size = Size(height, width, channels)
    wanted = image_index(size, is_line)
    return arranged(context, node, tensor, size, wanted, what="reads as an image what")


def image_index(size: Size, is_line: bool = False) -> np.ndarray:
    """Return the index of an image of shape (1, channels, height, width), or without height."""
    index = np.arange(size.elements).reshape(1, *size).transpose(0, 3, 1, 2)
    return index[:, :, 0, :] if is_line and size.height == 1 else index


def upside_down(context: ImportContext, node: NodeProto, levels: Levels) -> Levels:
    """Return a tensor whose levels are the negative ones, and its scale and offset, too."""
    channels = levels.size.channels
    weights = np.full((channels, 1, 1, 1), -1, np.int64)
    ends = -levels.high, -levels.low
    found = _plan_move(
        context, node, levels, weights, levels.size, ends, Window((1, 1)), groups=channels
    )
    return replace(found, scale=-levels.scale, offset=-levels.offset)


def _integers(context: ImportContext, node: NodeProto, levels: Levels) -> Levels:
    """Return signs as integers of 2 bits, which zeros can stand beside."""
    return levels_of(context, node, sums_of(context, node, levels))


def _plan_move(
    context: ImportContext,
    node: NodeProto,
    levels: Levels,
    weights: np.ndarray,
    size: Size,
    ends: tuple[int, int],
    window: Window | None = None,
    groups: int = 1,
) -> Levels:
    """Plan a layer of weights 0 and 1, or -1, whose sums are levels; all else is as before."""
    channels = size.channels
    accumulation = Accumulation(
        name=f"{node.name}/{'order' if window is None else 'move'}",
        sources=(levels.source,),
        inputs=(levels.format,),
        input_sizes=(levels.size,),
        size=size,
        low=np.full(channels, ends[0]),
        high=np.full(channels, ends[1]),
        weights=weights,
        weight=Fixed(2),
        window=window,
        groups=groups,
    )
    name, fmt = context.unique(accumulation.name), narrowest(*ends)
    context.layers.append(UnsolvedLayer(name, accumulation, fmt, ends=ends))
    return replace(levels, size=size, source=name, format=fmt, low=ends[0], high=ends[1])
