"""Networks that a plan trains."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ...hw.network.network import Network
from ...hw.numbers.formats import Float, parse
from ...hw.tools.store import Store
from ...model.training.recipe import Recipe
from ..rows.row import ResultRow
from ..runs.pipeline import Trainer, training_parts
from ..terminal.progress import Reporter
from .accelerators import NetworkSource

__all__ = ["TrainedSource"]

_TRAINERS: dict[Recipe, Trainer] = {}
_ONE_AT_A_TIME = threading.Lock()  # a training uses all cores


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
        return training_parts(self.recipe)

    def get(self, lanes: int, store: Store, bits: int | None = None) -> Network:
        """Return the network, floats summed in ``bits`` bits."""
        with _ONE_AT_A_TIME:
            trainer = _TRAINERS.get(self.shared)
            if trainer is None:
                trainer = _TRAINERS[self.shared] = Trainer(self.shared, store, _Silent())
            network = trainer.network(self.weight, self.activation, lanes, bits=bits)
            about = {**network.about, "accuracy_float": trainer.accuracy_float()}
        return replace(network, about=about)

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        return ResultRow(
            weight=self.weight,
            activation=self.activation,
            # of the narrowest accumulator, which does not
            overflow=None if isinstance(parse(self.activation), Float) else "wrap",
            dataset=self.shared.dataset,
        )


class _Silent(Reporter):
    """Shows nothing: the sweep's progress says what is in work."""

    @contextmanager
    def step(self, title: str) -> Iterator[Any]:
        yield _SilentStep()


class _SilentStep:
    def note(self, text: str) -> None:
        pass
