"""Trains networks of the study for an accumulator, or rounds them for it, and proves their sums."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ....hw.network.file import to_bytes
from ....hw.network.network import Network
from ....model.integers.export import export_model
from ....model.integers.guarantee import prove_sums
from ....model.post_training.method import PostTraining
from ....model.post_training.quantization import quantize_model
from ..fine_tuning import fine_tuned
from .subjects import SUBJECTS, StudyFormats, calibration

__all__ = ["round_network", "rounded_network", "train_network", "trained_network"]

CALIBRATION = 256


def train_network(content: bytes, name: str, given: Mapping[str, Any]) -> bytes:
    """Train a float network further at the recipe of `Subject.recipe`; return a network file.

    Raises
    ------
    NetworkError
        For the first channel of a network that was trained for an accumulator and is beyond it.
    """
    return to_bytes(trained_network(content, name, given))


def trained_network(
    content: bytes, name: str, given: Mapping[str, Any], *, epochs: int | None = None
) -> Network:
    """Return the network of `train_network`, which raises the same; None takes all epochs."""
    subject = SUBJECTS[name]
    recipe = subject.recipe(given)
    found = fine_tuned(
        recipe if epochs is None else replace(recipe, epochs=epochs),
        subject.exact(content, given["seed"]),
        frozen=False,
        within=given["bits"] if given["method"] == "projected" else None,
    )
    network = export_model(found.model, name=name, lanes=subject.lanes)[0]
    if given["method"] != "plain":
        prove_sums(network, subject.lanes, bits=given["bits"])
    return replace(network, about={"history": found.history})


def round_network(content: bytes, name: str, given: Mapping[str, Any]) -> bytes:
    """Round a float network for an accumulator of ``bits``, or with None for none, untrained."""
    return to_bytes(rounded_network(content, name, given))


def rounded_network(content: bytes, name: str, given: Mapping[str, Any]) -> Network:
    """Return the network of `round_network`; the seed draws the images that it is calibrated on.

    Raises
    ------
    NetworkError
        For an accumulator that the network cannot be rounded for.
    """
    subject = SUBJECTS[name]
    formats = StudyFormats.of(given["formats"]).plain()
    method = PostTraining(**formats, weight_range="output", accumulator_bits=given["bits"])
    exact = subject.exact(content, given["seed"])
    images = calibration(subject.dataset, CALIBRATION, given["seed"])
    model, _, _ = quantize_model(copy.deepcopy(exact), images, method)
    network = export_model(model, name=name, lanes=subject.lanes)[0]
    if given["bits"] is not None:
        prove_sums(network, subject.lanes, bits=given["bits"])
    return network
