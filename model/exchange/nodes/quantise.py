"""Quantisers: of the input, of levels, of sums, and of tensors added at unequal scales."""

from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from onnx import NodeProto

from ....hw.numbers.formats import Bipolar
from ...exact.pairs import MOST_PAIRS, fit_pairs
from ...exact.quantizer import Quantizer
from ...exact.ranges import narrowest
from ...exact.requantisation import PairSteps, Steps, end_levels, estimated_codes
from ...exact.tensors import Levels, Sums, Weights
from ...exact.transfer import Transfer
from ...exact.unsolved import UnsolvedLayer
from ..graph.node import refuse
from .context import ImportContext, NetworkTensor, Raw, Watched
from .inputs import quantised_input
from .levels import sums_of
from .outputs import add_pools, given, stored_format
from .parameters import WIDEST, quantizer_of
from .weights import quantised_weights

__all__ = ["QUANTISERS", "quantise", "quantised", "whole_levels"]

QUANTISERS = ("Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant", "MultiThreshold")
MOST_LEVELS = 1 << 12  # of a tensor whose next quantiser is compared level by level


def quantise(context: ImportContext, node: NodeProto) -> None:
    """Run a quantiser node."""
    value = context.value(node, 0)
    if isinstance(value, np.ndarray | Weights):
        context.values[node.output[0]] = quantised_weights(context, node, value)
        return
    tensor = context.tensor(node)
    quantizer = quantizer_of(context, node, tensor)
    levels, sums = quantised(context, node, tensor, quantizer)
    context.values[node.output[0]] = levels
    context.watched.append(Watched(levels, node.output[0], node.input[0], quantizer, sums))


def quantised(
    context: ImportContext,
    node: NodeProto,
    tensor: NetworkTensor,
    quantizer: Quantizer,
) -> tuple[Levels, Sums | None]:
    """Return a tensor behind a quantiser, and what that reads if a layer computes it."""
    if isinstance(tensor, Raw):
        return quantised_input(context, node, tensor, quantizer), None
    if isinstance(tensor, Levels) and _changes_nothing(tensor, quantizer):
        return tensor, None
    sums = sums_of(context, node, tensor)
    return _layer(context, node, sums, quantizer), sums


def whole_levels(context: ImportContext, node: NodeProto, sums: Sums) -> Levels | None:
    """Return sums that nothing quantises as levels of up to 16 bits; None where they are none.

    That is where all scales and offsets are multiples of one number, such as a power of two.
    """
    transfer, accumulation = sums.transfer, sums.accumulation
    if not transfer.is_affine or any(sums.padding) or not accumulation.is_weighted:
        return None
    parts = {*transfer.gain, *transfer.offset, *transfer.low, *transfer.high}
    unit = _common([each for each in parts if isinstance(each, Fraction)])
    ends = np.stack([accumulation.low, accumulation.high], axis=1)
    codes = transfer.values(ends) / unit
    low, high = int(codes.min()), int(codes.max())
    if low >= high or max(-low, high) >> WIDEST or narrowest(low, high).width > WIDEST:
        return None
    scale, none = np.full(len(transfer.gain), unit, object), Fraction(0)
    quantizer = Quantizer(scale, none, low, high, "ROUND", False, scale, none)
    levels = _layer(context, node, sums, quantizer)
    # whoever else reads the same sums reads the same layer
    context.values |= {key: levels for key, value in context.values.items() if value is sums}
    return levels


def _common(numbers: list[Fraction]) -> Fraction:
    """Return the largest number of which all are multiples."""
    whole = lcm(*(each.denominator for each in numbers))
    return Fraction(gcd(*(int(each * whole) for each in numbers)) or 1, whole)


def _changes_nothing(tensor: Levels, quantizer: Quantizer) -> bool:
    """Tell whether a quantiser maps every value of a quantised tensor to itself."""
    is_plain = quantizer.table is None and not quantizer.is_bipolar and not quantizer.divisor
    different = quantizer.table is not None and not quantizer.is_uniform
    if different or (tensor.high - tensor.low > MOST_LEVELS and not is_plain):
        return False
    ends, step = (tensor.low, tensor.high), 2 if tensor.format == Bipolar() else 1
    # codes between two that are their own values are, too, if steps are whole codes
    sums = np.unique(ends) if is_plain else np.arange(tensor.low, tensor.high + 1, step)
    around = [[]] * len(tensor.scale) if tensor.pad_value is None else tensor.pad_value[:, None]
    for scale, offset, out, *more in {
        (*each, *one)
        for *each, one in zip(tensor.scale, tensor.offset, quantizer.out_scale, around, strict=True)
    }:
        if is_plain and len(sums) > 1 and (scale * step / out).denominator != 1:
            return False
        values = np.array([[*(scale * (sums.astype(object) + offset)), *more]], object)
        channel = np.flatnonzero((tensor.scale == scale) & (quantizer.out_scale == out))[:1]
        codes = quantizer.of(channel).codes(values).astype(object)
        if not np.array_equal((codes - quantizer.out_zero) * out, values):
            return False
    return True


