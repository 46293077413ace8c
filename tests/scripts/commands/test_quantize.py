"""``narrowgauge quantize``: the file, what is said of it, and bad input."""

import json
import sys

import pytest

from narrowgauge.hw.network.file import load
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.program.bounds import accumulator_bits
from narrowgauge.model.data import load as load_data
from narrowgauge.model.integers.reference import accuracy, evaluate

SOURCE = """
from torch import nn
import torch

def small(image_shape, classes):
    torch.manual_seed(0)
    height, width, channels = image_shape
    return nn.Sequential(
        nn.Flatten(), nn.Linear(height * width * channels, 12), nn.ReLU(), nn.Linear(12, classes)
    )
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A working folder with a Python module of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_nets.py").write_text(SOURCE)
    yield "own_nets:small"
    sys.modules.pop("own_nets", None)


def test_it_writes_a_network_and_says_how_accurate_it_is(invoke, nets, tmp_path):
    finished = invoke(
        *("quantize", nets, "-o", "small.safetensors", "--data", "digits", "--weight", "int4"),
        *("--first", "int8", "--calibration", 50, "--json"),
    )
    assert finished.status == 0, finished.err
    row = json.loads(finished.out)
    network = load(tmp_path / "small.safetensors")
    assert (row["network"], network.name) == ("small-int4-uint4", "small-int4-uint4")
    assert [str(layer.weight) for layer in network if isinstance(layer, Weighted)] == [
        "int8",
        "int4",
    ]
    digits = load_data("digits")
    result = evaluate(network, digits.levels(digits.test_images, network.input), 4)
    share = accuracy(result, digits.test_labels)
    assert share == row["accuracy"]["integer"] == network.about["accuracy_reference"]
    assert network.about["command"] == (
        "narrowgauge quantize own_nets:small -o small.safetensors --data digits --calibration 50 "
        "--weight int4 --first int8"
    )
    assert [each["layer"] for each in row["layers"]] == ["1", "3"]


def test_it_shows_a_table(invoke, nets):
    finished = invoke("quantize", nets, "-o", "s.safetensors", "--data", "digits")
    assert finished.status == 0, finished.err
    assert "loss alone" in finished.out
    assert "450 test images: " in finished.out
    assert "% labelled alike" in finished.out


def test_weights_are_rounded_for_an_accumulator(invoke, nets, tmp_path):
    asked = ("quantize", nets, "-o", "s.safetensors", "--data", "digits", "--calibration", 50)
    finished = invoke(*asked, "--weight", "int4", "--accumulator-bits", 9)
    assert finished.status == 0, finished.err
    network = load(tmp_path / "s.safetensors")
    assert (network.accumulator.width, accumulator_bits(network, 4)) == (9, 9)
    assert (
        "s.safetensors: small-int4-uint4-p9, 9-bit accumulator that no input over" in finished.out
    )
    invoke(*asked, "--accumulator-bits", 4).fails_with(1, "layer 1: an accumulator of 4 bits holds")
    invoke(*asked, "--overflow", "saturate").fails_with(1, "--overflow is for --accumulator-bits")


def test_a_network_is_trained_first_by_its_name(invoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = ("quantize", "mlp", "-o", "m.safetensors", "--data", "digits", "--widths", 8)
    wanted = (*wanted, "--epochs", 1, "--weight", "int4", "--weight-range", "output", "--equalize")
    finished = invoke(*wanted)
    assert finished.status == 0, finished.err
    assert "train float: " in finished.err
    network = load(tmp_path / "m.safetensors")
    assert network.about["command"] == (
        "narrowgauge quantize mlp -o m.safetensors --data digits --weight int4 "
        "--weight-range output --equalize --widths 8 --epochs 1"
    )
    assert invoke(*wanted).status == 0
    assert list((tmp_path / "cache" / "checkpoints").rglob("*.checkpoint"))  # trained once
    for model, options, message in (
        ("nothing", (), "the name of one that is trained first: mlp, lenet5"),
        ("lenet5", ("--widths", 4), "--widths is for mlp, and the network is lenet5"),
        ("mlp", ("--norms", "kept", "--equalize"), "--norms is what --equalize folds"),
    ):
        finished = invoke("quantize", model, "-o", "m.safetensors", "--data", "digits", *options)
        assert finished.status == 1
        assert message in finished.err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "digits", "--percentile", 99, "--activation-range", "mse"), "is for --activ"),
        (("--data", "digits", "--seed", 1), "--seed is for --rounding stochastic"),
        (("--data", "digits", "--calibration", 5000), "fewer than the 5000 to calibrate on"),
        (("--data", "nothing"), "unknown data set 'nothing'"),
        (("--data", "digits", "--epochs", 2), "--epochs is for a network that is trained first"),
        (("--data", "digits", "--mean", "1,2"), "mean is one number, or 1: one a channel"),
        (("--data", "digits", "--weight", "uint4"), "weights are bipolar, pow2_N"),
    ],
)
def test_bad_input_is_one_line(invoke, nets, options, message):
    finished = invoke("quantize", nets, "-o", "small.safetensors", *options)
    assert finished.status == 1
    assert message in finished.err.strip().splitlines()[-1]


def test_normalised_images_are_pixels_again(invoke, nets, tmp_path):
    options = ("--data", "digits", "--mean", "0.3", "--deviation", "0.4", "--json")
    finished = invoke("quantize", nets, "-o", "small.safetensors", *options)
    assert finished.status == 0, finished.err
    row = json.loads(finished.out)
    assert row["accuracy"]["same"] > 0.97
    assert str(load(tmp_path / "small.safetensors").input) == "uint4"


def test_channels_have_the_widths_of_a_file(invoke, nets, tmp_path):
    widths = {"1": [2, 4, 8] * 4, "3": [2, 3, 4, 5, 6] * 2}
    (tmp_path / "widths.json").write_text(json.dumps(widths))
    wanted = ("quantize", nets, "-o", "s.safetensors", "--data", "digits", "--calibration", 50)
    finished = invoke(*wanted, "--channels", "widths.json", "--json")
    assert finished.status == 0, finished.err
    row, network = json.loads(finished.out), load(tmp_path / "s.safetensors")
    assert [list(layer.channel_widths) for layer in network if isinstance(layer, Weighted)] == [
        sorted(widths["1"], reverse=True),  # hidden channels are sorted, those of the output stay
        widths["3"],
    ]
    assert [each["weight"] for each in row["layers"]] == ["int8", "int6"]
    assert [each["weight_bits"] for each in row["layers"]] == [pytest.approx(14 / 3), 4]
    bits = 64 * sum(widths["1"]) + 12 * sum(widths["3"])
    assert (row["parameter_bits"], row["mean_weight_bits"]) == (bits, bits / (64 * 12 + 12 * 10))
    assert str(network.about["command"]).endswith("--calibration 50 --channels widths.json")
    assert network.about["post_training"]["channels"] == widths  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"1": [2, 4]}', "layer 1: 2 widths for 12 output channels"),
        ('{"2": [2]}', "given for '2', which does not exist; there is 1, 3"),
        ('{"1": [2], "1": [2]}', "layer 1: widths of its channels are given twice"),
        ('{"1": {"a": 2}}', "layer 1: widths of channels are a list of integers"),
        ("[2, 4]", 'widths.json: widths of channels are JSON such as {"conv1": [2, 4, 8]}'),
        ("{}", "widths.json: widths of channels are JSON such as"),
        ("{", "widths.json: no JSON"),
        ("[" * 100_000, "widths.json: no JSON"),
        (None, "widths.json: cannot be read (No such file or directory)"),
    ],
)
def test_a_file_of_other_than_widths_is_refused(invoke, nets, tmp_path, text, message):
    if text is not None:
        (tmp_path / "widths.json").write_text(text)
    wanted = ("quantize", nets, "-o", "s.safetensors", "--data", "digits", "--calibration", 50)
    finished = invoke(*wanted, "--channels", "widths.json")
    assert finished.status == 1
    assert message in finished.err
    assert not (tmp_path / "s.safetensors").exists()
