"""Accelerators with several outputs: every level and label of each is in its place."""

import pytest

from narrowgauge.hw.accelerator.outputs.writer import Writer
from narrowgauge.hw.accelerator.scoreboard import Scoreboard
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.engine import make_engine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ..networks import random_exits, random_images

SAME, HALF = Window((3, 3), padding=(1, 1, 1, 1)), Window((2, 2), (2, 2))
CONV = ("conv", 4, SAME, 1)
TRUNK = (Size(3, 4, 2), CONV, CONV, ("max", HALF), ("dense", 5))
EXITS = {  # exits, their order, and the array
    "two classes": ({"layer0": (("dense", 7), "int12")}, None, Geometry(2, 2, 2)),
    "classes and an image": ({"layer1": (("conv", 3, SAME, 1), "int5")}, None, Geometry(3, 2, 4)),
    "one number": ({"layer1": (("dense", 1), "uint5")}, None, Geometry(4, 2, 2, chains=2)),
    "an image that is read": ({"layer0": (None, None)}, None, Geometry(2, 2, 2, chains=2)),
    "another order": (
        {"layer0": (("dense", 3), "int12"), "layer2": (("dense", 6), "bipolar")},
        ["layer3", "layer2_exit", "layer0_exit"],
        Geometry(2, 3, 3),
    ),
    "three kinds": (
        {
            "layer0": (None, None),
            "layer1": (("conv", 6, SAME, 2), "int5"),
            "layer2": (("dense", 4), "int16"),
        },
        ["layer2_exit", "layer3", "layer0", "layer1_exit"],
        Geometry(4, 2, 2, chains=2),
    ),
}  # fmt: skip


def program_of(name, contexts=2):
    exits, order, geometry = EXITS[name]
    network = random_exits(
        1, ("int4", "uint4", "uint4"), TRUNK, exits, Accumulator(24), order=order
    )
    return Program(network, geometry, contexts=contexts)


def compared(program, engine="amaranth", count=3, gaps=0.2, stalls=0.2):
    network = program.network
    images = random_images(2, network, count)
    work = Stimulus(images, gaps=gaps, stalls=stalls, traced=count)
    run = make_engine(Accelerator(program), engine, cycles=1000, work=work).run(work)
    wanted = evaluate(network, images, program.geometry.lanes, trace=True)
    assert run.levels.shape == (count, network.outputs)
    assert run.labels.shape == (count, len(network.ends))
    return compare(run, wanted, network, program.geometry)


@pytest.mark.parametrize("name", ["classes and an image", "one number", "three kinds"])
def test_every_level_comes_in_its_place(name):
    comparison = compared(program_of(name, contexts=1 + len(name) % 2))
    assert comparison, comparison.first


@pytest.mark.parametrize("engine", ["compiled", "batch"])
def test_other_engines_agree(engine):
    comparison = compared(program_of("three kinds"), engine, gaps=0, stalls=0)
    assert comparison, comparison.first


@pytest.mark.parametrize(
    ("name", "owner", "method", "old", "new"),
    [
        ("another order", Scoreboard, "_context", "layer != output", "layer != last"),
        ("an image that is read", Writer, "elaborate", "apart != outputs", "False"),
        ("two classes", Writer, "_output_index", "numbers[output.layer] = index", "pass"),
    ],
    ids=["an area that is still read", "an output that is read", "one place"],
)
def test_a_planted_fault_is_found(monkeypatch, name, owner, method, old, new):
    edit(monkeypatch, owner, method, old, new)
    assert not compared(program_of(name, contexts=1), count=4, stalls=0.95)
