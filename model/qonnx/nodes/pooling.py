"""Max pools and average pools."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ....hw.layers import MaxPool
from ....hw.number import Bipolar
from ....hw.window import Size, Window
from ..exact.curve import Curve
from ..exact.draft import Draft
from ..exact.tensors import Levels, Pool, Sums
from ..graph.node import attributes, refuse, window_of
from .levels import levels_of
from .linear import image_index, in_order
from .walk import Walk

__all__ = ["average_pool", "max_pool", "mean"]


def max_pool(walk: Walk, node: Any) -> None:
    """Run a MaxPool of levels, or note one between sums and their quantiser."""
    tensor = walk.tensor(node)
    if len(node.output) > 1 and node.output[1]:
        refuse(node, "indices of the largest elements are not supported")
    kernel = tuple(attributes(node)["kernel_shape"])
    is_line = len(kernel) == 1
    _check_image(node, tensor, is_line)
    window = window_of(node, kernel, (tensor.size.height, tensor.size.width))
    size = Size(*window.positions(tensor.size), tensor.size.channels)
    index = image_index(size, is_line)
    if isinstance(tensor, Sums):
        pool = Pool(node.name, window, tensor.curve.direction)
        found: Any = replace(tensor, size=size, index=index, pools=(*tensor.pools, pool))
    else:
        levels = levels_of(walk, node, tensor)
        if any(each < 0 for each in levels.scale):
            refuse(
                node, "reads a quantised tensor times a negative number; pool before multiplying"
            )
        if any(levels.padding):
            refuse(node, "reads a padded tensor; only convolutions can")
        fmt = levels.format
        name = walk.unique(node.name)
        layer = MaxPool(name=name, input=fmt, output=fmt, sources=(levels.source,), window=window)
        walk.layers.append(layer)
        found = replace(levels, size=size, index=index, source=layer.name)
    walk.values[node.output[0]] = found


def average_pool(walk: Walk, node: Any) -> None:
    """Run AveragePool or GlobalAveragePool: sums of levels, and a scale."""
    levels = levels_of(walk, node, walk.tensor(node))
    if node.op_type == "GlobalAveragePool":
        _check_image(node, levels, levels.index.ndim == 3)
        _give(walk, node, levels, None, levels.index.ndim == 3)
        return
    values = attributes(node)
    kernel = tuple(values["kernel_shape"])
    is_line = len(kernel) == 1
    _check_image(node, levels, is_line)
    window = window_of(node, kernel, (levels.size.height, levels.size.width))
    ragged = window != window_of(node, kernel, levels.size[:2], ceil=False)
    if ragged or (any(window.padding) and not values.get("count_include_pad", 0)):
        refuse(
            node,
            "averages fewer elements at the edges; use count_include_pad and no ceil_mode, or no "
            "padding",
        )
    if any(window.padding) and (not levels.is_plain or levels.format == Bipolar()):
        refuse(node, "pads a tensor whose level 0 is not value 0")
    _give(walk, node, levels, window, is_line)


def mean(walk: Walk, node: Any) -> None:
    """Run a ReduceMean over height and width, which is a global average pool."""
    levels = levels_of(walk, node, walk.tensor(node))
    values = attributes(node)
    axes = values.get("axes")
    if axes is None and len(node.input) > 1:
        axes = walk.constant(node, 1, "axes")
    wanted = {each % levels.index.ndim for each in axes} if axes is not None else set()
    if wanted != {2, 3} or not in_order(levels):
        refuse(node, "only means over height and width are supported")
    keep = bool(values.get("keepdims", 1))
    _give(walk, node, levels, None, False)
    if not keep:
        sums = walk.values[node.output[0]]
        walk.values[node.output[0]] = replace(sums, index=sums.index.reshape(1, -1))


def _check_image(node: Any, tensor: Any, is_line: bool) -> None:
    if not in_order(tensor, is_line):
        refuse(
            node,
            f"pools a tensor of {tensor.index.shape} that is no image of channels, height "
            "and width",
        )


def _give(walk: Walk, node: Any, levels: Levels, window: Window | None, is_line: bool) -> None:
    """Store the average of a window, or of the whole image."""
    if any(levels.padding):
        refuse(node, "reads a padded tensor; only convolutions can")
    channels = levels.size.channels
    taps = levels.size.positions if window is None else window.taps
    places = (1, 1) if window is None else window.positions(levels.size)
    ends = levels.low, levels.high
    if window is not None and any(window.padding):
        ends = min(levels.low, 0), max(levels.high, 0)
    draft = Draft(
        name=node.name,
        sources=(levels.source,),
        inputs=(levels.format,),
        input_sizes=(levels.size,),
        size=Size(*places, channels),
        low=np.full(channels, taps * ends[0]),
        high=np.full(channels, taps * ends[1]),
        window=window,
    )
    curve = Curve.linear(levels.scale * Fraction(1, taps), levels.scale * levels.offset)
    index = image_index(draft.size, is_line)
    walk.values[node.output[0]] = Sums(size=draft.size, index=index, draft=draft, curve=curve)
