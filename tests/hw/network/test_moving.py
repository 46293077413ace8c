"""Orders of elements as moves: what NumPy gives, and orders that are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.network.moving import BlockMove, moves_of


def run(moves, elements):
    """Which element each one of the output is, by the definition of a move."""
    found = np.arange(elements)
    for (rows, columns), (down, across), length in moves:
        starts = np.add.outer(down * np.arange(rows), across * np.arange(columns))
        found = found[np.add.outer(starts.ravel(), np.arange(length)).ravel()]
    return found


@st.composite
def orders(draw):
    """Axes in another order, some of them repeated."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    order = draw(st.permutations(range(len(shape))))
    found = np.arange(np.prod(shape)).reshape(shape).transpose(order)
    for axis in range(len(shape)):
        found = found.repeat(draw(st.integers(1, 3)), axis)
    return found.ravel(), int(np.prod(shape))


@settings(max_examples=150)
@given(orders())
def test_moves_give_the_order(wanted):
    order, elements = wanted
    moves = moves_of(order, elements)
    assert moves is not None
    assert (run(moves, elements) == order).all()


def test_what_networks_ask_for():
    image = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    twice = image.repeat(2, 0).repeat(2, 1).ravel()
    assert moves_of(twice, 30) == (BlockMove((6, 2), (5, 0), 5), BlockMove((2, 2), (30, 0), 30))
    depth = np.arange(2 * 3 * 20).reshape(2, 3, 2, 10).transpose(0, 2, 1, 3).ravel()
    moves = moves_of(depth, 120)
    assert moves is not None
    assert [each.length for each in moves] == [20, 10]
    assert moves_of(np.arange(7), 7) == ()
    assert moves_of(np.zeros(6, int), 1) == (BlockMove((1, 6), (1, 0), 1),)


@pytest.mark.parametrize(
    "order", [[1, 0], [0, 2, 1], [0, 1, 1], [0, 0, 0], [0, 2], [0, 1, 2, 3], [0, 1, 0, 2]]
)
def test_orders_that_are_none(order):
    assert moves_of(np.array(order), 3) is None
