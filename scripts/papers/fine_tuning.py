"""Trains a float network of a study further, at the formats of a recipe.

It learns from the study's training images only, those that choices are made on are left out; the
float network teaches it, where its schedule says so.
"""

import copy
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from ...model.data import input_scale
from ...model.fitting.projection import layer_limits, projected, round_within
from ...model.layers.blocks import Model
from ...model.layers.norm import round_norms
from ...model.training.checkpoint import Checkpoint
from ...model.training.constrained import check_sums
from ...model.training.evaluation import settle_statistics
from ...model.training.feed import TrainingFeed
from ...model.training.fit import Fit, deterministic
from ...model.training.recipe import Recipe
from .floats import split

__all__ = ["FineTuned", "fine_tuned"]

CALIBRATION = 512  # images from which activation scales start
_CPU = torch.device("cpu")


class FineTuned(NamedTuple):
    """A quantised model in evaluation mode, its norms rounded; loss and share of every epoch."""

    model: Model
    history: list[list[float]]


def fine_tuned(
    recipe: Recipe, exact: Model, *, frozen: bool, within: int | None = None
) -> FineTuned:
    """Train a copy of a float model further; the same on one kind of machine with one torch.

    Parameters
    ----------
    recipe : Recipe
        Formats, constraint, schedule and seed; data sets are those of `floats.split`.
    exact : Model
        In float; it stays as it is.
    frozen : bool
        Whether norms keep the statistics that they have at the first step: those of single batches
        would undo, in few epochs, what the float network was trained for.
    within : int, optional
        Bits of an accumulator within whose limits weights are projected; see `fitting.projection`.

    Raises
    ------
    NetworkError
        For an accumulator that pools or sums of tensors do not fit, or a layer no weight.
    """
    dataset, _ = split(recipe.dataset)
    fmt = recipe.input_format(dataset)
    with deterministic(recipe.seed):
        model, teacher = copy.deepcopy(exact), copy.deepcopy(exact)
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
        check_sums(model, recipe)
        model.fit_scales(samples)
        if frozen:
            _freeze(model, feed)
        limits = {} if within is None else layer_limits(model, within)
        with projected(model, limits):
            fit.run(feed, teacher, Checkpoint(None, ""), {}, None)
        model.eval()
        round_within(model, limits)
        if not frozen:
            settle_statistics(model, feed)
            model.eval()
        assert recipe.multiplier_bits is not None
        round_norms(model, recipe.multiplier_bits)
    return FineTuned(model.eval(), [list(each) for each in fit.history])


def _freeze(model: Model, feed: TrainingFeed) -> None:
    """Give norms the statistics of the quantised network, for good."""
    settle_statistics(model, feed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train = partial(_stay, module)  # type: ignore[method-assign]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    """Stay in evaluation, whatever the model is told."""
    return module
