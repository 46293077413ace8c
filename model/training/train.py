"""Training, in float and quantised: from a recipe to a network with accuracy.

Training is deterministic: the same recipe gives the same network on the same machine, also when it
was killed and went on from a checkpoint. Small networks run on one thread, which is quickest for
them. Convolutions run in bfloat16 where the machine has instructions for it; evaluation does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ...hw.errors import FormatError, NetworkError
from ...hw.numbers.formats import Format
from ...hw.numbers.operands import common
from ...hw.tools.sources import source_digest
from ..data import Dataset, input_scale, load
from ..layers.blocks import Model
from ..layers.norm import round_norms
from ..lowering.lower import lower
from ..lowering.topologies import build
from .checkpoint import Checkpoint
from .constrained import check_sums
from .evaluation import accuracy, settle_statistics
from .feed import TrainingFeed
from .fit import Fit, deterministic, find_device
from .recipe import Recipe

__all__ = ["Epoch", "Progress", "Recipe", "Trained", "check_recipe", "train", "untrained"]

Progress = Callable[[int, int, float, float, float], None]
"""Called after every epoch: its number from 1, of how many, loss, accuracy, and seconds left."""

CALIBRATION = 512  # images from which activation scales start


class Epoch(NamedTuple):
    """Figures of one pass over the training images."""

    loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network.

    Attributes
    ----------
    recipe : Recipe
        What it was trained with.
    model : Model
        The torch model, in evaluation mode.
    accuracy : float
        Share of test images that the torch model labels right.
    accuracy_float : float
        The same for the float network: of ``start``, or its own if it is float itself.
    history : tuple of Epoch
        Mean training loss and accuracy of every epoch.
    seconds : float
        Duration of the training, that of ``start`` included.
    input : Format
        Format in which the network reads pixels.
    device : str
        What it was trained on.
    """

    recipe: Recipe
    model: Model
    accuracy: float
    accuracy_float: float | None
    history: tuple[Epoch, ...]
    seconds: float
    input: Format
    device: str


def train(
    recipe: Recipe,
    progress: Progress | None = None,
    *,
    start: Trained | None = None,
    checkpoints: Path | None = None,
    dataset: Dataset | None = None,
) -> Trained:
    """Train one network.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    progress : callable, optional
        Called after every epoch; see `Progress`.
    start : Trained, optional
        A float network of the same shape, whose weights and BatchNorm are the starting point.
    checkpoints : Path, optional
        Folder for what is saved after every epoch: a killed training goes on from it, and a
        finished one is not repeated; with other code, or another torch, it begins anew.
    dataset : Dataset, optional
        What it learns; None takes all of the data set that the recipe names. Checkpoints know the
        recipe's name only.

    Raises
    ------
    DataError
        For an unknown data set.
    NetworkError
        When ``start`` is quantised or has another shape, or for a layer that does not exist.
    """
    if start is not None:
        _check_start(recipe, start.recipe)
    dataset, device = load(recipe.dataset) if dataset is None else dataset, find_device()
    dataset.check_trainable()
    code = f"{source_digest(train)}, torch {torch.__version__}"
    checkpoint = Checkpoint(checkpoints, recipe.digest(start=start and start.recipe), code)
    state = checkpoint.load() or {}
    fmt = None if recipe.is_float else recipe.input_format(dataset)
    with deterministic(recipe.seed):
        model = untrained(recipe, dataset)
        fit = Fit(recipe, model, dataset, device)
        _check_batch(recipe, model, len(dataset.train_labels))
        feed = TrainingFeed(dataset, dataset.train_images, dataset.train_labels, fmt, device)
        if start is not None:
            model.load_state_dict(start.model.state_dict())
        if not recipe.is_float:
            _quantize(model, recipe, dataset, feed, fit, started=start is not None)
        if not state.get("finished"):
            teacher = start.model if start is not None else None
            fit.run(feed, teacher, checkpoint, state, progress)
            settle_statistics(model, feed)
            tests = TrainingFeed(dataset, dataset.test_images, dataset.test_labels, fmt, device)
            unrounded = {key: value.clone() for key, value in model.state_dict().items()}
            _round(model, recipe)
            state = fit.outcome() | {"model": unrounded, "accuracy": accuracy(model, tests)}
            checkpoint.save(**state, finished=True)
        else:
            model.load_state_dict(state["model"])
            _round(model, recipe)
    model.cpu().eval()
    before = None if start is None else start.accuracy
    return Trained(
        recipe=recipe,
        model=model,
        accuracy=state["accuracy"],
        accuracy_float=state["accuracy"] if recipe.is_float else before,
        history=tuple(Epoch(*each) for each in state["history"]),
        seconds=state["seconds"] + (0.0 if start is None else start.seconds),
        input=recipe.input_format(dataset),
        device=state["device"],
    )


