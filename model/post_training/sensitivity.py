"""Sensitivity of layers: what the outputs lose where one layer alone is quantised."""

import torch
from torch import Tensor
from torch.nn import functional

from ..layers.blocks import Model
from .walk import mixed

__all__ = ["divergence", "sensitivities"]

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
    found = dict.fromkeys((node.name for node, _ in model.weighted()), 0.0)
    for batch in images.split(BATCH):
        logits = exact(batch)
        for name in found:
            share = len(batch) / len(images)
            found[name] += share * divergence(logits, mixed(exact, model, batch, name))
    return found


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
