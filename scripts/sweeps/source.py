"""Sources of a plan's networks: the zoo, a file, or a training."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

from ...hw.errors import DataError, NarrowgaugeError, NetworkError
from ...hw.network import file as network_file
from ...hw.network.file import to_bytes
from ...hw.network.layers import Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.mapping import accumulator_bits
from ...hw.tools.store import Store
from ...model.data import DATASETS
from ...model.lowering.topologies import NETWORKS
from ...model.training.recipe import Recipe
from ...model.zoo import networks as zoo
from ..rows.row import ResultRow
from ..runs.pipeline import Trainer, training_sources
from ..terminal.progress import Reporter
from .accelerators import Accelerated, NetworkSource

__all__ = ["TRAINING", "Given", "TrainedSource", "find_source", "points"]

TRAINING = ("dataset", "widths", "width", "first", "last", "epochs", "seed")
"""The keys of a plan that say how networks are trained; the fields of `Recipe` with these names."""

_TRAINERS: dict[Recipe, Trainer] = {}
_ONE_AT_A_TIME = threading.Lock()  # a training uses all cores


@dataclass(frozen=True, eq=False)
class Given(NetworkSource):
    """A trained network, of a file or of the zoo, of which the accumulator is left open."""

    network: Network
    of_zoo: bool

    def __str__(self) -> str:
        return self.network.name

    def parts(self) -> dict[str, Any]:
        """Return what the result depends on."""
        return {"network": sha256(to_bytes(self.network)).hexdigest(), "of_zoo": self.of_zoo}

    def get(self, lanes: int, store: Store) -> Network:
        """Return the network."""
        return self.ready(lanes)

    def ready(self, lanes: int) -> Network:
        """Return the network."""
        if not self.of_zoo:
            return self.network
        bits = accumulator_bits(self.network, lanes)
        return self.network.with_accumulator(Accumulator(bits))

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        about = self.network.about
        weights = [layer.weight for layer in self.network if isinstance(layer, Weighted)]
        return ResultRow(
            weight=about.get("weight", str(weights[0]) if weights else "none"),
            activation=about.get("activation", str(self.network.layers[-1].input)),
            network=self.network.name,
            dataset=about.get("dataset", "digits"),
        )


@dataclass(frozen=True)
class TrainedSource(NetworkSource):
    """A network that the plan trains.

    Attributes
    ----------
    shared : Recipe
        What it has in common with the versions of other formats.
    """

    shared: Recipe
    weight: str
    activation: str

    def __str__(self) -> str:
        return f"{self.shared.network} on {self.shared.dataset}, {self.weight} x {self.activation}"

    @property
    def recipe(self) -> Recipe:
        """Recipe of its training."""
        return replace(self.shared, weight=self.weight, activation=self.activation)

    def parts(self) -> dict[str, Any]:
        """Return what the result depends on."""
        return {"recipe": self.recipe.plain(), "sources": training_sources()}

    def get(self, lanes: int, store: Store) -> Network:
        """Return the network."""
        with _ONE_AT_A_TIME:
            trainer = _TRAINERS.get(self.shared)
            if trainer is None:
                trainer = _TRAINERS[self.shared] = Trainer(self.shared, store, _Silent())
            network = trainer.network(self.weight, self.activation, lanes)
            about = {**network.about, "accuracy_float": trainer.accuracy_float()}
        return replace(network, about=about)

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        return ResultRow(
            weight=self.weight, activation=self.activation, dataset=self.shared.dataset
        )


class _Silent(Reporter):
    """Shows nothing: the sweep's progress says what is in work."""

    @contextmanager
    def step(self, title: str) -> Iterator[Any]:
        yield _SilentStep()


class _SilentStep:
    def note(self, text: str) -> None:
        pass


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
    shared = Recipe(network=name, **training)
    if not formats:
        raise NetworkError(f"{name} is trained, and formats say how")
    if shared.dataset not in DATASETS and not shared.dataset.startswith("folder:"):
        raise DataError(
            f"unknown data set {shared.dataset!r}; there is {', '.join(sorted(DATASETS))}, and "
            "folder:PATH@SIZE for a folder of images"
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
