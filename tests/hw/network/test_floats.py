"""Networks of floats: what goes together, and their files."""

import re
from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.errors import NarrowgaugeError, NetworkError
from narrowgauge.hw.network.file import from_bytes, to_bytes
from narrowgauge.hw.network.layers import Add, Dense, MaxPool, Window
from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.numbers.formats import Float, parse

from ..float_networks import float_network

FP16, BF16, FP32 = Float(5, 10), Float(8, 7), Float(8, 23)


def dense(**changes):
    """A layer of fp16, 3 inputs and 2 outputs."""
    one, zero = np.full(2, FP16.one), np.zeros(2)
    layer = {"name": "fc", "input": FP16, "output": FP16, "weight": FP16}
    layer |= {"weights": np.full((2, 3), FP16.one), "bias": zero, "multiplier": one}
    return Dense(**(layer | changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"output": parse("int8")}, "fc: floats give floats; it does not turn fp16 into int8"),
        ({"input": parse("int8")}, "fc: floats give floats; it does not turn int8 into fp16"),
        ({"weight": parse("uint8"), "weights": np.ones((2, 3))}, "intN of at most 24 bits, not"),
        ({"weight": parse("int25"), "weights": np.ones((2, 3))}, "of at most 24 bits, not int25"),
        ({"weights": np.full((2, 3), FP16.infinity)}, "fc: weights are finite"),
        ({"shift": 1}, "no shift, no rounding and no thresholds"),
        ({"rounding": "half_even"}, "no shift, no rounding and no thresholds"),
        ({"low": -40000}, "a clamp lies in -31744 to 32256 of fp16, not from -40000"),
        (
            {"weight": parse("int4"), "weights": np.ones((2, 3)), "widths": (2, 3)},
            "widths of channels are of layers of integers",
        ),
    ],
)
def test_impossible_layers_are_refused(changes, text):
    assert dense(low=0).clamp == (0, FP16.nan)
    with pytest.raises(NetworkError, match=re.escape(text)):
        dense(**changes)


def test_sums_of_tensors_are_of_one_format_as_they_are():
    ranks = {"bias": np.zeros(1), "multiplier": np.full(1, FP16.one)}
    add = {"name": "sum", "input": FP16, "output": FP16, "other": FP16, "sources": ("a", "b")}
    assert Add(**add, **ranks).inputs == (FP16, FP16)
    with pytest.raises(NetworkError, match="two of one format, not fp16 and bf16"):
        Add(**(add | {"other": BF16}), **ranks)
    with pytest.raises(NetworkError, match=r"added as they are, .*not \(1, 2\)"):
        Add(**add, **ranks, summands=(1, 2))


@pytest.mark.parametrize(
    ("layers", "accumulator", "text"),
    [
        ([dense()], Accumulator(16), "net sums floats: its accumulator is a float"),
        ([dense()], FloatSum(BF16), "a bf16 accumulator does not hold all of fp16"),
        ([dense(bias=np.full(2, FP16.infinity))], FloatSum(FP16), "bias has ranks of finite fp16"),
        (
            [dense(weight=parse("int24"), weights=np.full((2, 3), 65505))],
            FloatSum(FP16),
            "a weight of 65505 is beyond its fp16 accumulator",
        ),
        (
            [dense(output=BF16), MaxPool(name="p", input=BF16, output=BF16, window=Window((1, 1)))],
            FloatSum(FP32),
            "all layers of floats read one format, not bf16, fp16",
        ),
        (
            [
                replace(
                    dense(),
                    input=parse("int8"),
                    output=parse("int8"),
                    weight=parse("int8"),
                    weights=np.ones((2, 3)),
                )
            ],
            FloatSum(FP16),
            "net sums integers: its accumulator has a width and an overflow, it is not fp16",
        ),
    ],
)  # fmt: skip
def test_impossible_networks_are_refused(layers, accumulator, text):
    assert Network("net", (dense(),), FloatSum(FP32)).is_float
    with pytest.raises(NetworkError, match=re.escape(text)):
        Network("net", tuple(layers), accumulator)


def test_parameters_are_of_one_accumulator():
    network = Network("net", (dense(),), FloatSum(FP16))
    assert network.with_accumulator(FloatSum(FP16, 4)).accumulator == FloatSum(FP16, 4)
    with pytest.raises(NetworkError, match="has parameters for sums in fp16, not in fp32"):
        network.with_accumulator(FloatSum(FP32))
    with pytest.raises(NetworkError, match=r"net sums floats, in fp16: bounds, .* are of integers"):
        _ = network.integer_accumulator


@pytest.mark.parametrize("formats", ["fp16", "bf16/fp32", "e4m3*bf16/fp32", "bipolar*float3_2"])
def test_files_keep_networks(formats):
    network = float_network(3, formats, partial_sums=4)
    content = to_bytes(network)
    again = from_bytes(content, origin="here")
    assert to_bytes(again) == content
    assert again.accumulator == network.accumulator
    assert rb"\"version\": 5" in content
    for one, two in zip(network, again, strict=True):
        assert one.output == two.output
        if isinstance(one, Dense):
            assert isinstance(two, Dense)
            assert (one.weights == two.weights).all()


def test_files_with_other_accumulators_are_refused():
    content = to_bytes(float_network(3, "fp16"), digest=False)
    for old, new, text in (
        (b'"format": "fp16"', b'"format": "int8"', "has a float, not int8"),
        (b'"partial_sums": 1', b'"partial_sums": 9', "partial sums are 1 to 8, not 9"),
        (b'"partial_sums": 1', b'"partial_sumz": 1', "damaged header"),
    ):
        old, new = (each.replace(b'"', b'\\"') for each in (old, new))  # it is JSON in JSON
        assert old in content
        with pytest.raises(NarrowgaugeError, match=text):
            from_bytes(content.replace(old, new), origin="here")
