"""MLPerf Tiny's reference models, where they are: equal to LiteRT's reference kernels.

The digests are of the codes of all tensors that LiteRT 2.3.0 gives, with its reference kernels, for
random inputs; ``python -m tests.model.exchange.tflite.test_reference_models`` prints them.
"""

import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from narrowgauge.model.exchange.tflite.agree import agree_tflite
from narrowgauge.model.exchange.tflite.importer import import_tflite
from narrowgauge.model.exchange.tflite.kernels import run_kernels
from narrowgauge.model.exchange.tflite.litert import litert_kernels

pytest.importorskip("tflite", reason="narrowgauge[tflite] is not installed")

FOLDER = Path(os.environ.get("NARROWGAUGE_DATA", "nowhere")) / "mlperf-tiny" / "models"
IMAGES = 3
DIGESTS = {
    "kws_ref_model": "53ba2fe4c4d72c1d07a6d02c64f154486bcb741192cd02450900e13e081eb21e",
    "pretrainedResnet_quant": "e8fc3162effdc64230e8705e73c94b59385efaaf5d4e8861bbcd661c714b169a",
    "ad01_int8": "0c1c4b3b6f18fb9c14c370830ef5d5aa7d6adf0af1e395a3029061be79eee550",
}


def inputs(imported):
    shape = imported.graph.tensors[imported.start].shape[1:]
    return np.random.default_rng(7).integers(-128, 128, (IMAGES, *shape)).astype(np.int8)


def digest(imported, codes):
    found = sha256()
    for tensor in sorted(imported.watched):
        found.update(codes[tensor].astype(np.int8).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("name", DIGESTS)
def test_codes(name):
    path = FOLDER / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    imported = import_tflite(path)
    images = inputs(imported)
    codes = run_kernels(imported.graph, imported.start, images.astype(np.int64))
    assert digest(imported, codes) == DIGESTS[name]
    found = agree_tflite(imported, images)
    assert found.first == ""
    assert found.same_class == IMAGES


if __name__ == "__main__":
    for name in DIGESTS:
        imported = import_tflite(FOLDER / f"{name}.tflite")
        print(name, digest(imported, litert_kernels(imported)(inputs(imported).astype(np.int64))))
