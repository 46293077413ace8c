"""Files of images: what they may hold."""

from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.errors import DataError
from narrowgauge.hw.network.file import load
from narrowgauge.model.exchange.preparation import KEY, Preparation
from narrowgauge.scripts.runs.arrays import read_images, read_levels
from narrowgauge.scripts.runs.loading import load_images, load_inputs
from narrowgauge.scripts.runs.scores import Targets

from ..conftest import write_network

TEN = Targets(10)
LARGE = 2**24 + 1  # float32 does not have it


@pytest.mark.parametrize("kind", [np.int32, np.uint64, np.float64])
def test_levels_are_read_as_they_are(tmp_path, kind):
    path = tmp_path / "images.npy"
    np.save(path, np.array([[LARGE, 0], [1, 2]], kind))
    levels, labels = read_levels(path, 2, None, TEN)
    assert levels.dtype == np.int64
    assert (levels.tolist(), labels) == ([[LARGE, 0], [1, 2]], None)
    assert read_levels(path, 2, 1, TEN)[0].tolist() == [[LARGE, 0]]
    assert read_images(path, (2,), None, TEN)[0][0, 0] == LARGE - 1


@pytest.mark.parametrize("value", [0.9, -1e-9, np.nan, np.inf, 1e30])
def test_levels_are_integers(tmp_path, value):
    np.save(tmp_path / "images.npy", np.array([[0, value]]))
    with pytest.raises(DataError, match=r"images.npy: input levels are integers"):
        read_levels(tmp_path / "images.npy", 2, None, TEN)


def test_levels_that_64_bits_do_not_hold_are_told(tmp_path):
    np.save(tmp_path / "images.npy", np.array([[2**64 - 1]], np.uint64))
    with pytest.raises(DataError, match="input levels are integers"):
        read_levels(tmp_path / "images.npy", 1, None, TEN)


@pytest.mark.parametrize("label", [-1, 10, 99])
def test_labels_are_classes(tmp_path, label):
    path = tmp_path / "images.npz"
    np.savez(path, inputs=np.zeros((3, 4)), labels=[9, label, 0])
    with pytest.raises(DataError, match=f"labels are classes, 0 to 9, and one of them is {label}$"):
        read_levels(path, 4, None, TEN)
    _, first = read_levels(path, 4, 1, TEN)
    assert first is not None
    assert first.tolist() == [9]


def test_right_values_are_finite(tmp_path):
    path = tmp_path / "pairs.npz"
    np.savez(path, inputs=np.zeros((2, 3)), labels=np.full((2, 4), np.nan))
    with pytest.raises(DataError, match=r"pairs.npz: labels hold infinities or what is not a num"):
        read_images(path, (3,), None, Targets(0, (4,)))
    with pytest.raises(DataError, match=r"labels are numbers of shape \(2, 5\), not float64"):
        read_images(path, (3,), None, Targets(0, (5,)))


def test_a_file_of_an_imported_network_is_no_data_set(tmp_path):
    network = load(write_network(tmp_path / "small.safetensors"))
    plain = Preparation(shape=(64,), size=(8, 8, 1), scale=1.0, zero_point=0.0, low=0, high=15)
    about = {**network.about, KEY: plain.plain(), "dataset": "mine.npz"}
    with pytest.raises(DataError, match=r"^net was imported with the file mine.npz, .* needed"):
        load_images(replace(network, about=about), "net")


def test_a_network_that_was_trained_here_reads_levels(tmp_path):
    path = write_network(tmp_path / "small.safetensors")
    levels = np.arange(128).reshape(2, 64) % 16
    np.savez(tmp_path / "images.npz", images=levels, labels=[3, 4])
    np.savez(tmp_path / "square.npz", inputs=levels.reshape(2, 8, 8), labels=[3, 4])
    square, _ = load_inputs(load(path), path, str(tmp_path / "square.npz"), None)
    found, labels = load_inputs(load(path), path, str(tmp_path / "images.npz"), None)
    assert (square == found).all()
    assert (found.reshape(2, 64) == levels).all()
    assert found.shape == (2, *load(path).sizes["input"])
    assert labels is not None
    assert labels.tolist() == [3, 4]
