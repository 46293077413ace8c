from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.errors import FormatError, NetworkError
from narrowgauge.hw.network.layers import Dense, Size, Window
from narrowgauge.hw.network.network import INPUT, Network
from narrowgauge.hw.numbers.arithmetic import OVERFLOWS, Accumulator, count_thresholds
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.bounds import accumulator_bits
from narrowgauge.model.integers import accumulate, reference
from narrowgauge.model.integers.reference import accuracy, evaluate

from ...hw.networks import (
    FAMILIES,
    convnets,
    networks,
    random_convnet,
    random_images,
    random_network,
)
from .oracles import by_definition, by_register

SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
WIDE = Accumulator(40)
EVERY_KIND = (  # odd sizes, so that every loop has a last, shorter turn
    Size(5, 6, 3),
    ("conv", 5, Window((3, 2), (1, 1), (2, 0, 1, 1)), 1),
    ("conv", 5, SAME, 5),
    ("add", "layer0", (3, 2)),
    ("max", Window((2, 3), (2, 1), (1, 2, 0, 1))),
    ("average", Window((2, 2), (1, 2), (1, 0, 1, 1))),
    ("conv", 4, Window((1, 1), (2, 2)), 1),
    ("average", None),
    ("dense", 4),
)


def assert_defined(network, images, lanes):
    """Compare levels with the definition of the layers; no accumulator may overflow."""
    result = evaluate(network, images, lanes)
    traced = evaluate(network, images, lanes, trace=True)
    for index, image in enumerate(images):
        expected = by_definition(network, image)
        assert [trace.levels[index].tolist() for trace in traced.layers] == expected
        assert result.levels[index].tolist() == expected[-1]
        assert result.labels[index] == expected[-1].index(max(expected[-1]))


def assert_followed(network, images, lanes):
    """Compare registers, overflows and levels with those of every single step."""
    traced = evaluate(network, images, lanes, trace=True)
    assert [trace.name for trace in traced.layers] == [layer.name for layer in network]
    for index, image in enumerate(images):
        for trace, slow in zip(traced.layers, by_register(network, image, lanes), strict=True):
            if trace.accumulators is None or trace.overflowed is None:
                assert (trace.accumulators, trace.overflowed) == slow[:2] == (None, None)
            else:
                assert trace.accumulators[index].tolist() == slow.accumulators
                assert trace.overflowed[index].tolist() == slow.overflowed
            assert trace.levels[index].tolist() == slow.levels
    quick = evaluate(network, images, lanes)
    assert quick.layers == ()
    assert torch.equal(quick.levels, traced.levels)
    assert torch.equal(quick.labels, traced.labels)


def sums(trace):
    """Return the register and the flag of a single sum."""
    assert trace.accumulators is not None
    assert trace.overflowed is not None
    return trace.accumulators.item(), trace.overflowed.item()


def one_layer(weights, input="uint4", output="int8", accumulator=None, weight="int4"):
    ones = np.ones(len(weights))
    layer = Dense(
        name="only", input=parse(input), output=parse(output), weight=parse(weight),
        weights=weights, bias=0 * ones, multiplier=ones,
    )  # fmt: skip
    return Network("hand", (layer,), accumulator or Accumulator(16))


def test_one_layer_by_hand():
    network = one_layer([[1, 2, -3], [0, 0, 7]])
    result = evaluate(network, torch.tensor([[1, 2, 3], [0, 15, 0]]), 2, trace=True)
    (trace,) = result.layers
    assert trace.accumulators is not None
    assert trace.accumulators.tolist() == [[-4, 21], [30, 0]]
    assert result.labels.tolist() == [1, 0]
    assert accuracy(result, np.array([1, 1])) == 0.5


def test_the_first_of_equal_maxima_wins():
    network = one_layer([[0], [1], [1], [0]])
    assert evaluate(network, torch.tensor([[3], [0]]), 1).labels.tolist() == [1, 0]


def test_order_of_steps_decides_where_it_saturates():
    network = one_layer([[1, 1, -1, -1]], accumulator=Accumulator(4, "saturate"))
    image = torch.tensor([[5, 5, 5, 5]])
    single = evaluate(network, image, 1, trace=True).layers[0]
    assert sums(single) == (-3, True)
    whole = evaluate(network, image, 4, trace=True).layers[0]
    assert sums(whole) == (0, False)


