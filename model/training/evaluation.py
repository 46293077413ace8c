"""Evaluates after training: statistics of BatchNorm for the final weights, and accuracy."""

import torch
from torch import nn

from .feed import TrainingFeed

__all__ = ["accuracy", "settle_statistics"]

BATCH = 2000  # images at once
SETTLING = 20_000  # images that settle statistics


@torch.no_grad()
def settle_statistics(model: nn.Module, feed: TrainingFeed) -> None:
    """Replace BatchNorm's running averages by the statistics of training images.

    The running averages lag behind weights whose levels still move; the fold uses them as
    constants.
    """
    model.eval()  # rounding is nearest here, as it will be in the integers
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the cumulative average of what follows
            module.train()
    for images, _ in feed.batches(BATCH, SETTLING):
        model(images)
    model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, feed: TrainingFeed) -> float:
    """Return the share of images labelled right."""
    right = [
        (model(images).argmax(dim=1) == labels).sum() for images, labels in feed.batches(BATCH)
    ]
    return int(torch.stack(right).sum()) / len(feed)
