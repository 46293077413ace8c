"""Layers of different widths on one array of slices: mapping, words, cycles, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.errors import GeometryError, NetworkError
from narrowgauge.hw.geometry import SLICES, Geometry
from narrowgauge.hw.network.layers import Size, Weighted, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.layout import Program

from ..networks import random_convnet, random_network, with_weights

MIXED = "int2", "uint3", "int8", "bipolar", "int13"


WIDE, FAMILY = Accumulator(20), ("int4", "uint4", "uint4")


def mixed(formats=MIXED, accumulator=WIDE, width=6):
    """Dense layers of ``width`` inputs, each with weights of its own format."""
    network = random_network(1, FAMILY, [width] * (len(formats) + 1), accumulator)
    return with_weights(1, network, formats)


@pytest.mark.parametrize(
    ("bits", "slices"), [(1, [2, 3, 8, 2, 13]), (2, [1, 2, 4, 1, 7]), (4, [1, 1, 2, 1, 4])]
)
def test_a_layer_takes_as_many_passes_as_its_weights_have_slices(bits, slices):
    program = Program(mixed(), Geometry(1, 2, 2, slice=bits))
    assert str(program.operands.weight) == f"uint{bits}"
    assert [record.tiles.planes for record in program.records] == slices
    assert [record.tiles.lengths for record in program.records] == [
        (3 * each,) * 3 for each in slices
    ]
    assert [record.tiles.signed for record in program.records] == [True, False, True, True, True]
    assert {record.tiles.bank_words for record in program.records} == {3}  # read again
    assert program.memories["weights"] == (2 * 2 * bits, 3 * 3 * sum(slices))
    # 2 x 1 sums leave while the next tile computes
    took = [program.cycles.compute(record) for record in program.records]
    assert took == [1 + 3 * max(3 * each, 2) for each in slices]


@pytest.mark.parametrize("bits", SLICES)
def test_words_hold_slices_from_the_highest(bits):
    network = mixed(["int8", "uint3"])
    program = Program(network, Geometry(1, 2, 4, slice=bits))
    words = iter(program.contents.weights)
    for layer, record in zip(network, program.records, strict=True):
        assert isinstance(layer, Weighted)
        count = record.tiles.planes
        codes = np.pad(layer.weights, ((0, 0), (0, 2))).reshape(3, 2, 2, 4)  # tiles, columns, steps
        found = np.zeros_like(codes)
        for tile in range(3):
            for index in reversed(range(count)):
                for step in range(2):
                    word = next(words)
                    for place in range(8):
                        column, lane = divmod(place, 4)
                        piece = (word >> bits * place) & ((1 << bits) - 1)
                        top = record.tiles.signed and index == count - 1
                        level = piece - ((piece >> (bits - 1) << bits) if top else 0)
                        found[tile, column, step, lane] += level << bits * index
        assert (found == codes).all()
    assert next(words, None) is None


def test_pools_and_sums_have_the_slices_that_they_need():
    spec = (Size(4, 4, 2), ("conv", 2, Window((1, 1)), 1), ("add", "input", (9, 1)),
            ("average", None), ("dense", 2))  # fmt: skip
    network = random_convnet(1, ("int8", "uint4", "uint4"), spec, Accumulator(20))
    program = Program(network, Geometry(1, 2, 2, slice=2))
    assert [record.tiles.planes for record in program.records] == [4, 2, 1, 4]


def test_a_network_of_narrow_weights_shifts_nothing():
    assert not Program(mixed(["int2", "uint1"]), Geometry(1, 2, 2, slice=2)).doubling
    assert Program(mixed(["int2", "uint3"]), Geometry(1, 2, 2, slice=2)).doubling


def test_saturation_that_slices_would_do_elsewhere_is_refused():
    network = mixed(["int8"], Accumulator(16, "saturate"))
    program = Program(network, Geometry(1, 1, 2, slice=2))
    assert program.accumulator == Accumulator(16)  # nothing saturates
    narrow = replace(network, accumulator=Accumulator(10, "saturate"))
    with pytest.raises(GeometryError, match=r"layer0: sums can saturate in 10 bits, and slices of"):
        Program(narrow, Geometry(1, 1, 2, slice=2))
    assert Program(narrow, Geometry(1, 1, 2)).accumulator == narrow.accumulator
    # others may be loaded, up to 6 * 128 * 15
    loaded = replace(network, accumulator=Accumulator(14, "saturate"))
    Program(loaded, Geometry(1, 1, 2, slice=2))
    with pytest.raises(GeometryError, match="sums can saturate in 14 bits"):
        Program(loaded, Geometry(1, 1, 2, slice=2), any_weights=True)


@pytest.mark.parametrize("weight", ["pow2_4", "e3m2"])
def test_weights_without_slices_are_refused(weight):
    network = mixed(["int4", weight])
    with pytest.raises(NetworkError, match=f"layer layer1: {weight} weights have no slices"):
        Program(network, Geometry(1, 1, 2, slice=2))


def test_activations_are_whole():
    network = random_network(1, ("bipolar", "uint4", "bipolar"), [6, 4, 3], Accumulator(12))
    program = Program(network, Geometry(1, 2, 2, slice=1))
    assert (program.input_planes, program.operands.activation) == (1, parse("int5"))
    assert [record.tiles.bitwise for record in program.records] == [False, False]
