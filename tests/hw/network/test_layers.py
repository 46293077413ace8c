"""What each layer takes and gives; errors name the layer and the numbers."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import (
    Add,
    AveragePool,
    Conv2d,
    Dense,
    MaxPool,
    Move,
    Size,
    Window,
)
from narrowgauge.hw.numbers.formats import parse

FOUR, EIGHT, POWER, BIT = (parse(name) for name in ("uint4", "int8", "pow2_3", "bipolar"))
FIFTEEN = np.tile(np.arange(15), (3, 1))
STEPS: dict[str, Any] = {"output": FOUR, "thresholds": FIFTEEN}
ONE: dict[str, Any] = {"bias": [0], "multiplier": [1]}
THREE: dict[str, Any] = {"bias": np.zeros(3), "multiplier": np.ones(3)}
WINDOW = Window((3, 2), (2, 1), (1, 0, 2, 1))


def dense(**changes):
    values = {"weight": EIGHT, "weights": np.zeros((3, 5)), **THREE, **changes}
    return Dense(**{"name": "first", "input": FOUR, "output": EIGHT} | values)


def conv(**changes):
    weights = np.zeros((6, 3, 2, 2))
    scales = {"bias": np.zeros(6), "multiplier": np.ones(6)}
    values = {"weight": EIGHT, "weights": weights, "window": WINDOW, **scales, **changes}
    return Conv2d(**{"name": "first", "input": FOUR, "output": EIGHT} | values)


def average(**changes):
    return AveragePool(**{"name": "first", "input": FOUR, "output": EIGHT, **ONE} | changes)


def add(**changes):
    values = {"other": EIGHT, "sources": ("a", "b"), **ONE, **changes}
    return Add(**{"name": "first", "input": FOUR, "output": EIGHT} | values)


def largest(**changes):
    return MaxPool(**{"name": "first", "input": FOUR, "output": FOUR, "window": WINDOW} | changes)


def test_sizes_by_hand():
    size = Size(4, 5, 6)
    assert (size.elements, size.positions, str(size)) == (120, 20, "4x5x6")
    assert WINDOW.taps == 6
    # rows -1, 1 and 3 of 4 and two beyond; columns 0 to 4 of 5 and one beyond
    assert WINDOW.positions(size) == (3, 5)
    assert conv().output_size(Size(4, 5, 2)) == (3, 5, 6)
    assert conv(groups=3).output_size(size) == (3, 5, 6)
    assert largest().output_size(size) == (3, 5, 6)
    assert average(window=WINDOW).output_size(size) == (3, 5, 6)
    assert average().output_size(size) == (1, 1, 6)
    assert add().output_size(size, size) == size
    assert dense().output_size(Size(1, 5, 1)) == (1, 1, 3)


def test_costs_by_hand():
    assert (dense().macs(Size(1, 1, 5)), dense().weight_bits) == (15, 15 * 8)
    assert (conv().macs(Size(4, 5, 2)), conv().weight_bits) == (15 * 72, 72 * 8)
    assert conv(groups=3).macs(Size(4, 5, 6)) == 15 * 72
    size = Size(4, 5, 6)
    for layer in (average(), largest()):
        assert (layer.macs(size), layer.weight_bits) == (0, 0)
    assert add().inputs == (FOUR, EIGHT)
    assert average().inputs == (FOUR,)


def test_widths_of_channels_by_hand():
    rows = np.tile([[7], [-128], [-2]], (1, 5))
    layer = dense(weights=rows, widths=np.array([4, 8, 2]))
    assert (layer.widths, layer.channel_widths) == ((4, 8, 2), (4, 8, 2))
    assert (layer.weight_bits, layer.mean_bits) == (14 * 5, 14 / 3)
    assert (dense().channel_widths, dense().mean_bits) == ((8, 8, 8), 8.0)
    assert dense(widths=[8, 8, 8]).widths is None
    assert dense(widths=[4, 4, 2]).widths == (4, 4, 2)  # the widest may be narrower
    assert dense(weight=parse("uint4"), widths=[1, 2, 4]).widths == (1, 2, 4)


def test_arrays_become_levels():
    layer = dense(weights=np.ones((3, 5)), bias=[1, 2, 3], multiplier=np.ones(3, np.int8))
    for array in (layer.weights, layer.bias, layer.multiplier):
        assert array.dtype == np.int64
    assert add(summands=np.array([2, 3])).summands == (2, 3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"widths": [2, 8]}, "layer first: 2 widths for 3 output channels"),
        ({"widths": []}, "layer first: 0 widths for 3 output channels"),
        ({"widths": [2, 9, 8]}, "channel 1 of int8 weights is 2 to 8, not 9"),
        ({"widths": [2, 8, 1]}, "channel 2 of int8 weights is 2 to 8, not 1"),
        ({"widths": [2, 8, True]}, "channel 2 of int8 weights is 2 to 8, not True"),
        ({"widths": [2.5, 8, 8]}, "channel 0 of int8 weights is 2 to 8, not 2.5"),
        ({"weight": FOUR, "widths": [0, 4, 4]}, "channel 0 of uint4 weights is 1 to 4, not 0"),
        ({"widths": [2, 8, 8], "weights": np.full((3, 5), 2)}, "channel 0: int2"),
        ({"weight": POWER, "widths": [2, 2, 2]}, "are of integer weights, not of pow2_3"),
    ],
)
def test_widths_of_channels_that_cannot_be(change, text):
    with pytest.raises(NetworkError, match=re.escape(text)):
        dense(**change)


def test_clamps_and_thresholds_by_hand():
    assert (dense().clamp, dense().uses_thresholds) == ((-128, 127), False)
    narrow = dense(low=np.int64(-127), high=9, rounding="half_even")
    assert (narrow.clamp, type(narrow.low)) == ((-127, 9), int)
    assert dense(low=3, high=3).clamp == (3, 3)
    steps = dense(**STEPS)
    assert steps.uses_thresholds
    assert steps.thresholds is not None
    assert steps.thresholds.dtype == np.int64
    equal = dense(**STEPS | {"thresholds": np.full((3, 15), -(1 << 62))})
    assert equal.clamp == (0, 15)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kernel": (0, 1)}, "kernel is 2 numbers of at least 1, not (0, 1)"),
        ({"kernel": (3,)}, "kernel is 2 numbers of at least 1, not (3,)"),
        ({"kernel": (2, 2), "stride": (1, 0)}, "stride is 2 numbers of at least 1, not (1, 0)"),
        ({"kernel": (2, 2), "padding": (1, 1)}, "padding is 4 numbers of at least 0, not (1, 1)"),
        ({"kernel": (2, 2), "padding": (0, -1, 0, 0)}, "of at least 0, not (0, -1, 0, 0)"),
        ({"kernel": (2, 3), "padding": (2, 0, 0, 0)}, "(2, 0, 0, 0) is not smaller than kernel"),
        ({"kernel": (3, 2), "padding": (0, 0, 0, 2)}, "(0, 0, 0, 2) is not smaller than kernel"),
    ],
)
def test_impossible_windows_are_refused(values, text):
    with pytest.raises(NetworkError, match=re.escape(text)):
        Window(**values)


@pytest.mark.parametrize(
    ("make", "change", "text"),
    [
        (dense, {"weights": np.zeros((3, 0))}, "weights have shape (outputs, inputs), not (3, 0)"),
        (dense, {"weights": np.zeros(3)}, "weights have shape (outputs, inputs), not (3,)"),
        (dense, {"bias": np.zeros(4)}, "bias has shape (3,), not (4,)"),
        (dense, {"multiplier": np.ones((3, 1))}, "multiplier has shape (3,), not (3, 1)"),
        (dense, {"multiplier": [1, 0, 1]}, "multipliers are positive integers"),
        (dense, {"shift": -1}, "shift is 0 to 40, not -1"),
        (dense, {"shift": 41}, "shift is 0 to 40, not 41"),
        (dense, {"weights": np.full((3, 5), 128)}, "int8 holds"),
        (dense, {"weight": POWER, "weights": np.full((3, 5), 3)}, "powers of two"),
        (dense, {"output": POWER}, "an output is bipolar, intN, uintN or a float, not pow2_3"),
        (dense, {"input": POWER}, "an input is bipolar, intN, uintN or a float, not pow2_3"),
        (dense, {"sources": ("a", "b")}, "dense reads 1 tensors, not a, b"),
        (conv, {"weights": np.zeros((6, 5))}, "inputs a group), not (6, 5)"),
        (conv, {"weights": np.zeros((6, 2, 3, 2))}, "(2, 3) are not of the kernel (3, 2)"),
        (conv, {"groups": 4}, "4 groups do not divide 6 outputs"),
        (conv, {"groups": 0}, "0 groups do not divide 6 outputs"),
        (conv, {"bias": [0]}, "bias has shape (6,), not (1,)"),
        (average, {"bias": [0, 0]}, "bias has shape (1,), not (2,)"),
        (average, {"shift": 41}, "shift is 0 to 40, not 41"),
        (dense, {"low": -129}, "a clamp lies in -128 to 127 of int8, not from -129 to 127"),
        (dense, {"high": 128}, "a clamp lies in -128 to 127 of int8, not from -128 to 128"),
        (dense, {"low": 3, "high": 2}, "a clamp lies in -128 to 127 of int8, not from 3 to 2"),
        (dense, {"low": 0.5}, "low is an integer, not 0.5"),
        (add, {"rounding": "down"}, "rounding is half_up or half_even, not 'down'"),
        (dense, {"output": BIT, "low": -1}, "a bipolar output is a sign"),
        (dense, {"output": BIT, "high": 1}, "a bipolar output is a sign"),
        (dense, {"output": BIT, "rounding": "half_even"}, "a bipolar output is a sign"),
        (dense, {**STEPS, "thresholds": np.zeros((1, 15))}, "shape (3, 15), not (1, 15)"),
        (dense, {**STEPS, "thresholds": np.zeros((3, 16))}, "shape (3, 15), not (3, 16)"),
        (dense, {**STEPS, "thresholds": 0}, "thresholds has shape (3, 15), not ()"),
        (average, {**STEPS, "thresholds": np.zeros((3, 15))}, "shape (1, 15), not (3, 15)"),
        (dense, {**STEPS, "thresholds": -FIFTEEN}, "thresholds of a channel ascend"),
        (dense, {**STEPS, "bias": [0, 0, 1]}, "multipliers are 1, biases and shift 0"),
        (dense, {**STEPS, "multiplier": [1, 2, 1]}, "multipliers are 1, biases and shift 0"),
        (dense, {**STEPS, "shift": 1}, "multipliers are 1, biases and shift 0"),
        (dense, {**STEPS, "low": 0}, "with thresholds there is no low, high or rounding"),
        (dense, {**STEPS, "high": 9}, "with thresholds there is no low, high or rounding"),
        (dense, {**STEPS, "rounding": "half_even"}, "there is no low, high or rounding"),
        (dense, {**STEPS, "output": parse("int9")}, "of at most 8 bits, not int9"),
        (dense, {**STEPS, "output": BIT}, "of at most 8 bits, not bipolar"),
        (add, {"summands": (1, 2, 3)}, "two integers from 1 to 16383, not (1, 2, 3)"),
        (add, {"summands": (0, 2)}, "two integers from 1 to 16383, not (0, 2)"),
        (add, {"summands": (2, 16384)}, "two integers from 1 to 16383, not (2, 16384)"),
        (add, {"other": POWER}, "an input is bipolar, intN, uintN or a float, not pow2_3"),
        (add, {"sources": ()}, "name the two sources of a sum"),
        (add, {"sources": ("a",)}, "add reads 2 tensors, not a"),
        (largest, {"output": EIGHT}, "it does not turn uint4 into int8"),
    ],
)
def test_impossible_layers_are_refused_by_name(make, change, text):
    with pytest.raises(NetworkError, match=f"layer first.*{re.escape(text)}"):
        make(**change)


@pytest.mark.parametrize(
    ("layer", "sizes", "text"),
    [
        (dense(), [Size(1, 1, 6)], "takes 5 inputs, but gets 6 (1x1x6)"),
        (conv(), [Size(4, 5, 3)], "takes 2 channels, but gets 3 (4x5x3)"),
        (conv(groups=3), [Size(4, 5, 2)], "takes 6 channels, but gets 2 (4x5x2)"),
        (add(), [Size(4, 5, 2), Size(5, 4, 2)], "adds tensors of one size, not 4x5x2 and 5x4x2"),
        (
            replace(largest(), window=Window((5, 2), padding=(0, 0, 0, 1))),
            [Size(4, 5, 2)],
            "a kernel of 5x2 does not fit into 4x5x2 with padding (0, 0, 0, 1)",
        ),
        (average(window=Window((2, 6))), [Size(4, 5, 2)], "a kernel of 2x6 does not fit"),
        (
            conv(weights=np.zeros((6, 9, 1, 2)), window=Window((9, 1), (1, 1), (3, 0, 1, 0))),
            [Size(4, 5, 2)],
            "a kernel of 9x1 does not fit",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(layer, sizes, text):
    with pytest.raises(NetworkError, match=f"layer first.*{re.escape(text)}"):
        layer.output_size(*sizes)


def move(**changes):
    given = {"blocks": (4, 2), "steps": (3, 0), "length": 3, "size": Size(4, 2, 3)}
    return Move(**{"name": "first", "input": FOUR, "output": FOUR} | given | changes)


def test_moves_by_hand():
    assert move().output_size(Size(2, 2, 3)) == (4, 2, 3)
    assert move(size=[1, 8, 3]).size == Size(1, 8, 3)
    with pytest.raises(NetworkError, match=r"first reads 12 elements, but gets 9 \(1x1x9\)"):
        move().output_size(Size(1, 1, 9))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"output": parse("uint8")}, "a move keeps its format"),
        ({"size": Size(4, 2, 4)}, "4x2 blocks of 3 elements are not 4x2x4"),
        ({"length": 0}, "blocks of 0 elements"),
        ({"blocks": (0, 2)}, "blocks is 2 numbers of at least 1"),
        ({"steps": (3, -1)}, "steps is 2 numbers of at least 0"),
        ({"steps": (3,)}, "steps is 2 numbers"),
        ({"size": (8, 3)}, "size is 3 numbers"),
    ],
)
def test_moves_that_are_none(changes, text):
    with pytest.raises(NetworkError, match=text):
        move(**changes)
