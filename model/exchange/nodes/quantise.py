"""Quantisers: of the input, of levels, and of sums."""

from typing import Any

import numpy as np

from ....hw.numbers.formats import Bipolar
from ...exact.planned import Planned
from ...exact.quantizer import Quantizer
from ...exact.steps import Steps, end_levels
from ...exact.tensors import Levels, Sums, Weights
from ..graph.node import refuse
from .inputs import quantised_input
from .levels import sums_of
from .pairs import paired
from .parameters import quantizer_of
from .stored import add_pools, given, stored_format
from .walk import Raw, Walk, Watched
from .weights import quantised_weights

__all__ = ["QUANTISERS", "quantise"]

QUANTISERS = ("Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant", "MultiThreshold")


def quantise(walk: Walk, node: Any) -> None:
    """Run a quantiser node."""
    value = walk.value(node, 0)
    if isinstance(value, np.ndarray | Weights):
        walk.values[node.output[0]] = quantised_weights(walk, node, value)
        return
    tensor = walk.tensor(node)
    quantizer = quantizer_of(walk, node, tensor)
    sums = None
    if isinstance(tensor, Raw):
        levels = quantised_input(walk, node, tensor, quantizer)
    elif isinstance(tensor, Levels) and _changes_nothing(tensor, quantizer):
        levels = tensor
    else:
        sums = sums_of(walk, node, tensor)
        levels = _layer(walk, node, sums, quantizer)
    walk.values[node.output[0]] = levels
    walk.watched.append(Watched(levels, node.output[0], node.input[0], quantizer, sums))


def _changes_nothing(tensor: Levels, quantizer: Quantizer) -> bool:
    """Tell whether a quantiser maps every value of a quantised tensor to itself."""
    different = quantizer.table is not None and not quantizer.is_uniform
    if different or tensor.high - tensor.low > 1 << 12:
        return False
    sums = np.arange(tensor.low, tensor.high + 1)
    if tensor.high - tensor.low == 2 and tensor.format == Bipolar():
        sums = np.array([-1, 1])
    is_plain = quantizer.table is None and not quantizer.is_bipolar and not quantizer.divisor
    step = int(sums[1] - sums[0]) if len(sums) > 1 else 0
    if is_plain:  # codes between two that are their own values are, too, if steps are whole codes
        sums = sums[[0, -1]]
    around = [[]] * len(tensor.scale) if tensor.pad_value is None else tensor.pad_value[:, None]
    for scale, offset, out, *more in {
        (*each, *one)
        for *each, one in zip(tensor.scale, tensor.offset, quantizer.out_scale, around, strict=True)
    }:
        if is_plain and (scale * step / out).denominator != 1:
            return False
        values = np.array([[*(scale * (sums.astype(object) + offset)), *more]], object)
        channel = np.flatnonzero((tensor.scale == scale) & (quantizer.out_scale == out))[:1]
        codes = quantizer.of(channel).codes(values).astype(object)
        if not np.array_equal((codes - quantizer.out_zero) * out, values):
            return False
    return True


def _layer(walk: Walk, node: Any, sums: Sums, quantizer: Quantizer) -> Levels:
    """Plan the layer that computes the sums, and the max pools behind it."""
    mirrored = _mirrored(node, sums)
    draft, curve = sums.draft, sums.curve
    if draft.is_sum and not sums.pools:  # tensors cannot be subtracted, but stored upside down
        mirrored = curve.direction < 0
    if not draft.is_weighted:
        if not (curve.is_uniform and quantizer.is_uniform) or (mirrored.any() and not draft.is_sum):
            draft = draft.per_channel()
        elif draft.is_sum and not draft.summands:
            return paired(walk, node, sums, quantizer)
    falling = np.where(mirrored, -1, 1) * curve.direction < 0
    draft, curve = draft.flipped(falling), curve.flipped(falling)
    ends = end_levels(curve, quantizer)
    fmt = stored_format(walk, node.output[0], quantizer, *ends)
    name = walk.unique(draft.name)
    rows = slice(None) if draft.is_weighted else slice(1)
    steps = Steps(
        name=name,
        output=fmt,
        low=draft.low[rows],
        high=draft.high[rows],
        curve=curve if draft.is_weighted else curve.of(np.array([0])),
        quantizer=quantizer if draft.is_weighted else quantizer.of(np.array([0])),
        mirrored=mirrored[rows],
        ends=ends,
    )
    walk.layers.append(Planned(name, draft, fmt, steps=steps))
    source = add_pools(walk, sums, name, fmt)
    return given(sums, source, fmt, ends, quantizer, mirrored)


def _mirrored(node: Any, sums: Sums) -> np.ndarray:
    """Return which channels a max pool reads upside down: what follows it falls."""
    direction = sums.curve.direction
    found = [pool.direction * direction < 0 for pool in sums.pools]
    if any((each != found[0]).any() for each in found):
        refuse(node, "the max pools before it read some channels upside down, and others not")
    return found[0] if found else np.zeros(len(direction), bool)
