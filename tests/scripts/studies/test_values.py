"""The study of networks that give images, on a few digits."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from narrowgauge.hw.accelerator.outputs.emitter import Emitter
from narrowgauge.hw.geometry import Geometry
from narrowgauge.model.data import load
from narrowgauge.scripts.studies import image_networks, values
from narrowgauge.scripts.studies.image_networks import NETWORKS, psnr
from narrowgauge.scripts.studies.values import baselines

from ...formal.proof import edit

pytest.importorskip("brevitas", reason="narrowgauge[brevitas] is not installed")

LITTLE = ("--data", "digits", "--train", "50", "--epochs", "1", "--images", "1")


@pytest.fixture
def study(tmp_path, monkeypatch, capsys):
    """Run the study for a network; its status, what it says, and the row that it keeps."""
    monkeypatch.setattr(values, "GEOMETRY", Geometry(2, 2, 4))
    monkeypatch.setattr(image_networks, "CHANNELS", 2)
    output = tmp_path / "kept" / "rows.json"

    def run(name):
        more = ("--engine", "amaranth", "--output", str(output))
        status = values.main([name, *LITTLE, *more])
        (row,) = json.loads(output.read_text())
        return status, capsys.readouterr(), row

    return run


def test_hardware_gives_the_images_of_an_autoencoder(study, tmp_path):
    status, said, row = study("autoencoder")
    assert (status, row["mismatches"], row["first_difference"]) == (0, 0, ""), said.err
    assert (row["train"], row["validation"], row["outputs"]) == (50, 10, 64)
    assert row["weights"] == ["int4", "int8"]
    assert 0 <= row["mean_error"] <= row["largest_error"] < 1e-5
    assert row["psnr_hardware"] == pytest.approx(row["psnr_graph"], abs=1e-3)
    assert row["command"].endswith(
        "values autoencoder --train 50 --epochs 1 --images 1 --seed 1 --data digits"
    )
    with Image.open(tmp_path / "kept" / "autoencoder.png") as shown:
        assert shown.size == (2 * 10, 2 * 3 * 10)


def test_a_wrong_pixel_is_found_and_the_study_fails(study, monkeypatch):
    """The twin: the accelerator of super-resolution has one wrong bit in a channel."""
    edit(monkeypatch, Emitter, "_send", "sent.eq(code)", "sent.eq(code ^ (loops.channel == 2))")
    status, said, row = study("super-resolution")
    assert (status, row["mismatches"], row["first_difference"]) == (1, 1, "")
    assert "channel 2" in row["first_mismatch"]
    assert row["first_mismatch"] in said.err
    assert row["largest_error"] > 1e-4


def test_inputs_of_super_resolution_are_means_of_pixels():
    _, _, test = NETWORKS["super-resolution"].splits("digits", 50, 3)
    digits = load("digits")
    pixels = digits.test_images[:3, :, :, 0].astype(int)
    means = (pixels.reshape(3, 4, 2, 4, 2).sum(axis=(2, 4)) + 2) // 4
    assert np.array_equal(np.rint(test.inputs[:, 0].numpy() * digits.pixel_max), means)
    assert torch.equal(test.targets[:, 0] * digits.pixel_max, torch.tensor(pixels))


def test_what_is_to_be_beaten_is_an_image_like_the_target():
    for name, network in NETWORKS.items():
        training, validation, test = network.splits("digits", 50, 3)
        assert len(validation) == 10
        for found in baselines(name, training, test).values():
            assert found.shape == test.targets.shape
            assert psnr(found, test.targets.numpy()) > 10


def test_psnr_is_a_mean_over_images():
    targets = np.zeros((2, 1, 4, 4))
    found = np.stack([np.full((1, 4, 4), 0.1), np.full((1, 4, 4), 0.01)])
    assert psnr(found, targets) == pytest.approx((20 + 40) / 2)
    assert psnr(-found, targets) == pytest.approx(100)  # clipped to what a pixel can be


def test_an_unknown_network_is_refused(study, capsys):
    with pytest.raises(SystemExit):
        values.main(["segmentation"])
    assert "there is no segmentation; there is super-resolution, autoencoder" in (
        capsys.readouterr().err
    )
