"""Sensitivity of layers, and of their channels: what the outputs lose where these are quantised."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..layers.blocks import Model
from .walk import mixed

__all__ = ["channel_sensitivities", "divergence", "sensitivities"]

BATCH = 128  # images at once


@torch.no_grad()
def sensitivities(exact: Model, model: Model, images: Tensor) -> dict[str, float]:
    """Return what each layer with weights costs by itself, by name.

    That is the `divergence` of the float network in which this layer alone, its weights and what it
    gives, is quantised.

    Parameters
    ----------
    exact, model : Model
        In float, and quantised.
    images : Tensor of shape (images, channels, height, width)
        What they read.
    """
    parts: dict[str, list[Tensor | None]] = {node.name: [None] for node, _ in model.weighted()}
    return {name: costs[0] for name, costs in _alone(exact, model, images, parts).items()}


@torch.no_grad()
def channel_sensitivities(
    exact: Model, model: Model, images: Tensor, names: Iterable[str], sets: int
) -> dict[str, list[float]]:
    """Return what each channel that some layers give costs by itself, by name of the layer.

    The channels of a layer are sorted by the mean square of what they lose where this layer alone
    is quantised, and cut into sets of about as many. Of each set the divergence is measured as
    `sensitivities` does, with its channels alone quantised; they share it as they lose.

    Parameters
    ----------
    exact, model, images
        As in `sensitivities`.
    names : iterable of str
        The layers.
    sets : int
        Sets of each layer, at most.
    """
    lost = _lost(exact, model, images, names)
    members = {
        name: [each for each in errors.argsort().tensor_split(sets) if len(each)]
        for name, errors in lost.items()
    }
    masks = {
        name: [torch.isin(torch.arange(len(lost[name])), each) for each in own]
        for name, own in members.items()
    }
    found = {name: torch.zeros_like(errors) for name, errors in lost.items()}
    for name, costs in _alone(exact, model, images, masks).items():
        for each, cost in zip(members[name], costs, strict=True):
            own = lost[name][each]
            share = own / own.sum() if own.sum() > 0 else torch.full_like(own, 1 / len(own))
            found[name][each] = cost * share
    return {name: each.tolist() for name, each in found.items()}


def divergence(logits: Tensor, others: Tensor) -> float:
    """Return the mean Kullback-Leibler divergence of probabilities from those of ``logits``.

    In nats, at least 0.

    Parameters
    ----------
    logits, others : float Tensor of shape (images, classes)
        Of the float network, and of another.
    """
    wanted, found = (functional.log_softmax(each.double(), dim=1) for each in (logits, others))
    return max(0.0, float(functional.kl_div(found, wanted, reduction="batchmean", log_target=True)))


def _alone(
    exact: Model, model: Model, images: Tensor, parts: Mapping[str, Sequence[Tensor | None]]
) -> dict[str, list[float]]:
    """Return the divergences where channels of one layer alone are quantised; None are all."""
    found = {name: [0.0] * len(masks) for name, masks in parts.items()}
    for batch in images.split(BATCH):
        known, share = exact.run(batch, keep=True), len(batch) / len(images)
        logits = known[exact.nodes[-1].name].flatten(1)
        for name, masks in parts.items():
            for index, mask in enumerate(masks):
                others = mixed(exact, model, batch, name, channels=mask, known=known)
                found[name][index] += share * divergence(logits, others)
    return found


def _lost(exact: Model, model: Model, images: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Return the mean square of what each channel of layers loses, of float64, by name."""
    found: dict[str, Tensor] = {}
    scales, chosen = model.scales(), set(names)
    for batch in images.split(BATCH):
        known = exact.run(batch, keep=True)
        for node, step in model.weighted():
            if node.name in chosen:
                inputs = [known[source] for source in node.sources]
                own = [scales[source] for source in node.sources]
                error = (step(inputs, own) - known[node.name]).double().square()
                sums = error.transpose(0, 1).flatten(1).mean(dim=1) * len(batch) / len(images)
                found[node.name] = found.get(node.name, torch.zeros_like(sums)) + sums
    return found
