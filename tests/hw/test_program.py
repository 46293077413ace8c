import pytest

from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.array import Geometry
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.program import MAX_LAYERS, Program

from .networks import random_network


def program(widths, geometry, family=("int4", "uint4", "uint4"), **options):
    return Program(random_network(1, family, widths, Accumulator(16)), geometry, **options)


def test_records_follow_each_other_in_memory():
    first, second = program([5, 7, 3], Geometry(2, 2, 4)).records
    assert (first.steps, first.tiles, first.planes, first.outputs) == (2, 4, 1, 7)
    assert (second.steps, second.tiles) == (2, 2)
    assert second.weight_base == first.tiles * first.steps
    assert second.parameter_base == first.tiles * 2
    assert second.input_base == first.output_base == 2


def test_weight_words_hold_column_0_lane_0_lowest():
    made = program([4, 2], Geometry(1, 2, 2))
    weights = made.network.layers[0].weights
    codes = made.operands.weight.to_code(weights)
    expected = [
        sum(
            int(codes[column, step * 2 + lane]) << 4 * (column * 2 + lane)
            for column in range(2)
            for lane in range(2)
        )
        for step in range(2)
    ]
    assert made.weight_image == expected


def test_a_bipolar_network_reads_a_wide_input_as_planes():
    made = program([6, 4, 3], Geometry(1, 2, 4), family=("bipolar", "uint3", "bipolar"))
    assert made.doubling
    assert [record.planes for record in made.records] == [3, 1]
    assert made.records[0].words == 6


def test_layers_with_one_shift_share_a_mode():
    made = program([4, 4, 4, 4], Geometry(1, 2, 2))
    assert len(made.modes) == 2
    assert [record.mode for record in made.records] == [0, 0, 1]


def test_limits_are_named():
    with pytest.raises(GeometryError, match="contexts is 1 or 2, not 3"):
        program([4, 4], Geometry(1, 1, 1), contexts=3)
    with pytest.raises(GeometryError, match=f"the limit is {MAX_LAYERS}"):
        program([1] * (MAX_LAYERS + 2), Geometry(1, 1, 1))
    with pytest.raises(GeometryError, match="weight words at 1x1x1; the limit is"):
        program([1100, 1100], Geometry(1, 1, 1))
