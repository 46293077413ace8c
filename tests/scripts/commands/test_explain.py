"""``narrowgauge explain``: what models of every kind would become, and all that is in the way."""

import json

import numpy as np
import pytest

from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.file import load
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth.targets import TARGETS
from narrowgauge.model.exchange.extra import require

from ...model.exchange import graphs
from ..conftest import write_network

MODULES = """
from torch import nn


def small(image_shape, classes):
    height, width, channels = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(height // 2 * (width // 2) * 4, classes),
    )


def strange():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten())


def broken():
    raise ValueError("no\\nway")


def number():
    return 7
"""
SHAPE = ("--image-shape", "8,8,1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module of the user's, `mine_N`, which no other test has imported."""
    monkeypatch.chdir(tmp_path)
    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(MODULES)
    return name


def explained(invoke, *arguments):
    finished = invoke("explain", *arguments, "--json")
    return finished, json.loads(finished.out)


def test_a_network_file(invoke, tmp_path):
    path = write_network(tmp_path / "small.safetensors")
    finished, found = explained(invoke, path, "--rows", "1")
    assert finished.status == 0, finished.err
    program = Program(load(path), Geometry(1, 2, 4))
    assert [each["layer"] for each in found["layers"]] == [each.name for each in load(path)]
    assert [each["target"] for each in found["targets"]] == list(TARGETS)
    assert {each["cycles_per_image"] for each in found["targets"]} == {program.cycles.per_image}
    assert all(each["fits"] for each in found["targets"])
    assert not found["unsupported"]
    sums = {each["layer"]: each for each in found["sums"]}
    bits = [sums["layer0"][kind] for kind in ("type", "l1", "exact")]
    assert bits == sorted(bits, reverse=True)
    assert bits[2] == found["layers"][0]["sum_bits"]
    zeros = [each.sparsity if isinstance(each, Weighted) else None for each in load(path)]
    assert [each["sparsity"] for each in found["layers"]] == zeros
    assert zeros[0] is not None
    assert 0 < zeros[0] < 1
    assert (sums["layer0"]["accumulator"], sums["layer0"]["calibrated"]) == (14, None)
    _, seen = explained(invoke, path, "--data", "digits", "--calibration", 8)
    assert all(each["calibrated"] <= each["exact"] for each in seen["sums"])
    text = invoke("explain", path).out
    assert "memory fits" in text
    assert "holds by" in text
    assert f"{100 * zeros[0]:.0f} %" in text
    assert "up5k" in text
    assert "estimate" not in found
    estimated = json.loads(invoke("explain", path, "--target", "hx8k", "--json").out)["estimate"]
    assert estimated["target"] == "hx8k"
    text = invoke("explain", path, "--target", "hx8k").out
    assert f"on hx8k, estimated: {estimated['lut']:,} of 7,680 LUT (+-" in text
    invoke("explain", path, "--target", "no").fails_with(1, "unknown target 'no'", "hx8k")


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        ("small.safetensors", "--weight", "int4"),
        ("small.safetensors", "--mean", "0.5"),
        ("missing.onnx", "--image-shape", "8,8,1"),
        ("mine:small", "--input-format", "uint8"),
    ],
)
def test_options_that_say_nothing_about_a_model(invoke, model, option, value):
    invoke("explain", model, option, value).fails_with(
        1, f"{option} says nothing about {model} (", "leave it out"
    )


def test_a_count_of_no_images_is_refused(invoke):
    finished = invoke("explain", "mine:small", "--image-shape", "8,8,1", "--calibration", 9)
    finished.fails_with(1, "--calibration")
    finished = invoke("explain", "missing.onnx", "--calibration", 9)
    finished.fails_with(1, "--calibration is how many images of --data are looked at; leave it out")


def test_a_torch_module_before_it_is_trained(invoke, folder):
    finished, found = explained(invoke, f"{folder}:small", *SHAPE, "--weight", "int4")
    assert finished.status == 0, finished.err
    assert [each["kind"] for each in found["layers"]] == ["conv2d", "max_pool", "dense"]
    first, _, last = found["layers"]
    assert (first["weight"], first["input"], first["output"]) == ("int4", "uint8", "uint4")
    assert first["sum_bits"] == 1 + (9 * 8 * 255).bit_length()  # whatever the weights become
    assert first["method"].startswith("multiply")
    assert last["size"] == "1x1x10"
    assert last["sparsity"] is None
    assert "not trained" in found["remarks"][-1]