def untrained(recipe: Recipe, dataset: Dataset) -> Model:
    """Return the float model of a recipe as it is before the first step."""
    module = build(
        recipe.network,
        dataset.image_shape,
        dataset.classes,
        width=recipe.width,
        widths=recipe.widths,
    )
    model = lower(module, dataset.image_shape)
    logits = model.nodes[-1].shape[0]
    if logits != dataset.classes:
        raise NetworkError(
            f"network {recipe.network} gives {logits} logits, but {dataset.name} has "
            f"{dataset.classes} classes"
        )
    return model


def check_recipe(recipe: Recipe) -> None:
    """Refuse, before anything is trained, a network or formats of layers that cannot be.

    Raises
    ------
    FormatError
        For widths that the channels of a layer cannot have, weights that cannot be constrained, and
        an accumulator that holds none of a layer's products.
    NetworkError
        For images that the network does not take, a layer that does not exist, or weight formats
        that no operand of an array holds together; for pools and sums that no constraint makes
        narrower.
    """
    dataset = load(recipe.dataset)
    dataset.check_trainable()
    model = untrained(recipe, dataset)
    _check_batch(recipe, model, len(dataset.train_labels))
    if recipe.is_float:
        return
    formats = recipe.formats(_names(model), model.channels())
    weights = {formats[name].weight for name in model.channels()}
    try:
        common(weights)
    except FormatError as error:
        names = ", ".join(sorted(map(str, weights)))
        raise NetworkError(f"no operand holds all weights, which are {names}") from error
    if recipe.constraint is not None:
        model.quantize(
            formats, recipe.input_format(dataset), 1.0, scale=recipe.scale, rounding=recipe.rounding
        )
        check_sums(model, recipe)


def _check_batch(recipe: Recipe, model: Model, images: int) -> None:
    """Refuse a batch in which a BatchNorm sees one value of a channel."""
    batch = recipe.schedule.batch
    smallest = images // -(-images // batch)
    single = [
        node.name
        for node, step in model.items()
        if isinstance(step.norm, nn.BatchNorm1d | nn.BatchNorm2d) and set(node.shape[1:]) <= {1}
    ]
    if smallest == 1 and single:
        raise NetworkError(
            f"of {images} images in batches of {batch}, one is alone in its batch, where the norm "
            f"of {single[0]} has no variance; take a batch of at least 3"
        )


def _names(model: Model) -> list[str]:
    """Return the names of all steps."""
    return [node.name for node in model.nodes]


def _check_start(recipe: Recipe, start: Recipe) -> None:
    def shape(each: Recipe) -> tuple[object, ...]:
        widths = each.widths if each.network == "mlp" else ()
        return each.network, each.width, widths

    if not start.is_float or shape(start) != shape(recipe):
        raise NetworkError(
            f"start is a float network {recipe.network} of width {recipe.width:g} and widths "
            f"{recipe.widths}, not {start.network} of weights {start.weight or 'float'}, width "
            f"{start.width:g} and widths {start.widths}"
        )


def _quantize(
    model: Model, recipe: Recipe, dataset: Dataset, feed: TrainingFeed, fit: Fit, *, started: bool
) -> None:
    """Put quantisers on the model, whose scales follow from what it computes in float."""
    model.train(not started)  # running statistics that are not there yet
    images, _ = next(feed.batches(CALIBRATION, CALIBRATION))
    samples = model.calibrate(images)
    model.quantize(
        recipe.formats(_names(model), model.channels()),
        recipe.input_format(dataset),
        input_scale(recipe.input_format(dataset)),
        scale=recipe.scale,
        rounding=recipe.rounding,
        generator=fit.chance,
    )
    model.to(feed.images.device)
    model.fit_scales(samples)


def _round(model: Model, recipe: Recipe) -> None:
    """Round the norms of a quantised model; the last act of training."""
    device = model.device
    model.cpu().eval()
    if not recipe.is_float and recipe.multiplier_bits is not None:
        round_norms(model, recipe.multiplier_bits)
    model.to(device)
