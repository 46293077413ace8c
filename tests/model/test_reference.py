from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.errors import FormatError, NetworkError
from narrowgauge.hw.mapping import accumulator_bits, map_network, operands
from narrowgauge.hw.network import Dense, Network
from narrowgauge.hw.number import Bipolar, parse
from narrowgauge.model import reference
from narrowgauge.model.reference import accuracy, evaluate

FAMILIES = [  # weights, input, hidden activations
    ("bipolar", "uint4", "bipolar"),
    ("bipolar", "uint1", "bipolar"),
    ("bipolar", "bipolar", "bipolar"),
    ("bipolar", "int4", "bipolar"),
    ("bipolar", "uint4", "uint3"),
    ("pow2_4", "uint4", "uint8"),
    ("pow2_2", "bipolar", "bipolar"),
    ("int4", "uint4", "uint4"),
    ("int8", "uint8", "uint8"),
    ("int8", "int8", "int5"),
]


def evaluate_slowly(network, images, lanes):
    """What the array does, in Python integers, one step after the other.

    Returns, per layer, lists of (accumulators, overflowed, levels) over all images.
    """
    activation = operands(network).activation
    traces = []
    for mapped in map_network(network, lanes):
        rows = [one_image(mapped, activation, network.accumulator, image) for image in images]
        traces.append([list(column) for column in zip(*rows, strict=True)])
        images = traces[-1][2]
    return traces


def one_image(mapped, activation, accumulator, image):
    channels = [
        one_channel(mapped, activation, accumulator, image, weights)
        for weights in mapped.weights.tolist()
    ]
    registers = [register for register, _ in channels]
    levels = [
        requantize_slowly(register, multiplier, bias, mapped.shift, mapped.layer.output)
        for register, multiplier, bias in zip(
            registers, mapped.multiplier.tolist(), mapped.bias.tolist(), strict=True
        )
    ]
    return registers, [overflowed for _, overflowed in channels], levels


def one_channel(mapped, activation, accumulator, image, weights):
    lanes = len(weights) // mapped.steps
    register, overflowed = 0, False
    for plane in reversed(range(mapped.planes)):
        if mapped.bitwise:
            inputs = [2 * (level >> plane & 1) - 1 for level in image]
            inputs += [-1] * (len(weights) - len(image))
        else:
            inputs = image + [activation.zero_level] * (len(weights) - len(image))
        for step in range(0, len(weights), lanes):
            pairs = zip(weights[step : step + lanes], inputs[step : step + lanes], strict=True)
            exact = register + sum(weight * level for weight, level in pairs)
            overflowed |= accumulator.overflows(exact)
            register = accumulator.fit(exact)
        if plane:
            overflowed |= accumulator.overflows(2 * register)
            register = accumulator.fit(2 * register)
    return register, overflowed


