"""Mutated files with quantisers of the standard and integer operators: refused, or imported.

``NARROWGAUGE_LONG=1`` mutates 2,000 files.
"""

import os
import resource
import time

import numpy as np
import pytest

from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.importer import import_model, import_qonnx

from .test_bad_files import changed, damaged, refused_or_imported
from .test_kernels import Integers
from .test_linear_codes import network

FILES = 500 if os.environ.get("NARROWGAUGE_LONG") else 15  # of each model, and of each kind
SLOWEST = 60  # seconds that a file may take
MOST = 2 << 20  # KiB that all may take


def coded():
    graph, output = network("uint8", 101, axis=0)
    return graph.model(output)


def integers():
    graph = Integers()
    x = graph.linear_conv(graph.start(), axis=True, pads=[1, 1, 1, 1])
    y = graph.linear_conv(x, 3, 0.62, 3, 0.31, pads=[1, 1, 1, 1])
    zero = graph.zero()
    x = graph.microsoft("QLinearAdd", x, 0.31, zero, y, 0.62, zero, 0.7, zero)
    x = graph.microsoft("QLinearGlobalAveragePool", graph.max_pool(x), 0.7, zero, 0.21, zero)
    return graph.model(graph.finish(graph.node("Flatten", x), 0.21, 3))


MODELS = {"coded": coded, "integers": integers}


@pytest.fixture(autouse=True)
def bounded():
    """No file takes long, and all of them little memory."""
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MOST


@pytest.mark.parametrize("name", MODELS)
def test_damaged_bytes(tmp_path, name):
    data, path = MODELS[name]().SerializeToString(), tmp_path / "model.onnx"
    for seed in range(FILES):
        path.write_bytes(damaged(data, seed))
        start = time.monotonic()
        refused_or_imported(import_qonnx, path)
        assert time.monotonic() - start < SLOWEST, seed


@pytest.mark.parametrize("name", MODELS)
def test_changed_graphs(name):
    """What is still imported runs as onnxruntime runs it, where that can."""
    compared = 0
    for seed in range(FILES):
        start = time.monotonic()
        imported = refused_or_imported(import_model, changed(MODELS[name](), seed), name="net")
        assert time.monotonic() - start < SLOWEST, seed
        if imported is None:
            continue
        shape = imported.network.about["preparation"]["shape"]
        images = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32) * 2
        found = refused_or_imported(agree, imported, images)
        if found is not None:
            assert [each.first for each in found.tensors if each.first] == [], seed
            compared += 1
    assert compared > FILES // 30
