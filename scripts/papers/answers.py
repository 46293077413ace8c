"""Right answers of networks of integers, image by image: any two are compared in pairs."""

import base64
from collections.abc import Mapping
from math import sqrt
from typing import Any

import numpy as np
import torch

from ...hw.network.network import INPUT, Network
from ...model.data import Dataset
from ...model.integers.reference import evaluate
from ...model.layers.blocks import Model
from .study import StudyRow

__all__ = ["answer_columns", "answers", "labelled_right", "labelled_right_in_float", "share_change"]

BATCH = 500  # images at once


def labelled_right(network: Network, dataset: Dataset, count: int, lanes: int) -> np.ndarray:
    """Return which of the first test images of a data set the integers label right."""
    found = []
    for start in range(0, count, BATCH):
        part = slice(start, min(start + BATCH, count))
        levels = dataset.levels(dataset.test_images[part], network.input)
        result = evaluate(network, levels.reshape(-1, *network.sizes[INPUT]), lanes)
        found.append(result.labels.numpy() == dataset.test_labels[part])
    return np.concatenate(found)


def labelled_right_in_float(model: Model, dataset: Dataset, count: int) -> np.ndarray:
    """Return which of the first test images of a data set a float model labels right."""
    values = torch.from_numpy(dataset.values(dataset.test_images[:count]))
    labels = torch.from_numpy(dataset.test_labels[:count])
    with torch.inference_mode():
        found = [model(each).argmax(1) for each in values.permute(0, 3, 1, 2).split(BATCH)]
    return (torch.cat(found) == labels).numpy()


def answer_columns(right: np.ndarray, validated: np.ndarray) -> dict[str, Any]:
    """Return the columns of a row: which test images, and how many others, are labelled right."""
    return {
        "right": [int(right.sum())],
        "images": len(right),
        "answers": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "right_validation": int(validated.sum()),
        "images_validation": len(validated),
    }


def answers(row: Mapping[str, Any]) -> np.ndarray:
    """Return which of a row's test images were labelled right, of shape (images,)."""
    packed = np.frombuffer(base64.b64decode(row["answers"]), np.uint8)
    return np.unpackbits(packed)[: row["images"]].astype(bool)


def share_change(row: StudyRow, other: StudyRow) -> tuple[float, float]:
    """Return points by which a row is better than another, and the error by the choice of images.

    On the test images that both were asked.
    """
    pair = [answers(each) for each in (row, other)]
    count = min(map(len, pair))
    gained = pair[0][:count].astype(int) - pair[1][:count].astype(int)
    points = float(gained.mean())
    error = sqrt(max(float((gained**2).mean()) - points**2, 0.0) / count)
    return 100 * points, 100 * error
