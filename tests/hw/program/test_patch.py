"""Patches by hand, and their runs against the elements that a window covers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

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
from narrowgauge.hw.program.patch import Patch, patch_of

from ..networks import convnets

INT4 = parse("int4")
FORMATS: dict[str, Any] = {"name": "only", "input": INT4, "output": INT4}
ONE: dict[str, Any] = {"bias": [0], "multiplier": [1]}
SIZE = Size(4, 5, 6)
WINDOW = Window((3, 2), (2, 1), (1, 0, 2, 1))


def weighted(kind, *shape, **values):
    scales = {"bias": np.zeros(shape[0]), "multiplier": np.ones(shape[0])}
    return kind(**FORMATS, weight=INT4, weights=np.zeros(shape), **scales, **values)


def test_dense_by_hand():
    patch = patch_of(weighted(Dense, 3, 120), SIZE, 4)
    assert patch == Patch(SIZE, Window((4, 5)), (1, 1), 1, 1, 120, 0, 0)
    assert (patch.count, patch.codes, patch.steps(4), patch.steps(7)) == (1, 120, 30, 18)
    assert not patch.padded


def test_convolution_by_hand():
    # rows of 5 pixels of 6 codes: a row of the kernel is 2 pixels, the next one begins 30 on
    patch = patch_of(weighted(Conv2d, 3, 3, 2, 6, window=WINDOW), SIZE, 4)
    assert patch == Patch(SIZE, WINDOW, (3, 5), 3, 1, 12, 30, 0)
    assert (patch.count, patch.codes, patch.steps(4), patch.steps(7)) == (15, 36, 9, 6)
    assert patch.padded
    assert patch.whole_rows


def test_groups_by_hand():
    # three groups of two channels: a run is a pixel's two codes
    patch = patch_of(weighted(Conv2d, 3, 3, 2, 2, window=WINDOW, groups=3), SIZE, 4)
    assert patch == Patch(SIZE, WINDOW, (3, 5), 3, 2, 2, 30, 6, False, 3, 2)
    assert (patch.codes, patch.steps(4), patch.steps(8)) == (12, 3, 2)
    assert not patch.whole_rows


@pytest.mark.parametrize("pool", ["max", "average"])
def test_pools_by_hand(pool):
    layer = (
        MaxPool(**FORMATS, window=WINDOW)
        if pool == "max"
        else AveragePool(**FORMATS, **ONE, window=WINDOW)
    )
    # words of four lanes: channels 0 to 3, then 4 and 5
    patch = patch_of(layer, SIZE, 4)
    assert patch == Patch(SIZE, WINDOW, (3, 5), 3, 2, 4, 30, 6, True, 2, 4)
    assert patch.steps(4) == 6
    few = patch_of(layer, SIZE, 8)
    assert (few.length, few.groups, few.steps(8)) == (6, 1, 6)


def test_a_pool_of_everything_by_hand():
    patch = patch_of(AveragePool(**FORMATS, **ONE), SIZE, 4)
    assert patch == Patch(SIZE, Window((4, 5)), (1, 1), 4, 5, 4, 30, 6, True, 2, 4)


def test_sums_by_hand():
    layer = Add(**FORMATS, **ONE, other=INT4, sources=("a", "b"))
    patch = patch_of(layer, SIZE, 4, repeats=3)
    assert patch == Patch(SIZE, Window((1, 1)), (4, 5), 2, 3, 4, 0, 0, True, 2, 4)
    assert (patch.count, patch.steps(4)) == (20, 6)


def addresses(patch, group):
    """Codes that the first position reads, relative to the window's first."""
    return [
        outer * patch.outer_step + inner * patch.inner_step + group * patch.group_step + code
        for outer in range(patch.outer)
        for inner in range(patch.inner)
        for code in range(patch.length)
    ]


@given(convnets())
def test_runs_cover_a_window_once(network):
    lanes = 3
    for layer in network:
        size = network.sizes[network.sources(layer)[0]]
        patch = patch_of(layer, size, lanes)
        if isinstance(layer, Add | Move):
            continue
        height, width = patch.window.kernel
        # a tensor as wide as the kernel: its steps are those of the layer's tensor
        wide = Size(max(size.height, height), max(size.width, width), size.channels)
        patch = patch_of(layer, wide, lanes) if not isinstance(layer, Dense) else patch
        flat = np.arange(wide.elements).reshape(wide)[:height, :width]
        found = []
        for group in range(patch.groups):
            found += addresses(patch, group)
        if patch.separate and wide.channels % patch.length:
            continue  # the last word reads channels that do not exist
        assert sorted(found) == flat.reshape(-1).tolist()


@given(convnets())
def test_runs_are_in_the_order_of_weights(network):
    """Kernel row, kernel column, channel: the order in which weights are stored."""
    for layer in network:
        size = network.sizes[network.sources(layer)[0]]
        if not isinstance(layer, Conv2d) or layer.window.kernel[1] > size.width:
            continue
        patch = patch_of(layer, size, 4)
        height, width = layer.window.kernel
        each = size.channels // layer.groups
        expected = [
            (row * size.width + column) * size.channels + channel
            for row in range(height)
            for column in range(width)
            for channel in range(each)
        ]
        assert addresses(patch, 0) == expected
        assert patch.codes == len(expected) == layer.weights[0].size
