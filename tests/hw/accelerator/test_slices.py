"""Layers of many widths on one array of slices, against the integer reference, by equality."""

import pytest

from narrowgauge.hw.accelerator.sequencer import Sequencer
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import SLICES, Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ..networks import random_convnet, random_images, random_network, with_weights

WIDTHS = "int2", "int3", "int4", "int8"
THREE = Window((3, 3), (1, 1), (1, 1, 1, 1))
RESIDUAL = (Size(3, 3, 2), ("conv", 4, THREE, 1), ("conv", 4, THREE, 2), ("add", "layer0", (5, 2)),
            ("average", None), ("dense", 3))  # fmt: skip


def check(network, geometry, count=2, **options):
    """Run images through hardware and reference; return program, run and comparison."""
    program = Program(network, geometry, **options)
    accelerator, images = Accelerator(program), random_images(count, network, count)
    run = AmaranthEngine(accelerator).run(Stimulus(images, traced=count))
    sliced = geometry.slice is not None
    expected = evaluate(network, images, geometry.lanes, sliced=sliced, trace=True)
    assert len(run.events) == count * program.sums, "every sum of every image, once"
    assert run.overflows == ()  # not observed
    return program, run, compare(run, expected, network, geometry)


def residual(accumulator, formats=WIDTHS, family=("int8", "uint4", "uint4")):
    return with_weights(1, random_convnet(1, family, RESIDUAL, accumulator), formats)


@pytest.mark.parametrize("bits", SLICES)
def test_a_residual_network_of_four_widths(bits):
    geometry = Geometry(2, 2, 4, chains=2, slice=bits)
    _, _, comparison = check(residual(Accumulator(12)), geometry)  # which wraps
    assert comparison, str(comparison.first)


def test_an_accumulator_that_could_saturate_and_does_not():
    _, _, comparison = check(residual(Accumulator(24, "saturate")), Geometry(2, 2, 4, slice=2))
    assert comparison, str(comparison.first)


def test_whole_weights_and_slices_give_the_same_levels():
    network = residual(Accumulator(24))
    images = random_images(1, network, 1)
    runs = [
        AmaranthEngine(Accelerator(Program(network, geometry))).run(Stimulus(images))
        for geometry in (Geometry(2, 2, 4), Geometry(2, 2, 4, slice=2))
    ]
    assert (runs[0].levels == runs[1].levels).all()


def test_cycles_of_a_layer_are_as_its_slices():
    """Each layer's steps, and no more than the model's cycles but for waiting."""
    formats = ["int2", "uint4", "int8", "int16"]
    network = random_network(1, ("int4", "uint4", "uint4"), [32] * 5, Accumulator(20))
    network = with_weights(1, network, formats)
    program, run, comparison = check(network, Geometry(1, 4, 4, slice=2), 1)
    assert comparison
    steps = [8 * each.tiles.tiles * each.tiles.planes for each in program.records]
    assert run.steps == sum(steps)
    assert [program.cycles.compute(each) for each in program.records] == [n + 1 for n in steps]
    assert [each // steps[0] for each in steps] == [1, 2, 4, 8]


def test_a_lower_slice_that_is_signed_is_found(monkeypatch):
    network, geometry = residual(Accumulator(16)), Geometry(1, 2, 4, slice=2)
    edit(monkeypatch, Sequencer, "_slice", "self.o_signed.eq(first & ", "self.o_signed.eq(")
    _, _, comparison = check(network, geometry, 1)
    assert comparison.first is not None
    assert comparison.first.stage == "sum"
    assert comparison.first.layer == "layer1"  # the first one of two slices
