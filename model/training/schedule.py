"""Schedules of training: epochs, rates, augmentation; one kept default a network and data set."""

import math
from dataclasses import dataclass, replace

from ...hw.errors import NetworkError
from ...hw.numbers.formats import Bipolar, Format

__all__ = ["Schedule", "default_schedule"]


@dataclass(frozen=True)
class Schedule:
    """Epochs, rates and augmentation of a training.

    Parameters
    ----------
    epochs, batch : int
        Passes over the training images, and images a step.
    rate : float
        Peak learning rate of AdamW, under one-cycle annealing.
    decay : float
        Weight decay.
    smoothing : float
        Share of a label that all classes get.
    crop : int
        Pixels by which an image may move, in every direction; what enters is black.
    flip : bool
        Whether half of the images are mirrored.
    distill : float
        Share of the label that comes from the float network (Hinton et al., 2015).
    """

    epochs: int
    batch: int
    rate: float
    decay: float = 1e-4
    smoothing: float = 0.0
    crop: int = 0
    flip: bool = False
    distill: float = 0.0

    def check(self) -> None:
        """Refuse numbers beyond their ranges; epochs and batch are those of the recipe.

        Raises
        ------
        NetworkError
            With the number, and what it may be.
        """
        if not 0 < self.rate < math.inf:
            raise NetworkError(f"a learning rate is above 0 and finite, not {self.rate}")
        if not 0 <= self.decay < math.inf or self.crop < 0:
            raise NetworkError(f"decay and crop are 0 or more, not {self.decay} and {self.crop}")
        if not (0 <= self.smoothing < 1 and 0 <= self.distill <= 1):
            raise NetworkError(
                f"smoothing and distill are shares, 0 to 1, not {self.smoothing} and {self.distill}"
            )


# float, bipolar weights, and all other weights, which start near the float ones
_DIGITS = (Schedule(40, 32, 4e-3), Schedule(40, 32, 4e-3), Schedule(40, 32, 1e-3))
_DENSE = (
    Schedule(40, 128, 4e-3, crop=1),
    Schedule(80, 128, 4e-3, crop=1, distill=0.5),
    Schedule(40, 128, 1e-3, crop=1),
)
_GREY = (
    Schedule(10, 128, 4e-3, decay=1e-2, smoothing=0.05, crop=2),
    Schedule(20, 128, 4e-3, crop=2, distill=0.5),
    Schedule(6, 128, 1e-3, decay=1e-3, crop=1, distill=0.3),
)
_FASHION = (
    replace(_GREY[0], epochs=15, flip=True),
    replace(_GREY[1], flip=True),
    replace(_GREY[2], epochs=8, flip=True),
)
_COLOUR = (
    Schedule(24, 128, 6e-3, decay=2e-2, smoothing=0.05, crop=4, flip=True),
    Schedule(12, 128, 4e-3, crop=4, flip=True, distill=0.5),
    Schedule(5, 128, 1e-3, decay=1e-3, crop=4, flip=True, distill=0.3),
)
_BY_DATASET = {"digits": _DIGITS, "mnist": _GREY, "fashion-mnist": _FASHION}


def default_schedule(network: str, dataset: str, weight: Format | None) -> Schedule:
    """Return the kept schedule of a network on a data set, float or with weights of a format."""
    kind = 0 if weight is None else 1 if weight == Bipolar() else 2
    if network == "mlp" and dataset != "digits":
        return _DENSE[kind]
    return _BY_DATASET.get(dataset, _COLOUR)[kind]
