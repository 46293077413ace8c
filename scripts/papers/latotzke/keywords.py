"""The keyword network of the study: MLPerf Tiny's float one, quantised without training.

There are only 1,000 test clips and none to train on. The first 200 say the ranges, and what layers
lose; accuracies are of the other 800.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ....hw.errors import DataError
from ....model.exchange.extra import require
from ....model.integers.reference import evaluate
from ....model.layers.blocks import Model
from ....model.post_training.images import NetworkImages
from ....model.post_training.method import PostTraining
from ....model.post_training.quantization import lowered, quantize, quantize_model
from ....model.post_training.sensitivity import sensitivities
from .widths import WIDTHS, channel_errors, post_training, uniform

__all__ = ["KEYWORDS", "keyword_sensitivity", "measure_keywords"]

FILE = "float_kws.onnx"
KEYWORDS = "kws"
CALIBRATION = 200
LANES = 16


@cache
def _exact() -> tuple[Model, NetworkImages]:
    """Return the float network, and its clips."""
    folder = Path(os.environ.get("NARROWGAUGE_DATA", "."), "mlperf-tiny")
    path = next(folder.rglob(FILE), None)
    if path is None:
        raise DataError(f"{folder}: has no {FILE}, MLPerf Tiny's float network of keywords")
    require()
    from ....model.post_training.onnx_file import read_onnx

    images = NetworkImages.load(KEYWORDS, CALIBRATION)
    return lowered(read_onnx(path, images.shape), images), images


def _method(assignment: Mapping[str, Any]) -> PostTraining:
    """Return how it is quantised: clips have the format that they come in."""
    return replace(post_training(assignment), input=None)


def keyword_sensitivity() -> dict[str, Any]:
    """Return what `widths.measure_sensitivity` gives, of the keyword network."""
    exact, images = _exact()
    values = images.values(images.calibration)
    names = list(exact.channels())
    losses: dict[str, list[float]] = {name: [] for name in names}
    for width in WIDTHS:
        method = _method(uniform(names, width))
        model, _, _ = quantize_model(lowered(exact, images), images, method)
        for name, loss in sensitivities(exact, model, values).items():
            losses[name].append(round(loss, 6))
    steps = [(node.name, node.shape, step.op.weight.detach()) for node, step in exact.weighted()]
    return {
        "losses": losses,
        "errors": {name: [channel_errors(w, bits) for bits in WIDTHS] for name, _, w in steps},
        "weights": {name: weight.numel() for name, _, weight in steps},
        "positions": {name: int(np.prod(shape[1:], dtype=int)) for name, shape, _ in steps},
        "images": CALIBRATION,
        "widths": list(WIDTHS),
    }


def measure_keywords(assignment: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return how many of the 800 clips the integers label right; those of None are in float.

    The 200 clips that say the ranges stand for validation images.
    """
    exact, images = _exact()
    assert images.test_labels is not None
    found: dict[str, Any] = {"mean_bits": 32}
    if assignment is None:
        labels = exact(images.values(images.test)).argmax(1).numpy()
    else:
        method = _method(assignment)
        made = quantize(exact, images, method, lanes=LANES, figures=False)
        network = made.network
        levels = images.levels(images.test, network.input, made.model.input_scale)
        labels = evaluate(network, levels, LANES).labels.numpy()
        found["mean_bits"] = round(network.mean_weight_bits, 4)
        found["bits"] = network.parameter_bits
    right = labels == images.test_labels
    reported = right[CALIBRATION:]
    return {
        "right": [int(reported.sum())],
        "images": len(reported),
        "answers": base64.b64encode(np.packbits(reported).tobytes()).decode(),
        "right_validation": int(right[:CALIBRATION].sum()),
        "images_validation": CALIBRATION,
        **found,
    }
