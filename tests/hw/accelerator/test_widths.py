"""Layers and channels of any widths on an array of slices, against the reference, by equality.

``NARROWGAUGE_LONG=1`` draws 150 networks.
"""

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import SLICES, Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.program.mapping import MappedLayer
from narrowgauge.hw.program.ordering import sorted_by_width
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ..networks import (
    convnets,
    geometries,
    random_convnet,
    random_images,
    random_network,
    residuals,
    seeds,
    weighted,
    with_kinds,
    with_widths,
)

EXAMPLES = 150 if os.environ.get("NARROWGAUGE_LONG") else 6
FAMILY = "int8", "uint4", "uint4"
SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
RESIDUAL = (Size(2, 2, 2), ("conv", 8, SAME, 1), ("conv", 8, Window((1, 1)), 1),
            ("add", "layer0", (5, 2)), ("average", None), ("dense", 4))  # fmt: skip


def check(network, geometry, count=2, **options):
    """Run images; return the program, the run, and the comparison of sums, levels and cycles."""
    program = Program(network, geometry, **options)
    accelerator, images = Accelerator(program), random_images(count, network, count)
    run = AmaranthEngine(accelerator).run(Stimulus(images, traced=count))
    expected = evaluate(network, images, geometry.lanes, sliced=bool(geometry.slice), trace=True)
    assert len(run.events) == count * program.sums, "every sum of every image, once"
    assert run.cycles == accelerator.cycles.run(count), "as predicted"
    return program, run, compare(run, expected, network, geometry)


def residual(accumulator):
    network = with_widths(1, random_convnet(1, FAMILY, RESIDUAL, accumulator), [2, 4, 8])
    return sorted_by_width(network)


@pytest.mark.parametrize(
    ("accumulator", "bits"),
    [
        *((Accumulator(12), bits) for bits in SLICES),
        (Accumulator(24, "saturate"), 2),
        (Accumulator(12, "saturate"), None),
    ],
)
def test_a_residual_network_of_channels_of_2_4_and_8_bits(accumulator, bits):
    geometry = Geometry(2, 2, 4, chains=2, slice=bits)
    program, _, comparison = check(residual(accumulator), geometry)
    assert comparison, str(comparison.first)
    runs = [len(record.tiles.runs) for record in program.records]
    assert (max(runs) > 1) == (bits is not None)


KINDS = st.one_of(
    st.just("bipolar"),
    st.builds("{}int{}".format, st.sampled_from(["", "u"]), st.integers(1, 16)),
    st.tuples(st.lists(st.integers(2, 12), min_size=2, max_size=4), st.booleans()),
)


@settings(max_examples=EXAMPLES)
@given(
    network=st.one_of(convnets(max_layers=3, max_pixels=3, max_channels=4), residuals()),
    kinds=st.lists(KINDS, min_size=1, max_size=4),
    geometry=geometries,
    bits=st.sampled_from(SLICES),
    chains=st.sampled_from([1, 2]),
    is_sorted=st.booleans(),
    seed=seeds,
)
def test_networks_of_any_widths(network, kinds, geometry, bits, chains, is_sorted, seed):
    """Layers of one width beside those of several, and sums whose tensors have one order."""
    network = with_kinds(seed, network, kinds)
    network = network.with_accumulator(replace(network.accumulator, overflow="wrap"))
    network = sorted_by_width(network) if is_sorted else network
    sizes = replace(geometry, slice=bits)
    if geometry.rows % chains == 0 and Program(network, sizes).segment >= chains:
        sizes = replace(sizes, chains=chains)
    _, _, comparison = check(network, sizes)
    assert comparison, str(comparison.first)


def test_other_weights_of_the_same_widths_can_be_loaded():
    network = with_widths(1, random_network(1, FAMILY, [8, 9, 4], Accumulator(18)), [2, 4, 8])
    other = [
        replace(layer, weights=0 * layer.weights - 2 + (index % 2))
        for index, layer in enumerate(weighted(network))
    ]
    geometry = Geometry(1, 2, 4, slice=2)
    built = Program(network, geometry, any_weights=True)
    loaded = replace(network, layers=tuple(other))
    program, _, comparison = check(loaded, geometry, any_weights=True)
    assert comparison, str(comparison.first)
    assert program.records[0].tiles == built.records[0].tiles
    assert program.memories == built.memories


def test_cycles_of_a_layer_are_as_its_slices():
    """Of 16 tiles, 8, 4 and 4 have 1, 2 and 4 slices: 32 in all, instead of 64."""
    network = random_network(1, FAMILY, [64, 64], Accumulator(20))
    (layer,) = weighted(network)
    layer = replace(layer, weights=layer.weights % 2)
    widths = [8] * 16 + [4] * 16 + [2] * 32
    network = replace(network, layers=(replace(layer, widths=widths),))
    geometry = Geometry(1, 4, 4, slice=2)
    program, run, comparison = check(network, geometry, 1)
    assert comparison
    assert run.steps == 16 * 32
    whole = Program(replace(network, layers=(layer,)), geometry)
    took = [each.cycles.compute(each.records[0]) for each in (program, whole)]
    assert took == [16 * 32 + 1, 16 * 64 + 1]


def test_a_tile_with_a_slice_too_few_is_found(monkeypatch):
    network, geometry = residual(Accumulator(16)), Geometry(1, 2, 4, slice=2)
    assert check(network, geometry, 1)[2]
    edit(monkeypatch, MappedLayer, "slices", "-(-widest // bits)", "-(-widest.clip(max=4) // bits)")
    _, _, comparison = check(network, geometry, 1)
    assert comparison.first is not None
    assert (comparison.first.stage, comparison.first.layer) == ("sum", "layer0")
