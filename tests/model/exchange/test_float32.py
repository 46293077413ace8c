"""Where float32 rounds: what is exact is exported, what is not is seen and named."""

import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError, ToolError
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.exchange.writing import float32
from narrowgauge.model.exchange.writing.qonnx import export

from ...hw.networks import random_convnet, random_images
from .executor import all_levels, check, differences, exact, methods, one_layer

# --- faults are seen -----------------------------------------------------------------------------


def wrong(candidate, units=1):
    """The nodes of ``candidate``, one unit or more off in the last channel."""

    def changed(layer, sums):
        nodes = candidate(layer, sums)
        if isinstance(nodes, float32.Float32Thresholds):
            thresholds = nodes.thresholds.copy()
            thresholds[-1, 0] += 1
            return replace(nodes, thresholds=thresholds)
        offset = nodes.offset.copy()
        offset[-1] += units * 2.0**-layer.shift
        return replace(nodes, offset=offset)

    return changed


@pytest.mark.parametrize("output", ["uint4", "bipolar"])
def test_a_bias_that_is_one_off_changes_levels_in_the_executor(output):
    from onnx import numpy_helper

    shift = 0 if output == "bipolar" else 5
    network = one_layer(output, bias=np.array([-301, 40, 17]), multiplier=[1, 2, 1], shift=shift)
    exported, images = check(network, all_levels(network)), all_levels(network)
    (offset,) = [each for each in exported.model.graph.initializer if each.name == "fc/offset"]
    changed = numpy_helper.to_array(offset).copy()
    changed.flat[0] += 2.0**-shift
    offset.CopyFrom(numpy_helper.from_array(changed, "fc/offset"))
    assert differences(network, exported, images) == ["fc"]


def test_a_plan_that_is_one_off_is_not_taken(monkeypatch):
    network = one_layer(bias=np.array([-300, 40, 17]), shift=5)
    assert methods(export(network)) == ["mul-add"]
    monkeypatch.setattr(float32, "_mul_add", wrong(float32._mul_add))
    assert methods(check(network, all_levels(network))) == ["thresholds"]
    monkeypatch.setattr(float32, "_thresholds", wrong(float32._thresholds))
    with pytest.raises(NetworkError, match=r"layer fc: .* \(channel 2 at the sum \d+\)"):
        export(network)


def test_sums_are_compared_at_every_step():
    network = one_layer("uint4", weights=[[1]], shift=5)  # 0 to 255 in steps of 32
    (layer,) = export(network).layers
    assert layer.compared == 2 * 8 + 2


def test_averages_as_thresholds(monkeypatch):
    spec = (Size(7, 7, 2), ("average", Window((3, 3), (2, 2), (1, 1, 1, 1))), ("average", None))
    network = exact(
        random_convnet(3, ("int4", "uint4", "uint4"), spec, Accumulator(48), output=parse("uint8"))
    )
    images = random_images(1, network, 9)
    assert methods(check(network, images)) == ["mul-add", "mul-add"]
    monkeypatch.setattr(float32, "_mul_add", wrong(float32._mul_add, 200))
    assert methods(check(network, images)) == ["thresholds", "thresholds"]


# --- what float32 cannot do ----------------------------------------------------------------------


def test_sums_beyond_float32_are_refused():
    network = one_layer("int32", "uint16", [[200]], "int16")
    assert methods(export(network)) == ["mul-add"]
    with pytest.raises(NetworkError, match=r"layer fc: its sums take 26 bits.* holds those of 25"):
        export(one_layer("int32", "uint16", [[300]], "int16"))


def large(output, **given):
    """Scaled sums of more bits than float32 has."""
    bias = np.array([-(1 << 38) + 12345, 1 << 37])
    scale = np.array([(1 << 24) - 3, (1 << 24) - 5])
    network = one_layer(
        output, "uint16", [[99], [-70]], "int8", bias=bias, multiplier=scale, shift=40, **given
    )
    return network


def test_sums_whose_scaling_needs_more_become_thresholds():
    network = large("int8")
    assert methods(export(network)) == ["thresholds"]
    images = np.random.default_rng(1).integers(0, 1 << 16, (5000, 1, 1, 1))
    check(network, images)


@pytest.mark.parametrize(
    ("output", "shift", "words"),
    [("int12", 34, r"\(channel \d at the sum -?\d+\)"), ("int24", 25, r"too large for \d+ levels")],
)
def test_wide_outputs_whose_scaling_needs_more_are_refused(output, shift, words):
    network = large("int8")
    layer = replace(network.layers[0], output=parse(output), shift=shift)
    with pytest.raises(
        NetworkError, match=rf"layer fc: float32, .* {words}.* narrower multipliers"
    ):
        export(replace(network, layers=(layer,)))


@pytest.mark.parametrize(
    ("bits", "multiplier", "words"),
    [(29, 1, "its biases reach"), (32, 1, "its biases reach"), (32, 3, "narrower multipliers")],
)
def test_levels_that_are_too_many_are_refused_before_they_are_listed(bits, multiplier, words):
    far = (1 << (bits - 1)) - 10_000
    network = one_layer(f"int{bits}", bias=[far, -far, 3], multiplier=[multiplier] * 3)
    tracemalloc.start()
    try:
        with pytest.raises(
            NetworkError, match=rf"layer fc: .*too large for \d+ levels\); .*{words}"
        ):
            export(network)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20  # a list of the levels would take 4 to 32 GB


def test_many_levels_are_exact_where_nothing_is_rounded():
    network = one_layer("int32", "uint16", [[99], [-70]], "int8", bias=[5, -7], multiplier=[1, 3])
    (layer,) = export(network).layers
    assert layer.compared == 2 << 16
    images = np.random.default_rng(1).integers(0, 1 << 16, (5000, 1, 1, 1))
    check(network, images)


@pytest.mark.parametrize("bits", [12, 13])
def test_an_accumulator_that_overflows_is_refused(bits):
    network = one_layer(weights=[[7], [-8]])
    assert network.accumulator.width == 12
    export(network.with_accumulator(Accumulator(bits)))
    with pytest.raises(NetworkError, match=r"accumulator of 11 bits can overflow.* give it 12"):
        export(network.with_accumulator(Accumulator(11)))


def test_a_batch_has_an_image():
    with pytest.raises(NetworkError, match="at least 1 image, not 0"):
        export(one_layer(), batch=0)


@pytest.mark.parametrize("name", ["onnx", "qonnx"])
def test_without_the_libraries_it_says_what_to_install(monkeypatch, name):
    for module in (name, "qonnx.core.modelwrapper"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ToolError, match=r"qonnx\]'$"):
        export(one_layer())
