"""A sum of two tensors whose scales have no small ratio: integers that are exact for every pair."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ....hw.network.layers import MAX_SUMMAND
from ...exact.curve import Curve
from ...exact.planned import Planned
from ...exact.quantizer import Quantizer
from ...exact.steps import PairSteps, end_levels, estimated_codes
from ...exact.tensors import Levels, Sums
from ..graph.node import refuse
from .stored import add_pools, given, stored_format
from .walk import Walk

__all__ = ["paired"]

TRIALS = 64  # pairs of summands that are tried, those nearest to the ratio first
PAIRS = 1 << 18


def paired(walk: Walk, node: Any, sums: Sums, quantizer: Quantizer) -> Levels:
    """Plan a sum of two tensors with the smallest summands that are exact for all pairs of levels.

    Raises
    ------
    NetworkError
        Where there are none; the text says how many pairs the best ones get wrong.
    """
    draft = sums.draft
    (low, high), (other_low, other_high) = draft.ends
    pairs = (high - low + 1) * (other_high - other_low + 1)
    if pairs > PAIRS or not sums.curve.is_affine:
        refuse(
            node,
            "sums of tensors this wide need equal scales: theirs have the ratio "
            f"{float(draft.ratio):g}, and {pairs:,} pairs of levels, of at most {PAIRS:,}",
        )
    one, two = np.arange(low, high + 1), np.arange(other_low, other_high + 1)
    curve, quantizer = sums.curve.of(np.array([0])), quantizer.of(np.array([0]))
    if curve.gain[0] < 0:
        refuse(node, "subtracts sums of tensors whose scales have no ratio of small integers")
    levels = _levels(curve, quantizer, draft.ratio, one, two)
    wrong = []
    for summands in _candidates(float(draft.ratio)):
        totals = (summands[0] * one[:, None] + summands[1] * two[None, :]).ravel()
        found, occurring, differing = _function(totals, levels.ravel())
        if not differing:
            break
        wrong.append((differing, summands))
    else:
        count, summands = min(wrong)
        refuse(
            node,
            f"adds tensors whose scales have the ratio {float(draft.ratio):g}; the best integers, "
            f"{summands[0]} and {summands[1]}, are wrong for {count} of {levels.size} pairs of "
            "levels; give both one scale",
        )
    ends = end_levels(curve, quantizer)
    fmt = stored_format(walk, node.output[0], quantizer, *ends)
    name = walk.unique(draft.name)
    gain = float(curve.gain[0] / quantizer.unit[0]) / summands[0]
    steps = PairSteps(
        name=name,
        output=fmt,
        low=np.array([totals.min()]),
        high=np.array([totals.max()]),
        ends=ends,
        sums=found,
        given=occurring,
        rise=2.0 if quantizer.is_bipolar else gain,
        start=float(curve.offset[0] / quantizer.unit[0] + quantizer.zero_point - quantizer.zero),
    )
    walk.layers.append(Planned(name, replace(draft, summands=summands), fmt, steps=steps))
    source = add_pools(walk, sums, name, fmt)
    return given(sums, source, fmt, ends, quantizer, np.zeros(sums.size.channels, bool))


def _levels(
    curve: Curve, quantizer: Quantizer, ratio: Fraction, one: np.ndarray, two: np.ndarray
) -> np.ndarray:
    """Return the level of every pair, exactly; shape (levels of one, levels of two)."""
    gain, scale = float(curve.gain[0]), float(quantizer.scale[0])
    products = gain * one[:, None], gain / float(ratio) * two[None, :]
    low, high = float(curve.low[0]), float(curve.high[0])
    estimate = (products[0] + products[1] + float(curve.offset[0])).clip(low, high) / scale
    doubt = (abs(products[0]) + abs(products[1]) + abs(float(curve.offset[0]))) / scale

    def exact(_: np.ndarray, places: np.ndarray) -> np.ndarray:
        first, second = np.divmod(places, len(two))
        virtual = one[first].astype(object) + two[second].astype(object) / ratio
        values = virtual * curve.gain[0] + curve.offset[0]
        clipped = np.minimum(np.maximum(values, curve.low[0]), curve.high[0])
        return quantizer.codes(clipped[None, :])[0]

    flat = estimate.reshape(1, -1), doubt.reshape(1, -1)
    return (estimated_codes(quantizer, *flat, exact) - quantizer.zero).reshape(estimate.shape)


def _candidates(ratio: float) -> list[tuple[int, int]]:
    """Return summands near a ratio, the smaller ones first among those that are near enough."""
    pairs = {
        (round(ratio * second), second)
        for second in range(1, MAX_SUMMAND + 1)
        if 1 <= round(ratio * second) <= MAX_SUMMAND
    } | {
        (first, round(first / ratio))
        for first in range(1, MAX_SUMMAND + 1)
        if 1 <= round(first / ratio) <= MAX_SUMMAND
    }
    pairs = pairs or {(MAX_SUMMAND, 1) if ratio > 1 else (1, MAX_SUMMAND)}
    nearest = sorted(pairs, key=lambda pair: abs(pair[0] / pair[1] / ratio - 1))[:TRIALS]
    return sorted(nearest, key=sum)


def _function(totals: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return sums, their levels, and how many pairs contradict a function that nowhere falls."""
    order = np.lexsort((levels, totals))
    totals, levels = totals[order], levels[order]
    sums, first = np.unique(totals, return_index=True)
    lowest = levels[first]
    highest = np.maximum.reduceat(levels, first)
    rising = np.maximum.accumulate(highest)
    wrong = (levels != np.repeat(rising, np.diff([*first, len(levels)]))).sum()
    return sums, lowest, int(wrong)
