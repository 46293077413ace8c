"""Quantisers: of the input, of levels, and of sums."""

from fractions import Fraction
from typing import Any

import numpy as np

from ....hw.network import INPUT
from ....hw.number import Bipolar, Fixed, Format
from ...preparation import Preparation
from ..exact.curve import Curve
from ..exact.draft import Draft
from ..exact.planned import Planned
from ..exact.quantizer import Quantizer
from ..exact.steps import Steps, end_levels
from ..exact.tensors import Levels, Sums, narrowest
from ..graph.node import refuse
from .parameters import quantizer_of
from .walk import Raw, Walk, Watched, spread
from .weights import quantised_weights

__all__ = ["QUANTISERS", "add_pools", "quantise", "stated_input", "sums_of"]

QUANTISERS = ("Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant", "MultiThreshold")


def quantise(walk: Walk, node: Any) -> None:
    """Run a quantiser node."""
    value = walk.value(node, 0)
    if isinstance(value, np.ndarray):
        walk.values[node.output[0]] = quantised_weights(walk, node, value)
        return
    tensor = walk.tensor(node)
    quantizer = quantizer_of(walk, node, tensor)
    sums = None
    if isinstance(tensor, Raw):
        levels = _input(walk, node, tensor, quantizer)
    elif isinstance(tensor, Levels) and _changes_nothing(tensor, quantizer):
        levels = tensor
    else:
        sums = sums_of(walk, node, tensor)
        levels = _layer(walk, node, sums, quantizer)
    walk.values[node.output[0]] = levels
    if not any(levels.padding):  # the levels are those before the padding, compared already
        walk.watched.append(Watched(levels, node.output[0], node.input[0], quantizer, sums))


# --- the input -------------------------------------------------------------------------------


def _input(walk: Walk, node: Any, tensor: Raw, quantizer: Quantizer) -> Levels:
    """Let the host quantise the input."""
    curve = tensor.curve
    if not curve.is_affine or not quantizer.is_uniform or quantizer.divisor:
        refuse(node, "the input is prepared by more than scales, offsets and one quantiser")
    ends = [{*end.tolist()} for end in (curve.low, curve.high)]
    if any(len(end) > 1 for end in ends):
        refuse(node, "the input is clipped differently in its channels; not supported")
    limits = [None if abs(each) == float("inf") else float(each) for (each,) in ends]
    # images come as the graph reads them, whatever moved them since
    order = np.argsort(walk.input_index, axis=None)
    found = Preparation(
        shape=walk.input_index.shape[1:],
        size=tuple(tensor.size),
        order=None if (np.diff(order) == 1).all() else tuple(order.tolist()),
        gain=_compact(curve.gain),
        offset=_compact(curve.offset),
        limits=(limits[0], limits[1]),
        scale=float(quantizer.scale[0]),
        zero_point=float(quantizer.zero_point),
        low=quantizer.low,
        high=quantizer.high,
        zero=quantizer.zero,
        rounding=quantizer.rounding,
        is_bipolar=quantizer.is_bipolar,
    )
    if walk.preparation not in (None, found):
        refuse(node, "the input has two different quantisers; only one is supported")
    walk.preparation = found
    bottom, top = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    fmt = _format(walk, node, quantizer, bottom, top)
    return _given(tensor, INPUT, fmt, (bottom, top), quantizer, np.zeros(len(curve.gain), bool))


def _compact(values: np.ndarray) -> tuple[float, ...]:
    found = tuple(float(each) for each in values)
    return found[:1] if len({*found}) == 1 else found


def stated_input(walk: Walk, node: Any, tensor: Raw) -> Levels:
    """Return the input where nothing in the graph quantises it, as it was stated to be."""
    if walk.stated_input is None:
        refuse(
            node,
            "reads the input, which nothing quantises; state its format and the value of level 1, "
            "for example --input-format uint8 --input-scale 0.00392156862745098",
        )
    fmt, scale = walk.stated_input
    walk.used_stated_input = True
    levels = np.full(1, Fraction(float(np.float32(scale))), object)
    none = Fraction(0)
    quantizer = Quantizer(
        levels, none, fmt.min_level, fmt.max_level, "ROUND", fmt == Bipolar(), levels, none
    )
    return _input(walk, node, tensor, quantizer)


