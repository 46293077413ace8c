"""Batches of values from stored pixels: kept as bytes, moved and mirrored, converted on the way."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ...hw.numbers.formats import Float, Format
from ..data import Dataset, input_scale
from .schedule import Schedule

__all__ = ["TrainingFeed"]


class TrainingFeed:
    """Images and labels on the device that computes, as bytes.

    Parameters
    ----------
    dataset : Dataset
        Where they come from.
    images, labels : arrays
        One of its parts.
    fmt : Format or None
        Format in which pixels are read; None gives them exactly.
    device : torch.device
        Where they are kept.
    """

    def __init__(
        self,
        dataset: Dataset,
        images: np.ndarray,
        labels: np.ndarray,
        fmt: Format | None,
        device: torch.device,
    ):
        self.images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        pixels = np.arange(dataset.pixel_max + 1, dtype=np.uint8)
        if fmt is None:
            table = torch.from_numpy(dataset.values(pixels))
        else:
            levels = torch.from_numpy(dataset.levels(pixels, fmt))
            known = fmt.dequantize(levels) if isinstance(fmt, Float) else levels
            table = known.float() * input_scale(fmt)
        self.table = table.to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def values(self, images: Tensor) -> Tensor:
        """Return pixels as values of shape (images, channels, height, width), channels last."""
        return self.table[images.int()].permute(0, 3, 1, 2)

    def epoch(
        self, schedule: Schedule, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all images in random order, moved and mirrored, with their labels."""
        steps = self.steps(schedule)
        for batch in torch.randperm(len(self), generator=generator).tensor_split(steps):
            images = _moved(self.images[batch.to(self.images.device)], schedule, generator)
            yield self.values(images), self.labels[batch.to(self.labels.device)]

    def steps(self, schedule: Schedule) -> int:
        """Return the batches of an epoch."""
        return -(-len(self) // schedule.batch)

    def batches(self, size: int, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images in their order, ``limit`` of them evenly spread, with their labels."""
        count = len(self) if limit is None else min(limit, len(self))
        chosen = torch.linspace(0, len(self) - 1, count).round().long()
        for batch in chosen.tensor_split(-(-count // size)):
            batch = batch.to(self.labels.device)
            yield self.values(self.images[batch]), self.labels[batch]


def _moved(images: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """Move each image of shape (images, height, width, channels) by chance, and mirror half."""
    count, height, width, _ = images.shape
    if not schedule.crop and not schedule.flip:
        return images
    reach, device = schedule.crop, images.device
    moves = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator)
    rows = moves[0] + torch.arange(height)
    columns = moves[1] + torch.arange(width)
    if schedule.flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = torch.nn.functional.pad(images, (0, 0, reach, reach, reach, reach))
    which = torch.arange(count, device=device)[:, None, None]
    return padded[which, rows.to(device)[:, :, None], columns.to(device)[:, None, :]]
