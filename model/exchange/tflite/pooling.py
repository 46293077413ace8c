"""Pools and means."""

from dataclasses import replace

import numpy as np

from ....hw.network.layers import MaxPool
from ....hw.network.window import Size, Window
from ....hw.numbers.formats import Fixed
from ...exact.integer_steps import IntegerSteps
from ...exact.ranges import narrowest
from ...exact.unsolved import Accumulation, UnsolvedLayer
from .geometry import size_of, window_of
from .graph import TfliteOperation, refuse
from .moves import joined, settled
from .rules import averaging, rescaling
from .state import POINT, StoredTensor, TfliteImport, pooled

__all__ = ["average_pool", "max_pool", "mean"]

MOST_MEANS = 1 << 14  # places of an average pool that may have divisors of their own
WIDEST = 16  # bits of their sums


def max_pool(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan a MAX_POOL_2D, which keeps its format; padding is never the largest."""
    stored = state.image(operation)
    _same_codes(state, operation)
    if any(stored.padding) and (stored.base, stored.low) != (stored.zero, stored.zero):
        stored = settled(state, operation, stored)
    window = _window(operation, stored)
    if any(stored.padding):
        stored, window = joined(state, operation, stored, window)
    low, high = averaging(state.graph, operation, 1).ends
    if low > stored.low or high < stored.high:
        refuse(operation, "a fused activation that changes its codes is not supported")
    name = state.unique("max_pool_2d")
    size = Size(*window.positions(stored.size), stored.size.channels)
    _check_size(state, operation, size)
    fmt = stored.format
    state.layers.append(
        MaxPool(name=name, sources=(stored.source,), input=fmt, output=fmt, window=window)
    )
    state.give(operation, replace(stored, source=name, size=size))


def average_pool(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan an AVERAGE_POOL_2D; where its windows differ each place has a divisor of its own."""
    stored = state.image(operation)
    _same_codes(state, operation)
    window = _window(operation, stored)
    if any(window.padding):
        stored = settled(state, operation, stored)
        rows, columns = window.inside(stored.size)
        counts = np.multiply.outer(rows, columns)
        if len({*counts.ravel().tolist()}) > 1:
            _plan_means(state, operation, stored, window, counts)
        else:
            _plan_mean(state, operation, stored, window, is_mean=False, count=counts.item(0))
        return
    stored, window = joined(state, operation, stored, window)
    _plan_mean(state, operation, stored, window, is_mean=False)


def _plan_means(
    state: TfliteImport,
    operation: TfliteOperation,
    stored: StoredTensor,
    window: Window,
    counts: np.ndarray,
) -> None:
    """Plan an average pool whose windows have ``counts``, of shape (rows, columns), elements.

    Sums are levels of their own. All of them side by side are channels of one pixel, of which each
    has its own requantisation.
    """
    size = Size(*window.positions(stored.size), stored.size.channels)
    _check_size(state, operation, size)
    ends = min(counts.max() * stored.ends[0], 0), max(counts.max() * stored.ends[1], 0)
    name, fmt = state.unique("average_pool_2d_sums"), narrowest(*map(int, ends))
    if fmt.width > WIDEST or size.elements > MOST_MEANS:
        refuse(
            operation,
            f"windows at the border have fewer elements, and another divisor; {size.elements:,} "
            f"sums of {fmt.width} bits are too many, or too wide, to divide each by its own (at "
            f"most {MOST_MEANS:,} of {WIDEST} bits): use VALID padding",
        )
    whole = (int(ends[0]), int(ends[1]))
    sums = pooled(name, stored, window, size, whole)
    one, none = np.ones(1), np.zeros(1)
    low, high = (np.array([each]) for each in whole)
    steps = IntegerSteps(name, fmt, low, high, whole, lambda given: given, one, none)
    state.layers.append(UnsolvedLayer(name, sums, fmt, steps=steps))
    each = counts.repeat(size.channels)  # of all elements, channels last
    line = Size(1, 1, size.elements)
    raw = StoredTensor(name, size, 0, *whole, 0)
    raw = state.reordered(raw, np.arange(size.elements), line)
    divided = Accumulation(
        name=state.unique("average_pool_2d"),
        sources=(raw.source,),
        inputs=(fmt,),
        input_sizes=(line,),
        size=line,
        low=each * stored.ends[0],
        high=each * stored.ends[1],
        weights=np.ones((size.elements, 1, 1, 1), np.int64),
        weight=Fixed(2),
        window=POINT,
        groups=size.elements,
    )
    rule = averaging(state.graph, operation, *each)
    found = state.planned(operation, divided, rule, each * stored.base)
    state.give(operation, state.reordered(found, np.arange(size.elements), size))


def mean(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan a MEAN over height and width."""
    stored = settled(state, operation, state.image(operation))
    axes = state.graph.tensors[operation.inputs[1]] if len(operation.inputs) == 2 else None
    if axes is None or axes.data is None or axes.dtype != "INT32":
        refuse(operation, "its axes are no INT32 constant")
    if {each + 4 if each < 0 else each for each in axes.data.ravel().tolist()} != {1, 2}:
        refuse(operation, f"of axes {axes.data.ravel().tolist()} is not one of height and width")
    _plan_mean(state, operation, stored, None, is_mean=True)


def _plan_mean(
    state: TfliteImport,
    operation: TfliteOperation,
    stored: StoredTensor,
    window: Window | None,
    *,
    is_mean: bool,
    count: int | None = None,
) -> None:
    """Plan sums over windows and their mean, of ``count`` elements where some are beyond."""
    positions = (1, 1) if window is None else window.positions(stored.size)
    if positions == (1, 1) and window is not None and not any(window.padding):
        window = None if window.taps == stored.size.positions else window
    if count is None:
        count = stored.size.positions if window is None else window.taps
    size = Size(*positions, stored.size.channels)
    low, high = (count * each for each in stored.ends)
    sums = pooled(state.unique(operation.kind.lower()), stored, window, size, (low, high))
    if is_mean:
        if int(np.prod(state.graph.tensors[operation.outputs[0]].shape)) != size.elements:
            refuse(operation, f"it gives {size}, which its output is not")
        rule, shift = rescaling(state.graph, operation), stored.base - stored.zero
    else:
        _check_size(state, operation, size)
        rule, shift = averaging(state.graph, operation, count), stored.base
    offset = np.array([count * shift], np.int64)
    state.give(operation, state.planned(operation, sums, rule, offset))


def _window(operation: TfliteOperation, stored: StoredTensor) -> Window:
    kernel = operation.number("filter_height"), operation.number("filter_width")
    return window_of(operation, stored.padded_size, kernel)


def _check_size(state: TfliteImport, operation: TfliteOperation, size: Size) -> None:
    if size_of(operation, state.graph.tensors[operation.outputs[0]].shape) != size:
        refuse(operation, f"it gives {size}, which its output is not")


def _same_codes(state: TfliteImport, operation: TfliteOperation) -> None:
    """Refuse a pool that quantises otherwise: its kernel does not."""
    source, result = (
        state.graph.tensors[each[0]] for each in (operation.inputs, operation.outputs)
    )
    if (source.unit, source.zero) != (result.unit, result.zero):
        refuse(operation, "its output is quantised otherwise than its input, which no pool does")