# --- sums ------------------------------------------------------------------------------------


def sums_of(walk: Walk, node: Any, tensor: Raw | Levels | Sums) -> Sums:
    """Return a tensor as sums: levels are the sums of an average pool of one pixel."""
    if isinstance(tensor, Sums):
        return tensor
    levels = walk.levels_of(node, tensor)
    if any(levels.padding):
        refuse(node, "reads a padded tensor; only convolutions can")
    channels = levels.size.channels
    draft = Draft(
        name=node.name,
        sources=(levels.source,),
        inputs=(levels.format,),
        input_sizes=(levels.size,),
        size=levels.size,
        low=np.full(channels, levels.low),
        high=np.full(channels, levels.high),
        window=_one_pixel(),
    )
    curve = Curve.linear(levels.scale, levels.scale * levels.offset)
    return Sums(size=levels.size, index=levels.index, draft=draft, curve=curve)


def _one_pixel() -> Any:
    from ....hw.window import Window

    return Window((1, 1))


def _changes_nothing(tensor: Levels, quantizer: Quantizer) -> bool:
    """Tell whether a quantiser maps every value of a quantised tensor to itself."""
    if tensor.high - tensor.low > 1 << 12:
        return False
    sums = np.arange(tensor.low, tensor.high + 1)
    if tensor.high - tensor.low == 2 and tensor.format == Bipolar():
        sums = np.array([-1, 1])
    for scale, offset, out in {*zip(tensor.scale, tensor.offset, quantizer.out_scale, strict=True)}:
        values = (scale * (sums.astype(object) + offset))[None, :]
        if any(tensor.padding):
            values = np.append(values, [[tensor.pad_value]], axis=1)
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
            from .pairs import paired

            return paired(walk, node, sums, quantizer)
    falling = np.where(mirrored, -1, 1) * curve.direction < 0
    draft, curve = draft.flipped(falling), curve.flipped(falling)
    ends = end_levels(curve, quantizer)
    fmt = _format(walk, node, quantizer, *ends)
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
    return _given(sums, source, fmt, ends, quantizer, mirrored)


def _mirrored(node: Any, sums: Sums) -> np.ndarray:
    """Return which channels a max pool reads upside down: what follows it falls."""
    direction = sums.curve.direction
    found = [pool.direction * direction < 0 for pool in sums.pools]
    if any((each != found[0]).any() for each in found):
        refuse(node, "the max pools before it read some channels upside down, and others not")
    return found[0] if found else np.zeros(len(direction), bool)


def _format(walk: Walk, node: Any, quantizer: Quantizer, bottom: int, top: int) -> Format:
    """Return how levels are stored; signs that meet zeros around an image take two bits."""
    if quantizer.is_bipolar:
        return Fixed(2) if walk.padded_ahead(node.output[0]) else Bipolar()
    return narrowest(bottom, top)


def add_pools(walk: Walk, sums: Sums, name: str, fmt: Format) -> str:
    """Append the max pools behind a layer; return the name of the last one."""
    from ....hw.layers import MaxPool

    for pool in sums.pools:
        source, name = name, walk.unique(pool.name)
        walk.layers.append(
            MaxPool(name=name, input=fmt, output=fmt, sources=(source,), window=pool.window)
        )
    return name


def _given(
    tensor: Raw | Sums,
    source: str,
    fmt: Format,
    ends: tuple[int, int],
    quantizer: Quantizer,
    mirrored: np.ndarray,
) -> Levels:
    """Return the tensor that a quantiser gives."""
    channels = tensor.size.channels
    scale = spread(quantizer.out_scale, channels)
    offset = np.full(channels, quantizer.zero - quantizer.out_zero, object)
    return Levels(
        size=tensor.size,
        index=tensor.index,
        source=source,
        format=fmt,
        low=ends[0],
        high=ends[1],
        scale=np.where(mirrored, -scale, scale),
        offset=np.where(mirrored, -offset - sum(ends), offset),
    )