def test_all_calls_that_are_not_supported_are_listed(invoke, folder):
    finished, found = explained(invoke, f"{folder}:strange", *SHAPE)
    finished.fails_with(1, "3 parts are not supported")
    assert found["unsupported"] == [
        {
            "where": "1 (GELU)",
            "reason": "is not supported",
            "nearest": "use ReLU, ReLU6 or Hardtanh",
        },
        {
            "where": "2 (GroupNorm)",
            "reason": "is not supported",
            "nearest": "use BatchNorm1d or BatchNorm2d",
        },
        {
            "where": "3 (Tanh)",
            "reason": "is not supported",
            "nearest": "use ReLU, ReLU6 or Hardtanh",
        },
    ]
    assert not found["layers"]


def test_all_nodes_that_are_not_supported_are_listed(invoke, tmp_path):
    require()
    graph = graphs.Graph((1, 1, 8, 8))
    x = graph.quant(graph.input, 8, 1 / 256, signed=False)
    x = graph.node("Erf", graph.conv(x, graph.weights((4, 1, 3, 3)), pads=[1] * 4), name="bend")
    x = graph.conv(graph.quant(x), graph.real(4, 4, 3, 3), name="floats")
    x = graph.quant(graph.node("Max", graph.quant(x), np.float32(0.5), name="top"))
    x = graph.quant(graph.conv(x, graph.weights((4, 4, 3, 3)), name="right"))
    x = graph.node("Softmax", x, name="middle")
    (tmp_path / "m.onnx").write_bytes(graph.model(graph.quant(x)).SerializeToString())
    finished, found = explained(invoke, tmp_path / "m.onnx")
    finished.fails_with(1, "m.onnx: 4 parts are not supported")
    where = [each["where"] for each in found["unsupported"]]
    assert where == [
        "node bend (Erf)",
        "node floats (Conv)",
        "node top (Max)",
        "node middle (Softmax)",
    ]
    bend, floats, top, middle = found["unsupported"]
    assert "Sigmoid" in bend["nearest"]
    assert floats["reason"].endswith("are not quantised")
    assert "Quant" in floats["nearest"]
    assert top["nearest"] == "Relu, or Clip"
    assert middle["reason"] == "is supported only at the very end of a network"


def test_operators_of_which_nothing_is_known_are_listed(invoke, tmp_path):
    """Without their shapes nothing behind them can be looked at."""
    require()
    graph = graphs.Graph((1, 4))
    x = graph.node("Strange", graph.quant(graph.input), name="one", domain="mine")
    x = graph.node("Gelu", x, name="two", domain="mine")
    (tmp_path / "m.onnx").write_bytes(graph.model(x).SerializeToString())
    finished, found = explained(invoke, tmp_path / "m.onnx")
    finished.fails_with(1, "2 parts")
    assert [each["where"] for each in found["unsupported"]] == [
        "node one (Strange)",
        "node two (Gelu)",
    ]


def test_a_supported_graph_has_its_methods(invoke, tmp_path):
    require()
    graph, x = graphs.dense((64, 8, 10))
    (tmp_path / "m.onnx").write_bytes(graph.model(x).SerializeToString())
    finished, found = explained(invoke, tmp_path / "m.onnx")
    assert finished.status == 0, finished.err
    assert [each["kind"] for each in found["layers"]] == ["dense", "dense"]
    assert all(each["method"] and each["cycles"] for each in found["layers"])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, ["MODEL"]),
        (["none.onnx"], 1, ["none.onnx", "cannot be read"]),
        (["none.safetensors"], 1, ["none.safetensors", "no such file"]),
        (["MINE.py"], 1, ["not an ONNX file"]),
        (["MINE:small"], 1, ["--image-shape", "28,28,1"]),
        (["MINE:small", "--image-shape", "8,8"], 1, ["--image-shape", "28,28,1"]),
        (["MINE:small", "--image-shape", "x"], 2, ["--image-shape"]),
        (["MINE:small", *SHAPE, "--weight", "int99"], 1, ["99"]),
        (["MINE:none", *SHAPE], 1, ["MINE:none", "no attribute 'none'"]),
        (["MINE:broken", *SHAPE], 1, ["MINE:broken", "ValueError: no way"]),
        (["MINE:number", *SHAPE], 1, ["MINE:number", "gives int"]),
        (["nowhere.to.be:found", *SHAPE], 1, ["nowhere", "ModuleNotFoundError"]),
        (["MINE:small", *SHAPE, "--rows", "0"], 1, ["rows is 1 to"]),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_one_line(invoke, folder, arguments, status, words):
    named = [each.replace("MINE", folder) for each in arguments]
    finished = invoke("explain", *named)
    finished.fails_with(status, *(each.replace("MINE", folder) for each in words))
