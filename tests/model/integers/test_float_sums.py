"""Networks of floats in torch, against operations on codes in a plain loop."""

import numpy as np
import pytest
import torch

from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Add, AveragePool, Dense, MaxPool, Size, Weighted, Window
from narrowgauge.hw.network.network import INPUT
from narrowgauge.hw.numbers.formats import Float, parse
from narrowgauge.hw.numbers.ieee import tree_add
from narrowgauge.hw.program.bounds import accumulator_bits, any_order, type_bound
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.program.mapping import map_network
from narrowgauge.hw.program.ordering import free_orders
from narrowgauge.model.integers import float_sums
from narrowgauge.model.integers.extremes import extreme_levels
from narrowgauge.model.integers.float_values import rounding, to_ranks, to_values
from narrowgauge.model.integers.guarantee import prove_sums
from narrowgauge.model.integers.partial_sums import network_bounds, seen_sums
from narrowgauge.model.integers.reference import evaluate

from ...hw.float_networks import float_images, float_network

FORMATS = ["fp32", "fp16", "bf16", "bf16/fp32", "fp16/fp32", "float3_2", "float4_3/float5_6"]
MIXED = ["int8*fp16", "e4m3*bf16", "pow2_4*float4_3/bf16", "int24*fp32", "int16*fp16"]
SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
SPEC = (
    Size(4, 3, 3),
    ("conv", 4, SAME, 1),
    ("conv", 4, Window((2, 2), (2, 1), (0, 1, 0, 0)), 2),
    ("max", Window((2, 2), (1, 1), (1, 0, 0, 0))),
    ("conv", 4, Window((1, 1)), 1),
    ("add", "layer2", (1, 1)),
    ("average", Window((2, 1))),
    ("dense", 3),
)


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("fp32", torch.float64),
        ("fp16", torch.float32),
        ("bf16", torch.float32),
        ("fp16", torch.float64),
        ("float3_2", torch.float64),
        ("float8_1", torch.float64),
        ("float4_3", torch.float32),
    ],
)
def test_rounding_is_that_of_the_format(text, dtype):
    fmt, rng = parse(text), np.random.default_rng(0)
    assert isinstance(fmt, Float)
    low, high = fmt.min_exponent - 3, fmt.bias + 3
    values = rng.normal(size=20_000) * 2.0 ** rng.uniform(low, high, 20_000)
    codes = rng.integers(0, 1 << fmt.width, 20_000)
    held = fmt.to_value(codes)
    halves = (held + fmt.to_value(np.minimum(codes + 1, fmt.nan))) / 2  # ties
    ends = [0.0, -0.0, np.inf, -np.inf, np.nan]
    values = torch.from_numpy(np.concatenate([values, held, halves, ends])).to(dtype)
    wanted = fmt.to_level(fmt.from_value(values.double().numpy()))
    rounded = rounding(fmt, dtype)(values)
    ranks = to_ranks(fmt, rounded, torch.int64)
    assert ranks.tolist() == wanted.tolist()
    again = to_ranks(fmt, to_values(fmt, ranks, dtype), torch.int64)
    assert torch.equal(again, ranks)


def reference(network, images, lanes):
    """The accumulators, flags and levels of each layer, in a plain loop over operations."""
    levels, traces = {INPUT: np.asarray(images)}, []
    for layer in network:
        read = [levels[source] for source in network.sources(layer)]
        if isinstance(layer, MaxPool):
            traces.append((None, None, _pooled(layer, read[0])))
        else:
            traces.append(_summed(network, layer, read, lanes))
        levels[layer.name] = traces[-1][2].reshape(len(images), *network.sizes[layer.name])
    return traces


def _windows(layer, tensor, pad):
    """Windows of shape (images, height, width, kernel height, kernel width, channels)."""
    window = layer.window or Window(tensor.shape[1:3])
    (top, left, bottom, right), (down, across) = window.padding, window.stride
    sides = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(tensor, sides, constant_values=pad)
    seen = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(1, 2))
    return np.moveaxis(seen[:, ::down, ::across], 3, -1)


