"""Trainings of the study ``latotzke2022``: MLPerf Tiny's ResNet-8, at a width for each layer.

5,000 of CIFAR-10's training images are left out, as in `papers.floats`: choices are made on them.
The float network has seen all training images, so of their accuracy only differences count.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load as from_tensors
from safetensors.torch import save as to_tensors

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
from .resnet import lowered, read_reference

__all__ = ["ACTIVATION", "float_parameters", "recipe_of", "train_mixed"]

DATASET = "cifar10"
ACTIVATION = "uint7"
"""Of hidden activations and pixels: with the shortcuts, which are signed, they are int8."""
STATISTICS = 2000  # images that give norms their statistics
CALIBRATION = 512
LANES = 16  # of whose padding the accumulator takes account


def float_parameters() -> bytes:
    """Return the parameters of the float network, as safetensors."""
    dataset, _ = split(DATASET)
    feed = TrainingFeed(dataset, dataset.train_images, dataset.train_labels, None, _CPU)
    images, _ = next(feed.batches(STATISTICS, STATISTICS))
    module = read_reference(images.contiguous())
    return to_tensors({name: each.contiguous() for name, each in module.state_dict().items()})


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
        crop=2,
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
        fit.run(feed, teacher, Checkpoint(None, ""), {}, None)
        settle_statistics(model, feed)
        assert recipe.multiplier_bits is not None
        round_norms(model, recipe.multiplier_bits)
        network = _exported(model)
    return to_bytes(replace(network, about={"history": [list(each) for each in fit.history]}))


def _exported(model: Model) -> Network:
    return sorted_by_width(export_model(model.eval(), name="resnet8", lanes=LANES)[0])


_CPU = torch.device("cpu")
