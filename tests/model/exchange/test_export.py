"""A network as QONNX gives, in qonnx's own executor, the levels of the integer reference."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import DataError
from narrowgauge.hw.network.layers import Requantised, Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.data import load
from narrowgauge.model.exchange.writing.qonnx import export, save_qonnx, to_qonnx
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.model.zoo import networks as zoo

from ...hw.networks import (
    convnets,
    random_convnet,
    random_exits,
    random_images,
    random_levels,
    random_network,
    random_requantisation,
    seeds,
)
from .executor import all_levels, attributes, check, exact, execute, kinds, one_layer, rows

# --- the same levels -----------------------------------------------------------------------------


@settings(max_examples=30)
@given(convnets(), seeds)
def test_every_layer_gives_the_levels_of_the_reference(network, seed):
    for layer in network:
        if isinstance(layer, Requantised):  # levels that float32 does not have
            assume(layer.clamp[0] < 1 << 24 and layer.clamp[1] > -(1 << 24))
    network = exact(network)
    assume(network.accumulator.width <= 25)  # wider sums float32 does not hold: they are refused
    check(network, random_images(seed, network, 3))


@settings(max_examples=60)
@given(seeds, st.sampled_from(["uint1", "uint2", "int4", "int1", "uint8", "int8", "int12"]))
def test_every_sum_of_a_layer_gives_the_level_of_the_reference(seed, output):
    rng = np.random.default_rng(seed)
    weights = random_levels(rng, parse("int4"), (4, 1))
    scaling = random_requantisation(rng, parse(output), 4)
    network = one_layer(output, weights=weights, **scaling)
    check(network, all_levels(network))


@pytest.mark.parametrize(
    ("weight", "inputs", "hidden", "output"),
    [
        ("int1", "uint3", "int1", "int1"),
        ("int1", "int1", "uint1", "bipolar"),
        ("pow2_2", "bipolar", "bipolar", "int12"),
        ("pow2_5", "uint2", "int4", "int20"),
        ("e2m1", "uint4", "int4", "int12"),
        ("e3m2", "int3", "uint4", "int16"),
        ("e4m1", "uint1", "bipolar", "int24"),
    ],
)
def test_formats(weight, inputs, hidden, output):
    spec = (Size(4, 4, 2), ("conv", 3, Window((2, 2), padding=(1, 0, 0, 1)), 1), ("dense", 3))
    network = random_convnet(
        1, (weight, inputs, hidden), spec, Accumulator(48), output=parse(output)
    )
    weights = random_levels(np.random.default_rng(2), parse(weight), (1 << parse(weight).width, 1))
    last = one_layer("int24", "uint1", weights, weight)
    check(last, all_levels(last))
    check(exact(network), random_images(2, network, 4))


def test_several_outputs_come_in_their_order():
    spec = (Size(4, 4, 2), ("conv", 3, Window((2, 2)), 1), ("dense", 5))
    exits, order = {"layer0": (("dense", 4), "int5")}, ["layer1", "layer0_exit"]
    family = ("int4", "uint4", "uint4")
    network = exact(random_exits(3, family, spec, exits, Accumulator(20), order=order))
    exported = check(network, random_images(2, network, 4))
    tensors = {each.layer: each.tensor for each in exported.layers}
    assert [each.name for each in exported.model.graph.output] == [tensors[name] for name in order]


@pytest.mark.parametrize("weight", ["pow2_6", "e5m10"])
def test_all_weights_pass_their_quantiser(weight):
    from narrowgauge.model.exchange.writing.writer import GraphWriter

    fmt = parse(weight)
    levels = fmt.to_level(np.arange(1 << fmt.width)).reshape(1, -1)
    graph = GraphWriter()
    given_ = graph.given("input", levels.shape)
    graph.quantised(given_, fmt, "output")
    model = graph.model("n", "input", ["output"], {"narrowgauge.version": "0"})
    context = execute(model, levels.reshape(1, 1, 1, -1))
    assert (context["output"] == levels).all()


def test_vectors_become_images_and_back():
    spec = (
        *(Size(2, 3, 2), ("dense", 4), ("conv", 4, Window((1, 1)), 2), ("max", Window((1, 1)))),
        *(("add", "layer0", (3, 1)), ("dense", 5), ("average", None)),
    )
    network = exact(random_convnet(3, ("int4", "uint4", "uint4"), spec, Accumulator(48)))
    exported = check(network, random_images(1, network, 5))
    (output,) = exported.model.graph.output
    assert [each.dim_value for each in output.type.tensor_type.shape.dim] == [5, 5]


@pytest.mark.parametrize("name", ["input", "input/levels", "layer1/weights", "", "a b/ü"])
def test_layers_of_any_name(name):
    network = exact(random_network(1, ("int4", "uint4", "uint4"), (5, 4, 3), Accumulator(48)))
    first = replace(network.layers[0], name=name if name != "input" else "input_2")
    network = replace(network, layers=(first, *network.layers[1:]))
    check(network, random_images(1, network, 2))


# --- what the graph is ---------------------------------------------------------------------------


def small(**about):
    spec = (Size(6, 6, 2), ("conv", 4, Window((3, 3)), 1), ("max", Window((2, 2))), ("dense", 3))
    network = random_convnet(3, ("int4", "uint4", "uint4"), spec, Accumulator(48))
    return exact(replace(network, name="small", about=about))


def test_the_graph_is_valid_and_says_where_it_comes_from(tmp_path):
    import onnx

    network = small(dataset="digits", command="narrowgauge train")
    save_qonnx(network, tmp_path / "new" / "small.onnx")
    model = onnx.load(tmp_path / "new" / "small.onnx")
    onnx.checker.check_model(model)
    onnx.shape_inference.infer_shapes(model, strict_mode=True)
    assert model == to_qonnx(network)  # and equal networks are equal files
    assert model.graph.name == "small"
    assert model.producer_name == "narrowgauge"
    said = {each.key.removeprefix("narrowgauge."): each.value for each in model.metadata_props}
    assert said["name"] == "small"
    assert json.loads(said["about"]) == network.about
    assert json.loads(said["accumulator"])["width"] == network.accumulator.width
    assert json.loads(said["formats"]) == {}
    (given_,) = model.graph.input
    assert [each.dim_value for each in given_.type.tensor_type.shape.dim] == [1, 2, 6, 6]


def test_its_nodes():
    names = [
        *("Quant", "Quant", "Conv", "Mul", "Add", "Quant", "MaxPool"),
        *("Flatten", "Quant", "MatMul", "Add", "Quant"),
    ]
    assert kinds(export(small())) == names


def test_the_graph_survives_cleaning():
    require = pytest.importorskip("qonnx.util.cleanup")
    from qonnx.core.modelwrapper import ModelWrapper

    network = small()
    images = random_images(1, network, 4)
    cleaned = require.cleanup_model(ModelWrapper(to_qonnx(network, batch=4))).model
    context = execute(rename(cleaned), images)
    expected = evaluate(network, images, 1).levels.numpy()
    assert (rows(context[cleaned.graph.output[0].name]) == expected).all()


def rename(model):
    """Give the input its name back, which cleaning takes."""
    old = model.graph.input[0].name
    model.graph.input[0].name = "input"
    for node in model.graph.node:
        node.input[:] = ["input" if each == old else each for each in node.input]
    return model


def test_int1_is_remembered():
    exported = export(one_layer("int1", weights=[[-1], [0]], weight="int1"))
    (said,) = [each for each in exported.model.metadata_props if "formats" in each.key]
    assert json.loads(said.value) == {"fc": {"weight": "int1", "output": "int1"}}


@pytest.mark.parametrize(
    ("output", "ends", "narrow", "clips"),
    [
        ("int4", (-7, 7), 1, 0),
        ("int4", (None, None), 0, 0),
        ("int4", (-8, 7), 0, 0),
        ("int4", (0, 7), 0, 1),
        ("uint4", (0, 14), 0, 1),
        ("uint4", (None, 3), 0, 1),
        ("int1", (None, None), 0, 1),
    ],
)
def test_clamps(output, ends, narrow, clips):
    network = one_layer(output, low=ends[0], high=ends[1])
    exported = check(network, all_levels(network))
    assert kinds(exported).count("Clip") == clips
    assert attributes(exported, "fc")["narrow"] == narrow


def test_bipolar_padding_is_minus_one():
    spec = (Size(3, 3, 2), ("conv", 2, Window((3, 3), padding=(1, 2, 0, 1)), 2), ("dense", 3))
    network = exact(random_convnet(3, ("bipolar",) * 3, spec, Accumulator(48)))
    assert kinds(check(network, random_images(1, network, 8))).count("Pad") == 1


# --- a trained network ---------------------------------------------------------------------------


def test_a_network_of_the_zoo_on_images(monkeypatch):
    def refuse(*_):
        raise ConnectionError("tests download nothing")

    monkeypatch.setattr("pooch.retrieve", refuse)
    network = zoo.load("mnist-lenet5-int4")
    try:
        data = load("mnist")
    except DataError as error:
        if not isinstance(error.__cause__, ConnectionError):
            raise
        pytest.skip("NARROWGAUGE_DATA has no mnist")
    check(exact(network), data.levels(data.test_images[:100], network.input))
