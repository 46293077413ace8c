"""The whole accelerator against the integer reference, by equality, in Amaranth's simulator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator import Accelerator
from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.array import Geometry
from narrowgauge.hw.program import Program
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.reference import evaluate

from .networks import FAMILIES, geometries, networks, random_levels, random_network

pauses = st.sampled_from([0.0, 0.3, 0.7])


def check(network, geometry, images, *, contexts=2, dsp=False, **stimulus):
    """Run ``images`` through hardware and reference; return the run and the comparison."""
    accelerator = Accelerator(
        Program(network, geometry, contexts=contexts), dsp=dsp, requantize_dsp=dsp
    )
    run = AmaranthEngine(accelerator).run(Stimulus(images, traced=len(images), **stimulus))
    expected = evaluate(network, images, geometry.lanes, trace=True)
    sums = sum(layer.outputs for layer in network)
    assert len(run.events) == len(images) * sums, "every sum of every image is traced, once"
    assert run.overflows == tuple(int(t.overflowed.sum()) for t in expected.layers)
    return run, compare(run, expected, network, geometry)


@settings(max_examples=25)
@given(
    network=networks(),
    geometry=geometries,
    count=st.integers(1, 9),
    contexts=st.integers(1, 2),
    dsp=st.booleans(),
    gaps=pauses,
    stalls=pauses,
)
def test_equals_the_reference(network, geometry, count, contexts, dsp, gaps, stalls):
    images = random_levels(np.random.default_rng(count), network.input, (count, network.inputs))
    _, comparison = check(
        network, geometry, images, contexts=contexts, dsp=dsp, gaps=gaps, stalls=stalls
    )
    assert comparison, str(comparison.first)
    assert comparison.mismatches == 0


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_equals_the_reference_where_it_overflows_often(family, overflow):
    network = random_network(5, family, [24, 10, 6], Accumulator(4, overflow))
    images = random_levels(np.random.default_rng(2), network.input, (5, 24))
    run, comparison = check(network, Geometry(2, 3, 4), images)
    assert comparison, str(comparison.first)
    assert sum(run.overflows) > 0


def test_the_array_is_busy_on_wide_layers():
    """The feeder hides: 256-wide layers use over 90 % of the MAC slots, from first to last sum."""
    geometry = Geometry(2, 4, 16)
    network = random_network(1, ("int2", "uint2", "uint2"), [256, 256, 256, 8], Accumulator(16))
    images = random_levels(np.random.default_rng(0), network.input, (8, 256))
    run, comparison = check(network, geometry, images)
    assert comparison, str(comparison.first)
    macs = sum(layer.macs for layer in network)
    cycles = run.events["cycle"][-1] - run.events["cycle"][0]
    assert len(images) * macs / (geometry.macs * cycles) >= 0.9


def test_images_without_end_need_no_reset():
    network = random_network(3, ("int4", "uint4", "uint4"), [6, 5, 4], Accumulator(12))
    images = random_levels(np.random.default_rng(1), network.input, (61, 6))
    run, comparison = check(network, Geometry(3, 2, 2), images)
    assert comparison, str(comparison.first)
    assert run.cycles < 61 * 60


def test_equal_logits_give_the_first_class():
    network = random_network(3, ("int4", "uint4", "uint4"), [4, 6], Accumulator(12))
    network.layers[0].weights[:] = network.layers[0].weights[0]
    network.layers[0].bias[:] = [1, 5, 5, 2, 5, 0]
    run, comparison = check(network, Geometry(1, 4, 2), np.zeros((3, 4), np.int64))
    assert comparison
    assert run.labels.tolist() == [1, 1, 1]
