"""Accuracy of the study's networks: of their integers, on validation and on test images."""

import base64
import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from safetensors.torch import load as from_tensors

from ....hw.network.file import from_bytes, to_bytes
from ....hw.network.network import INPUT, Network
from ....hw.program.ordering import sorted_by_width
from ....model.data import Dataset
from ....model.integers.export import export_model
from ....model.integers.reference import evaluate
from ....model.post_training.images import NetworkImages
from ....model.post_training.quantization import quantize_model
from ..floats import split
from .resnet import lowered
from .training import DATASET, LANES
from .widths import CALIBRATION, post_training

__all__ = ["answers", "measure_float", "measure_network", "quantise"]

BATCH = 500


def quantise(content: bytes, assignment: Mapping[str, Any]) -> bytes:
    """Return the network file of the float network at these widths, without training."""
    exact = lowered(from_tensors(content))
    model, _, _ = quantize_model(copy.deepcopy(exact), _images(), post_training(assignment))
    network, _ = export_model(model, name="resnet8", lanes=LANES)
    return to_bytes(sorted_by_width(network))


@cache
def _images() -> NetworkImages:
    return NetworkImages.of_dataset(split(DATASET)[1], CALIBRATION)


def measure_network(content: bytes, validation: int, tests: int) -> dict[str, Any]:
    """Return how many of the first images the integers label right.

    ``answers`` says which of the test images, so that any two rows can be compared in pairs.
    """
    network = from_bytes(content, origin="the store")
    chosen, reported = split(DATASET)[1], split(DATASET)[0]
    right = _right(network, reported, tests)
    return {
        "right": [int(right.sum())],
        "images": len(right),
        "answers": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "right_validation": int(_right(network, chosen, validation).sum()),
        "images_validation": validation,
        "mean_bits": round(network.mean_weight_bits, 4),
        "bits": network.parameter_bits,
        "accumulator": network.accumulator.width,
    }


def answers(row: Mapping[str, Any]) -> np.ndarray:
    """Return which of a row's test images were labelled right, of shape (images,)."""
    packed = np.frombuffer(base64.b64decode(row["answers"]), np.uint8)
    return np.unpackbits(packed)[: row["images"]].astype(bool)


def measure_float(content: bytes, validation: int, tests: int) -> dict[str, Any]:
    """Return the same of the float network."""
    import torch

    model, found = lowered(from_tensors(content)), []
    with torch.inference_mode():
        for dataset, count in ((split(DATASET)[0], tests), (split(DATASET)[1], validation)):
            values = torch.from_numpy(dataset.values(dataset.test_images[:count]))
            labels = torch.from_numpy(dataset.test_labels[:count])
            batches = values.permute(0, 3, 1, 2).split(BATCH)
            found.append(torch.cat([model(each).argmax(1) for each in batches]) == labels)
    right, validated = (each.numpy() for each in found)
    return {
        "right": [int(right.sum())],
        "images": len(right),
        "answers": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "right_validation": int(validated.sum()),
        "images_validation": len(validated),
        "mean_bits": 32,
    }


def _right(network: Network, dataset: Dataset, count: int) -> np.ndarray:
    """Return which of the first test images of a data set the integers label right."""
    found = []
    for start in range(0, count, BATCH):
        part = slice(start, min(start + BATCH, count))
        levels = dataset.levels(dataset.test_images[part], network.input)
        result = evaluate(network, levels.reshape(-1, *network.sizes[INPUT]), LANES)
        found.append(result.labels.numpy() == dataset.test_labels[part])
    return np.concatenate(found)
