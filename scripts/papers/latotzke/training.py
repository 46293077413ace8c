"""Trains the study's float network further, at a width for each layer, or for each channel."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from safetensors.torch import load as from_tensors

from ....hw.network.file import to_bytes
from ....hw.program.ordering import sorted_by_width
from ....model.integers.export import export_model
from ....model.training.recipe import Recipe
from ..fine_tuning import fine_tuned
from ..resnet8.network import ACTIVATION, DATASET, LANES
from ..resnet8.reference import lowered

__all__ = ["recipe_of", "train_mixed"]


def recipe_of(given: Mapping[str, Any]) -> Recipe:
    """Return the recipe of plain data: widths of layers, ``channels``, schedule, seed."""
    widths = given["widths"]
    return Recipe(
        dataset=DATASET,
        network="resnet8",
        weight=f"int{max(widths.values())}",
        activation=ACTIVATION,
        input=ACTIVATION,
        layers=[(name, f"int{width}") for name, width in widths.items()],
        channels=given.get("channels", {}),
        epochs=given["epochs"],
        rate=given["rate"],
        crop=0,
        distill=given["distill"],
        seed=given["seed"],
    )


def train_mixed(content: bytes, given: Mapping[str, Any]) -> bytes:
    """Train the float network further at the widths of `recipe_of`; return a network file.

    The same on one kind of machine with one torch. Images are mirrored but not moved, and norms are
    frozen.
    """
    found = fine_tuned(recipe_of(given), lowered(from_tensors(content)), frozen=True)
    network = sorted_by_width(export_model(found.model, name="resnet8", lanes=LANES)[0])
    return to_bytes(replace(network, about={"history": found.history}))
