from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Dense, Size, Window
from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.numbers.operands import widest
from narrowgauge.hw.program import contents
from narrowgauge.hw.program.allocation import allocate
from narrowgauge.hw.program.layout import MAX_LAYERS, Program
from narrowgauge.hw.program.mapping import operands

from ..networks import FAMILIES, random_convnet, random_network

WIDE = Accumulator(16)


def program(widths, geometry, family=("int4", "uint4", "uint4"), **options):
    return Program(random_network(1, family, widths, Accumulator(16)), geometry, **options)


def test_records_follow_each_other_in_memory():
    first, second = program([5, 7, 3], Geometry(2, 2, 4)).records
    assert (first.tiles.steps, first.tiles.tiles, first.tiles.planes) == (2, 4, 1)
    assert first.place.channels == 7
    assert (second.tiles.steps, second.tiles.tiles) == (2, 2)
    assert second.tiles.weight_base == first.tiles.tiles * first.tiles.steps
    assert second.tiles.parameter_base == first.tiles.tiles * 2
    assert second.feed.start == first.place.start == 2 * 4


def test_weight_words_hold_column_0_lane_0_lowest():
    made = program([4, 2], Geometry(1, 2, 2))
    (layer,) = made.network.layers
    assert isinstance(layer, Dense)
    weights = layer.weights
    codes = made.operands.weight.to_code(weights)
    expected = [
        sum(
            int(codes[column, step * 2 + lane]) << 4 * (column * 2 + lane)
            for column in range(2)
            for lane in range(2)
        )
        for step in range(2)
    ]
    assert made.contents.weights == expected


def test_a_bipolar_network_reads_a_wide_input_as_planes():
    made = program([6, 4, 3], Geometry(1, 2, 4), family=("bipolar", "uint3", "bipolar"))
    assert made.doubling
    assert [record.tiles.planes for record in made.records] == [3, 1]
    assert made.records[0].tiles.lengths[0] == 6


def test_layers_with_one_shift_share_a_mode():
    made = program([4, 4, 4, 4], Geometry(1, 2, 2))
    assert len(made.modes) == 2
    assert [record.place.mode for record in made.records] == [0, 0, 1]


def test_limits_are_named():
    with pytest.raises(GeometryError, match="contexts is 1 or 2, not 3"):
        program([4, 4], Geometry(1, 1, 1), contexts=3)
    with pytest.raises(GeometryError, match=f"the limit is {MAX_LAYERS}"):
        program([1] * (MAX_LAYERS + 2), Geometry(1, 1, 1))
    with pytest.raises(GeometryError, match="weight words at 1x1x1; the limit is"):
        program([1100, 1100], Geometry(1, 1, 1))
    with pytest.raises(GeometryError, match="batch is 1 to the array's 2 rows, not 3"):
        program([4, 4], Geometry(2, 1, 1), batch=3)


def test_more_chains_than_codes_written_at_once_are_refused():
    three = Window((3, 3))
    spec = (Size(6, 6, 1), ("conv", 6, three, 1), ("conv", 5, three, 1), ("dense", 2))
    network = random_convnet(1, ("int4", "uint4", "uint4"), spec, Accumulator(16))
    assert Program(network, Geometry(2, 4, 4)).segment == 1
    with pytest.raises(GeometryError, match=r"layer layer1 gives 5 channels.*chains is at most 1"):
        Program(network, Geometry(2, 4, 4, chains=2))


