"""Float networks of a study: trained with or without dropout, on images that leave some out.

A share of the training images is left out, the same for every seed: choices are made on it, and the
test images stay for what the choices give.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Self

import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import nn

from ...model.data import Dataset, load
from ...model.data.dataset import stratified_split
from ...model.layers.blocks import Model
from ...model.lowering.lower import lower
from ...model.lowering.topologies import build
from ...model.training.checkpoint import Checkpoint
from ...model.training.evaluation import settle_statistics
from ...model.training.feed import TrainingFeed
from ...model.training.fit import Fit, deterministic
from ...model.training.recipe import Recipe

__all__ = ["FloatNetwork", "split", "train_float"]

VALIDATION = 5000  # training images that no network is trained on
SPLIT_SEED = 1


@dataclass(frozen=True)
class FloatNetwork:
    """A float network to train.

    Attributes
    ----------
    dataset, network, widths, epochs, seed
        As in `Recipe`.
    dropout : float
        Share of the values before each dense layer but one that reads the image which are left out
        in training; 0 for none.
    """

    dataset: str
    network: str
    epochs: int
    seed: int = 0
    dropout: float = 0.0
    widths: tuple[int, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Return the network of plain data."""
        return cls(**{**fields, "widths": tuple(fields["widths"])})

    def plain(self) -> dict[str, Any]:
        """Return its fields as plain data."""
        return {**asdict(self), "widths": list(self.widths)}

    @property
    def recipe(self) -> Recipe:
        """Its recipe, but for the dropout."""
        recipe = Recipe(
            dataset=self.dataset, network=self.network, epochs=self.epochs, seed=self.seed
        )
        return replace(recipe, widths=self.widths) if self.widths else recipe

    def module(self) -> nn.Sequential:
        """Return the network as it is before the first step."""
        (dataset, _), recipe = split(self.dataset), self.recipe
        shape, classes = dataset.image_shape, dataset.classes
        plain = build(self.network, shape, classes, widths=recipe.widths)
        layers: dict[str, nn.Module] = {}
        for name, layer in plain.named_children():
            if self.dropout and isinstance(layer, nn.Linear) and len(layers) > 1:
                layers[f"dropout_{name}"] = nn.Dropout(self.dropout)
            layers[name] = layer
        return nn.Sequential(OrderedDict(layers))

    def trained(self, content: bytes) -> Model:
        """Return the lowered float model of what `train_float` gave."""
        module = self.module()
        module.load_state_dict(from_bytes(content))
        return lower(module, split(self.dataset)[0].image_shape).eval()


@cache
def split(name: str) -> tuple[Dataset, Dataset]:
    """Return a data set with fewer training images, and one that has the others for its tests.

    Raises
    ------
    DataError
        For a data set that is not there.
    """
    dataset = load(name)
    dataset.check_trainable()
    labels = dataset.train_labels
    share = min(VALIDATION / len(labels), 0.2)
    kept, others = stratified_split(labels, share, SPLIT_SEED)
    images = dataset.train_images
    training = replace(dataset, train_images=images[kept], train_labels=labels[kept])
    validation = replace(training, test_images=images[others], test_labels=labels[others])
    return training, validation


def train_float(network: Mapping[str, Any]) -> bytes:
    """Train the network of a mapping's fields; return its parameters as safetensors.

    The same on one kind of machine with one torch; bfloat16 where `Fit` takes it.
    """
    given = FloatNetwork.of(network)
    dataset, _ = split(given.dataset)
    device = torch.device("cpu")
    with deterministic(given.seed):
        module = given.module()
        fit = Fit(given.recipe, module, dataset, device)
        feed = TrainingFeed(dataset, dataset.train_images, dataset.train_labels, None, device)
        fit.run(feed, None, Checkpoint(None, ""), {}, None)
        settle_statistics(module, feed)
    return to_bytes({name: each.contiguous() for name, each in module.state_dict().items()})
