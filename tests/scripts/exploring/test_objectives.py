"""``narrowgauge explore``: what else is wanted, other networks, training, and its limits."""

import json
from dataclasses import replace

import pytest

from narrowgauge.hw.errors import DataError, NarrowgaugeError
from narrowgauge.hw.network.file import load
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.program.cycles import CycleModel
from narrowgauge.model.training import Recipe
from narrowgauge.model.training.train import train
from narrowgauge.scripts.exploring import shown
from narrowgauge.scripts.exploring.arrays import FittingArray
from narrowgauge.scripts.exploring.quantised import split
from narrowgauge.scripts.exploring.request import Request

from ...model.post_training.networks import fitted
from ...model.post_training.test_onnx_file import digits_graph
from . import test_explore

nets, routed = test_explore.nets, test_explore.routed
ASKED = ("--data", "digits", "--activations", "uint4", "--calibration", 16, "--validation", 16)
ASKED += ("--random", 0, "--images", 4, "--points", 1, "--accuracy-drop", 100)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr(shown, "draw", lambda *_: None)


@pytest.fixture
def explored(invoke, routed, tmp_path):
    """The row of the point that a command builds, and its network."""

    def run(network, *options):
        finished = invoke("explore", network, *ASKED, *options)
        assert finished.status == 0, finished.err
        rows = json.loads((tmp_path / "explored" / "explore.json").read_text())
        (row,) = [row for row in rows if row["routed"]]
        return row, load(tmp_path / "explored" / f"{row['network']}.safetensors")

    return run


def widths_of(network):
    return [layer.weight.width for layer in network if isinstance(layer, Weighted)]


def test_latency_of_an_onnx_file_is_that_of_a_single_image(explored, nets, tmp_path, monkeypatch):
    monkeypatch.setattr(CycleModel, "run", lambda self, images: 1000 + images)
    path = digits_graph(tmp_path / "small.onnx", fitted())
    row, network = explored(path, "--objective", "latency", "--widths", 4)
    assert row["network"] == "small-4.4.4-uint4"
    assert widths_of(network) == [4, 4, 4]
    assert (row["predicted_cycles"], row["predicted_latency"]) == (1001, 1001 / 40)
    assert row["measured_latency"] == 1001 / 41
    assert row["batch"] == 1
    assert network.about["command"] == (
        f"narrowgauge explore {path} --data digits --objective latency --accuracy-drop 100.0 "
        "--widths 4 --activations uint4 --calibration 16 --validation 16 --points 1"
    )


def test_fewest_bits_of_a_checkpoint_trained_further(explored, nets, tmp_path):
    recipe = Recipe(epochs=1, widths=(8,))
    train(recipe, checkpoints=tmp_path)
    path = tmp_path / f"{recipe.digest()}.checkpoint"
    row, network = explored(path, "--objective", "bits", "--widths", "2,3", "--epochs", 1)
    assert widths_of(network) == [2, 2]
    assert row["measured_bits"] == row["predicted_bits"] == 2 * (64 * 8 + 8 * 10)
    trained = network.about["recipe"]
    assert (trained["epochs"], trained["weight"], trained["activation"]) == (1, "int2", "uint4")


def test_a_point_that_needs_a_wider_accumulator_is_not_built(invoke, nets, routed, monkeypatch):
    """Its integers are not those that were foretold with."""
    monkeypatch.setattr(FittingArray, "accumulators", property(lambda self: 0 * self.losses + 5))
    finished = invoke("explore", nets, *ASKED, "--widths", 4, "--accumulator", 5)
    assert finished.status == 1
    assert "bits, and --accumulator allows 5" in finished.err


def test_a_clock_that_cannot_be_foretold_is_refused():
    for objective in ("images", "latency"):
        with pytest.raises(NarrowgaugeError, match=r"the clock of gw1n-9 .* take --objective bits"):
            Request(target="gw1n-9", objective=objective)
    asked = Request(target="gw1n-9", objective="bits")
    replace(asked, target="ecp5-25k", objective="images")


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((0, 16), "a calibration takes at least 8 images, not 0"),
        ((16, 0), "choices are made on at least 8 images, not 0"),
        (
            (16, 1400),
            r"fewer than the 16 to calibrate on and the 1400 to validate on; .*validation",
        ),
    ],
)
def test_too_few_images(counts, text):
    with pytest.raises(DataError, match=text):
        split("digits", *counts)