def test_overflow_sticks_though_wrapping_comes_back():
    network = one_layer([[1, 1, -1, -1]], accumulator=Accumulator(4))
    trace = evaluate(network, torch.tensor([[5, 5, 5, 5]]), 1, trace=True).layers[0]
    assert sums(trace) == (0, True)


def test_doubling_between_planes_can_overflow():
    # planes of 3 in two bits are +1, +1: 1, doubled 2, and 3; two bits hold -2 to 1
    network = one_layer(
        [[1]], input="uint2", weight="bipolar", accumulator=Accumulator(2, "saturate")
    )
    trace = evaluate(network, torch.tensor([[3]]), 1, trace=True).layers[0]
    assert sums(trace) == (1, True)


@given(convnets() | networks(), st.integers(1, 9), st.integers(0, 99))
def test_equals_the_definition_of_the_layers(network, lanes, seed):
    network = network.with_accumulator(WIDE)
    assert_defined(network, random_images(seed, network, 2), lanes)


@given(convnets() | networks(), st.integers(1, 9), st.integers(0, 99))
def test_equals_the_register_step_by_step(network, lanes, seed):
    assert_followed(network, random_images(seed, network, 2), lanes)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("missing", [0, 1, 4])
def test_around_the_widths_that_overflow(family, overflow, missing):
    network = random_convnet(5, family, EVERY_KIND, WIDE)
    width = max(accumulator_bits(network, 4) - missing, 2)
    network = network.with_accumulator(Accumulator(width, overflow))
    images = random_images(0, network, 2)
    assert_followed(network, images, 4)
    traces = evaluate(network, random_images(1, network, 50), 4, trace=True).layers
    flags = [bool(trace.overflowed.any()) for trace in traces if trace.overflowed is not None]
    if missing == 0:
        assert_defined(network, images, 4)
        assert not any(flags)
    if missing == 4:
        assert any(flags)


@pytest.mark.parametrize("summands", [(1, 255), (2, 3), (128, 128), (255, 254)])
@pytest.mark.parametrize("family", [FAMILIES[0], FAMILIES[5], FAMILIES[7], FAMILIES[12]])
def test_every_summand_is_made_of_weights(family, summands):
    spec = (Size(2, 1, 3), ("conv", 3, SAME, 1), ("add", INPUT, summands), ("dense", 3))
    network = random_convnet(3, family, spec, WIDE)
    assert_defined(network, random_images(0, network, 2), 2)
    assert_followed(network.with_accumulator(Accumulator(7, "saturate")), np.array(
        random_images(1, network, 1)), 2)  # fmt: skip


def test_a_tensor_can_be_added_to_itself():
    spec = (Size(2, 2, 3), ("add", INPUT, (2, 5)), ("dense", 2))
    network = random_convnet(0, FAMILIES[9], spec, WIDE)
    assert_defined(network, random_images(0, network, 3), 2)


@pytest.mark.parametrize("width", [20, 26, 30, 31, 32, 33, 46])
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_sums_around_the_ends_of_each_type(width, overflow):
    # sums of 48 bits: registers that float32, int32 and only float64 and int64 hold
    rng = np.random.default_rng(width)
    wide, level = parse("int24"), parse("uint20")
    weights = wide.to_level(rng.integers(0, 1 << 24, (3, 9)))
    network = one_layer(weights, weight="int24", input="uint20", output="int32")
    images = level.to_level(rng.integers(0, 1 << 20, (4, 1, 1, 9)))
    assert_followed(network.with_accumulator(Accumulator(width, overflow)), images, 2)


@given(st.integers(0, 99), st.sampled_from([torch.int32, torch.int64]), st.integers(1, 255))
def test_bisection_counts_thresholds(seed, dtype, count):
    rng = np.random.default_rng(seed)
    thresholds = np.sort(rng.integers(-50, 50, (3, count)))
    sums = torch.from_numpy(rng.integers(-60, 60, (4, 2, 5, 3)))
    counts = reference._reached(sums.to(dtype), torch.from_numpy(thresholds).to(dtype))
    assert torch.equal(counts.long(), count_thresholds(sums, torch.from_numpy(thresholds.T)))


