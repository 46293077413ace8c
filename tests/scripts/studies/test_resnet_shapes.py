"""Shapes of residual networks: widths, what is moved, and single layers beside the cycle model."""

import numpy as np
import pytest

from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Add, Weighted
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.scripts.studies.resnet_layers import SimulatedLayers, cut, simulated
from narrowgauge.scripts.studies.resnet_networks import ResNet, by_channel, by_layer
from narrowgauge.scripts.studies.resnet_shapes import _kinds
from narrowgauge.scripts.studies.resnet_traffic import traffic

SMALL = ResNet(152, size=16, classes=4, channels=4, blocks=(1, 1))
GEOMETRY = Geometry(2, 2, 4, chains=2, slice=2)


def program(network):
    return Program(network, GEOMETRY, contexts=1, batch=1)


@pytest.mark.parametrize(("depth", "layers", "adds"), [(18, 31, 8), (152, 208, 50)])
def test_layers_of_both_depths(depth, layers, adds):
    network = ResNet(depth, channels=1, classes=2).network()
    assert (len(network.layers), sum(isinstance(each, Add) for each in network)) == (layers, adds)
    assert network.sizes["s4b1add"][:2] == (7, 7)
    assert network.sizes["average"].channels == (8 if depth == 18 else 32)


@pytest.mark.parametrize(
    ("mean", "widths", "near"),
    [
        (6.5, lambda plain: by_layer(plain, 6.5, (8, 6)), 0.4),
        (3.4, lambda plain: by_channel(plain, 3.4, (8, 4, 2)), 0.1),
    ],
    ids=["by layer", "by channel"],
)
def test_widths_have_their_mean(mean, widths, near):
    shape = ResNet(18, channels=16, classes=10)
    network = shape.network(widths(shape.network()))
    assert network.mean_weight_bits == pytest.approx(mean, abs=near)
    layers = [each for each in network if isinstance(each, Weighted)]
    assert {layers[0].mean_bits, layers[-1].mean_bits} == {8}
    assert {width for layer in layers[1:-1] for width in layer.channel_widths} > {6} or mean < 6
    for layer in layers:
        assert list(layer.channel_widths) == sorted(layer.channel_widths, reverse=True)


def test_a_bottleneck_takes_the_cycles_of_the_model():
    plain = SMALL.network()
    network = SMALL.network(by_channel(plain, 5, (8, 4, 2)))
    names = ("s2b1conv1", "s2b1conv2", "s2b1conv3", "s2b1down", "s2b1add")
    wanted = SimulatedLayers("bottleneck", 152, names, 2, 2)
    row = simulated(cut(network, wanted, Accumulator(14)), GEOMETRY, engine=AmaranthEngine)
    assert (row["mismatches"], row["bits"], row["input"]) == (0, "8, 4, 2", [2, 2, 16])
    assert row["wrapped"] > 0
    assert row["cycles"] == row["predicted"]
    whole = program(cut(plain, wanted, Accumulator(14)))
    mixed = program(cut(network, wanted, Accumulator(14)))
    assert whole.cycles.run(1) > mixed.cycles.run(1), "a model without the widths would be wrong"


def moved(made, room):
    found = traffic(made, room)
    assert found is not None
    return found


def test_weights_come_in_parts_where_they_do_not_fit():
    made = program(SMALL.network())
    sizes = {name: width * depth for name, (width, depth) in made.memories.items()}
    beside = sum(sizes.values()) - sizes["weights"] - sizes["activations"]
    found = moved(made, beside + sizes["activations"] + 2 * sizes["weights"])
    assert (found.inside, found.more, {each.parts for each in found.layers}) == (True, 0, {1})
    assert found.weights == sizes["weights"]
    assert found.maps == 8 * 16 * 16 * 3 + 16 * 4
    longest = max(max(each.tiles.lengths, default=0) for each in made.records)
    tile = longest * 2 * 4 * 2
    lines = 7 * 16 * 3 * 8
    tight = moved(made, beside + lines + 2 * tile)
    assert (tight.inside, max(each.parts for each in tight.layers) > 1) == (False, True)
    assert tight.weights == found.weights
    add = tight.layers[[each.name for each in made.network].index("s1b1add")]
    assert (add.parts, add.maps) == (1, 3 * 8 * 4 * 4 * 16)
    assert traffic(made, beside + lines + 2 * tile - 2) is None


def test_the_lower_one_of_computing_and_moving():
    found = moved(program(SMALL.network()), 1 << 30)
    bits = found.weights + found.maps
    assert found.rate(1000, 1e6, 1e12) == 1000
    assert found.rate(1000, 1e6, bits / 8) == 1
    cycles = sum(each.cycles for each in found.layers)
    assert found.unhidden(cycles, 1e6, 1e15) == pytest.approx(1e6 / cycles)
    assert found.unhidden(cycles, 1e6, 1e3) < found.rate(cycles, 1e6, 1e3)


def test_kinds_have_all_layers_and_products():
    made = program(SMALL.network())
    kinds = list(_kinds(made))
    assert sum(each["layers"] for each in kinds) == len(made.records)
    assert sum(each["macs"] for each in kinds) == sum(map(made.network.macs, made.network))
    stem = kinds[0]
    assert stem["used"] == pytest.approx(4 * stem["macs"] / GEOMETRY.macs / stem["cycles"])
    assert np.isclose(sum(each["cycles"] for each in kinds), made.cycles.per_image, rtol=0.1)
