"""Tensors as levels, which layers read, and as sums, which quantisers read."""

from fractions import Fraction

import numpy as np
from onnx import NodeProto

from ....hw.network.window import Window
from ...exact.ranges import narrowest
from ...exact.tensors import Levels, Sums
from ...exact.transfer import Transfer
from ...exact.unsolved import Accumulation, UnsolvedLayer
from ..graph.node import refuse
from .context import ImportContext, NetworkTensor, Raw
from .inputs import stated_input

__all__ = ["WIDEST", "levels_of", "sums_of"]

WIDEST = 16  # bits of sums that are read without a quantiser


def levels_of(context: ImportContext, node: NodeProto, tensor: NetworkTensor) -> Levels:
    """Return a tensor as levels that a layer can read.

    Raises
    ------
    NetworkError
        Where it is no quantised tensor; the text says so.
    """
    if isinstance(tensor, Levels):
        return tensor
    if isinstance(tensor, Raw):
        return stated_input(context, node, tensor)
    if any(tensor.padding):
        refuse(node, "reads a padded tensor that is not quantised yet; put its Quant node before")
    accumulation, transfer = tensor.accumulation, tensor.transfer
    found = None if accumulation.is_weighted or tensor.pools else _whole(accumulation, transfer)
    if found is None:
        refuse(
            node,
            f"reads real numbers: nothing quantises the output of {accumulation.name}; put a Quant "
            "node between the two",
        )
    (low, high), name = found, context.unique(accumulation.name)
    fmt = narrowest(low, high)
    context.layers.append(UnsolvedLayer(name, accumulation, fmt, ends=found))
    levels = Levels(
        size=tensor.size,
        index=tensor.index,
        source=name,
        format=fmt,
        low=low,
        high=high,
        scale=transfer.gain,
        offset=transfer.offset / transfer.gain,
    )
    # whoever else reads the same sums reads the same layer
    context.values |= {key: levels for key, value in context.values.items() if value is tensor}
    return levels


def _whole(accumulation: Accumulation, transfer: Transfer) -> tuple[int, int] | None:
    """Return the ends of sums that are levels as they are; None where their transfer is another."""
    if not transfer.is_affine or (not accumulation.summands and accumulation.is_sum):
        return None
    if any(not each for each in transfer.gain):
        return None
    ends = []
    for end in (transfer.low, transfer.high):
        levels = {
            (each if gain > 0 else -each) if abs(each) == float("inf") else (each - offset) / gain
            for each, offset, gain in zip(end, transfer.offset, transfer.gain, strict=True)
        }
        if len(levels) > 1:
            return None
        ends.append(levels.pop())
    low, high = int(accumulation.low.min()), int(accumulation.high.max())
    ends[0], ends[1] = max(min(ends), low), min(max(ends), high)
    if any(Fraction(each).denominator != 1 for each in ends) or ends[0] > ends[1]:
        return None
    found = int(ends[0]), int(ends[1])
    return found if narrowest(*found).width <= WIDEST else None


def sums_of(context: ImportContext, node: NodeProto, tensor: NetworkTensor) -> Sums:
    """Return a tensor as sums: levels are the sums of an average pool of one pixel."""
    if isinstance(tensor, Sums):
        return tensor
    levels = levels_of(context, node, tensor)
    channels = levels.size.channels
    accumulation = Accumulation(
        name=node.name,
        sources=(levels.source,),
        inputs=(levels.format,),
        input_sizes=(levels.size,),
        size=levels.size,
        low=np.full(channels, levels.low),
        high=np.full(channels, levels.high),
        window=Window((1, 1)),
    )
    return Sums(
        size=levels.size,
        index=levels.index,
        accumulation=accumulation,
        transfer=Transfer.linear(levels.scale, levels.scale * levels.offset),
        padding=levels.padding,
        border=None if levels.pad_value is None else Sums.border_of(levels.pad_value),
    )
