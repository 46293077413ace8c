"""The whole accelerator against the integer reference, by equality, in Amaranth's simulator."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.implementation import Implementation
from narrowgauge.hw.accelerator.inputs.walker import Walker
from narrowgauge.hw.accelerator.outputs.drain import Drain
from narrowgauge.hw.accelerator.outputs.writer import Writer
from narrowgauge.hw.accelerator.probe import Probe
from narrowgauge.hw.accelerator.sequencer import Sequencer
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.mac.fabric import ANY
from narrowgauge.hw.network.layers import Add, AveragePool, Conv2d, Dense, Requantised, Size, Window
from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ...model.integers.oracles import by_definition
from ..fabrics import FABRICS
from ..networks import (
    FAMILIES,
    accumulators,
    convnets,
    geometries,
    networks,
    random_convnet,
    random_images,
    random_levels,
    random_network,
)

ONE: Any = {"bias": np.zeros(1, int), "multiplier": np.ones(1, int)}
PLACES = [(), ("activations",), ("weights",), ("activations", "weights")]
PLAIN = Implementation()
pauses = st.sampled_from([0.0, 0.3, 0.7])


def check(
    network,
    geometry,
    images,
    *,
    contexts=2,
    batch=None,
    built=PLAIN,
    **more,
):
    """Run ``images`` through hardware and reference; return the run and the comparison."""
    program = Program(network, geometry, contexts=contexts, batch=batch)
    accelerator = Accelerator(program, built)
    run = AmaranthEngine(accelerator).run(Stimulus(images, traced=len(images), **more))
    expected = evaluate(network, images, geometry.lanes, trace=True)
    assert len(run.events) == len(images) * program.sums, "every sum of every image, once"
    counts = tuple(0 if t.overflowed is None else int(t.overflowed.sum()) for t in expected.layers)
    assert run.overflows == (counts if accelerator.observes_overflow else ())
    return run, compare(run, expected, network, geometry)


@settings(max_examples=16)
@given(
    network=networks(),
    geometry=geometries,
    count=st.integers(1, 9),
    contexts=st.integers(1, 2),
    dsp=st.booleans(),
    fabric=st.sampled_from(["any fabric", "ice40", "xc7"]),
    gaps=pauses,
    stalls=pauses,
)
def test_equals_the_reference(network, geometry, count, contexts, dsp, fabric, gaps, stalls):
    images = random_levels(np.random.default_rng(count), network.input, (count, network.inputs))
    chosen = ANY.using_blocks() if dsp else FABRICS[fabric]
    _, comparison = check(
        network, geometry, images, contexts=contexts, gaps=gaps, stalls=stalls,
        built=Implementation(chosen, requantize_dsp=dsp),
    )  # fmt: skip
    assert comparison, str(comparison.first)
    assert comparison.mismatches == 0


@settings(max_examples=10)
@given(
    network=convnets(),
    geometry=geometries,
    count=st.integers(1, 4),
    contexts=st.integers(1, 2),
    batch=st.integers(1, 4),
    single_port=st.sampled_from(PLACES),
    pause=pauses,
)
def test_networks_of_all_kinds_of_layers_equal_the_reference(
    network, geometry, count, contexts, batch, single_port, pause
):
    images = random_images(count, network, count)
    batch = min(batch, geometry.rows)
    built = Implementation(single_port=single_port)
    options = {"contexts": contexts, "batch": batch, "built": built}
    _, comparison = check(network, geometry, images, **options, gaps=pause, stalls=pause)
    assert comparison, str(comparison.first)


@pytest.mark.parametrize(("lanes", "kernel"), [(4, 3), (4, 7), (6, 5), (8, 3), (8, 7)])
def test_kernels_of_one_row_end_in_the_midst_of_a_word(lanes, kernel):
    """Weights without a 0 meet the pad code behind a kernel that is no multiple of its stride."""
    window = Window((1, kernel), (1, 2), (0, 0, 0, 0))
    spec = (Size(2, 8, 1), ("conv", 4, window, 1), ("dense", 3))
    network = random_convnet(3, ("bipolar", "uint3", "uint5"), spec, Accumulator(16))
    _, comparison = check(network, Geometry(2, 2, lanes), random_images(1, network, 3))
    assert comparison, str(comparison.first)


@pytest.mark.parametrize("padding", [(0, 3, 0, 0), (0, 5, 0, 0), (24, 0, 0, 0)])
def test_windows_that_begin_far_outside(padding):
    """The first window of a single pixel begins further out than all windows move."""
    kernel = (padding[0] + 1, padding[1] + 1)
    spec = (Size(1, 1, 1), ("conv", 2, Window(kernel, (1, 1), padding), 1), ("dense", 3))
    network = random_convnet(3, ("int4", "uint4", "uint4"), spec, Accumulator(16))
    _, comparison = check(network, Geometry(2, 2, 2), random_images(1, network, 3))
    assert comparison, str(comparison.first)


@settings(max_examples=5)
@given(
    seed=st.integers(0, 99),
    family=st.sampled_from(FAMILIES),
    pixels=st.tuples(st.integers(3, 4), st.integers(3, 5), st.integers(1, 5)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    channels=st.sampled_from([4, 8, 12]),
    shape=st.sampled_from([(2, 4, 4), (2, 8, 4), (4, 4, 4), (2, 4, 8)]),
    batch=st.integers(1, 2),
    accumulator=accumulators,
    varied=st.booleans(),
)
def test_several_chains_equal_the_reference(
    seed, family, pixels, kernel, stride, channels, shape, batch, accumulator, varied
):
    window, pad = Window((kernel, kernel), (stride, stride), (kernel - 1,) * 4), Window((1, 1))
    spec = (
        Size(*pixels), ("conv", channels, window, 1), ("conv", channels, pad, 2),
        ("add", "layer0", (1, 3)), ("max", Window((2, 2), (1, 1), (1, 1, 0, 0))),
        ("average", Window((2, 2), (2, 2), (0, 0, 1, 1))), ("dense", 7), ("dense", 5),
    )  # fmt: skip
    network = random_convnet(seed, family, spec, accumulator, varied=varied)
    images = random_images(seed, network, 3)
    geometry = Geometry(*shape, chains=2)
    _, comparison = check(network, geometry, images, batch=batch)
    assert comparison, str(comparison.first)


@settings(max_examples=6)
@given(
    seed=st.integers(0, 99),
    family=st.sampled_from([FAMILIES[k] for k in (8, 10, 12, 13, 14)]),  # their sums fit
    sides=st.tuples(st.integers(2, 5), st.sampled_from([2, 3, 4, 6])),
    channels=st.sampled_from([2, 4, 6, 8]),
    depthwise=st.booleans(),
    multiplier=st.integers(1, 2),
    stride=st.integers(1, 2),
    padding=st.tuples(*[st.integers(0, 2)] * 4),
    geometry=st.sampled_from([(2, 2, 2), (2, 4, 4, 1, 2), (4, 4, 4, 8, 2), (3, 3, 2), (1, 4, 8)]),
    contexts=st.integers(1, 2),
    single_port=st.sampled_from(PLACES),
    pause=pauses,
)
def test_convolutions_that_share_patches_equal_the_reference(
    seed, family, sides, channels, depthwise, multiplier, stride, padding, geometry, contexts,
    single_port, pause,
):  # fmt: skip
    window = Window((3, 3), (stride, stride), (2, 2, 2, 2) if min(sides) < 3 else padding)
    outputs = multiplier * channels
    spec = (
        Size(sides[0], sides[1], channels),
        ("conv", outputs, window, channels if depthwise else 1),
        ("conv", 4, Window((1, 1)), 1), ("dense", 3),
    )  # fmt: skip
    network = random_convnet(seed, family, spec, Accumulator(32))
    built = Implementation(single_port=single_port)
    options = {"contexts": contexts, "batch": 1, "built": built, "gaps": pause, "stalls": pause}
    _, comparison = check(network, Geometry(*geometry), random_images(seed, network, 2), **options)
    assert comparison, str(comparison.first)


STRIPS = (Size(4, 6, 4), ("conv", 4, Window((3, 3), (1, 1), (1, 1, 1, 1)), 4), ("dense", 3))


def test_strips_without_groups_equal_the_reference():
    spec = (STRIPS[0], (*STRIPS[1][:3], 1), STRIPS[2])
    network = random_convnet(1, ("int4", "uint4", "uint4"), spec, Accumulator(20))
    geometry = Geometry(4, 4, 4, chains=2)
    assert Program(network, geometry, batch=1).records[0].place.shifts > 1
    _, comparison = check(network, geometry, random_images(1, network, 2), batch=1)
    assert comparison, str(comparison.first)


@pytest.mark.parametrize(
    ("part", "method", "old", "new"),
    [
        (Sequencer, "_shift", 'begin + self._field("shift_words")', "begin"),
        (Sequencer, "_shift", "o_weight_address.eq(current)", "o_weight_address.eq(current + 1)"),
        (Drain, "_addresses", 'onward & ends["shift"]', "onward"),
        (Writer, "_walk", '"shift": self._distance(soon.job, "shift_step")', '"shift": Const(1)'),
        (Walker, "_kernel", "Mux(turned, column, row)", "row"),
        (Probe, "_places", "Mux(ends, 0, shift + 1)", "0"),
    ],
    ids=["words", "weights", "parameters", "addresses", "edges", "trace"],
)
def test_a_fault_in_strips_is_found(monkeypatch, part, method, old, new):
    network = random_convnet(1, ("int4", "uint4", "uint4"), STRIPS, Accumulator(20))
    geometry, images = Geometry(2, 2, 4), random_images(1, network, 2)
    assert Program(network, geometry).records[0].place.shifts > 1
    edit(monkeypatch, part, method, old, new)
    _, comparison = check(network, geometry, images)
    assert not comparison


@pytest.mark.parametrize(
    ("family", "blocks", "formats", "lanes"),
    [
        ("ice40", 8, ("int8", "uint8", "uint8"), 1),
        ("ice40", 5, ("int8", "uint8", "uint8"), 2),  # 5 of 8 elements in blocks
        ("ecp5", 12, ("int4", "uint4", "uint4"), 4),  # 6 of 8
    ],
    ids=["all in blocks", "with lanes and logic", "packed"],
)
def test_multiplier_blocks_equal_the_reference(family, blocks, formats, lanes):
    spec = (
        Size(5, 4, 2), ("conv", 5, Window((3, 3), (1, 1), (1, 1, 1, 1)), 1),
        ("average", Window((2, 2), (2, 2))), ("dense", 6), ("dense", 3),
    )  # fmt: skip
    network = random_convnet(4, formats, spec, Accumulator(16))
    geometry = Geometry(2, 4, lanes)
    fabric = FABRICS[family].using_blocks(blocks)
    built = Implementation(fabric, requantize_dsp=True)
    _, comparison = check(network, geometry, random_images(4, network, 5), built=built)
    assert comparison, str(comparison.first)


@pytest.mark.parametrize("rounding", ["thresholds", "half_even"])
@pytest.mark.parametrize(
    ("family", "spec"),
    [
        (FAMILIES[1], (Size(1, 1, 7), ("dense", 5))),  # bit planes
        (FAMILIES[1], (Size(2, 2, 3), ("conv", 6, Window((2, 2)), 3))),
        (FAMILIES[0], (Size(2, 3, 5), ("average", None))),  # two passes, the sum doubled
        (FAMILIES[0], (Size(1, 1, 5), ("conv", 5, Window((1, 1)), 1), ("add", "input", (1, 2)))),
    ],
    ids=["planes", "planes of groups", "pool", "sum"],
)
def test_where_the_array_has_another_sum_than_the_layer(family, spec, rounding):
    plain = random_convnet(2, family, spec, Accumulator(12), output=parse("int4"))
    *rest, last = plain.layers
    assert isinstance(last, Requantised)
    zeros = 0 * last.bias
    change: dict[str, Any] = {"bias": zeros, "shift": 1, "rounding": rounding, "low": -7}
    if rounding == "thresholds":
        steps = np.sort(np.random.default_rng(0).integers(-9, 10, (len(zeros), 15)))
        change = {"bias": zeros, "thresholds": steps}
    network = replace(plain, layers=(*rest, replace(last, **change)))
    images = random_images(0, network, 5)
    run, comparison = check(network, Geometry(2, 2, 4), images)
    assert comparison, str(comparison.first)
    assert len(np.unique(run.levels)) > 2
    for image, levels in zip(images, run.levels.tolist(), strict=True):
        assert levels == by_definition(network, image)[-1]


def test_a_residual_connection_at_two_scales():
    """By hand: a pixel 3 and its double 6 at weights 5 and 2 make 27, halved upwards 14."""
    four, one = parse("int4"), Window((1, 1))
    network = Network(
        "residual",
        (
            Conv2d(
                name="double", input=parse("uint4"), output=parse("uint4"), weight=four,
                weights=np.full((1, 1, 1, 1), 2), **ONE, window=one,
            ),
            Add(
                name="sum", input=parse("uint4"), other=parse("uint4"), output=parse("uint8"),
                sources=("input", "double"), summands=(5, 2), **ONE, shift=1,
            ),
            AveragePool(name="total", input=parse("uint8"), output=parse("int16"),
                        **ONE),
        ),
        Accumulator(16),
        input_size=Size(1, 2, 1),
    )  # fmt: skip
    run, comparison = check(network, Geometry(2, 2, 2), np.array([[3, 0], [3, 3]]))
    assert comparison, str(comparison.first)
    assert run.levels.tolist() == [[14], [28]]


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
    macs = sum(map(network.macs, network))
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
    (layer,) = network.layers
    assert isinstance(layer, Dense)
    layer.weights[:] = layer.weights[0]
    layer.bias[:] = [1, 5, 5, 2, 5, 0]
    run, comparison = check(network, Geometry(1, 4, 2), np.zeros((3, 4), np.int64))
    assert comparison
    assert run.labels.tolist() == [1, 1, 1]


def test_unknown_memories_are_refused():
    with pytest.raises(GeometryError, match="is for weights and activations, not for rows"):
        Implementation(single_port=("rows",))