def _pooled(layer, tensor):
    return _windows(layer, tensor, layer.input.min_level).max(axis=(3, 4)).reshape(len(tensor), -1)


def _operands(network, layer, read, lanes):
    """Values that positions read, and of weights, each of shape (..., channels, products)."""
    weight = next((each.weight for each in network if isinstance(each, Weighted)), layer.input)
    if isinstance(layer, Dense):
        patches = read[0].reshape(len(read[0]), 1, 1, 1, -1)
        weights = layer.weights
    elif isinstance(layer, (AveragePool, Add)):
        # all channels of a word meet a weight of 1 or 0
        if isinstance(layer, Add):
            taps = np.stack(read, axis=3)
        else:
            taps = _windows(layer, read[0], 0)
            taps = taps.reshape(*taps.shape[:3], -1, taps.shape[-1])
        channels = taps.shape[-1]
        taps = np.pad(taps, [(0, 0)] * 4 + [(0, -channels % lanes)])
        words = taps.reshape(*taps.shape[:4], -1, lanes)
        words = np.moveaxis(words, 4, 3).reshape(*taps.shape[:3], -1, taps.shape[3] * lanes)
        patches = words.repeat(lanes, axis=3)[..., :channels, :]
        one = weight.one if isinstance(weight, Float) else 1
        weights = np.tile(np.eye(lanes, dtype=np.int64) * one, taps.shape[3])
        weights = weights[np.arange(channels) % lanes]
    else:
        seen, groups = _windows(layer, read[0], 0), layer.groups
        each = seen.shape[-1] // groups
        split = seen.reshape(*seen.shape[:5], groups, each)
        split = np.moveaxis(split, 5, 3).reshape(*seen.shape[:3], groups, -1)
        patches = split.repeat(layer.channels // groups, axis=3)
        weights = layer.weights.reshape(layer.channels, -1)
    own = layer.weight if isinstance(layer, Weighted) else weight
    known = own.dequantize(weights) if isinstance(own, Float) else weights.astype(float)
    return layer.input.dequantize(patches), known


def _summed(network, layer, read, lanes):
    fmt, turns = network.accumulator.format, network.accumulator.partial_sums
    values, weights = _operands(network, layer, read, lanes)
    products = values * weights  # exact in float64
    missing = -products.shape[-1] % lanes
    products = np.pad(products, [(0, 0)] * 4 + [(0, missing)])
    codes = fmt.from_value(products)
    overflow = (fmt.is_infinite(codes) & np.isfinite(products)).any(axis=-1)
    steps = codes.reshape(*codes.shape[:-1], -1, lanes)
    partial = [np.zeros(steps.shape[:-2], np.int64)] * turns
    for step in range(steps.shape[-2]):
        total, beyond = tree_add(fmt, list(np.moveaxis(steps[..., step, :], -1, 0)))
        turn = (step - steps.shape[-2]) % turns
        before = partial[turn]
        partial[turn] = fmt.add(before, total)
        finite = fmt.is_finite(before) & fmt.is_finite(total)
        overflow = overflow | beyond | (finite & fmt.is_infinite(partial[turn]))
    sums, beyond = tree_add(fmt, partial)
    multiplier, bias = (fmt.to_code(each) for each in (layer.multiplier, layer.bias))
    scaled = fmt.from_value(fmt.to_value(sums) * fmt.to_value(multiplier))
    scaled = fmt.add(scaled, np.broadcast_to(bias, scaled.shape))
    levels = layer.output.quantize(fmt.to_value(scaled)).clip(*layer.clamp)
    rows = len(sums)
    return (
        fmt.to_level(sums).reshape(rows, -1),
        (overflow | beyond).reshape(rows, -1),
        levels.reshape(rows, -1),
    )


def assert_equal(network, images, lanes):
    """Compare everything; return the traces."""
    result = evaluate(network, images, lanes, trace=True)
    for layer, ours, wanted in zip(
        network, result.layers, reference(network, images, lanes), strict=True
    ):
        pairs = zip((ours.accumulators, ours.overflowed, ours.levels), wanted, strict=True)
        for given, expected in pairs:
            if expected is not None:
                assert given is not None, layer.name
                assert (given.numpy() == expected).all(), layer.name
    untraced = evaluate(network, images, lanes)
    assert torch.equal(untraced.levels, result.levels)
    assert torch.equal(untraced.labels, result.levels.argmax(dim=1))
    return result


@pytest.mark.parametrize("formats", FORMATS + MIXED)
def test_networks_equal_operations_on_codes(formats):
    seed = FORMATS.index(formats) if formats in FORMATS else 20
    for lanes, turns in ((4, 1), (3, 4), (2, 3)):
        network = float_network(seed, formats, SPEC, partial_sums=turns)
        assert_equal(network, float_images(seed, network, 3, special=turns == 4), lanes)


@pytest.mark.parametrize("formats", ["fp16", "bf16", "fp32", "float3_2"])
def test_wild_weights_make_infinities_and_subnormals(formats):
    spec = (Size(1, 1, 40), ("dense", 30), ("dense", 4))
    network = float_network(1, formats, spec, partial_sums=3, wild=True)
    result = assert_equal(network, float_images(1, network, 8, special=True), 4)
    flags = result.layers[0].overflowed
    assert flags is not None
    assert flags.any() or formats == "bf16"


def test_the_order_of_sums_is_part_of_the_result():
    spec = (Size(1, 1, 60), ("dense", 20))
    found = [
        evaluate(float_network(5, "fp16", spec, partial_sums=turns), images, lanes).levels
        for turns, lanes in ((1, 4), (2, 4), (1, 2))
        for images in [float_images(5, float_network(5, "fp16", spec), 4)]
    ]
    assert all(not torch.equal(a, b) for a, b in ((found[0], found[1]), (found[0], found[2])))


def test_subnormals_are_kept_whatever_torch_was_told():
    network = float_network(1, "fp32", (Size(1, 1, 8), ("dense", 4)), scaled=False)
    images = np.arange(1, 17).reshape(2, 8)  # the smallest subnormals
    wanted = evaluate(network, images, 2, trace=True).layers[0].accumulators
    assert wanted is not None
    assert (wanted != 0).all()
    torch.set_flush_denormal(True)
    try:
        again = evaluate(network, images, 2, trace=True).layers[0].accumulators
        assert torch.tensor(2.0**-149) * 1 == 0  # as it was told
        assert again is not None
    finally:
        torch.set_flush_denormal(False)
    assert torch.equal(again, wanted)


def test_a_wrong_order_is_found(monkeypatch):
    network = float_network(7, "fp16", SPEC, partial_sums=3)
    images = float_images(7, network, 3)
    assert_equal(network, images, 2)
    own = float_sums.FloatSums._summed

    def forward(self, read):
        """Steps that are counted from the beginning."""
        missing = -len(read) % self.accumulator.partial_sums
        shape = (missing, *read.shape[1:])
        weights = self._weights
        zeros = weights.new_zeros(missing, *weights.shape[1:])
        self._weights = torch.cat([weights, zeros])
        try:
            return own(self, torch.cat([read, read.new_zeros(shape)]))
        finally:
            self._weights = weights

    monkeypatch.setattr(float_sums.FloatSums, "_summed", forward)
    with pytest.raises(AssertionError, match="layer"):
        assert_equal(network, images, 2)


def test_what_is_of_integers_refuses_floats_by_name():
    network = float_network(1, "fp16")
    images, mapped = float_images(1, network, 2), map_network(network, 4)[0]
    program = Program(network, Geometry(1, 1, 2))
    for ask in (
        lambda: accumulator_bits(network, 4),
        lambda: type_bound(mapped),
        lambda: any_order(mapped),
        lambda: prove_sums(network, 4),
        lambda: network_bounds(network, 4),
        lambda: seen_sums(network, images, 4),
        lambda: extreme_levels(mapped, 4),
        lambda: free_orders(network),
        lambda: program.contents.total_width(program.modes[0]),
        lambda: program.operands.sum_range(3),
    ):
        with pytest.raises(NarrowgaugeError, match=r"ranks, which are not added|are of integers"):
            ask()
