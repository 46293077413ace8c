from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.errors import FormatError, GeometryError, NetworkError
from narrowgauge.hw.network.layers import (
    LAYERS,
    Add,
    AveragePool,
    Conv2d,
    Dense,
    MaxPool,
    Move,
    Size,
    Window,
)
from narrowgauge.hw.network.network import INPUT, Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed, parse


def dense(name, weight, input, output, outputs, inputs, seed=0):
    chance = np.random.default_rng(seed)
    fmt = parse(weight)
    return Dense(
        name=name,
        weight=fmt,
        input=parse(input),
        output=parse(output),
        weights=fmt.to_level(chance.integers(0, 1 << fmt.width, (outputs, inputs))),
        bias=chance.integers(-(2**40), 2**40, outputs),
        multiplier=chance.integers(1, 2**20, outputs),
        shift=int(chance.integers(0, 41)),
    )


def small():
    layers = (
        dense("first", "int8", "uint4", "uint8", 3, 5),
        dense("last", "int16", "uint8", "int32", 2, 3),
    )
    return Network("small", layers, Accumulator(20, "saturate"), {"dataset": "digits", "n": [1, 2]})


def residual():
    """One layer of each kind but moves: 4x4x2, 4x4x2, their sum, 3x2x2, 1x1x2 and 3."""
    four, eight = parse("uint4"), parse("int8")
    one = {"bias": [5], "multiplier": [3], "shift": 2}
    two = {"bias": [5, -5], "multiplier": [1, 2], "shift": 1}
    same, narrow = Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((2, 3), (1, 2), (0, 1, 0, 0))
    weights = np.arange(2 * 9).reshape(2, 3, 3, 1) - 8
    layers = (
        Conv2d(
            name="conv", input=four, output=eight, weight=parse("int5"), weights=weights,
            window=same, groups=2, **two,
        ),
        Add(
            name="sum", input=four, other=eight, output=eight, sources=(INPUT, "conv"),
            summands=(2, 255), **one,
        ),
        MaxPool(name="largest", input=eight, output=eight, window=narrow),
        AveragePool(name="mean", input=eight, output=four, **one),
        replace(dense("last", "bipolar", "uint4", "int32", 3, 2), bias=[1, 2, 3]),
    )  # fmt: skip
    return Network("residual", layers, Accumulator(9), input_size=Size(4, 4, 2))


def test_sizes_by_hand():
    network = small()
    assert (network.inputs, network.outputs) == (5, 2)
    assert (network.input, network.output) == (parse("uint4"), parse("int32"))
    assert [network.macs(layer) for layer in network] == [15, 6]
    assert (network.parameters, network.parameter_bits) == (21, 15 * 8 + 6 * 16)
    assert network.with_accumulator(Accumulator(9)).accumulator == Accumulator(9)


def test_a_graph_by_hand():
    network = residual()
    assert {type(layer) for layer in network} == set(LAYERS) - {Move}
    assert [str(size) for size in network.sizes.values()] == [
        "4x4x2", "4x4x2", "4x4x2", "3x2x2", "1x1x2", "1x1x3",
    ]  # fmt: skip
    assert [network.sources(layer) for layer in network] == [
        (INPUT,), (INPUT, "conv"), ("sum",), ("largest",), ("mean",),
    ]  # fmt: skip
    assert [network.macs(layer) for layer in network] == [16 * 18, 0, 0, 0, 6]
    assert (network.inputs, network.outputs, network.parameters) == (32, 3, 24)
    assert network.parameter_bits == 18 * 5 + 6


def test_layers_that_do_not_meet_are_refused():
    network = small()
    first, last = network.layers
    with pytest.raises(NetworkError, match="last takes uint8, but first gives int8"):
        replace(network, layers=(replace(first, output=Fixed(8)), last))
    with pytest.raises(NetworkError, match="last takes 3 inputs, but gets 4"):
        replace(network, layers=(dense("first", "int8", "uint4", "uint8", 4, 5), last))
    with pytest.raises(NetworkError, match="small has no layers"):
        replace(network, layers=())
    with pytest.raises(NetworkError, match="small has two layers called last"):
        replace(network, layers=(replace(first, name="last"), last))


