"""The default networks on the whole digits test set: accuracy, and hardware against reference."""

import shutil

import pytest

from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth.build import accelerator_for
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools.store import Store
from narrowgauge.model.data import load
from narrowgauge.model.integers.reference import accuracy, evaluate
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.scripts.runs.checked import simulate_and_compare
from narrowgauge.scripts.runs.loading import set_accumulator
from narrowgauge.scripts.runs.pipeline import Trainer
from narrowgauge.scripts.terminal.progress import Reporter

GEOMETRY = Geometry(2, 2, 4)
POINTS_BELOW_FLOAT = {"int8": 0.01, "int4": 0.02, "pow2_4": 0.02}
NARROW = {"bipolar": 6, "pow2_4": 13, "int4": 8, "int8": 15}

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))),
    reason="no C++ compiler here: Amaranth's simulator would take minutes for each case",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for all networks: they begin at the same float network, which is trained once."""
    return Store(tmp_path_factory.mktemp("store") / "results.sqlite")


@pytest.fixture(scope="module", params=list(NARROW))
def trained(request, store):
    trainer = Trainer(Recipe(), store, Reporter())
    network = trainer.network(request.param, None, GEOMETRY.lanes)
    return request.param, network, trainer.accuracy_float()


def test_integers_are_as_accurate_as_promised(trained):
    name, network, accuracy_float = trained
    data = load("digits")
    result = evaluate(network, data.levels(data.test_images, network.input), GEOMETRY.lanes)
    share = accuracy(result, data.test_labels)
    assert share == network.about["accuracy_reference"]
    if name == "bipolar":
        assert share >= 0.92
    else:
        assert share >= accuracy_float - POINTS_BELOW_FLOAT[name]


@needs_compiler
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_hardware_equals_the_reference_on_every_image(trained, overflow, narrow):
    name, network, _ = trained
    network = set_accumulator(network, NARROW[name] if narrow else None, overflow)
    data = load("digits")
    levels = data.levels(data.test_images, network.input)
    accelerator = accelerator_for(Program(network, GEOMETRY), target("up5k"))
    run, comparison, expected = simulate_and_compare(accelerator, levels, "batch")
    assert comparison, str(comparison.first)
    assert (comparison.images, comparison.traced, comparison.mismatches) == (450, 450, 0)
    assert run.overflows == expected.overflows
    assert (sum(run.overflows) > 0) == narrow
