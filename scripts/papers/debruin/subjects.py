"""The networks of the study ``debruin2020``: in float, and how they are trained further."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from safetensors.torch import load as from_tensors

from ....model.data import Dataset
from ....model.layers.blocks import Model
from ....model.layers.norm_limited import CONSTRAINTS
from ....model.post_training.images import NetworkImages
from ....model.training.recipe import Recipe
from ..floats import FloatNetwork, split
from ..resnet8.reference import lowered

__all__ = ["LENET", "RESNET", "SUBJECTS", "StudyFormats", "Subject", "calibration", "held_out"]

RESNET, LENET = "resnet8", "lenet5"
FEW = 100


@dataclass(frozen=True)
class StudyFormats:
    """Formats of a network: of weights, activations and pixels, and of steps that have their own.

    ``int7/uint7/uint8 conv=uint6`` has activations of 6 bits behind ``conv``.
    """

    weight: str
    activation: str
    pixels: str
    layers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return what a text says."""
        common, *own = text.split()
        weight, activation, pixels = common.split("/")
        layers = (each.split("=") for each in own)
        return cls(weight, activation, pixels, tuple((name, f"/{fmt}") for name, fmt in layers))

    def plain(self) -> dict[str, Any]:
        """Return the fields of a `Recipe` or a `PostTraining`."""
        names = {"weight": self.weight, "activation": self.activation, "input": self.pixels}
        return {**names, "layers": self.layers}


@dataclass(frozen=True)
class Subject:
    """A network.

    Attributes
    ----------
    network, dataset : str
        Their names.
    floats : FloatNetwork or None
        What is trained in float, for each seed; None where the float network is a given one.
    lanes : int
        Of its array, whose padding the accumulator holds as well.
    schedule : mapping
        Fields of its `Recipe`, those that are not the kept ones.
    """

    network: str
    dataset: str
    floats: FloatNetwork | None
    lanes: int
    schedule: Mapping[str, Any]

    def exact(self, content: bytes, seed: int) -> Model:
        """Return the float model of parameters, in steps of hardware."""
        if self.floats is None:
            return lowered(from_tensors(content))
        return replace(self.floats, seed=seed).trained(content)

    def recipe(self, given: Mapping[str, Any]) -> Recipe:
        """Return the recipe of plain data: ``formats``, ``method``, ``bits``, ``seed``."""
        formats = StudyFormats.of(given["formats"])
        recipe = Recipe(
            dataset=self.dataset,
            network=self.network,
            **formats.plain(),
            seed=given["seed"],
            **self.schedule,
        )
        if given["method"] not in CONSTRAINTS:
            return recipe
        return replace(recipe, accumulator_bits=given["bits"], constrain=given["method"])


SUBJECTS: Mapping[str, Subject] = MappingProxyType(
    {
        LENET: Subject(
            network=LENET,
            dataset="mnist",
            floats=FloatNetwork("mnist", LENET, 8),
            lanes=4,
            schedule={"epochs": 3},
        ),
        RESNET: Subject(
            network=RESNET,
            dataset="cifar10",
            floats=None,
            lanes=16,
            schedule={"epochs": 2, "rate": 2e-3, "distill": 1.0, "crop": 0},
        ),
    }
)


def held_out(name: str) -> Dataset:
    """Return a data set whose training images are those that no network is trained on.

    It has few test images: what is searched on it is measured elsewhere.
    """
    reported, chosen = split(name)
    return replace(
        reported,
        train_images=chosen.test_images,
        train_labels=chosen.test_labels,
        test_images=reported.test_images[:FEW],
        test_labels=reported.test_labels[:FEW],
    )


def calibration(name: str, count: int, seed: int) -> NetworkImages:
    """Return images to calibrate on, drawn of those that networks are trained on."""
    dataset = split(name)[1]
    drawn = np.random.default_rng(seed).choice(len(dataset.train_labels), count, replace=False)
    images = replace(
        dataset,
        train_images=dataset.train_images[drawn],
        train_labels=dataset.train_labels[drawn],
    )
    return NetworkImages.of_dataset(images, count)
