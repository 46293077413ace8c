"""Trains a fitted network on, with weights that keep within its accumulator.

They are projected onto their limits, see `projection`. So what the search has found stays a
guarantee, whatever the training does.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import nn

from ...hw.errors import DataError
from ..data.dataset import Dataset
from ..layers.blocks import Model
from ..layers.norm import round_norms
from ..post_training.images import NetworkImages
from ..post_training.progress import Progress
from ..training.checkpoint import Checkpoint
from ..training.evaluation import settle_statistics
from ..training.feed import TrainingFeed
from ..training.fit import Fit, deterministic, find_device
from ..training.recipe import Recipe
from .options import AccumulatorFit
from .projection import LayerLimits, layer_limits, projected, round_within

__all__ = ["Tuning", "fine_tune", "training_images"]


class Tuning(NamedTuple):
    """Images to train on, and the data set that they are of."""

    dataset: Dataset
    images: np.ndarray
    labels: np.ndarray


def training_images(images: NetworkImages, validation: np.ndarray) -> Tuning:
    """Return all training images but those that choices are made on.

    Parameters
    ----------
    images : NetworkImages
        Of the data set.
    validation : uint8 array of shape (images, height, width, channels)
        Pixels of which no copy is trained on.

    Raises
    ------
    DataError
        For what is no data set of pixels, or has no other training images.
    """
    dataset = images.pixels
    if dataset is None:
        raise DataError(
            f"{images.name} has no training images of pixels; fine-tuning needs a data set that has"
        )
    seen = {each.tobytes() for each in validation}
    others = np.array([each.tobytes() not in seen for each in dataset.train_images], bool)
    if not others.any():
        raise DataError(
            f"all training images of {images.name} are to validate on; leave some to train on"
        )
    return Tuning(dataset, dataset.train_images[others], dataset.train_labels[others])


def fine_tune(
    exact: Model,
    model: Model,
    tuning: Tuning,
    options: AccumulatorFit,
    multiplier_bits: int,
    progress: Progress | None = None,
) -> Model:
    """Train a quantised model, in place, and return it.

    Parameters
    ----------
    exact : Model
        In float; it teaches where the schedule of its data set says so.
    model : Model
        Quantised, with norms that are not rounded yet.
    tuning : Tuning
        What it is trained on.
    options : AccumulatorFit
        Its epochs, and what sums have to fit: by an ``exact`` or ``l1`` bound weights are kept
        within it; formats alone keep the one by ``type``, and nothing ``calibrated`` ones.
    multiplier_bits : int
        As `PostTraining` has it.
    progress : callable, optional
        Told of each epoch, and the seconds left.

    Raises
    ------
    NetworkError
        Where a layer's inputs leave no room for weights of either sign; where training diverges.
    """
    dataset, limits = tuning.dataset, _limits(model, options)
    recipe = _recipe(exact, dataset, options.fine_tune)
    with deterministic(recipe.seed):
        device = find_device()
        fit = Fit(recipe, model, dataset, device)
        feed = TrainingFeed(dataset, tuning.images, tuning.labels, model.input_format, device)
        with projected(model, limits):
            fit.run(feed, exact, Checkpoint(None, ""), {}, _told(progress))
        settle_statistics(model, feed)
    model.cpu().eval()
    round_within(model, limits)
    round_norms(model, multiplier_bits)
    return model


def _recipe(exact: Model, dataset: Dataset, epochs: int) -> Recipe:
    """Return what has the kept schedule of integer weights, for such a network and data set."""
    dense = all(isinstance(step.op, nn.Linear) for _, step in exact.weighted())
    network = "mlp" if dense else "lenet5"  # by which schedules differ
    return Recipe(dataset=dataset.name, network=network, weight="int8", epochs=epochs)


def _limits(model: Model, options: AccumulatorFit) -> LayerLimits:
    """Return the limits that weights keep; none where formats alone do it, or nothing can."""
    if options.bound not in ("exact", "l1"):
        return {}
    return layer_limits(model, options.bits, options.bound)


def _told(progress: Progress | None) -> Callable[[int, int, float, float, float], None]:
    def tell(epoch: int, epochs: int, loss: float, share: float, left: float) -> None:
        if progress is not None:
            progress(f"fine-tune, epoch {epoch} of {epochs}, {100 * share:.1f} %", left)

    return tell
