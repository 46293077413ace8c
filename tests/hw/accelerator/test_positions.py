"""Accelerators whose result is an image, or one number: every level is in its place."""

import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.engine import make_engine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers.reference import evaluate

from ..networks import random_convnet, random_images

SAME, HALF = Window((3, 3), padding=(1, 1, 1, 1)), Window((2, 2), (2, 2))
CONV = ("conv", 4, SAME, 1)
ENDS = {  # the layers behind one of 4 channels, and the array
    "rows that positions do not fill": ((("conv", 3, SAME, 1),), Geometry(3, 2, 4)),
    "groups, and chains": ((("conv", 4, SAME, 2),), Geometry(4, 2, 2, chains=2)),
    "averages": ((("average", HALF),), Geometry(2, 2, 2, chains=2)),
    "one channel": ((("conv", 1, SAME, 1),), Geometry(2, 2, 2)),
    "one number": ((("dense", 1),), Geometry(2, 2, 2)),
}


def network_of(end):
    layers, geometry = ENDS[end]
    spec = (Size(3, 4, 2), CONV, *layers)
    return random_convnet(1, ("int4", "uint4", "uint4"), spec, Accumulator(24)), geometry


def is_right(program, gaps=0.2):
    network, images = program.network, random_images(2, program.network, 3)
    work = Stimulus(images, gaps=gaps, stalls=gaps)
    accelerator = Accelerator(program)
    run = make_engine(accelerator, "amaranth", cycles=1000, work=work).run(work)
    wanted = evaluate(network, images, program.geometry.lanes)
    assert run.levels.shape == (3, network.outputs)
    return np.array_equal(run.levels, wanted.levels) and not run.labels.any()


@pytest.mark.parametrize("end", ENDS)
def test_every_level_comes_in_its_place(end):
    network, geometry = network_of(end)
    assert not network.classes
    assert is_right(Program(network, geometry, contexts=1 + len(end) % 2))


def test_a_layer_of_few_channels_at_the_end_narrows_no_segment():
    network, geometry = network_of("one channel")
    assert Program(network, geometry).segment == 2
