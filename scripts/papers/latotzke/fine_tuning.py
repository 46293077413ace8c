"""Trains the study's float network further, at a width for each layer, or for each channel.

It learns the float network's answers on images that are mirrored but not moved. Its norms keep the
statistics that they have at the first step: those of single batches would undo, in so few epochs,
what the float network was trained for.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from safetensors.torch import load as from_tensors
from torch import nn

from ....hw.network.file import to_bytes
from ....hw.network.network import Network
from ....hw.program.ordering import sorted_by_width
from ....model.data import input_scale
from ....model.integers.export import export_model
from ....model.layers.blocks import Model
from ....model.layers.norm import round_norms
from ....model.training.checkpoint import Checkpoint
from ....model.training.evaluation import settle_statistics
from ....model.training.feed import TrainingFeed
from ....model.training.fit import Fit, deterministic
from ....model.training.recipe import Recipe
from ..floats import split
from .resnet import lowered
from .training import ACTIVATION, DATASET, LANES

__all__ = ["recipe_of", "train_mixed"]

CALIBRATION = 512


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

    The same on one kind of machine with one torch.
    """
    recipe = recipe_of(given)
    dataset, _ = split(DATASET)
    fmt = recipe.input_format(dataset)
    with deterministic(recipe.seed):
        model = lowered(from_tensors(content))
        teacher = lowered(from_tensors(content))
        fit = Fit(recipe, model, dataset, _CPU)
        teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        feed = TrainingFeed(dataset, dataset.train_images, dataset.train_labels, fmt, _CPU)
        images, _ = next(feed.batches(CALIBRATION, CALIBRATION))
        model.eval()
        samples = model.calibrate(images)
        model.quantize(
            recipe.formats([node.name for node in model.nodes], model.channels()),
            fmt,
            input_scale(fmt),
            scale=recipe.scale,
            rounding=recipe.rounding,
            generator=fit.chance,
        )
        model.fit_scales(samples)
        _freeze(model, feed)
        fit.run(feed, teacher, Checkpoint(None, ""), {}, None)
        model.eval()
        assert recipe.multiplier_bits is not None
        round_norms(model, recipe.multiplier_bits)
        network = _exported(model)
    return to_bytes(replace(network, about={"history": [list(each) for each in fit.history]}))


def _freeze(model: Model, feed: TrainingFeed) -> None:
    """Give norms the statistics of the quantised network, for good."""
    settle_statistics(model, feed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train = partial(_stay, module)  # type: ignore[method-assign]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    """Stay in evaluation, whatever the model is told."""
    return module


def _exported(model: Model) -> Network:
    return sorted_by_width(export_model(model.eval(), name="resnet8", lanes=LANES)[0])


_CPU = torch.device("cpu")
