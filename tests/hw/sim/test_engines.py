"""Both engines do the same, cycle by cycle."""

import shutil
from functools import partial

import numpy as np
import pytest

from narrowgauge.hw.accelerator.implementation import Implementation
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import MismatchError, NetworkError, ToolError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network import layers
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim import compiled, interpreted, library
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.compiled import CompiledEngine
from narrowgauge.hw.sim.engine import make_engine
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import EVENT, CycleWindow, Stimulus
from narrowgauge.hw.tools import programs as tools
from narrowgauge.model.integers.reference import evaluate

from ..networks import random_convnet, random_levels, random_network

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler here"
)


def accelerator(family=("int4", "uint4", "uint4"), widths=(9, 6, 5), overflow="saturate"):
    network = random_network(4, family, widths, Accumulator(7, overflow))
    return Accelerator(Program(network, Geometry(2, 3, 4)))


def convolutional(seed=2, varied=False, **options):
    """All kinds of layers on two chains; where no sum of a varied one overflows, in strips."""
    three = layers.Window((3, 3), (1, 1), (1, 1, 1, 1))
    two = layers.Window((2, 2), (2, 2))
    spec = (
        layers.Size(6, 5, 3), ("conv", 4, three, 1), ("max", two), ("conv", 4, three, 2),
        ("add", "layer1", (2, 3)), ("average", None), ("dense", 3),
    )  # fmt: skip
    family, register = ("int4", "uint4", "uint4"), Accumulator(16 if varied else 9, "saturate")
    network = random_convnet(seed, family, spec, register, varied=varied)
    return Accelerator(
        Program(network, Geometry(2, 4, 4, chains=2), batch=1), Implementation(**options)
    )


def images_for(design, count):
    network = design.program.network
    return random_levels(np.random.default_rng(0), network.input, (count, network.inputs))


@needs_compiler
@pytest.mark.parametrize(
    "make_design",
    [
        accelerator,
        partial(accelerator, ("bipolar", "uint4", "bipolar")),
        partial(accelerator, ("e5m2", "uint8", "uint8")),  # sums of lanes have 44 bits
        convolutional,
        partial(convolutional, single_port=("weights", "activations")),
        partial(convolutional, seed=4, varied=True),  # with thresholds, and halves to even
    ],
)
def test_engines_agree_cycle_by_cycle(make_design):
    design = make_design()
    images = images_for(design, 7)
    runs = [
        make(design).run(Stimulus(images, traced=5)) for make in (CompiledEngine, AmaranthEngine)
    ]
    fast, slow = runs
    assert (fast.cycles, fast.steps, fast.overflows) == (slow.cycles, slow.steps, slow.overflows)
    assert fast.layer_cycles == slow.layer_cycles
    assert (fast.levels == slow.levels).all()
    assert (fast.labels == slow.labels).all()
    assert len(fast.events) == len(slow.events) == 5 * design.program.sums
    for field in EVENT.names or ():
        assert (fast.events[field] == slow.events[field]).all(), field


@needs_compiler
def test_pauses_change_cycles_and_nothing_else():
    design = accelerator()
    images = images_for(design, 40)
    engine = CompiledEngine(design)
    steady = engine.run(Stimulus(images))
    paused = engine.run(Stimulus(images, gaps=0.5, stalls=0.8, seed=3, traced=40))
    assert paused.cycles > steady.cycles
    assert (paused.levels == steady.levels).all()
    expected = evaluate(design.program.network, images, 4, trace=True)
    comparison = compare(paused, expected, design.program.network, design.program.geometry)
    assert comparison, str(comparison.first)
    counted = (layer.overflowed for layer in expected.layers)
    assert paused.overflows == tuple(0 if each is None else int(each.sum()) for each in counted)


@needs_compiler
def test_a_compiled_design_is_kept(monkeypatch):
    CompiledEngine(accelerator())

    def fail(*_, **__):
        raise AssertionError("compiled again")

    monkeypatch.setattr(library, "compile_library", fail)
    CompiledEngine(accelerator())


