"""Regrouped convolutions: the same sums from fewer words."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Conv2d, Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program import layout, regrouping
from narrowgauge.hw.program.bounds import any_order, exact_bound
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.program.mapping import map_network
from narrowgauge.hw.program.regrouping import alternatives, grouped

from ..networks import FAMILIES, convolutions, random_convnet, random_images, windows

SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
INT4 = ("int4", "uint4", "uint4")
WIDE = Accumulator(24)


def network_of(family, size, outputs, window, groups, accumulator=WIDE):
    spec = (size, ("conv", outputs, window, groups), ("dense", 2))
    return random_convnet(1, family, spec, accumulator)


def ways(network, lanes, **options):
    mapped = map_network(network, lanes)[0]
    return mapped, list(alternatives(mapped, lanes, network.accumulator, **options))


def test_groups_together_by_hand():
    layer = network_of(INT4, Size(1, 1, 4), 8, Window((1, 1)), 4).layers[0]
    assert isinstance(layer, Conv2d)
    own = layer.weights[:, 0, 0, 0]
    pairs = grouped(layer, 2)
    assert pairs.groups == 2
    assert pairs.weights[:, 0, 0].tolist() == [
        [own[0], 0], [own[1], 0], [0, own[2]], [0, own[3]],
        [own[4], 0], [own[5], 0], [0, own[6]], [0, own[7]],
    ]  # fmt: skip


def read(mapped, lanes, image, position, group):
    """The levels that a position, or a strip, and group read, in the order of the patch."""
    patch, (y, x) = mapped.patch, position
    (down, across), (top, left) = patch.window.stride, patch.window.padding[:2]
    levels = []
    for outer, inner in product(range(patch.outer), range(patch.inner)):
        row, column = (inner, outer) if patch.by_column else (outer, inner)
        row, column = row + y * down - top, column + x * across - left
        for code in range(patch.length):
            # a run of several pixels is a row of the kernel
            pixel, channel = divmod(group * patch.group_step + code, patch.size.channels)
            at = row, column + pixel
            inside = 0 <= at[0] < patch.size.height and 0 <= at[1] < patch.size.width
            levels.append(int(image[at][channel]) if inside else mapped.pad)
    return levels + [mapped.pad] * (mapped.words * lanes - len(levels))


def sums(mapped, lanes, image):
    """The sums of a layer that is no pool, of shape (height, width, channels)."""
    (height, width), shifts = mapped.patch.positions, mapped.patch.shifts
    found = np.zeros((height, width * shifts, mapped.channels), np.int64)
    for y, x, group in np.ndindex(height, width, mapped.patch.groups):
        levels = read(mapped, lanes, image, (y, x), group)
        own = slice(group * mapped.group_channels, (group + 1) * mapped.group_channels)
        for shift in range(shifts):
            used = levels[shift * mapped.shift_words * lanes :][: mapped.steps * lanes]
            found[y, x * shifts + shift, own] = mapped.weights[own] @ used
    return found


@st.composite
def cases(draw):
    """A convolution with a 0 among its weights, in groups or without, and lanes."""
    channels = draw(st.sampled_from([2, 3, 4, 6, 8, 12]))
    size = Size(draw(st.integers(1, 6)), draw(st.integers(1, 6)), channels)
    outputs, groups = draw(convolutions(channels))
    family = draw(st.sampled_from([each for each in FAMILIES if each[0] != "bipolar"]))
    network = network_of(family, size, outputs, draw(windows(size)), groups, Accumulator(32))
    return network, draw(st.integers(1, 9))


DEPTHWISE = network_of(INT4, Size(4, 5, 4), 4, SAME, 4), 4


@settings(max_examples=25)
@example(DEPTHWISE, 0)
@given(cases(), st.integers(0, 99))
def test_every_way_has_the_same_sums(case, seed):
    network, lanes = case
    image = random_images(seed, network, 1)[0]
    mapped, others = ways(network, lanes)
    right = sums(mapped, lanes, image)
    for other in others:
        assert np.array_equal(sums(other, lanes, image), right)
        assert other.mode == mapped.mode
        bound, (low, high) = exact_bound(other), any_order(mapped)
        assert bound.final.ends == exact_bound(mapped).final.ends
        assert all(low <= each <= high for each in bound.partial.ends)  # in another order


def test_strips_at_an_edge_have_the_sums_of_their_positions():
    """A clamp leaves out the 0 that lies outside the image: sums at an edge are the least."""
    network = random_convnet(
        1, INT4, (Size(4, 4, 4), ("conv", 4, Window((1, 1)), 1), ("conv", 4, SAME, 4)), WIDE
    )
    first, second = network.layers
    assert isinstance(second, Conv2d)
    layers = replace(first, low=3, high=7), replace(second, weights=0 * second.weights + 1)
    mapped = map_network(replace(network, layers=layers), 2)[1]
    found = [*alternatives(mapped, 2, WIDE)]
    assert max(way.patch.shifts for way in found) > 1
    for way in (mapped, *found):
        assert exact_bound(way).final.ends == (4 * 3, 9 * 7)


@pytest.mark.parametrize(
    ("family", "accumulator", "any_weights"),
    [
        (("bipolar", "uint4", "bipolar"), Accumulator(24), False),
        (INT4, Accumulator(7), False),
        (INT4, Accumulator(10), True),
    ],
    ids=["no weight of 0", "it may overflow", "other weights may make it overflow"],
)
def test_a_layer_whose_order_counts_keeps_it(family, accumulator, any_weights):
    network = network_of(family, Size(6, 6, 8), 8, SAME, 8, accumulator)
    assert not ways(network, 4, any_weights=any_weights)[1]
    if any_weights:
        assert ways(network, 4)[1]


def test_depthwise_layers_are_read_a_word_for_all_of_its_channels():
    network = network_of(("int8", "uint8", "uint8"), Size(25, 5, 64), 64, SAME, 64)
    made = Program(network, Geometry(4, 4, 8, chains=4), batch=1)
    record = made.records[0]
    # the channels of a word, in strips of a whole row: 7 columns of 3 words for 5 positions
    assert (record.feed.groups, record.place.shifts, record.tiles.bank_words) == (8, 5, 21)
    plain = Program(network, Geometry(4, 4, 8), batch=1, regroup=False)
    assert plain.records[0].feed.groups == 64
    assert made.cycles.fetch(record) * 15 < plain.cycles.fetch(plain.records[0])
    assert made.cycles.compute(record) * 6 < plain.cycles.compute(plain.records[0])
    assert max(way.patch.shifts for way in ways(network, 8)[1]) == 5
    assert max(way.patch.shifts for way in ways(network, 8, strips=False)[1]) == 1


NARROW = Size(8, 8, 4), ("conv", 8, SAME, 1), ("conv", 4, SAME, 1), ("dense", 4)


def strips(spec, geometry, **options):
    """Positions of a strip, of each layer."""
    made = Program(random_convnet(1, INT4, spec, WIDE), geometry, **options)
    return [record.place.shifts for record in made.records]


def test_strips_of_layers_without_groups_serve_where_fetching_is_slow():
    """A tile of 4 positions takes 9 steps; to fetch them, 4 times as long and more."""
    assert strips(NARROW, Geometry(4, 8, 4, chains=4)) == [8, 8, 1]
    assert strips(NARROW, Geometry(4, 8, 4, chains=4), regroup=False) == [1, 1, 1]
    assert strips(NARROW, Geometry(4, 1, 4)) == [1, 1, 1]  # 8 tiles: the array is slower
    spec = Size(8, 8, 3), *NARROW[1:2], ("dense", 4)
    assert strips(spec, Geometry(4, 8, 4, chains=4)) == [1, 1]  # a column is 9 codes, no words


def test_strips_that_save_little_are_not_worth_their_gates(monkeypatch):
    spec = *NARROW[:-1], ("dense", 2000)  # which takes longer than all that they save
    assert strips(spec, Geometry(4, 8, 4, chains=4), batch=1) == [1, 1, 1]
    monkeypatch.setattr(layout, "WORTH", 0)
    assert strips(spec, Geometry(4, 8, 4, chains=4), batch=1) == [8, 8, 1]


def test_weights_at_the_place_of_another_group_are_found(monkeypatch):
    def faulty(layer, count):
        together = grouped(layer, count)
        return replace(together, weights=np.roll(together.weights, 1, axis=3))

    monkeypatch.setattr(regrouping, "grouped", faulty)
    with pytest.raises(AssertionError):
        test_every_way_has_the_same_sums()


def test_positions_that_begin_at_the_word_of_another_are_found(monkeypatch):
    original = regrouping._strips

    def faulty(*arguments):
        way = original(*arguments)
        return replace(way, shift_words=way.shift_words - 1)

    monkeypatch.setattr(regrouping, "_strips", faulty)
    with pytest.raises((AssertionError, ValueError)):
        test_every_way_has_the_same_sums()