@pytest.mark.parametrize(
    ("index", "change", "text"),
    [
        (1, {"sources": (INPUT, "mean")}, "sum reads mean, not a layer before it"),
        (1, {"sources": (INPUT, "none")}, "sum reads none, not a layer before it"),
        (1, {"other": Fixed(5)}, "sum takes int5, but conv gives int8"),
        (2, {"sources": ("conv",)}, "nothing reads sum"),
        (1, {"sources": ("conv", "conv"), "input": Fixed(8)}, None),
        (4, {"name": INPUT}, "two layers called input"),
    ],
)
def test_graphs_that_do_not_meet_are_refused(index, change, text):
    network = residual()
    layers = list(network.layers)
    layers[index] = replace(layers[index], **change)
    if text is None:  # a tensor may be added to itself
        assert replace(network, layers=tuple(layers)).sizes["sum"] == (4, 4, 2)
        return
    with pytest.raises(NetworkError, match=text):
        replace(network, layers=tuple(layers))


def test_ends_of_networks_are_refused():
    network = residual()
    conv, add, largest, mean, last = network.layers
    with pytest.raises(NetworkError, match="residual: layer conv needs an input size"):
        replace(network, input_size=None)
    with pytest.raises(
        NetworkError, match="the last layer, largest, is a max pool: a network ends"
    ):
        replace(network, layers=(conv, add, largest))
    moved = Move(
        name="moved", input=Fixed(8), output=Fixed(8), blocks=(1, 1), steps=(0, 0), length=12,
        size=Size(1, 1, 12),
    )  # fmt: skip
    with pytest.raises(NetworkError, match="the last layer, moved, is a move: a network ends"):
        replace(network, layers=(conv, add, largest, moved))
    with pytest.raises(NetworkError, match="last takes 2 inputs, but gets 12"):
        replace(network, layers=(conv, add, largest, replace(last, input=Fixed(8))))
    assert replace(network, layers=(conv, add, largest, mean)).outputs == 2


def test_many_positions_and_one_number_are_values():
    network = residual()
    assert (network.outputs, network.classes) == (3, 3)
    image = replace(network, layers=network.layers[:2])
    assert (image.outputs, image.output_size, image.classes) == (32, (4, 4, 2), 0)
    one = Network("one", (dense("one", "int4", "uint4", "int8", 1, 5),), Accumulator(16))
    assert (one.outputs, one.classes) == (1, 0)
    assert replace(network, values=True).classes == 0


def test_errors_are_of_one_family():
    for error in (NetworkError, FormatError, GeometryError):
        assert issubclass(error, ValueError)


def branched(output_layers=("exit", "last"), values: bool | tuple[str, ...] = False):
    """A layer that two others read, which are the outputs."""
    layers = (
        dense("first", "int8", "uint4", "uint4", 3, 5),
        replace(dense("exit", "int8", "uint4", "int5", 2, 3), sources=("first",)),
        replace(dense("last", "int8", "uint4", "uint8", 4, 3), sources=("first",)),
    )
    return Network("branched", layers, Accumulator(20), values=values, output_layers=output_layers)


def test_several_outputs_come_in_their_order():
    network = branched(output_layers=("last", "exit"), values=("last",))
    assert [(end.name, end.classes, end.levels) for end in network.ends] == [
        ("last", 0, slice(0, 4)),
        ("exit", 2, slice(4, 6)),
    ]
    assert (network.outputs, network.classes, network.output) == (6, 2, parse("int9"))
    assert [end.format for end in network.ends] == [parse("uint8"), parse("int5")]
    assert replace(small(), output_layers=("last",)).output_layers == ()


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        (("exit",), "its last layer, last, is no output"),
        (("last",), "nothing reads exit"),
        (("exit", "last", "gone"), "its output gone is no layer"),
        (("exit", "last", "exit"), "its output exit is there twice"),
        (("exit", "last", INPUT), "its output input is no layer"),
        (("exit", "last") * 9, "has 18 outputs, the limit is 16"),
    ],
)
def test_outputs_that_are_none_are_refused(outputs, why):
    with pytest.raises(NetworkError, match=why):
        branched(output_layers=outputs)


def test_outputs_of_max_pools_and_formats_that_do_not_meet_are_refused():
    four, window = parse("uint4"), Window((1, 1))
    pool = MaxPool(name="pool", input=four, output=four, window=window, sources=("first",))
    first, _, last = branched().layers
    with pytest.raises(NetworkError, match="an output, pool, is a max pool"):
        Network("pooled", (first, pool, last), Accumulator(20), output_layers=("pool", "last"))
    with pytest.raises(NetworkError, match="first, which is values, is no output"):
        branched(values=("first",))
    signed = replace(last, output=Fixed(32), shift=0)
    wide = replace(last, name="exit", output=Fixed(32, signed=False), shift=0)
    with pytest.raises(NetworkError, match="no format holds the levels of all outputs"):
        Network("wide", (first, wide, signed), Accumulator(20), output_layers=("exit", "last"))