@pytest.mark.parametrize("width", [31, 32, 33, 46])
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_thresholds_around_the_ends_of_each_type(width, overflow):
    rng = np.random.default_rng(width)
    wide, level = parse("int24"), parse("uint20")
    weights = wide.to_level(rng.integers(0, 1 << 24, (3, 9)))
    (plain,) = one_layer(weights, weight="int24", input="uint20", output="uint4").layers
    ends = [1 << 30, (1 << 31) - 1, 1 << 31, 1 << 32, 1 << 45, 1 << 62]
    steps = np.sort([0, 1, 1, *ends, *(-each for each in ends)])
    layer = replace(plain, thresholds=np.tile(steps, (3, 1)))
    network = Network("ends", (layer,), Accumulator(width, overflow))
    images = level.to_level(rng.integers(0, 1 << 20, (4, 1, 1, 9)))
    assert_followed(network, images, 2)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_parts_of_the_images_join(monkeypatch, overflow):
    network = random_convnet(2, FAMILIES[1], EVERY_KIND, Accumulator(4, overflow))
    images = random_images(0, network, 11)
    whole = evaluate(network, images, 4, trace=True)
    monkeypatch.setattr(reference, "BATCH", 7 * 200)
    monkeypatch.setattr(accumulate, "WORDS", 4000)
    monkeypatch.setattr(accumulate, "FOLLOWED", 300)
    parts = evaluate(network, images, 4, trace=True)
    for one, other in zip(whole.layers, parts.layers, strict=True):
        assert torch.equal(one.levels, other.levels)
        for left, right in (
            (one.accumulators, other.accumulators),
            (one.overflowed, other.overflowed),
        ):
            assert (left is None) == (right is None)
            assert left is None or right is None or torch.equal(left, right)
    assert torch.equal(evaluate(network, images, 4).levels, whole.levels)


def test_threads_change_nothing(monkeypatch):
    network = random_convnet(2, FAMILIES[1], EVERY_KIND, Accumulator(4, "saturate"))
    images = random_images(0, network, 30)
    levels = evaluate(network, images, 4).levels
    monkeypatch.setattr(reference, "BATCH", 4 * 200)
    torch.set_num_threads(2)
    try:
        assert torch.equal(evaluate(network, images, 4).levels, levels)
        images[20] = 99
        with pytest.raises(FormatError, match="uint4"):
            evaluate(network, images, 4)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_settings_of_torch_change_nothing():
    network = random_network(0, FAMILIES[8], (300, 40, 5), WIDE)
    images = random_images(0, network, 9)
    levels = evaluate(network, images, 8).levels
    with torch.autocast("cpu"):
        assert torch.equal(evaluate(network, images, 8).levels, levels)
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(evaluate(network, images, 8).levels, levels)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_images_of_both_shapes_and_all_types():
    network = random_convnet(0, FAMILIES[9], EVERY_KIND, WIDE)
    images = random_images(0, network, 3)
    levels = evaluate(network, images, 4).levels
    assert torch.equal(evaluate(network, images.reshape(3, -1), 4).levels, levels)
    for same in (images.astype(np.uint8), torch.from_numpy(images).float()):
        assert torch.equal(evaluate(network, same, 4).levels, levels)


def test_inputs_are_checked():
    network = one_layer([[1, 2, -3]])
    with pytest.raises(NetworkError, match=r"\(images, 3\)"):
        evaluate(network, torch.zeros(2, 4), 2)
    with pytest.raises(FormatError, match="uint4"):
        evaluate(network, torch.full((2, 3), 16), 2)
    with pytest.raises(FormatError, match="uint4"):
        evaluate(network, torch.full((2, 3), 0.5), 2)
    assert evaluate(network, np.zeros((0, 3), np.int64), 2, trace=True).levels.shape == (0, 1)
    network = random_convnet(0, FAMILIES[9], EVERY_KIND, WIDE)
    with pytest.raises(NetworkError, match=r"\(images, 5, 6, 3\), not \(2, 3, 5, 6\)"):
        evaluate(network, torch.zeros(2, 3, 5, 6), 2)
    assert evaluate(network, np.zeros((0, 5, 6, 3)), 2, trace=True).levels.shape == (0, 4)


def test_sums_beyond_exact_arithmetic_are_refused():
    network = one_layer([[2**30] * 4], input="uint32", weight="int32", output="int32")
    with pytest.raises(NetworkError, match="float64"):
        evaluate(network, torch.zeros(1, 4), 2)
    (layer,) = one_layer([[2**20] * 4], input="uint20", weight="int32", output="int32").layers
    wide = Network("wide", (replace(layer, multiplier=[2**30]),), Accumulator(48))
    with pytest.raises(NetworkError, match="64 bits"):
        evaluate(wide, torch.zeros(1, 4), 2)
