"""Accelerators of floats against the reference: every bit of every sum, and the cycles."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator import configure
from narrowgauge.hw.accelerator.sequencer import Sequencer
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.mac.ieee import FloatMAC
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.batch.engine import BatchEngine
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.engine import Engine
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ..float_networks import TWO_LAYERS, float_images, float_network
from ..networks import seeds

pauses = st.sampled_from([0.0, 0.3, 0.7])
SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))


def image(channels):
    """A network of every kind of layer."""
    return (
        Size(3, 2, 3),
        ("conv", channels, SAME, 1),
        ("conv", channels, SAME, 3),
        ("add", "layer0", (1, 1)),
        ("max", Window((2, 2), (1, 1), (1, 0, 0, 0))),
        ("average", Window((2, 1))),
        ("move", (2, channels), (0, 2), 2, Size(2, 2, channels)),
        ("dense", 3),
    )


SMALL = ["float3_2", "float2_1", "float3_2/float4_3", "int3*float3_2", "e2m1*float3_2/float3_4"]


def floats_of(network):
    """The format of a network whose sums have that of its activations."""
    assert network.accumulator.format == network.input
    return network.accumulator.format


def check(
    network, geometry, images, *, engine: Callable[..., Engine] = AmaranthEngine, contexts=2, **more
):
    """Run hardware and reference; return the comparison."""
    accelerator = Accelerator(Program(network, geometry, contexts=contexts))
    run = engine(accelerator).run(Stimulus(images, traced=len(images), **more))
    expected = evaluate(network, images, geometry.lanes, trace=True)
    comparison = compare(run, expected, network, geometry)
    if comparison:
        flags = [each.overflowed for each in expected.layers]
        assert run.overflows == tuple(0 if each is None else int(each.sum()) for each in flags)
        if not more.keys() & {"gaps", "stalls"}:
            assert run.cycles == accelerator.cycles.run(len(images))
    return comparison


@settings(max_examples=3)
@given(
    formats=st.sampled_from([*SMALL, "bipolar*float3_2", "pow2_3*float3_2"]),
    sums=st.integers(1, 8),
    geometry=st.builds(
        Geometry, st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), st.sampled_from([1, 8])
    ),
    seed=seeds,
    pause=pauses,
    special=st.booleans(),
)
def test_dense_networks_equal_the_reference(formats, sums, geometry, seed, pause, special):
    network = float_network(seed, formats, partial_sums=sums)
    images = float_images(seed, network, 3, special=special)
    comparison = check(network, geometry, images, gaps=pause, stalls=pause, seed=seed)
    assert comparison, comparison.first


@pytest.mark.parametrize(
    ("formats", "sums", "channels", "geometry"),
    [
        ("float3_2", 3, 3, Geometry(1, 2, 2, hop=1)),
        ("int3*float3_2", 1, 6, Geometry(2, 2, 4, chains=2)),
    ],
)
def test_every_kind_of_layer_equals_the_reference(formats, sums, channels, geometry):
    network = float_network(sums, formats, image(channels), partial_sums=sums)
    images = float_images(sums, network, 20, special=True)
    comparison = check(network, geometry, images, engine=BatchEngine)
    assert comparison, comparison.first
    assert comparison.traced == 20


@pytest.mark.parametrize("formats", ["fp16", "bf16/fp32", "e4m3*bf16", "int8*fp16"])
def test_formats_that_networks_have(formats):
    network = float_network(8, formats, (Size(1, 1, 5), ("dense", 3), ("dense", 2)), partial_sums=4)
    images = float_images(8, network, 64, special=True)
    comparison = check(network, Geometry(1, 1, 2), images, engine=BatchEngine)
    assert comparison, comparison.first


def test_without_multipliers_none_is_built():
    geometry, networks = Geometry(1, 2, 2), [
        float_network(2, "float3_2", scaled=scaled, partial_sums=2) for scaled in (False, True)
    ]  # fmt: skip
    latencies = []
    for network in networks:
        assert check(network, geometry, float_images(2, network, 2))
        latencies.append(Accelerator(Program(network, geometry)).levels.config.latency)
    assert latencies[0] < latencies[1]


@pytest.mark.parametrize(
    ("owner", "method", "old", "new"),
    [
        # the order in which partial sums meet
        (FloatMAC, "_in_turn", "(m, back.content", "(m, stack[0].content"),
        # a tile that begins while the one before is still added up
        (Sequencer, "_begins", "max(gap, interval", "max(0, interval"),
        # 0 times what lies behind the last code, which may be infinite
        (configure, "_cuts_tails", " or program.network.is_float", ""),
    ],
)
def test_faults_are_found(monkeypatch, owner, method, old, new):
    spec = (Size(1, 2, 3), ("average", Window((1, 1))), ("dense", 3))
    network = float_network(4, "float3_2", spec, partial_sums=4)
    images = float_images(4, network, 4)
    images[:, :, 1, 0] = floats_of(network).infinity  # behind the last channel of pixel 0
    geometry = Geometry(1, 1, 2)
    assert check(network, geometry, images)
    edit(monkeypatch, owner, method, old, new)
    comparison = check(network, geometry, images)
    assert comparison.first is not None
    assert comparison.first.stage == "sum"


def test_another_order_of_partial_sums_is_found():
    """Hardware has another number of partial sums than the network says."""
    network = float_network(6, "float3_2", (Size(1, 1, 19), ("dense", 6)), partial_sums=3)
    other = network.with_accumulator(FloatSum(floats_of(network), 4))
    images, geometry = float_images(6, network, 6), Geometry(1, 2, 2)
    run = AmaranthEngine(Accelerator(Program(other, geometry))).run(Stimulus(images, traced=6))
    comparison = compare(run, evaluate(network, images, 2, trace=True), network, geometry)
    assert comparison.first is not None
    assert comparison.first.stage == "sum"
    assert evaluate(other, images, 2).levels.tolist() == run.levels.tolist()


def test_slices_and_picking_without_a_zero_are_refused():
    network = float_network(1, "int4*fp16", TWO_LAYERS)
    with pytest.raises(NarrowgaugeError, match="is of floats, and slices are of integers"):
        Program(network, Geometry(1, 1, 2, slice=2))
    pooled = (Size(2, 2, 2), ("average", None), ("dense", 2))
    with pytest.raises(NarrowgaugeError, match="layer layer0: bipolar weights have no 0 to pick"):
        Program(float_network(1, "bipolar*fp16", pooled), Geometry(1, 1, 2))
