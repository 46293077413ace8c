"""Trains networks of a family in float and in a format, and says how many images they label right.

A part of the training images is held out, the same for every network and seed: which network
reaches a target is decided on it, and the test images stay for what is reported.
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as from_tensors
from safetensors.torch import save as to_tensors

from ...hw.network.file import from_bytes, to_bytes
from ...hw.network.network import INPUT, Network
from ...model.data import Dataset, input_scale, load
from ...model.data.dataset import stratified_split
from ...model.integers.export import export, export_model
from ...model.integers.reference import evaluate
from ...model.layers.blocks import Model
from ...model.training.recipe import Recipe
from ...model.training.train import Trained, train, untrained

__all__ = [
    "HELD_OUT",
    "held_out",
    "measure_narrow",
    "round_exact",
    "train_exact",
    "train_narrow",
]

HELD_OUT = 10_000  # training images that no network is trained on, a fifth at most
SPLIT_SEED = 1
LANES = 16  # for which an accumulator's width holds
BATCH = 1000  # images at once
CALIBRATION = 512  # images


@cache
def held_out(name: str) -> Dataset:
    """Return a data set with fewer training images, whose tests are the others.

    Raises
    ------
    DataError
        For a data set that is not there, or has no training images.
    """
    dataset = load(name)
    dataset.check_trainable()
    images, labels = dataset.train_images, dataset.train_labels
    kept, others = stratified_split(labels, min(HELD_OUT / len(labels), 0.2), SPLIT_SEED)
    return replace(
        dataset,
        train_images=images[kept],
        train_labels=labels[kept],
        test_images=images[others],
        test_labels=labels[others],
    )


def train_exact(given: Mapping[str, Any]) -> bytes:
    """Train the float network of a recipe's fields; return its parameters as safetensors.

    The same on one kind of machine with one torch.
    """
    recipe = Recipe(**given)
    state = train(recipe, dataset=held_out(recipe.dataset)).model.state_dict()
    return to_tensors({name: each.contiguous() for name, each in state.items()})


def train_narrow(content: bytes, exact: Mapping[str, Any], given: Mapping[str, Any]) -> bytes:
    """Train a float network further, in the formats of a recipe's fields; return a network file.

    Parameters
    ----------
    content : bytes
        What `train_exact` gave.
    exact, given : mapping
        Fields of the recipe of the float network, which is the teacher, and of this one.
    """
    recipe = Recipe(**given)
    dataset = held_out(recipe.dataset)
    model = _exact_model(content, exact)
    start = Trained(
        recipe=Recipe(**exact),
        model=model,
        accuracy=0.0,
        accuracy_float=None,
        history=(),
        seconds=0.0,
        input=dataset.input,
        device="cpu",
    )
    found = train(recipe, start=start, dataset=dataset)
    network, _ = export(found, lanes=LANES)
    return to_bytes(replace(network, about={"history": [list(each) for each in found.history]}))


def round_exact(content: bytes, given: Mapping[str, Any], weight: str, activation: str) -> bytes:
    """Round a float network to float formats, untrained; return a network file."""
    recipe = Recipe(**{**given, "weight": weight, "activation": activation})
    model, dataset = _exact_model(content, given), held_out(recipe.dataset)
    fmt = recipe.input_format(dataset)
    samples = model.calibrate(
        torch.from_numpy(dataset.values(dataset.train_images[:CALIBRATION])).permute(0, 3, 1, 2)
    )
    model.quantize(
        recipe.formats([node.name for node in model.nodes], model.channels()), fmt, input_scale(fmt)
    )
    model.fit_scales(samples)
    name = f"{recipe.dataset_name}-{recipe.network}-{weight}"
    return to_bytes(export_model(model.eval(), name=name, lanes=LANES)[0])


def _exact_model(content: bytes, given: Mapping[str, Any]) -> Model:
    """Return the float network of what `train_exact` gave, in evaluation mode."""
    recipe = Recipe(**given)
    model = untrained(recipe, held_out(recipe.dataset))
    model.load_state_dict(from_tensors(content))
    return model.eval()


def measure_narrow(content: bytes, name: str) -> dict[str, Any]:
    """Return how the integers of a network label the images of a data set.

    Returns
    -------
    mapping
        ``right`` of ``images`` test images, and which as ``answers``; ``right_validation`` of
        ``images_validation`` held-out ones; ``parameters``, ``parameter_bits`` and the width of the
        ``accumulator``.
    """
    network = from_bytes(content, origin="the store")

    def right(dataset: Dataset) -> np.ndarray:
        found = []
        for start in range(0, len(dataset.test_labels), BATCH):
            part = slice(start, start + BATCH)
            levels = dataset.levels(dataset.test_images[part], network.input)
            result = evaluate(network, levels.reshape(-1, *network.sizes[INPUT]), LANES)
            found.append(result.labels.numpy() == dataset.test_labels[part])
        return np.concatenate(found)

    return _columns(right(load(name)), right(held_out(name))) | _size(network)


def _columns(right: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    return {
        "right": [int(right.sum())],
        "images": len(right),
        "answers": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "right_validation": int(chosen.sum()),
        "images_validation": len(chosen),
    }


def _size(network: Network) -> dict[str, Any]:
    return {
        "parameters": network.parameters,
        "parameter_bits": network.parameter_bits,
        "accumulator": network.accumulator.width,
    }
