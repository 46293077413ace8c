"""The networks of the study ``debruin2020``: in float, and how they are trained further."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from safetensors.torch import load as from_tensors

from ....model.data import Dataset
from ....model.layers.blocks import Model
from ....model.layers.norm_limited import CONSTRAINTS
from ....model.post_training.images import NetworkImages
from ....model.training.recipe import Recipe
from ..floats import FloatNetwork, split
from ..resnet8.reference import lowered

__all__ = ["LENET", "RESNET", "SUBJECTS", "Subject", "calibration", "held_out"]

RESNET, LENET = "resnet8", "lenet5"
FEW = 100


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
    frozen : bool
        Whether norms are frozen in quantised training.
    schedule : mapping
        Fields of its `Recipe`, those that are not the kept ones.
    """

    network: str
    dataset: str
    floats: FloatNetwork | None
    lanes: int
    frozen: bool
    schedule: Mapping[str, Any]

    def exact(self, content: bytes, seed: int) -> Model:
        """Return the float model of parameters, in steps of hardware."""
        if self.floats is None:
            return lowered(from_tensors(content))
        return replace(self.floats, seed=seed).trained(content)

    def recipe(self, given: Mapping[str, Any]) -> Recipe:
        """Return the recipe of plain data: ``formats``, ``method``, ``bits``, ``seed``."""
        weight, activation, pixels = given["formats"].split("/")
        recipe = Recipe(
            dataset=self.dataset,
            network=self.network,
            weight=weight,
            activation=activation,
            input=pixels,
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
            frozen=False,
            schedule={"epochs": 3},
        ),
        RESNET: Subject(
            network=RESNET,
            dataset="cifar10",
            floats=None,
            lanes=16,
            frozen=True,
            schedule={"epochs": 3, "rate": 7e-4, "distill": 1.0, "crop": 0},
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


def calibration(name: str, count: int) -> NetworkImages:
    """Return images to calibrate on, of those that networks are trained on."""
    return NetworkImages.of_dataset(split(name)[1], count)