def requantize_slowly(register, multiplier, bias, shift, output):
    scaled = register * multiplier + bias
    if output == Bipolar():
        return 1 if scaled >= 0 else -1
    half = 2**shift // 2
    return min(max((scaled + half) // 2**shift, output.min_level), output.max_level)


def random_network(chance, family, sizes, accumulator):
    weight, input, hidden = map(parse, family)
    layers = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = index == len(sizes) - 2
        output = parse("int12") if last else hidden
        is_sign = output == Bipolar()
        layers.append(
            Dense(
                name=f"layer{index}",
                weight=weight,
                input=input if index == 0 else hidden,
                output=output,
                weights=weight.to_level(chance.integers(0, 1 << weight.width, (outputs, inputs))),
                bias=chance.integers(-40, 40, outputs),
                multiplier=np.ones(outputs) if is_sign else chance.integers(1, 9, outputs),
                shift=0 if is_sign else int(chance.integers(0, 7)),
            )
        )
    return Network("random", tuple(layers), accumulator)


def random_images(chance, network, count):
    codes = chance.integers(0, 1 << network.input.width, (count, network.inputs))
    return torch.from_numpy(network.input.to_level(codes))


def assert_same(network, images, lanes):
    result = evaluate(network, images, lanes, trace=True)
    slow = evaluate_slowly(network, images.tolist(), lanes)
    for trace, layer, (registers, overflowed, levels) in zip(
        result.layers, network, slow, strict=True
    ):
        assert trace.name == layer.name
        assert trace.accumulators.tolist() == registers
        assert trace.overflowed.tolist() == overflowed
        assert trace.levels.tolist() == levels
    expected = slow[-1][2]
    assert result.levels.tolist() == expected
    assert result.labels.tolist() == [row.index(max(row)) for row in expected]
    quick = evaluate(network, images, lanes)
    assert quick.layers == ()
    assert quick.levels.tolist() == expected


def one_layer(weights, input="uint4", output="int8", accumulator=None, weight="int4"):
    weights = np.array(weights)
    ones = np.ones(len(weights))
    layer = Dense(
        "only", parse(weight), parse(input), parse(output), weights, 0 * ones, ones, 0
    )  # fmt: skip
    return Network("hand", (layer,), accumulator or Accumulator(16))


def test_one_layer_by_hand():
    network = one_layer([[1, 2, -3], [0, 0, 7]])
    result = evaluate(network, torch.tensor([[1, 2, 3], [0, 15, 0]]), 2, trace=True)
    assert result.layers[0].accumulators.tolist() == [[-4, 21], [30, 0]]
    assert result.labels.tolist() == [1, 0]
    assert accuracy(result, np.array([1, 1])) == 0.5


def test_the_first_of_equal_maxima_wins():
    network = one_layer([[0], [1], [1], [0]])
    assert evaluate(network, torch.tensor([[3], [0]]), 1).labels.tolist() == [1, 0]


def test_order_of_steps_decides_where_it_saturates():
    network = one_layer([[1, 1, -1, -1]], accumulator=Accumulator(4, "saturate"))
    image = torch.tensor([[5, 5, 5, 5]])
    single = evaluate(network, image, 1, trace=True).layers[0]
    assert (single.accumulators.item(), single.overflowed.item()) == (-3, True)
    whole = evaluate(network, image, 4, trace=True).layers[0]
    assert (whole.accumulators.item(), whole.overflowed.item()) == (0, False)


def test_overflow_sticks_though_wrapping_comes_back():
    network = one_layer([[1, 1, -1, -1]], accumulator=Accumulator(4))
    trace = evaluate(network, torch.tensor([[5, 5, 5, 5]]), 1, trace=True).layers[0]
    assert (trace.accumulators.item(), trace.overflowed.item()) == (0, True)


def test_doubling_between_planes_can_overflow():
    # planes of 3 in two bits are +1, +1: 1, doubled 2, and 3; two bits hold -2 to 1
    network = one_layer(
        [[1]], input="uint2", weight="bipolar", accumulator=Accumulator(2, "saturate")
    )
    trace = evaluate(network, torch.tensor([[3]]), 1, trace=True).layers[0]
    assert (trace.accumulators.item(), trace.overflowed.item()) == (1, True)


@given(
    st.sampled_from(FAMILIES),
    st.lists(st.integers(1, 11), min_size=2, max_size=4),
    st.integers(1, 7),
    st.integers(4, 24),
    st.sampled_from(["wrap", "saturate"]),
    st.integers(0, 2**32 - 1),
)
def test_equals_the_slow_oracle(family, sizes, lanes, width, overflow, seed):
    chance = np.random.default_rng(seed)
    network = random_network(chance, family, sizes, Accumulator(width, overflow))
    assert_same(network, random_images(chance, network, 3), lanes)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("missing", [0, 1, 3])
def test_equals_the_oracle_around_the_widths_that_overflow(family, overflow, missing):
    chance = np.random.default_rng(5)
    network = random_network(chance, family, (9, 7, 4), Accumulator(48))
    width = max(accumulator_bits(network, 4) - missing, 2)
    network = network.with_accumulator(Accumulator(width, overflow))
    images = random_images(chance, network, 8)
    assert_same(network, images, 4)
    flags = [trace.overflowed for trace in evaluate(network, images, 4, trace=True).layers]
    if missing == 0:
        assert not any(bool(flag.any()) for flag in flags)
    if missing == 3:
        assert any(bool(flag.any()) for flag in flags)


@given(st.sampled_from(FAMILIES), st.integers(1, 20), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_lanes_and_planes_do_not_change_what_fits(family, inputs, lanes, seed):
    chance = np.random.default_rng(seed)
    network = random_network(chance, family, (inputs, 5, 3), Accumulator(40))
    images = random_images(chance, network, 4)
    levels = images.numpy()
    for layer in network:
        scaled = levels @ layer.weights.T * layer.multiplier + layer.bias
        if layer.output == Bipolar():
            levels = np.where(scaled >= 0, 1, -1)
        else:
            shifted = np.floor(scaled / 2.0**layer.shift + 0.5).astype(np.int64)
            levels = shifted.clip(layer.output.min_level, layer.output.max_level)
    assert evaluate(network, images, lanes).levels.tolist() == levels.tolist()


def test_chunks_of_images_join(monkeypatch):
    chance = np.random.default_rng(0)
    network = random_network(chance, FAMILIES[0], (20, 6, 3), Accumulator(4, "saturate"))
    images = random_images(chance, network, 11)
    whole = evaluate(network, images, 4, trace=True)
    monkeypatch.setattr(reference, "CHUNK", 100)
    chunked = evaluate(network, images, 4, trace=True)
    for one, other in zip(whole.layers, chunked.layers, strict=True):
        assert torch.equal(one.accumulators, other.accumulators)
        assert torch.equal(one.overflowed, other.overflowed)
    assert_same(network, images, 4)


@pytest.mark.parametrize(
    "fault",
    ["round_shift", "order", "planes"],
)
def test_planted_faults_are_caught(monkeypatch, fault):
    chance = np.random.default_rng(1)
    network = random_network(chance, FAMILIES[0], (20, 6, 3), Accumulator(6, "saturate"))
    if fault == "round_shift":
        network = random_network(chance, FAMILIES[7], (20, 6, 3), Accumulator(24))
        layers = (replace(network.layers[0], shift=4, bias=np.full(6, 3)), network.layers[1])
        network = replace(network, layers=layers)
        monkeypatch.setattr(reference, "round_shift", lambda level, shift: level >> shift)
    elif fault == "order":
        monkeypatch.setattr(torch, "bmm", lambda a, b, bmm=torch.bmm: bmm(a, b).flip(0))
    else:
        original = reference._Layer._planes
        monkeypatch.setattr(
            reference._Layer, "_planes", lambda self, x: reversed(list(original(self, x)))
        )
    images = random_images(chance, network, 40)
    with pytest.raises(AssertionError):
        assert_same(network, images, 4)


def test_inputs_are_checked():
    network = one_layer([[1, 2, -3]])
    with pytest.raises(NetworkError, match=r"\(images, 3\)"):
        evaluate(network, torch.zeros(2, 4), 2)
    with pytest.raises(FormatError, match="uint4"):
        evaluate(network, torch.full((2, 3), 16), 2)
    assert evaluate(network, np.zeros((0, 3), np.int64), 2, trace=True).levels.shape == (0, 1)


def test_sums_beyond_exact_arithmetic_are_refused():
    network = one_layer([[2**30] * 4], input="uint32", weight="int32", output="int32")
    with pytest.raises(NetworkError, match="float64"):
        evaluate(network, torch.zeros(1, 4), 2)
    (layer,) = one_layer([[2**20] * 4], input="uint20", weight="int32", output="int32").layers
    wide = Network("wide", (replace(layer, multiplier=[2**30]),), Accumulator(48))
    with pytest.raises(NetworkError, match="64 bits"):
        evaluate(wide, torch.zeros(1, 4), 2)
