"""Channels of different widths on an array of slices: tiles, words, cycles."""

from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.geometry import SLICES, Geometry
from narrowgauge.hw.network.layers import Size, Weighted, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.program.ordering import sorted_by_width

from ..networks import random_convnet, random_network, with_widths

FAMILY = "int8", "uint4", "uint4"
SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))


def dense(widths, inputs=6, signed=True):
    """A layer whose channels have ``widths``."""
    network = random_network(1, FAMILY, [inputs, len(widths)], Accumulator(20))
    fmt, rng = Fixed(max(widths), signed=signed), np.random.default_rng(1)
    own = [Fixed(each, signed=signed) for each in widths]
    rows = [rng.integers(each.min_level, each.max_level + 1, inputs) for each in own]
    layer = replace(network.layers[0], weight=fmt, weights=np.stack(rows), widths=widths)
    return replace(network, layers=(layer,))


@pytest.mark.parametrize(
    ("bits", "slices"),
    [(1, [8, 4, 3, 2]), (2, [4, 2, 2, 1]), (4, [2, 1, 1, 1]), (None, [1, 1, 1, 1])],
)
def test_a_tile_has_the_slices_of_its_widest_channel(bits, slices):
    network = dense([8, 2, 2, 4, 3, 2, 2])
    program = Program(network, Geometry(1, 2, 4, slice=bits))
    (record,) = program.records
    assert record.mapped.slices(program.geometry) == tuple(slices)
    assert record.tiles.lengths == tuple(2 * each for each in slices)
    assert (record.tiles.planes, record.tiles.tiles) == (max(slices), 4)
    assert program.weight_words == len(program.contents.weights) == 2 * sum(slices)
    assert program.cycles.compute(record) == 1 + sum(max(2 * each, 2) for each in slices)


def test_equal_tiles_are_one_run():
    program = Program(dense([8, 8, 8, 4, 4, 4, 3, 3, 8]), Geometry(1, 1, 8, slice=2))
    assert program.records[0].tiles.runs == ((3, 4), (5, 2), (1, 4))
    plain = Program(dense([4] * 5), Geometry(1, 2, 8, slice=2))
    assert plain.records[0].tiles.runs == ((3, 2),)


def test_channels_that_are_all_narrower_than_their_format_take_fewer_slices():
    network = dense([3, 4, 3, 2])
    (layer,) = network.layers
    wide = replace(network, layers=(replace(layer, weight=Fixed(8)),))
    assert Program(wide, Geometry(1, 4, 8, slice=2)).records[0].tiles.runs == ((1, 2),)


def decoded(program):
    """The weights of all channels of all layers, from the words of the memory."""
    geometry, words = program.geometry, iter(program.contents.weights)
    bits, lanes, columns = geometry.slice, geometry.lanes, geometry.columns
    for record in program.records:
        mapped, rows = record.mapped, []
        if not isinstance(mapped.layer, Weighted):
            continue
        for _ in range(mapped.patch.groups):
            channels = []
            for length in record.tiles.lengths:
                count = length // record.tiles.steps
                tile = np.zeros((columns, record.tiles.steps, lanes), np.int64)
                for index in reversed(range(count)):
                    for step in range(record.tiles.steps):
                        word = next(words)
                        for place in range(columns * lanes):
                            piece = (word >> bits * place) & ((1 << bits) - 1)
                            if record.tiles.signed and index == count - 1:
                                piece -= piece >> (bits - 1) << bits
                            tile[place // lanes, step, place % lanes] += piece << bits * index
                channels += list(tile.reshape(columns, -1))
            rows += channels[: mapped.group_channels]
        yield mapped, np.stack(rows)
    assert next(words, None) is None


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", SLICES)
def test_words_hold_the_slices_of_their_tile(bits, signed):
    spec = (Size(3, 3, 4), ("conv", 5, SAME, 1), ("conv", 6, SAME, 1), ("conv", 10, SAME, 2),
            ("dense", 7))  # fmt: skip
    network = random_convnet(1, FAMILY, spec, Accumulator(20))
    network = with_widths(1, network, [2, 3, 4, 8], signed=signed)
    program = Program(network, Geometry(1, 2, 4, slice=bits), regroup=False)
    found = list(decoded(program))
    assert len(found) == 4
    for mapped, weights in found:
        assert np.array_equal(weights, mapped.weights)


def test_groups_have_the_tiles_of_the_widest_group():
    spec = (Size(2, 2, 4), ("conv", 8, SAME, 2), ("dense", 2))
    network = random_convnet(1, FAMILY, spec, Accumulator(20))
    conv = replace(network.layers[0], weights=np.zeros((8, 3, 3, 2)), widths=[2, 2, 4, 2] + [2] * 4)
    network = replace(network, layers=(conv, *network.layers[1:]))
    program = Program(network, Geometry(1, 2, 2, slice=2), regroup=False)
    first, last = program.records
    assert first.mapped.slices(program.geometry) == (1, 2)
    assert first.tiles.group_weights == 3 * 9
    assert last.tiles.weight_base == 2 * 3 * 9


def test_sorting_saves_words_and_cycles():
    network = dense([2, 8, 4, 2, 8, 2, 2, 4], inputs=32)
    head = replace(
        random_network(2, FAMILY, [8, 2], Accumulator(20)).layers[0],
        name="head",
        input=network.layers[0].output,
    )
    network = replace(network, layers=(*network.layers, head))
    geometry = Geometry(1, 2, 4, slice=2)
    plain, ordered = (Program(x, geometry) for x in (network, sorted_by_width(network)))
    assert [sum(x.records[0].mapped.slices(geometry)) for x in (plain, ordered)] == [12, 8]
    assert (plain.weight_words - ordered.weight_words) == 4 * 8
    assert ordered.cycles.least < plain.cycles.least
