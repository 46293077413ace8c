"""Trains, exports and evaluates: recipes become networks of integers.

Every step is looked up in the store first, so a repeated or interrupted run computes only what is
missing. A step's key holds everything that decides its result, the sources that compute it
included.
"""

from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...hw.network.file import from_bytes, to_bytes
from ...hw.network.network import Network
from ...hw.numbers.default_sum import default_sum, sum_of_width
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Float
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store
from ...model.data import load as load_dataset
from ...model.integers.export import export
from ...model.integers.reference import accuracy, evaluate
from ...model.training.recipe import Recipe
from ...model.training.train import Progress, Trained, check_recipe, train
from ..terminal.progress import ReportedStep, Reporter, time_left
from .loading import images_digest

__all__ = ["Trainer", "training_parts", "training_sources"]


class Trainer:
    """Train the versions of one network; the float version once, the others from it.

    Parameters
    ----------
    recipe : Recipe
        What the versions share, formats of single layers included.
    store : Store
        Where trained networks are kept.
    reporter : Reporter
        Where progress goes.
    checkpoints : Path, optional
        Folder for trainings under way; beside the store by default.
    """

    def __init__(
        self, recipe: Recipe, store: Store, reporter: Reporter, *, checkpoints: Path | None = None
    ):
        self.shared, self.recipe = recipe, recipe.float_version()
        self.store, self.reporter = store, reporter
        self.checkpoints = checkpoints or store.path.parent / "checkpoints"
        self._float: Trained | None = None

    def accuracy_float(self) -> float:
        """Return the float network's accuracy on the test images."""
        parts = self._parts(self.recipe)
        return self.store.compute("float", parts, lambda: self.trained_float().accuracy)

    def network(
        self, weight: str, activation: str | None, lanes: int, *, bits: int | None = None
    ) -> Network:
        """Return the network with the given formats, on the narrowest accumulator it needs.

        Floats are summed in ``bits`` bits, or as `default_sum` says; integers have any accumulator
        afterwards (`set_accumulator`).

        Raises
        ------
        GeometryError
            For floats that are not summed in so many bits.
        NetworkError
            When its integers cannot be folded exactly.
        """
        recipe = replace(self.shared, weight=weight, activation=activation)
        check_recipe(recipe)
        register, parts = _register(recipe, bits), self._parts(recipe) | {"lanes": lanes}
        if register is not None:
            parts["register"] = str(register)
        content = self.store.compute("network", parts, lambda: self._train(recipe, lanes, register))
        return from_bytes(content, origin="the result store")

    def _parts(self, recipe: Recipe) -> dict[str, Any]:
        return training_parts(recipe, self._images)

    @cached_property
    def _images(self) -> str:
        return images_digest(self.recipe.dataset)

    @property
    def _folder(self) -> Path:
        """The checkpoints: a training goes on only with the images that it began with."""
        return self.checkpoints / self._images[:16]

    def trained_float(self) -> Trained:
        """Return the float network, trained unless a checkpoint has it."""
        if self._float is None:
            with self.reporter.step("train float") as step:
                self._float = train(self.recipe, _shown(step), checkpoints=self._folder)
                step.note(f"{100 * self._float.accuracy:.2f} % on the test images")
        return self._float

    def _train(self, recipe: Recipe, lanes: int, register: FloatSum | None) -> bytes:
        """Train and export; what is reported is the accuracy of the integers, which run."""
        self.accuracy_float()
        start = self.trained_float()
        with self.reporter.step(f"train {recipe.weight}") as step:
            trained = train(recipe, _shown(step), start=start, checkpoints=self._folder)
            network, _ = export(trained, lanes=lanes, accumulator=register)
            step.note("evaluate the integers")
            data = load_dataset(recipe.dataset)
            result = evaluate(network, data.levels(data.test_images, network.input), lanes)
            share = accuracy(result, data.test_labels)
            step.note(f"{100 * share:.2f} % on the test images")
        about = {**network.about, "accuracy_reference": share}
        return to_bytes(replace(network, about=about))


def _register(recipe: Recipe, bits: int | None) -> FloatSum | None:
    """Return what a network of floats is summed in; None of integers."""
    weight, activation = recipe.weight_format, recipe.activation_format
    if weight is None or not isinstance(activation, Float):
        return None
    return default_sum(weight, activation) if bits is None else sum_of_width(activation, bits)


def training_parts(recipe: Recipe, images: str | None = None) -> dict[str, Any]:
    """Return what decides a trained network; see `store.key`.

    ``images`` is the digest of its data set's, where it is known.

    Raises
    ------
    DataError
        For a data set that is not there.
    """
    return {
        "recipe": recipe.plain(),
        "images": images_digest(recipe.dataset) if images is None else images,
        "torch": version("torch"),
        "sources": training_sources(),
    }


def training_sources() -> str:
    """Return the digest of the sources that decide what a trained network is: no gate is there."""
    return source_digest(load_dataset, train, export, evaluate, accuracy, to_bytes)


def _shown(step: ReportedStep) -> Progress:
    """Return a callback that says how far a training is."""

    def show(epoch: int, epochs: int, loss: float, share: float, left: float) -> None:
        step.note(
            f"epoch {epoch} of {epochs}, loss {loss:.3f}, {100 * share:.1f} %, {time_left(left)}"
        )

    return show
