"""Doubts about images: prepared in another way than in training."""

import numpy as np
import pytest

from narrowgauge.model.exchange.preparation import Preparation
from narrowgauge.model.exchange.tflite.importer import import_graph
from narrowgauge.model.exchange.tflite.reading import read_tflite

from .tflite.files import TfliteFile, classes

BYTES = Preparation(shape=(4, 4, 1), size=(4, 4, 1), scale=1.0, zero_point=0.0, low=0, high=255)
PIXELS = np.random.default_rng(0).random((6, 4, 4, 1), np.float32)


@pytest.mark.parametrize(
    ("images", "doubt"),
    [
        (PIXELS * 255, ""),
        (PIXELS, "the images use 2 of the 256 levels of the input"),
        (PIXELS * 1000, "% of the input lies beyond what its quantiser holds"),
        (np.zeros_like(PIXELS), ""),  # one level is an image of one colour
    ],
    ids=["as in training", "0 to 1", "beyond", "black"],
)
def test_a_doubt_says_what_is_strange(images, doubt):
    found = BYTES.doubt(images)
    assert found.endswith(doubt)
    assert bool(found) == bool(doubt)


@pytest.mark.parametrize(("scale", "zero", "bytes_"), [(1.0, -128, True), (0.5, -128, False)])
def test_a_tflite_model_of_bytes_gets_bytes_of_pixels(tmp_path, scale, zero, bytes_):
    file = TfliteFile()
    start = file.start((4, 4, 1), scale, zero)
    classes(file, file.product("CONV_2D", start, 3))
    path = tmp_path / "small.tflite"
    path.write_bytes(file.content())
    imported = import_graph(read_tflite(path), name="small")
    preparation = Preparation.from_about(imported.network.about)
    assert preparation is not None
    expected = np.rint(PIXELS * 255) if bytes_ else np.rint(PIXELS / scale)
    assert preparation.levels(preparation.images(PIXELS)).tolist() == expected.tolist()