@pytest.mark.parametrize(
    "make", [pytest.param(CompiledEngine, marks=needs_compiler), AmaranthEngine]
)
def test_waveforms_of_a_window(make, tmp_path):
    design = accelerator()
    window, kept = CycleWindow(tmp_path / "waves.vcd", 20, 30), tmp_path / "waves.whole.vcd"
    target = tmp_path / "elsewhere.vcd"
    window.path.symlink_to(target.name)
    kept.write_text("mine")
    make(design).run(Stimulus(images_for(design, 2), window=window))
    assert window.path.is_symlink()
    assert kept.read_text() == "mine"
    text = target.read_text()
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    unit = 2 if make is CompiledEngine else 1_000_000_000
    assert "$enddefinitions" in text
    assert 20 * unit <= times[0]
    assert times[-1] <= 30 * unit
    assert len(times) >= 10
    assert set(tmp_path.iterdir()) == {window.path, target, kept}


def test_without_a_compiler_it_says_so_and_goes_on(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(UserWarning, match="CXX is 'no-such-compiler'.*Amaranth's simulator"):
        engine = make_engine(accelerator())
    assert engine.name == "amaranth"
    with pytest.raises(ToolError, match="CXX is 'no-such-compiler'"):
        make_engine(accelerator(), "compiled")


def test_a_compiler_that_fails_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(ToolError, match="false could not compile the simulator"):
        make_engine(accelerator())


def test_what_takes_longer_to_compile_than_to_run_is_not_compiled(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ToolError("it was tried")

    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "run", fail)
    monkeypatch.setattr(compiled, "compile_seconds", lambda cells: 100.0)
    design, said = accelerator(), []
    assert make_engine(design, cycles=10, note=said.append).name == "amaranth"
    assert "takes about 100 s to compile, and Amaranth's simulator about 0 s for this" in said[0]
    for name, cycles in (("auto", 1e9), ("compiled", 10), ("auto", None)):
        with pytest.raises(ToolError, match="it was tried"):
            make_engine(design, name, cycles=cycles)
    monkeypatch.setattr(compiled, "compile_seconds", lambda cells: 5.0)
    with pytest.raises(ToolError, match="it was tried"):
        make_engine(design, cycles=10)


@pytest.mark.parametrize(
    "make", [pytest.param(CompiledEngine, marks=needs_compiler), AmaranthEngine]
)
def test_an_interrupt_ends_a_simulation(make):
    design = accelerator()
    engine, stimulus = make(design), Stimulus(images_for(design, 2))
    tools.interrupt()
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.run(stimulus)
    finally:
        tools.STOP.value = 0
    engine.run(stimulus)


def test_unknown_engines_and_wrong_images_are_refused():
    with pytest.raises(ToolError, match=r"engine is auto, batch, .*, not 'verilator'"):
        make_engine(accelerator(), "verilator")
    with pytest.raises(NetworkError, match=r"takes images of \(1, 1, 9\) or 9 levels; got an"):
        AmaranthEngine(accelerator()).run(Stimulus(np.zeros((2, 8), np.int64)))


@pytest.mark.parametrize(
    "make", [pytest.param(CompiledEngine, marks=needs_compiler), AmaranthEngine]
)
def test_an_accelerator_that_stands_still_is_reported(make, monkeypatch):
    """No image ever completes: the stream ends before the only image does."""
    monkeypatch.setattr(interpreted, "IDLE_LIMIT", 200)
    monkeypatch.setattr(compiled, "IDLE_LIMIT", 200)
    design = accelerator()
    stimulus = Stimulus(images_for(design, 1))
    codes = stimulus.codes
    monkeypatch.setattr(Stimulus, "codes", lambda self, made: codes(made)[:-1])
    with pytest.raises(MismatchError, match="stood still for"):
        make(design).run(stimulus)


@pytest.mark.parametrize(
    "make", [pytest.param(CompiledEngine, marks=needs_compiler), AmaranthEngine]
)
def test_a_long_fetch_is_not_a_standstill(make, monkeypatch):
    monkeypatch.setattr(interpreted, "IDLE_LIMIT", 30)
    monkeypatch.setattr(compiled, "IDLE_LIMIT", 30)
    network = random_network(1, ("int2", "uint2", "uint2"), [60, 1], Accumulator(12))
    design = Accelerator(Program(network, Geometry(16, 1, 1)))
    assert make(design).run(Stimulus(images_for(design, 1))).levels.shape == (1, 1)
