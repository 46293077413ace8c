"""``narrowgauge import`` and ``narrowgauge check`` of TFLite files."""

import json

import numpy as np
import pytest

from narrowgauge.hw.errors import ToolError
from narrowgauge.hw.network.file import load
from narrowgauge.model.exchange.preparation import Preparation
from narrowgauge.model.exchange.tflite import litert, reading
from narrowgauge.model.exchange.tflite.importer import import_tflite
from narrowgauge.scripts.runs.imports import load_data

from ...model.exchange.tflite.files import classes, layers


@pytest.fixture
def model(tmp_path):
    """A file of three layers, one of which pads with what is not its lowest code."""
    file, start = layers(size=(4, 4, 2), zero=9)
    one = file.product("CONV_2D", start, 3, Padding="SAME", StrideH=2, StrideW=2, zero=4)
    classes(file, file.product("DEPTHWISE_CONV_2D", one, 3, (2, 2)))
    path = tmp_path / "small.tflite"
    path.write_bytes(file.content())
    return path


def test_import(invoke, model, tmp_path):
    output = tmp_path / "small.safetensors"
    finished = invoke("import", model, "-o", output)
    assert finished.status == 0, finished.err
    assert "input int9 4x4x2" in finished.out
    assert "dropped at the end, which no class depends on: operator 4 (SOFTMAX)" in finished.out
    network = load(output)
    assert network.about["imported"] == "TFLite"
    assert [layer.kind for layer in network] == ["conv2d", "conv2d", "dense"]


def test_check(invoke, model):
    """With LiteRT where it is installed."""
    finished = invoke("check", model, "--images", "20", "--json")
    assert finished.status == 0, finished.err
    found = json.loads(finished.out)
    assert found["hardware_mismatches"] == 0
    assert [each["different"] for each in found["tensors"]] == [0] * len(found["tensors"])
    assert ("LiteRT" in found["kernels"]) == bool(litert.litert_version())


def test_check_without_litert_and_its_table(invoke, model, monkeypatch):
    monkeypatch.setattr(litert, "litert_version", lambda: None)
    finished = invoke("check", model, "--images", "4")
    assert finished.status == 0, finished.err
    for words in ("kernels = integers", "conv_2d", "arithmetic in NumPy", "0 images differ"):
        assert words in finished.out


def test_images_of_codes_and_of_values(model, tmp_path):
    """int8 is codes, as the model reads them; anything else is what codes stand for."""
    imported = import_tflite(model)
    preparation = Preparation.from_about(imported.network.about)
    assert preparation is not None
    codes = np.random.default_rng(1).integers(-128, 128, (6, 4, 4, 2)).astype(np.int8)
    for name, images in (("codes", codes), ("values", (codes - 9.0) * np.float32(0.1))):
        path = tmp_path / f"{name}.npz"
        np.savez(path, images=images, labels=np.zeros(6, int))
        found, labels = load_data(str(path), imported, None)
        assert labels is not None
        assert np.array_equal(preparation.levels(found), codes.astype(int) - 9)


def test_options_that_are_not_for_it(invoke, model, tmp_path):
    options = ("-o", tmp_path / "x.safetensors", "--input-format", "uint8")
    finished = invoke("import", model, *options)
    assert finished.status == 1, finished.err
    assert "says what its input is" in finished.err
    finished = invoke("check", model, "--logit-bits", "8")
    finished.fails_with(1, "--logit-bits is for ONNX files")


def test_without_the_extra(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(ToolError, match=r"pip install 'narrowgauge\[tflite\]'"):
        reading.read_tflite(model)


def test_explain(invoke, model):
    finished = invoke("explain", model, "--json")
    assert finished.status == 0, finished.err
    found = json.loads(finished.out)
    assert found["kind"] == "TFLite"
    assert [each["kind"] for each in found["layers"]] == ["conv2d", "conv2d", "dense"]


def test_explain_lists_all_operators_in_the_way(invoke, tmp_path):
    file, start = layers(size=(4, 4, 2))
    one = file.like("TANH", [start])
    classes(file, file.like("LOGISTIC", [file.product("CONV_2D", one, 3)]))
    path = tmp_path / "strange.tflite"
    path.write_bytes(file.content())
    finished = invoke("explain", path, "--json")
    finished.fails_with(1, "2 parts are not supported")
    found = json.loads(finished.out)["unsupported"]
    assert [each["where"].split()[-1] for each in found] == ["(TANH)", "(LOGISTIC)"]
    assert [each["nearest"] for each in found] == ["RELU", "RELU"]


def test_values_have_no_class(invoke, model, tmp_path):
    finished = invoke("check", model, "--values", "--images", "3", "--json")
    assert finished.status == 0, finished.err
    assert "same_class" not in json.loads(finished.out)
    output = tmp_path / "values.safetensors"
    assert invoke("import", model, "--values", "-o", output).status == 0
    assert load(output).classes == 0
