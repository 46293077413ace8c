"""Planted faults: the comparison must catch each one, and say where it is."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module

from narrowgauge.hw.accelerator.outputs import requantize
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.mac import choice
from narrowgauge.hw.mac.choice import dot_product
from narrowgauge.hw.mac.dot import DotProduct
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Bipolar
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers.reference import evaluate

from ..networks import random_convnet, random_levels, random_network

GEOMETRY = Geometry(2, 3, 4)
FAMILIES = [
    ("bipolar", "uint4", "bipolar"),
    ("pow2_4", "uint8", "uint8"),
    ("int4", "uint4", "uint4"),
    ("bipolar", "uint3", "uint5"),
    ("e3m2", "uint4", "uint8"),
]


def run(family, edit=None):
    """Compare an accelerator, whose program ``edit`` may damage, with the reference."""
    network = random_network(6, family, [12, 7, 5], Accumulator(16))
    program = Program(network, GEOMETRY)
    if edit:
        edit(program)
    images = random_levels(np.random.default_rng(3), network.input, (6, 12))
    simulated = AmaranthEngine(Accelerator(program)).run(Stimulus(images, traced=6))
    expected = evaluate(network, images, GEOMETRY.lanes, trace=True)
    return compare(simulated, expected, network, GEOMETRY)


@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_without_a_fault_all_is_equal(family):
    comparison = run(family)
    assert comparison
    assert (comparison.images, comparison.mismatches, comparison.traced) == (6, 0, 6)


class StuckDot(DotProduct):
    """A dot product whose lowest output bit is stuck at 1."""

    def __init__(self, inner):
        super().__init__(inner.operands, inner.lanes)
        self.inner, self.latency = inner, inner.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self.inner
        m.d.comb += [
            inner.i_weights.eq(self.i_weights),
            inner.i_activations.eq(self.i_activations),
            self.o.eq(inner.o | 1),
        ]
        return m


@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_a_fault_in_one_mac_is_located(family, monkeypatch):
    made = []

    def make(operands, lanes, **options):
        made.append(None)
        dot = dot_product(operands, lanes, **options)
        return StuckDot(dot) if len(made) == 1 + 1 * GEOMETRY.columns + 2 else dot

    monkeypatch.setattr(choice, "dot_product", make)
    comparison = run(family)
    assert len(made) == GEOMETRY.elements
    assert comparison.mismatches > 0
    first = comparison.first
    assert first is not None
    assert first.stage == "sum"
    assert first.place.endswith("processing element (1, 2)")
    assert (first.layer, first.cycle is not None) == ("layer0", True)


@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_a_fault_in_the_requantiser_is_located(family, monkeypatch):
    right = requantize._clamp

    def wrong(mode, value, total):
        if mode.output == Bipolar():
            return right(mode, value, total - 1)  # the sign of 0 is wrong
        return right(mode, value + 1, total)

    monkeypatch.setattr(requantize, "_clamp", wrong)
    if family[0] == "bipolar" and family[2] == "bipolar":
        # the sign goes wrong at exactly 0 only: put channel 3 there
        comparison = run(family, lambda program: _zero_channel(program, 3))
    else:
        comparison = run(family)
    assert comparison.mismatches > 0
    first = comparison.first
    assert first is not None
    assert first.stage == "level"
    assert abs(first.hardware - first.reference) in (1, 2)
    assert first.codes is not None


def _zero_channel(program, channel):
    """Give a channel of the first layer a sum that its bias can cancel, in some image."""
    layer = program.network.layers[0]
    images = random_levels(np.random.default_rng(3), layer.input, (6, 12))
    layer.bias[channel] = -int(images[0] @ layer.weights[channel])
    program.__init__(program.network, program.geometry)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_a_fault_in_the_weight_memory_is_located(family, layer):
    tile, channel_in_tile, step = 1, 1, 0
    channel = tile * GEOMETRY.columns + channel_in_tile

    def edit(program):
        width = program.operands.weight.width
        record = program.records[layer]
        word = record.tiles.weight_base + tile * record.tiles.steps + step
        lane = _lane_that_counts(program.network, layer, channel)
        bit = (channel_in_tile * GEOMETRY.lanes + lane) * width + width - 1
        program.contents.weights[word] ^= 1 << bit  # the sign

    comparison = run(family, edit)
    assert comparison.mismatches > 0
    first = comparison.first
    assert first is not None
    assert (first.stage, first.layer, first.element) == ("sum", f"layer{layer}", channel)
    assert f"layer layer{layer}, image" in str(first)


def _lane_that_counts(network, layer, channel):
    """A lane of the first step whose weight and activation are not 0 in some image."""
    images = random_levels(np.random.default_rng(3), network.input, (6, 12))
    levels = evaluate(network, images, GEOMETRY.lanes, trace=True).layers[layer - 1].levels
    inputs = images if layer == 0 else levels.numpy()
    products = (
        inputs[:, : GEOMETRY.lanes] * network.layers[layer].weights[channel, : GEOMETRY.lanes]
    )
    return int(abs(products).sum(axis=0).argmax())


def test_a_fault_in_the_parameter_memory_is_located():
    def edit(program):
        program.contents.parameter_words[4] ^= 1 << (program.contents.bias_width - 1)

    comparison = run(FAMILIES[2], edit)
    first = comparison.first
    assert first is not None
    assert (first.stage, first.element) == ("level", 4)


def requantised(edit=None, **changes):
    """Compare an accelerator whose first layer is requantised in another way."""
    plain = random_network(6, FAMILIES[2], [12, 7, 5], Accumulator(16))
    ones = {"bias": np.zeros(7), "multiplier": np.ones(7), "shift": 0}
    first = replace(plain.layers[0], **(ones | changes))
    network = replace(plain, layers=(first, plain.layers[1]))
    program = Program(network, GEOMETRY)
    if edit:
        edit(program)
    images = random_levels(np.random.default_rng(3), network.input, (6, 12))
    simulated = AmaranthEngine(Accelerator(program)).run(Stimulus(images, traced=6))
    expected = evaluate(network, images, GEOMETRY.lanes, trace=True)
    return compare(simulated, expected, network, GEOMETRY), expected.layers[0]


STEPS = np.tile(np.arange(15) * 9 - 60, (7, 1))


@pytest.mark.parametrize("stage", range(4))
def test_one_wrong_threshold_is_located(stage):
    comparison, layer = requantised(thresholds=STEPS)
    assert comparison, str(comparison.first)
    channel = 4
    assert layer.levels[:, channel].max() == 15

    def edit(program):
        # every search for level 15 meets it, and goes the other way now
        word = channel << stage | 15 >> (4 - stage)
        thresholds = program.contents.thresholds
        thresholds.images[stage][word] = (1 << (thresholds.width - 1)) - 1

    comparison, _ = requantised(edit, thresholds=STEPS)
    first = comparison.first
    assert first is not None
    assert (first.stage, first.layer, first.element) == ("level", "layer0", channel)
    assert first.hardware < first.reference


def test_halves_that_always_go_up_are_located(monkeypatch):
    changes = {"shift": 2, "rounding": "half_even"}
    comparison, _ = requantised(**changes)
    assert comparison, str(comparison.first)
    right = requantize._shifted
    monkeypatch.setattr(
        requantize, "_shifted", lambda mode, total: right(replace(mode, rounding="half_up"), total)
    )
    comparison, layer = requantised(**changes)
    first = comparison.first
    assert first is not None
    assert (first.stage, first.layer, first.hardware) == ("level", "layer0", first.reference + 1)
    assert layer.accumulators is not None
    assert layer.accumulators[first.image, first.element] % 4 == 2  # a half


def test_a_clamp_that_is_forgotten_is_located(monkeypatch):
    changes = {"low": 3, "high": 12}
    comparison, _ = requantised(**changes)
    assert comparison, str(comparison.first)
    right = requantize._clamp
    monkeypatch.setattr(
        requantize,
        "_clamp",
        lambda mode, *values: right(replace(mode, low=None, high=None), *values),
    )
    comparison, _ = requantised(**changes)
    assert comparison.first is not None
    assert comparison.first.stage == "level"


def test_every_image_that_differs_is_counted():
    network = random_network(6, FAMILIES[2], [12, 7, 5], Accumulator(16))
    images = random_levels(np.random.default_rng(3), network.input, (6, 12))
    simulated = AmaranthEngine(Accelerator(Program(network, GEOMETRY))).run(
        Stimulus(images, traced=6)
    )
    simulated.events["overflow"] ^= 1
    expected = evaluate(network, images, GEOMETRY.lanes, trace=True)
    comparison = compare(simulated, expected, network, GEOMETRY)
    assert comparison.mismatches == 6
    assert comparison.first is not None
    assert comparison.first.stage == "overflow"


def convolutional(edit=None):
    """Compare an accelerator for all kinds of layers, whose records ``edit`` may damage."""
    three, two = Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((2, 2), (2, 2))
    spec = (
        Size(6, 5, 3), ("conv", 4, three, 1), ("max", two), ("conv", 4, three, 2),
        ("add", "layer1", (2, 3)), ("average", None), ("dense", 3),
    )  # fmt: skip
    network = random_convnet(2, ("int4", "uint4", "uint4"), spec, Accumulator(20))
    geometry = Geometry(2, 4, 4, chains=2)
    program = Program(network, geometry, batch=1, regroup=False)  # two groups stay two
    if edit:
        edit(program)
    images = random_levels(np.random.default_rng(5), network.input, (3, network.inputs))
    simulated = AmaranthEngine(Accelerator(program)).run(Stimulus(images, traced=3))
    expected = evaluate(network, images, geometry.lanes, trace=True)
    return compare(simulated, expected, network, geometry)


def test_all_kinds_of_layers_are_equal():
    comparison = convolutional()
    assert comparison, str(comparison.first)


@pytest.mark.parametrize(
    ("layer", "part", "change", "seen"),
    [
        (0, "feed", {"left": 0}, "layer0"),  # the window starts in the image's first column
        (0, "feed", {"input_rows": 5}, "layer0"),  # the last row counts as padding
        (0, "feed", {"pad": 3}, "layer0"),
        (1, "feed", {"x_step": 4}, "layer2"),  # windows of the pool overlap
        (1, "place", {"row_step": 0}, "layer2"),  # its outputs lie on top of each other
        (2, "feed", {"group_step": 0}, "layer2"),  # both groups read the same channels
        (2, "tiles", {"group_weights": 0}, "layer2"),
        (3, "feed", {"outer_step": 0}, "layer3"),  # one tensor is added to itself
    ],
)
def test_a_fault_in_a_record_is_located(layer, part, change, seen):
    def edit(program):
        records = list(program.records)
        part_of = replace(getattr(records[layer], part), **change)
        records[layer] = replace(records[layer], **{part: part_of})
        program.records = tuple(records)

    comparison = convolutional(edit)
    assert comparison.mismatches > 0
    assert comparison.first is not None
    assert comparison.first.layer == seen
