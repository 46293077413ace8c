"""Sums of two tensors, activations and requantisations of one."""

import numpy as np

from ...exact.pairs import fit_pairs
from ...exact.requantisation import PairSteps
from ...exact.unsolved import Accumulation, UnsolvedLayer
from .graph import TfliteOperation, refuse
from .moves import settled
from .rules import Addition, addition, rescaling
from .state import POINT, StoredTensor, TfliteImport, pooled

__all__ = ["add", "rescale"]


def rescale(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan a ReLU or a QUANTIZE of its own: a pool of one pixel."""
    stored = settled(state, operation, state.tensor(operation))
    name = state.unique(operation.kind.lower())
    sums = pooled(name, stored, POINT, stored.size, stored.ends)
    offset = np.array([stored.base - stored.zero], np.int64)
    rule = rescaling(state.graph, operation)
    state.give(operation, state.planned(operation, sums, rule, offset))


def add(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan an ADD of two tensors of one size."""
    if len(operation.inputs) != 2:
        refuse(operation, f"adds {len(operation.inputs)} tensors, not two")
    for each in operation.inputs:
        if each != -1 and state.graph.tensors[each].data is not None:
            refuse(operation, "adds a constant; only two tensors of the network can be added")
    one, two = (settled(state, operation, state.tensor(operation, place)) for place in range(2))
    if one.size != two.size:
        refuse(operation, f"adds {one.size} and {two.size}; only equal sizes can be added")
    rule = addition(state.graph, operation)
    if max(*rule.slopes) * 512 >= 1 << 30:
        refuse(operation, "its sums are beyond 32 bits, where the kernels are not defined")
    state.give(operation, _planned(state, operation, rule, one, two))


def _planned(
    state: TfliteImport,
    operation: TfliteOperation,
    rule: Addition,
    one: StoredTensor,
    two: StoredTensor,
) -> StoredTensor:
    """Plan the layer, with the smallest multipliers that are exact for all pairs of levels."""
    left, right = (np.arange(low, high + 1) for low, high in (one.ends, two.ends))
    zero = state.graph.tensors[operation.outputs[0]].zero
    name = state.unique("add")
    found = StoredTensor(name, one.size, rule.ends[0], *rule.ends, zero)
    codes = rule.codes(left[:, None] + one.base, right[None, :] + two.base)
    first, second = rule.slopes
    if min(first, second) <= 0:
        refuse(operation, "a tensor that it adds is too small to count")
    fit = fit_pairs(first / second, left, right, codes - found.base)
    if fit.wrong:
        refuse(
            operation,
            f"the best integers, {fit.summands[0]} and {fit.summands[1]}, are wrong for "
            f"{fit.wrong} of {codes.size:,} pairs of levels",
        )
    steps = PairSteps(
        name=name,
        output=found.format,
        low=np.array([fit.low]),
        high=np.array([fit.high]),
        ends=found.ends,
        sums=fit.sums,
        given=fit.levels,
        rise=first / fit.summands[0],
        start=zero - found.base + first * (one.base - one.zero) + second * (two.base - two.zero),
    )
    sums = Accumulation(
        name=name,
        sources=(one.source, two.source),
        inputs=(one.format, two.format),
        input_sizes=(one.size, two.size),
        size=one.size,
        low=np.full(one.size.channels, fit.low),
        high=np.full(one.size.channels, fit.high),
        summands=fit.summands,
        ends=(one.ends, two.ends),
    )
    state.layers.append(UnsolvedLayer(name, sums, found.format, steps=steps))
    return found
