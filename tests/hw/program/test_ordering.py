"""Channels sorted by width: what moves with them, what stays, and that no output changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program import ordering
from narrowgauge.hw.program.ordering import free_orders, sorted_by_width
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ..networks import (
    convnets,
    random_convnet,
    random_exits,
    random_images,
    seeds,
    weighted,
    with_widths,
)

INT4 = ("int8", "uint4", "int13")
SAME, POINT = Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((1, 1))
HALVES = (2, 2), (3, 6), 3, Size(1, 2, 6)  # of two pixels, the first ones first
RESIDUAL = (
    Size(3, 3, 2), ("conv", 8, SAME, 1), ("conv", 8, POINT, 1), ("add", "layer0", (2, 1)),
    ("max", Window((2, 2))), ("dense", 5),
)  # fmt: skip


def made(spec, accumulator=None, widths=(2, 4, 8), seed=1):
    network = random_convnet(seed, INT4, spec, accumulator or Accumulator(24))
    return with_widths(seed, network, widths)


def widths_of(network):
    return [layer.channel_widths for layer in weighted(network)]


def same(network, lanes=3):
    """Compare all outputs, and the sums of every pixel of every layer in any order."""
    images, moved = random_images(7, network, 2), sorted_by_width(network)
    one, other = (evaluate(each, images, lanes, trace=True) for each in (network, moved))
    if not (one.levels == other.levels).all():
        return False
    for layer, before, after in zip(network, one.layers, other.layers, strict=True):
        if before.accumulators is not None:
            shape = (2, *network.sizes[layer.name])
            first, second = (
                np.sort(np.asarray(x.accumulators).reshape(shape), axis=3) for x in (before, after)
            )
            if not np.array_equal(first, second):
                return False
    return True


def descends(widths, group=None):
    return (np.diff(np.reshape(widths, (-1, group or len(widths)))) <= 0).all()


def test_hidden_channels_are_sorted_and_outputs_are_not():
    network = made((Size(1, 1, 5), ("dense", 9), ("dense", 7), ("dense", 6)))
    before, after = widths_of(network), widths_of(sorted_by_width(network))
    assert [sorted(each) for each in before] == [sorted(each) for each in after]
    assert [descends(each) for each in before] == [False] * 3
    assert [descends(each) for each in after] == [True, True, False]
    assert after[2] == before[2]
    assert same(network)


def test_channels_of_one_width_keep_their_order():
    network = made((Size(1, 1, 3), ("dense", 12), ("dense", 2)))
    moved = sorted_by_width(network)
    for width in (2, 4, 8):
        first, second = (weighted(each)[0] for each in (network, moved))
        one, other = (each.bias[np.array(each.widths) == width] for each in (first, second))
        assert np.array_equal(one, other)
    plain = random_convnet(1, INT4, RESIDUAL, Accumulator(24))
    assert sorted_by_width(plain) is plain


def test_tensors_that_are_added_have_one_order():
    """The 3x3 convolution takes 2 of 8 input channels, and 18 of 26 products of a channel."""
    network = made(RESIDUAL)
    first, second, last = widths_of(sorted_by_width(network))
    assert descends(18 * np.array(first) + 8 * np.array(second))
    assert sorted(zip(first, second, strict=True)) == sorted(
        zip(*widths_of(network)[:2], strict=True)
    )
    assert last == widths_of(network)[2]
    assert same(network)


def test_groups_keep_their_channels():
    spec = (Size(2, 2, 3), ("conv", 6, POINT, 1), ("conv", 9, SAME, 3), ("dense", 4))
    first, second, _ = widths_of(sorted_by_width(made(spec)))
    assert descends(first, 2)
    assert descends(second, 3)
    assert same(made(spec))


def test_depthwise_convolutions_have_the_order_of_what_they_read():
    spec = (Size(3, 3, 4), ("conv", 8, POINT, 1), ("conv", 8, SAME, 8), ("conv", 6, POINT, 1),
            ("average", None), ("dense", 3))  # fmt: skip
    first, second, third, _ = widths_of(sorted_by_width(made(spec)))
    assert descends(4 * np.array(first) + 9 * np.array(second))
    assert descends(third)
    assert same(made(spec))


@pytest.mark.parametrize(
    ("move", "moves"),
    [
        (("move", (2, 2), (0, 6), 6, Size(2, 2, 6)), True),  # pixels
        (("move", *HALVES), False),
        (("move", (1, 2), (0, 6), 6, Size(2, 2, 3)), False),  # pixels that become others
    ],
)
def test_only_moves_of_whole_pixels_let_channels_move(move, moves):
    network = made((Size(1, 2, 2), ("conv", 6, POINT, 1), move, ("dense", 3)))
    assert descends(widths_of(sorted_by_width(network))[0]) == moves
    assert same(network)


def test_what_comes_out_keeps_its_order():
    spec = (Size(2, 2, 3), ("conv", 6, POINT, 1), ("conv", 6, SAME, 1), ("dense", 3))
    network = random_exits(1, INT4, spec, {"layer0": (None, None)}, Accumulator(24))
    network = with_widths(1, network, (2, 4, 8))
    before, after = widths_of(network), widths_of(sorted_by_width(network))
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert same(network)


@pytest.mark.parametrize(
    ("spec", "orders"),
    [
        (RESIDUAL, [{"layer0", "layer1"}]),
        ((Size(2, 2, 3), ("conv", 6, POINT, 1), ("conv", 9, SAME, 3), ("dense", 4)), []),
        (
            (Size(3, 3, 4), ("conv", 8, POINT, 1), ("conv", 8, SAME, 8), ("conv", 6, POINT, 1),
             ("average", None), ("dense", 3)),
            [{"layer0"}, {"layer2"}],
        ),
        ((Size(1, 2, 2), ("conv", 6, POINT, 1), ("move", *HALVES), ("dense", 3)), []),
    ],
)  # fmt: skip
def test_layers_whose_channels_may_have_any_order(spec, orders):
    free = free_orders(made(spec))
    found = [{name for name in free if free[name] == each} for each in dict.fromkeys(free.values())]
    assert found == orders


def test_what_sums_that_saturate_read_keeps_its_order():
    spec = (Size(1, 1, 9), ("dense", 8), ("dense", 8), ("dense", 2))
    network = made(spec, Accumulator(9, "saturate"))
    assert widths_of(sorted_by_width(network)) == widths_of(network)
    for accumulator in (Accumulator(24, "saturate"), Accumulator(9)):
        moved = sorted_by_width(made(spec, accumulator))
        assert [descends(each) for each in widths_of(moved)[:2]] == [True, True]


@settings(max_examples=40)
@given(
    network=convnets(max_layers=4, max_pixels=4, max_channels=4),
    widths=st.lists(st.integers(2, 10), min_size=1, max_size=3),
    signed=st.booleans(),
    seed=seeds,
    lanes=st.integers(1, 4),
)
def test_no_output_changes(network, widths, signed, seed, lanes):
    assert same(with_widths(seed, network, widths, signed=signed), lanes)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_moved", "bias=layer.bias[after]", "bias=layer.bias"),
        ("_moved", "multiplier=layer.multiplier[after]", "multiplier=layer.multiplier"),
        ("_moved", "layer.weights[after]", "layer.weights"),
        ("_moved", "pixels[:, :, before]", "pixels"),
        ("_moved", "axis=3", "axis=3)[:, :, :, ::1] if layer.groups == 1 else (weights"),
        ("_is_channelwise", "not any(each % read.channels for each in pixels)", "True"),
    ],
    ids=["biases", "multipliers", "rows", "columns", "columns of groups", "parts of pixels"],
)
def test_what_does_not_move_is_found(monkeypatch, method, old, new):
    networks = [
        made(spec)
        for spec in (
            RESIDUAL,
            (Size(2, 2, 3), ("conv", 12, POINT, 1), ("conv", 9, SAME, 3), ("dense", 4)),
            (Size(1, 2, 2), ("conv", 6, POINT, 1), ("move", *HALVES), ("dense", 3)),
        )
    ]
    assert all(map(same, networks))
    edit(monkeypatch, ordering, method, old, new)
    try:
        assert not all(map(same, networks))
    except NetworkError:  # rows that are wider than their channel
        assert "weights" in old


def test_the_same_order_for_all_that_is_added_is_needed(monkeypatch):
    network = made(RESIDUAL)
    edit(monkeypatch, ordering._Ties, "find", "self.first[name] != name", "False")
    assert not same(network)


def test_a_network_is_otherwise_as_it_was():
    network = replace(made(RESIDUAL), about={"a": 1})
    moved = sorted_by_width(network)
    assert (moved.about, moved.name, moved.sizes) == ({"a": 1}, "random", network.sizes)
    assert moved.parameter_bits == network.parameter_bits
