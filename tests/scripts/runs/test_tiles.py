"""What tiles take: slices, and weight memory."""

from dataclasses import replace

from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.scripts.runs.tiles import TileUse, tile_use

from ...hw.networks import random_network, weighted


def test_slices_and_memory_by_hand():
    network = random_network(1, ("int8", "uint4", "uint4"), [6, 5, 2], Accumulator(20))
    first, last = weighted(network)
    mixed = replace(first, weights=first.weights % 2, widths=[8, 2, 2, 2, 4])
    network = replace(network, layers=(mixed, last))
    sliced = tile_use(Program(network, Geometry(1, 2, 4, slice=2)))
    assert sliced == (
        TileUse(bits_a_weight=3.6, slices="1x4 1x2 1x1", weight_memory=16 * 2 * 7),
        TileUse(bits_a_weight=8.0, slices="1x4", weight_memory=16 * 2 * 4),
    )
    whole = tile_use(Program(network, Geometry(1, 2, 4)))
    assert [(use.slices, use.weight_memory) for use in whole] == [("", 64 * 2 * 3), ("", 64 * 2)]