def test_tensors_share_memory_only_when_none_is_still_read():
    """Every tensor keeps its place until its last reader has run."""
    same = Window((3, 3), (1, 1), (1, 1, 1, 1))
    spec = (
        Size(4, 4, 2), ("conv", 2, same, 1), ("conv", 2, same, 1), ("conv", 2, same, 1),
        ("add", "layer0", (1, 1)), ("add", "layer1", (1, 2)), ("dense", 2),
    )  # fmt: skip
    network = random_convnet(1, ("int4", "uint4", "uint4"), spec, Accumulator(16))
    sizes = {name: -(-size.elements // 4) for name, size in network.sizes.items()}
    places = allocate(network, sizes)
    order = {layer.name: index for index, layer in enumerate(network)}
    last = {each: order[layer.name] for layer in network for each in network.sources(layer)}
    names = [name for name in places.bases if name != "input"]
    for one, other in combinations(names, 2):
        alive = order[other] <= last[one]
        apart = (
            places.bases[one] + sizes[one] <= places.bases[other]
            or places.bases[other] + sizes[other] <= places.bases[one]
        )
        assert apart or not alive, (one, other)
    assert min(places.bases[name] for name in names) == sizes["input"]
    assert places.words == sizes["input"] + 4 * sizes["layer0"]


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        ((Size(12, 12, 20), ("conv", 50, Window((5, 5)), 1), ("dense", 4)), 0.9),
        (
            (Size(32, 32, 3), ("conv", 32, Window((5, 5), (1, 1), (2, 2, 2, 2)), 1), ("dense", 4)),
            0.85,
        ),
    ],
)
def test_convolutions_should_fill_the_array(spec, least):
    """The second convolution of LeNet-5 and the first of cifar10_full, by what is predicted."""
    network = random_convnet(1, ("int4", "uint4", "uint4"), spec, Accumulator(24))
    made = Program(network, Geometry(4, 4, 8, chains=2), batch=1)
    record = made.records[0]
    cycles = max(made.cycles.compute(record), made.cycles.fetch(record))
    assert network.macs(network.layers[0]) / (made.geometry.macs * cycles) >= least


def mixed():
    """An int2 layer beside an int8 one; weights of the third are bits."""
    sizes = zip(("int2", "int8", "bipolar"), pairwise((6, 4, 4, 3)), strict=True)
    layers = [
        replace(random_network(1, (fmt, "uint4", "uint4"), widths, WIDE).layers[0], name=fmt)
        for fmt, widths in sizes
    ]
    hidden = [replace(layer, output=parse("uint4")) for layer in layers[:-1]]
    return Network("mixed", (*hidden, layers[-1]), WIDE)


def test_every_layer_has_formats_of_its_own():
    made = Program(mixed(), Geometry(1, 2, 4))
    own = [record.mapped.operands for record in made.records]
    assert [each and str(each.weight) for each in own] == ["int2", "int8", "int2"]
    assert made.operands == widest(each for each in own if each) == operands(made.network)
    assert str(made.operands.weight) == "int8"


def test_weights_are_encoded_in_their_own_format_and_widened_for_the_array():
    made = Program(mixed(), Geometry(1, 2, 4))
    first = made.mapped[0]
    assert first.weight_codes.max() < 4
    word = made.contents.weights[0]
    codes = [(word >> 8 * lane) & 255 for lane in range(4)]
    assert [made.operands.weight.to_level(code) for code in codes] == first.weights[0, :4].tolist()


def test_codes_that_are_not_widened_are_seen(monkeypatch):
    monkeypatch.setattr(contents, "_widened", lambda codes, own, fmt: codes)
    with pytest.raises(AssertionError):
        test_weights_are_encoded_in_their_own_format_and_widened_for_the_array()


@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_the_layout_knows_how_much_the_contents_are(family):
    made = program([9, 7, 5], Geometry(2, 3, 4), family)
    assert made.weight_words == len(made.contents.weights)
    assert len(made.contents.parameter_words) == len(made.contents.parameters)
    assert max(made.contents.parameter_words) < 1 << made.contents.parameter_layout.size


def test_cycles_by_hand():
    """One tile of 2 steps, whose 4 sums take 4 cycles to leave; 5 codes are 2 words."""
    made = program([5, 2], Geometry(2, 2, 4), batch=1)
    (record,) = made.records
    model = made.cycles
    assert model.compute(record) == 1 + 4
    assert model.loading == 2 * 4 + 1
    assert model.emitting == 2 * 2 + 1 + 2
    assert model.fetch(record) == 3 + 3  # the last piece of the 5 goes out alone
    assert model.least == max(9, 6, 5, 7)
    # a context is loaded, fetched, computed, written and emitted, one after the other: 34 cycles
    assert model.per_image == 34 / 2
    assert model.longest_job == 2 * 6 + 5
