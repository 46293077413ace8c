"""Accuracy of the study's networks: of their integers, on validation and on test images."""

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from safetensors.torch import load as from_tensors

from ....hw.network.file import from_bytes, to_bytes
from ....hw.program.ordering import sorted_by_width
from ....model.integers.export import export_model
from ....model.post_training.images import NetworkImages
from ....model.post_training.quantization import quantize_model
from ..answers import answer_columns, labelled_right, labelled_right_in_float
from ..floats import split
from ..resnet8.network import DATASET, LANES
from ..resnet8.reference import lowered
from .widths import CALIBRATION, post_training

__all__ = ["measure_float", "measure_network", "quantise"]


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
    reported, chosen = split(DATASET)
    return answer_columns(
        labelled_right(network, reported, tests, LANES),
        labelled_right(network, chosen, validation, LANES),
    ) | {
        "mean_bits": round(network.mean_weight_bits, 4),
        "bits": network.parameter_bits,
        "accumulator": network.accumulator.width,
    }


def measure_float(content: bytes, validation: int, tests: int) -> dict[str, Any]:
    """Return the same of the float network."""
    model, (reported, chosen) = lowered(from_tensors(content)), split(DATASET)
    return answer_columns(
        labelled_right_in_float(model, reported, tests),
        labelled_right_in_float(model, chosen, validation),
    ) | {"mean_bits": 32}
