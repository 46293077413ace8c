"""Concatenation of quantised tensors: each moved to its place among zeros, and their sum."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from onnx import NodeProto

from ....hw.network.window import Size
from ...exact.tensors import Levels, Sums
from ...exact.transfer import Transfer
from ...exact.unsolved import Accumulation
from ..graph.node import attributes, refuse
from .context import ImportContext
from .levels import levels_of
from .placing import CHANNELS, Ends, index_of, settled, shifted, with_roles

__all__ = ["concat"]


def concat(context: ImportContext, node: NodeProto) -> None:
    """Run a Concat; channels keep the scales and zero points of their tensors."""
    parts, roles = _parts(context, node)
    axis = _axis(node, parts[0])
    role = roles[axis - 1]
    lengths = [each.size[role] for each in parts]
    size = Size(*(sum(lengths) if each == role else n for each, n in enumerate(parts[0].size)))
    scale, offset = _scales(node, parts, role)
    whole, start = None, 0
    for part, length in zip(parts, lengths, strict=True):
        ends = [(0, 0)] * 3
        ends[role] = start, size[role] - start - length
        start += length
        moved = _bare(part)
        moved = shifted(context, node, moved, Ends(*ends), 0 * moved.offset)
        whole = moved if whole is None else _together(context, node, whole, moved)
    assert whole is not None
    context.values[node.output[0]] = replace(
        whole, index=index_of(size, roles), scale=scale, offset=offset
    )


def _parts(context: ImportContext, node: NodeProto) -> tuple[list[Levels], tuple[int, ...]]:
    """Return the tensors that are joined, and the layout that all of them have."""
    found, layouts = [], []
    for place in range(len(node.input)):
        tensor = settled(context, node, levels_of(context, node, context.tensor(node, place)))
        tensor, roles = with_roles(context, node, tensor, what="joins")
        assert isinstance(tensor, Levels)
        found.append(tensor)
        layouts.append(roles)
    if len({*layouts}) > 1:
        refuse(node, "joins tensors whose elements lie in different orders; not supported")
    return found, layouts[0]


def _axis(node: NodeProto, tensor: Levels) -> int:
    axes = tensor.index.ndim
    axis = attributes(node).get("axis", 1)
    if not -axes <= axis < axes or axis % axes == 0:
        refuse(
            node, f"joins axis {axis} of a tensor of {axes} axes, the first of which is the batch"
        )
    return axis % axes


def _scales(node: NodeProto, parts: list[Levels], role: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scales and offsets of the channels of the whole."""
    arrays = [[getattr(each, name) for each in parts] for name in ("scale", "offset")]
    if role == CHANNELS:
        return np.concatenate(arrays[0]), np.concatenate(arrays[1])
    if any(each.tolist() != given[0].tolist() for given in arrays for each in given):
        refuse(
            node,
            "joins rows or columns of different scales or zero points; quantise them to one scale "
            "first",
        )
    return arrays[0][0], arrays[1][0]


def _bare(levels: Levels) -> Levels:
    """Return the levels themselves as a tensor."""
    none = np.full(levels.size.channels, Fraction(0), object)
    return replace(levels, scale=none + 1, offset=none)


def _together(context: ImportContext, node: NodeProto, one: Levels, two: Levels) -> Levels:
    """Plan the sum of two tensors, one of which is 0 wherever the other is not."""
    channels = one.size.channels
    accumulation = Accumulation(
        name=node.name,
        sources=(one.source, two.source),
        inputs=(one.format, two.format),
        input_sizes=(one.size, two.size),
        size=one.size,
        low=np.full(channels, min(one.low, two.low)),
        high=np.full(channels, max(one.high, two.high)),
        summands=(1, 1),
        ends=((one.low, one.high), (two.low, two.high)),
    )
    sums = Sums(
        size=one.size,
        index=one.index,
        accumulation=accumulation,
        transfer=Transfer.linear(one.scale, one.offset),
    )
    return levels_of(context, node, sums)
