"""Families of networks that differ in width only, and the trainings of their members."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ...hw.errors import NetworkError
from ...hw.numbers.formats import Bipolar, Fixed, default_activation, parse

__all__ = ["FAMILIES", "Epochs", "Member", "NetworkFamily", "find_family"]

HIDDEN = 3  # layers of equal width, as in FINN's networks (Umuroglu et al., 2017)


@dataclass(frozen=True)
class Epochs:
    """Passes over the training images: in float, then with bipolar weights or with others."""

    exact: int
    bipolar: int
    others: int

    def of(self, weight: str) -> int:
        """Return the passes of a training with these weights that starts from the float network."""
        return self.bipolar if parse(weight) == Bipolar() else self.others


@dataclass(frozen=True)
class NetworkFamily:
    """Networks of one shape.

    Attributes
    ----------
    network : str
        Name in `lowering.topologies.NETWORKS`.
    sizes : tuple of float
        Narrow ones first: what channels are multiplied by, or of ``mlp`` the width of its
        three hidden layers.
    batch : int
        Images a step.
    """

    network: str
    sizes: tuple[float, ...]
    batch: int = 128

    def shape(self, size: float) -> dict[str, Any]:
        """Return the recipe's fields that make a size of it."""
        if self.network == "mlp":
            return {"widths": [int(size)] * HIDDEN}
        return {"width": size}

    def text(self, size: float) -> str:
        """Return what a size of it is called."""
        return f"{HIDDEN} x {size:g}" if self.network == "mlp" else f"x {size:g}"


FAMILIES: Mapping[str, NetworkFamily] = MappingProxyType(
    {
        "mlp": NetworkFamily("mlp", (32, 64, 128, 256, 512, 1024), batch=256),
        "lenet5": NetworkFamily("lenet5", (0.15, 0.25, 0.35, 0.5, 0.7, 1.0)),
        "cifar10_full": NetworkFamily("cifar10_full", (0.25, 0.5, 1.0, 2.0)),
    }
)


def find_family(name: str) -> NetworkFamily:
    """Return the family of a name; raises `NetworkError` where there is none."""
    if name not in FAMILIES:
        raise NetworkError(f"no family {name!r} of networks; there is {', '.join(FAMILIES)}")
    return FAMILIES[name]


@dataclass(frozen=True)
class Member:
    """A network of a family on a data set, as one seed trains it.

    Attributes
    ----------
    family : str
        A name in `FAMILIES`.
    size : float
        As in `NetworkFamily.sizes`.
    pixel : int
        Bits of the pixels of the data set.
    """

    dataset: str
    family: str
    size: float
    seed: int
    epochs: Epochs
    pixel: int = 8

    def exact(self) -> dict[str, Any]:
        """Return the fields of the recipe of its float training."""
        family = find_family(self.family)
        return {
            "dataset": self.dataset,
            "network": family.network,
            **family.shape(self.size),
            "batch": family.batch,
            "epochs": self.epochs.exact,
            "seed": self.seed,
        }

    def narrow(self, weight: str, activation: str | None) -> dict[str, Any]:
        """Return those of the training that follows, in a format; None takes its own activation.

        Pixels are those of the data set, or as narrow as integer activations that are narrower: an
        array multiplies all that it reads as wide as the widest.
        """
        own = default_activation(parse(weight)) if activation is None else parse(activation)
        found = {
            **self.exact(),
            "weight": weight,
            "activation": str(own),
            "epochs": self.epochs.of(weight),
        }
        if isinstance(own, Fixed) and own.width < self.pixel:
            found["input"] = str(own)
        return found

    def __str__(self) -> str:
        name = f"{self.family} {find_family(self.family).text(self.size)}"
        return f"{name} on {self.dataset}, seed {self.seed}"
