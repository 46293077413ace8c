"""Quantised training: from a recipe to a network with accuracy.

Training is deterministic: the same recipe gives the same network on the same machine. It runs on
one thread, which is quickest for networks of this size and fixes the order of every sum.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..hw.errors import NetworkError
from ..hw.number import Format
from .data import Dataset, input_scale, load
from .mlp import Mlp
from .norm import round_norms
from .recipe import Recipe

__all__ = ["Epoch", "Progress", "Recipe", "Trained", "train"]

Progress = Callable[[int, int, float, float], None]
"""Called after every epoch with its number from 1, the number of epochs, loss and accuracy."""


class Epoch(NamedTuple):
    """What one pass over the training images gave."""

    loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network.

    Attributes
    ----------
    recipe : Recipe
        What it was trained with.
    model : Mlp
        The torch model, in evaluation mode.
    accuracy : float
        Share of test images that the torch model labels right.
    accuracy_float : float
        The same for the float network: of ``start``, or its own if it is float itself.
    history : tuple of Epoch
        Mean training loss and accuracy of every epoch.
    seconds : float
        Duration of the training.
    input : Format
        Format in which the network reads pixels.
    """

    recipe: Recipe
    model: Mlp
    accuracy: float
    accuracy_float: float | None
    history: tuple[Epoch, ...]
    seconds: float
    input: Format


def train(
    recipe: Recipe, progress: Progress | None = None, *, start: Trained | None = None
) -> Trained:
    """Train one network.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    progress : callable, optional
        Called after every epoch; see `Progress`.
    start : Trained, optional
        A float network of the same widths, whose weights and BatchNorm are the starting point.

    Raises
    ------
    DataError
        For an unknown data set.
    NetworkError
        When ``start`` is quantised or has other layers.
    """
    began = perf_counter()
    dataset = load(recipe.dataset)
    with _deterministic(recipe.seed) as generator:
        model = _build(recipe, dataset, start, generator)
        images = _images(recipe, dataset, dataset.train_images)
        labels = torch.from_numpy(dataset.train_labels)
        history = _fit(model, images, labels, recipe, generator, progress)
        _settle_statistics(model, images)
        if recipe.weight is not None and recipe.multiplier_bits is not None:
            round_norms(model, recipe.multiplier_bits)
        tests = _images(recipe, dataset, dataset.test_images)
        accuracy = _accuracy(model, tests, torch.from_numpy(dataset.test_labels))
    is_float = recipe.weight is None
    return Trained(
        recipe=recipe,
        model=model,
        accuracy=accuracy,
        accuracy_float=accuracy if is_float else start.accuracy if start is not None else None,
        history=history,
        seconds=perf_counter() - began,
        input=recipe.input_format(dataset),
    )


@contextmanager
def _deterministic(seed: int) -> Iterator[torch.Generator]:
    """Seed a private random state on one thread; both are put back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield torch.Generator().manual_seed(seed)
        finally:
            torch.set_num_threads(threads)


def _images(recipe: Recipe, dataset: Dataset, images: Any) -> Tensor:
    """Return input values, float32: exact pixels for float networks, else those of the format."""
    if recipe.weight is None:
        return torch.from_numpy(dataset.values(images))
    fmt = recipe.input_format(dataset)
    return torch.from_numpy(dataset.levels(images, fmt)).float() * input_scale(fmt)


def _build(
    recipe: Recipe, dataset: Dataset, start: Trained | None, generator: torch.Generator
) -> Mlp:
    """Return the model as it is before the first step."""
    sizes = (dataset.inputs, *recipe.widths, dataset.classes)
    model = Mlp(sizes, input_scale(recipe.input_format(dataset)))
    if start is not None:
        if start.recipe.weight is not None or start.recipe.widths != recipe.widths:
            raise NetworkError(
                f"start is a float network of widths {recipe.widths}, not one of weights "
                f"{start.recipe.weight or 'float'} and widths {start.recipe.widths}"
            )
        model.load_state_dict(start.model.state_dict())
    if recipe.weight_format is not None:
        model.quantize(
            recipe.weight_format,
            recipe.activation_format,
            scale=recipe.scale,
            rounding=recipe.rounding,
            generator=generator,
        )
    return model


def _fit(
    model: Mlp,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    progress: Progress | None,
) -> tuple[Epoch, ...]:
    """Run all epochs; return what each gave."""
    steps = -(-len(images) // recipe.batch)
    optimizer = torch.optim.AdamW(
        _groups(model, recipe.decay), lr=recipe.peak_rate, foreach=True, weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_rate, total_steps=steps * recipe.epochs, pct_start=0.2
    )
    history = []
    model.train()
    for epoch in range(recipe.epochs):
        loss_sum, right = 0.0, 0
        for batch in torch.randperm(len(images), generator=generator).tensor_split(steps):
            logits = model(images[batch])
            loss = nn.functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += loss.item() * len(batch)
            right += int((logits.argmax(dim=1) == labels[batch]).sum())
        history.append(Epoch(loss_sum / len(images), right / len(images)))
        if progress is not None:
            progress(epoch + 1, recipe.epochs, *history[-1])
    return tuple(history)


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Split the parameters: weights decay; biases, BatchNorm and scales do not."""
    decaying, others = [], []
    for name, parameter in model.named_parameters():
        is_weight = parameter.ndim == 2 and "log2_scale" not in name
        (decaying if is_weight else others).append(parameter)
    return [{"params": decaying, "weight_decay": decay}, {"params": others}]


@torch.no_grad()
def _settle_statistics(model: nn.Module, images: Tensor) -> None:
    """Replace BatchNorm's running averages by the statistics of all training images.

    The running averages lag behind weights whose levels still move; the fold uses them as
    constants.
    """
    model.eval()  # rounding is nearest here, as it will be in the integers
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
            module.momentum = None  # the cumulative average of what follows
            module.train()
    model(images)
    model.eval()


def _accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images labelled right."""
    with torch.no_grad():
        return float((model(images).argmax(dim=1) == labels).double().mean())
