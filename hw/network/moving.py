"""Orders of elements as moves of blocks: what `layers.Move` can do, and how many it takes."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np

__all__ = ["BlockMove", "moves_of"]

MOST_AXES = 6  # of an order that is taken apart into moves; 720 orders of axes are tried


class BlockMove(NamedTuple):
    """Numbers of a `layers.Move`: blocks, how far apart they begin, elements of a block."""

    blocks: tuple[int, int]
    steps: tuple[int, int]
    length: int


class _Axis(NamedTuple):
    """An axis of an output: its length, and the step in the input; 0 repeats."""

    size: int
    step: int


def moves_of(order: np.ndarray, elements: int) -> tuple[BlockMove, ...] | None:
    """Return moves, the first one first, that give elements in another order.

    Parameters
    ----------
    order : int array of shape (outputs,)
        Which element of the input each one of the output is.
    elements : int
        Elements of the input; each is wanted at least once.

    Returns
    -------
    tuple or None
        As few as there can be, each of them a transposition of two neighbouring axes or a
        repetition; None for what is no regular order.
    """
    axes = _axes_of(order)
    if axes is None:
        return None
    kept = [axis for axis in axes if axis.step]
    source = sorted(kept, key=lambda axis: -axis.step)
    ends = [*(axis.step for axis in source), 1]
    dense = all(outer == inner * axis.size for (outer, inner), axis in zip(
        pairwise([elements, *ends[:-1]]), source, strict=True))  # fmt: skip
    if not dense or (source[-1].step if source else elements) != 1 or len(kept) > MOST_AXES:
        return None
    return (*_transpositions(source, kept), *_repetitions(axes))


def _axes_of(order: np.ndarray) -> list[_Axis] | None:
    """Return the axes of an order, the outermost first; None where it has none."""
    axes, rest = [], np.asarray(order).ravel()
    if not rest.size or rest[0]:
        return None
    while len(rest) > 1:
        step = int(rest[1] - rest[0])
        (breaks,) = np.nonzero(np.diff(rest) != step)
        count = int(breaks[0]) + 1 if breaks.size else len(rest)
        if step < 0 or len(rest) % count:
            return None
        rows = rest.reshape(-1, count)
        if (rows != rows[:, :1] + step * np.arange(count)).any():
            return None
        axes.append(_Axis(count, step))
        rest = rows[:, 0]
    return axes[::-1]


def _transpositions(source: Sequence[_Axis], wanted: Sequence[_Axis]) -> list[BlockMove]:
    """Return the fewest moves, each of the first axes behind some that follow, to an order."""
    begin, end = tuple(source), tuple(wanted)
    ways: dict[tuple[_Axis, ...], list[BlockMove]] = {begin: []}
    trials = [begin]
    for axes in trials:  # grows while it is walked through
        if axes == end:
            break
        for first in range(1, len(axes)):
            for behind in range(first + 1, len(axes) + 1):
                found = (*axes[first:behind], *axes[:first], *axes[behind:])
                if found not in ways:
                    one, two, block = (
                        prod(axis.size for axis in part)
                        for part in (axes[:first], axes[first:behind], axes[behind:])
                    )
                    move = BlockMove((two, one), (block, two * block), block)
                    ways[found] = [*ways[axes], move]
                    trials.append(found)
    return ways[end]


def _repetitions(axes: Sequence[_Axis]) -> list[BlockMove]:
    """Return a move for each axis that repeats, the innermost first."""
    moves = []
    for place in range(len(axes) - 1, -1, -1):
        if not axes[place].step:
            outer = prod(axis.size for axis in axes[:place] if axis.step)
            inner = prod(axis.size for axis in axes[place + 1 :])
            moves.append(BlockMove((outer, axes[place].size), (inner, 0), inner))
    return moves
