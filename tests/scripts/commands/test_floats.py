"""Networks of floats through the commands: made, simulated, and refused where only integers are."""

import json
import sys

import pytest

from narrowgauge.hw.network.file import load
from narrowgauge.hw.numbers.default_sum import default_sum
from narrowgauge.hw.numbers.formats import parse

from ...hw.formats import parse_float
from .test_quantize import SOURCE


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A working folder with a Python module of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_nets.py").write_text(SOURCE)
    yield "own_nets:small"
    sys.modules.pop("own_nets", None)


@pytest.fixture
def half(invoke, nets):
    """A network file of fp16."""
    options = ("--data", "digits", "--weight", "fp16", "--calibration", 50)
    assert invoke("quantize", nets, "-o", "half.safetensors", *options).status == 0
    return "half.safetensors"


def test_a_network_of_mixed_formats_is_made_and_simulated(invoke, nets):
    options = ("--weight", "int8", "--activation", "bf16", "--calibration", 50, "--json")
    finished = invoke("quantize", nets, "-o", "m.safetensors", "--data", "digits", *options)
    assert finished.status == 0, finished.err
    row, network = json.loads(finished.out), load("m.safetensors")
    assert network.accumulator == default_sum(parse("int8"), parse_float("bf16"))
    assert row["accumulator_bits"] == 32
    assert [each["infinite_sums"] for each in row["sums"]] == [0, 0]
    shape = ("--rows", 1, "--columns", 2, "--lanes", 2)
    finished = invoke("simulate", "m.safetensors", *shape, "--data", "digits", "--images", 3)
    assert finished.status == 0, finished.err
    assert "3 images, 0 mismatches" in finished.out


@pytest.mark.parametrize("option", ["--weight-range=output", "--activation-range=mse"])
def test_options_that_would_do_nothing_are_refused(invoke, nets, option):
    made = ("-o", "x.safetensors", "--data", "digits", "--weight", "fp16", option)
    invoke("quantize", nets, *made).fails_with(1, "levels that are scaled", "leave it out")


def test_explain_lists_its_layers(invoke, half):
    finished = invoke("explain", half)
    assert finished.status == 0, finished.err
    assert "scale to fp16" in finished.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "-o", "x.onnx"], ["one of floats", "QONNX graphs are written of integers"]),
        (["fit-accumulator", "-o", "x", "--bits", "12"], ["sums floats", "bounds, widths"]),
        (["simulate", "--data", "digits", "--accumulator", "8"], ["sums in fp16", "not in 8 bits"]),
        (["simulate", "--data", "digits", "--overflow", "saturate"], ["nothing saturates"]),
        (["simulate", "--data", "digits", "--slice", "2"], ["floats", "slices are of integers"]),
        (["synthesize", "--estimate", "--target", "ecp5-25k"], ["there is no estimate"]),
    ],
)
def test_what_only_integers_have_is_refused(invoke, half, arguments, words):
    command, *options = arguments
    invoke(command, half, *options).fails_with(1, *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--weight", "fp16", "--overflow", "saturate"], ["summed in floats", "nothing saturates"]),
        (["--weight", "fp16", "--accumulator", "12"], ["fp16 is not summed in 12 bits"]),
        (["--weight", "fp16", "--activation", "uint8"], ["multiply float activations"]),
        (["--weight", "fp16", "--first", "int8"], ["of one format in all layers"]),
    ],
)
def test_train_refuses_before_it_trains(invoke, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    finished = invoke("train", *options, "-o", "x.safetensors", "--epochs", 1)
    finished.fails_with(1, *words)
    assert "train float" not in finished.err
