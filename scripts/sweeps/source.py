"""Sources of a plan's networks: the zoo, a file, or a training."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from ...hw.errors import DataError, NarrowgaugeError, NetworkError
from ...hw.network import file as network_file
from ...model.data import DATASETS, is_file
from ...model.lowering.topologies import NETWORKS
from ...model.training.recipe import Recipe
from ...model.zoo import networks as zoo
from .accelerators import Accelerated, NetworkSource
from .given import Given
from .trained import TrainedSource

__all__ = ["TRAINING", "find_source", "points"]

TRAINING = ("dataset", "widths", "width", "first", "last", "epochs", "seed")
"""The keys of a plan that say how networks are trained; the fields of `Recipe` with these names."""


def find_source(
    name: str,
    formats: Sequence[tuple[str, str]],
    training: Mapping[str, Any],
    folder: Path,
) -> list[NetworkSource]:
    """Return the network called ``name``: a file in ``folder``, one of the zoo, or one to train.

    A network to train gives a version for each of ``formats``.

    Raises
    ------
    FormatError, NetworkError, DataError
        For a network, a format or a data set that does not exist, or does not go with the others.
    """
    if name in NETWORKS:
        return _to_train(name, formats, training)
    used = [*training, *(["formats"] if formats else [])]
    if used:
        raise NetworkError(
            f"{', '.join(used)} is for a network to train ({', '.join(NETWORKS)}), not for {name}"
        )
    path = folder / name
    if path.is_file():
        return [Given(network_file.load(path), of_zoo=False)]
    if name not in zoo.names():
        raise NetworkError(
            f"no network {name!r}: it is one to train ({', '.join(NETWORKS)}), a network file, or "
            f"one of the zoo ({', '.join(zoo.names()) or 'none'})"
        )
    return [Given(zoo.load(name), of_zoo=True)]


def _to_train(
    name: str, formats: Sequence[tuple[str, str]], training: Mapping[str, Any]
) -> list[NetworkSource]:
    if "widths" in training and name != "mlp":
        raise NetworkError(f"widths is for mlp, and {name} has widths of its own; leave it out")
    shared = Recipe(network=name, **training)
    if not formats:
        raise NetworkError(f"{name} is trained, and formats say how")
    is_own = shared.dataset.startswith("folder:") or is_file(shared.dataset)
    if shared.dataset not in DATASETS and not is_own:
        raise DataError(
            f"unknown data set {shared.dataset!r}; there is {', '.join(sorted(DATASETS))}, "
            "folder:PATH@SIZE for a folder of images, and FILE.npz for one of arrays"
        )
    found = [TrainedSource(shared, weight, activation) for weight, activation in formats]
    for each in found:
        _ = each.recipe  # refuses formats that cannot be trained
    return list(found)


def points(values: Mapping[str, list[Any]], folder: Path) -> Iterator[Accelerated]:
    """Yield every combination of a part that measures networks.

    Raises
    ------
    NarrowgaugeError
        For a network that does not exist, and where it is trained and there are no formats for it,
        or it is given and there is something to train with; the text begins with the key.
    """
    training = {name: values[name][0] for name in TRAINING if values[name][0] is not None}
    formats = [each for each in values["formats"] if each is not None]
    rest = [name for name in values if name not in (*TRAINING, "formats", "network", "target")]
    for name in values["network"]:
        try:
            sources = find_source(name, formats, training, folder)
        except NarrowgaugeError as error:
            raise NarrowgaugeError(f"network: {error}") from error
        for source in sources:
            for chosen in product(*(values[key] for key in rest), values["target"]):
                own = dict(zip([*rest, "target"], chosen, strict=True))
                yield Accelerated(source=source, **own)