def _layer(context: ImportContext, node: NodeProto, sums: Sums, quantizer: Quantizer) -> Levels:
    """Plan the layer that computes the sums, and the max pools behind it."""
    mirrored = _mirrored(node, sums)
    accumulation, transfer = sums.accumulation, sums.transfer
    if accumulation.is_sum and not sums.pools:
        # tensors cannot be subtracted, but stored upside down
        mirrored = transfer.direction < 0
    if not accumulation.is_weighted:
        if not (transfer.is_uniform and quantizer.is_uniform) or (
            mirrored.any() and not accumulation.is_sum
        ):
            accumulation = accumulation.per_channel()
        elif accumulation.is_sum and not accumulation.summands:
            return _paired(context, node, sums, quantizer)
    falling = np.where(mirrored, -1, 1) * transfer.direction < 0
    accumulation, transfer = accumulation.flipped(falling), transfer.flipped(falling)
    ends = end_levels(transfer, quantizer)
    fmt = stored_format(context, node.output[0], quantizer, *ends)
    name = context.unique(accumulation.name)
    rows = slice(None) if accumulation.is_weighted else slice(1)
    steps = Steps(
        name=name,
        output=fmt,
        low=accumulation.low[rows],
        high=accumulation.high[rows],
        transfer=transfer if accumulation.is_weighted else transfer.of(np.array([0])),
        quantizer=quantizer if accumulation.is_weighted else quantizer.of(np.array([0])),
        mirrored=mirrored[rows],
        ends=ends,
    )
    context.layers.append(UnsolvedLayer(name, accumulation, fmt, steps=steps))
    source = add_pools(context, sums, name, fmt)
    return given(sums, source, fmt, ends, quantizer, mirrored)


def _mirrored(node: NodeProto, sums: Sums) -> np.ndarray:
    """Return which channels a max pool reads upside down: what follows it falls."""
    direction = sums.transfer.direction
    found = [pool.direction * direction < 0 for pool in sums.pools]
    if any((each != found[0]).any() for each in found):
        refuse(node, "the max pools before it read some channels upside down, and others not")
    return found[0] if found else np.zeros(len(direction), bool)


def _paired(context: ImportContext, node: NodeProto, sums: Sums, quantizer: Quantizer) -> Levels:
    """Plan a sum of two tensors with the smallest summands that are exact for all pairs of levels.

    Raises
    ------
    NetworkError
        Where there are none; the text says how many pairs the best ones get wrong.
    """
    accumulation = sums.accumulation
    (low, high), (other_low, other_high) = accumulation.ends
    pairs = (high - low + 1) * (other_high - other_low + 1)
    if pairs > MOST_PAIRS or not sums.transfer.is_affine:
        refuse(
            node,
            "sums of tensors this wide need equal scales: theirs have the ratio "
            f"{float(accumulation.ratio):g}, and {pairs:,} pairs of levels, of at most "
            f"{MOST_PAIRS:,}",
        )
    one, two = np.arange(low, high + 1), np.arange(other_low, other_high + 1)
    transfer, quantizer = sums.transfer.of(np.array([0])), quantizer.of(np.array([0]))
    if transfer.gain[0] < 0:
        refuse(node, "subtracts sums of tensors whose scales have no ratio of small integers")
    levels = _levels(transfer, quantizer, accumulation.ratio, one, two)
    fit = fit_pairs(float(accumulation.ratio), one, two, levels)
    summands = fit.summands
    if fit.wrong:
        refuse(
            node,
            f"adds tensors whose scales have the ratio {float(accumulation.ratio):g}; the best "
            f"integers, {summands[0]} and {summands[1]}, are wrong for {fit.wrong} of "
            f"{levels.size} pairs of levels; give both one scale",
        )
    ends = end_levels(transfer, quantizer)
    fmt = stored_format(context, node.output[0], quantizer, *ends)
    name = context.unique(accumulation.name)
    gain = float(transfer.gain[0] / quantizer.unit[0]) / summands[0]
    steps = PairSteps(
        name=name,
        output=fmt,
        low=np.array([fit.low]),
        high=np.array([fit.high]),
        ends=ends,
        sums=fit.sums,
        given=fit.levels,
        rise=2.0 if quantizer.is_bipolar else gain,
        start=float(transfer.offset[0] / quantizer.unit[0] + quantizer.zero_point - quantizer.zero),
    )
    context.layers.append(
        UnsolvedLayer(name, replace(accumulation, summands=summands), fmt, steps=steps)
    )
    source = add_pools(context, sums, name, fmt)
    return given(sums, source, fmt, ends, quantizer, np.zeros(sums.size.channels, bool))


def _levels(
    transfer: Transfer, quantizer: Quantizer, ratio: Fraction, one: np.ndarray, two: np.ndarray
) -> np.ndarray:
    """Return the level of every pair, exactly; shape (levels of one, levels of two)."""
    gain, scale = float(transfer.gain[0]), float(quantizer.scale[0])
    products = gain * one[:, None], gain / float(ratio) * two[None, :]
    low, high = float(transfer.low[0]), float(transfer.high[0])
    estimate = (products[0] + products[1] + float(transfer.offset[0])).clip(low, high) / scale
    doubt = (abs(products[0]) + abs(products[1]) + abs(float(transfer.offset[0]))) / scale

    def exact(_: np.ndarray, places: np.ndarray) -> np.ndarray:
        first, second = np.divmod(places, len(two))
        virtual = one[first].astype(object) + two[second].astype(object) / ratio
        values = virtual * transfer.gain[0] + transfer.offset[0]
        clipped = np.minimum(np.maximum(values, transfer.low[0]), transfer.high[0])
        return quantizer.codes(clipped[None, :])[0]

    flat = estimate.reshape(1, -1), doubt.reshape(1, -1)
    return (estimated_codes(quantizer, *flat, exact) - quantizer.zero).reshape(estimate.shape)
