"""Tensors as levels, which layers read, and as sums, which quantisers read."""

from fractions import Fraction
from typing import Any

import numpy as np

from ....hw.network.window import Window
from ...exact.curve import Curve
from ...exact.draft import Draft
from ...exact.formats import narrowest
from ...exact.planned import Planned
from ...exact.tensors import Levels, Sums
from ..graph.node import refuse
from .inputs import stated_input
from .walk import Raw, Walk

__all__ = ["levels_of", "sums_of"]

WIDEST = 16  # bits of sums that are read without a quantiser


def levels_of(walk: Walk, node: Any, tensor: Raw | Levels | Sums) -> Levels:
    """Return a tensor as levels that a layer can read.

    Raises
    ------
    NetworkError
        Where it is no quantised tensor; the text says so.
    """
    if isinstance(tensor, Levels):
        return tensor
    if isinstance(tensor, Raw):
        return stated_input(walk, node, tensor)
    if any(tensor.padding):
        refuse(node, "reads a padded tensor that is not quantised yet; put its Quant node before")
    draft, curve = tensor.draft, tensor.curve
    found = None if draft.is_weighted or tensor.pools else _whole(draft, curve)
    if found is None:
        refuse(
            node,
            f"reads real numbers: nothing quantises the output of {draft.name}; put a Quant "
            "node between the two",
        )
    (low, high), name = found, walk.unique(draft.name)
    fmt = narrowest(low, high)
    walk.layers.append(Planned(name, draft, fmt, ends=found))
    levels = Levels(
        size=tensor.size,
        index=tensor.index,
        source=name,
        format=fmt,
        low=low,
        high=high,
        scale=curve.gain,
        offset=curve.offset / curve.gain,
    )
    # whoever else reads the same sums reads the same layer
    walk.values |= {key: levels for key, value in walk.values.items() if value is tensor}
    return levels


def _whole(draft: Draft, curve: Curve) -> tuple[int, int] | None:
    """Return the ends of sums that are levels as they are; None where their curve is another."""
    if not curve.is_affine or (not draft.summands and draft.is_sum):
        return None
    if any(not each for each in curve.gain):
        return None
    ends = []
    for end in (curve.low, curve.high):
        levels = {
            (each if gain > 0 else -each) if abs(each) == float("inf") else (each - offset) / gain
            for each, offset, gain in zip(end, curve.offset, curve.gain, strict=True)
        }
        if len(levels) > 1:
            return None
        ends.append(levels.pop())
    low, high = int(draft.low.min()), int(draft.high.max())
    ends[0], ends[1] = max(min(ends), low), min(max(ends), high)
    if any(Fraction(each).denominator != 1 for each in ends) or ends[0] > ends[1]:
        return None
    found = int(ends[0]), int(ends[1])
    return found if narrowest(*found).width <= WIDEST else None


def sums_of(walk: Walk, node: Any, tensor: Raw | Levels | Sums) -> Sums:
    """Return a tensor as sums: levels are the sums of an average pool of one pixel."""
    if isinstance(tensor, Sums):
        return tensor
    levels = levels_of(walk, node, tensor)
    channels = levels.size.channels
    draft = Draft(
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
        draft=draft,
        curve=Curve.linear(levels.scale, levels.scale * levels.offset),
        padding=levels.padding,
        border=None if levels.pad_value is None else Sums.border_of(levels.pad_value),
    )
