"""``narrowgauge fit-accumulator``: the file, what is said of it, settled networks, bad input."""

import json

import pytest

from narrowgauge.hw.network.file import load, save
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.bounds import accumulator_bits

from ...hw.networks import random_network
from . import test_quantize

nets = test_quantize.nets
IMAGES = ("--data", "digits", "--calibration", 16, "--validation", 16)


def test_it_writes_a_network_whose_sums_fit(invoke, nets, tmp_path):
    finished = invoke("fit-accumulator", nets, "-o", "s.safetensors", "--bits", 9, *IMAGES)
    assert finished.status == 0, finished.err
    network = load(tmp_path / "s.safetensors")
    assert network.accumulator == Accumulator(9, "wrap")
    assert accumulator_bits(network, 4) <= 9
    assert network.about["command"] == (
        "narrowgauge fit-accumulator own_nets:small -o s.safetensors --bits 9 --data digits "
        "--calibration 16 --validation 16"
    )
    assert "s.safetensors: small-9, 9-bit accumulator that wraps, which no input" in finished.out
    assert "pairs tried, of 112 that there are" in finished.out
    assert "16 validation images: " in finished.out


def test_it_says_which_weights_are_kept(invoke, nets, tmp_path):
    asked = ("fit-accumulator", nets, "-o", "s.safetensors", "--bits", 8, *IMAGES)
    finished = invoke(*asked, "--fine-tune", 1)
    assert finished.status == 0, finished.err
    assert accumulator_bits(load(tmp_path / "s.safetensors"), 4) <= 8
    assert "fine-tuned for 1 epochs: " in finished.out
    assert "before; the fine-tuned network is kept" in finished.out
    invoke(*asked, "--fine-tune", -1).fails_with(1, "fine-tuning takes 0 epochs or more, not -1")


def test_it_says_where_fewer_bits_would_do(invoke, nets, tmp_path):
    finished = invoke("fit-accumulator", nets, "-o", "s.safetensors", "--bits", 40, *IMAGES)
    needed = accumulator_bits(load(tmp_path / "s.safetensors"), 4)
    assert f"its sums take {needed} bits by the bound exact: a narrower one" in finished.out


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """A file of a network whose formats are settled, and the bits of its sums."""
    monkeypatch.chdir(tmp_path)
    network = random_network(1, ("int4", "uint4", "uint4"), (6, 4, 3), Accumulator(20))
    save(network, tmp_path / "own.safetensors")
    return accumulator_bits(network, 4)


def test_a_settled_network_gets_the_accumulator(invoke, settled, tmp_path):
    asked = ("fit-accumulator", "own.safetensors", "-o", "s.safetensors", "--overflow", "saturate")
    finished = invoke(*asked, "--bits", settled, "--json")
    assert finished.status == 0, finished.err
    assert json.loads(finished.out)["accumulator_bits"] == settled
    assert load(tmp_path / "s.safetensors").accumulator == Accumulator(settled, "saturate")
    invoke(*asked, "--bits", settled - 1).fails_with(1, f"{settled} would do")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--bound", "tight"), "a bound is type, l1, exact, calibrated, not 'tight'"),
        (("--bound", "calibrated"), "a calibrated bound needs images: give --data"),
        (("--data", "digits"), "--data is for float networks"),
        (("--epochs", 3), "--epochs is for float networks"),
        (("--fine-tune", 3), "--fine-tune is for float networks"),
        (
            ("--bound", "calibrated", "--data", "digits", "--calibration", 0),
            "a calibration takes at least 8 images, not 0",
        ),
    ],
)
def test_bad_options_of_a_settled_network(invoke, settled, options, text):
    asked = ("fit-accumulator", "own.safetensors", "-o", "s.safetensors", "--bits", 12)
    invoke(*asked, *options).fails_with(1, text)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "formats are chosen on images; give --data"),
        (("--data", "digits", "--calibration", 0), "a calibration takes at least 8 images, not 0"),
        (
            ("--data", "digits", "--validation", 1300),
            "fewer than the 200 to calibrate on and the 1300 to validate on",
        ),
    ],
)
def test_bad_images_are_said_before_anything_is_trained(invoke, tmp_path, options, text):
    asked = ("fit-accumulator", "mlp", "-o", tmp_path / "s.safetensors", "--bits", 12)
    invoke(*asked, *options).fails_with(1, text)
