"""The main job for one format: train, export, build, simulate, compare, place and route.

Every step is looked up in the store first, so a repeated or interrupted run computes only what is
missing. A step's key holds everything that decides its result, the sources that compute it
included.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..hw.accelerator import Accelerator
from ..hw.arithmetic import Accumulator
from ..hw.mapping import accumulator_bits
from ..hw.network import Network, from_bytes, to_bytes
from ..hw.sim.compare import Comparison, compare
from ..hw.sim.engine import make_engine
from ..hw.sim.run import Run, Stimulus
from ..hw.synth.store import Store
from ..model.data import Dataset
from ..model.data import load as load_dataset
from ..model.export import export
from ..model.recipe import Recipe
from ..model.reference import Result, accuracy, evaluate
from ..model.train import Progress, Trained, train
from .progress import Reporter, Step

__all__ = [
    "Checked",
    "Trainer",
    "check",
    "set_accumulator",
    "simulate_and_compare",
    "source_digest",
]

PACKAGE = Path(__file__).parents[1]
TRACED = 8  # images compared layer by layer, sum by sum; all images are compared at the end


@cache
def source_digest(*folders: str) -> str:
    """Return a digest of the Python and C++ sources in ``folders`` of the package."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((PACKAGE / folder).glob("*.*")):
            if path.suffix in (".py", ".cc"):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Trainer:
    """Train the versions of one network; the float version once, the others from it.

    Parameters
    ----------
    recipe : Recipe
        The float version.
    store : Store
        Where trained networks are kept.
    reporter : Reporter
        Where progress goes.
    """

    def __init__(self, recipe: Recipe, store: Store, reporter: Reporter):
        self.recipe, self.store, self.reporter = replace(recipe, weight=None), store, reporter
        self._float: Trained | None = None

    def accuracy_float(self) -> float:
        """Return the float network's accuracy on the test images."""
        parts = self._parts(self.recipe)
        return self.store.compute("float", parts, lambda: self._train_float().accuracy)

    def network(self, weight: str, activation: str | None, lanes: int) -> Network:
        """Return the network with the given formats, on the narrowest accumulator it needs.

        Raises
        ------
        NetworkError
            When its integers cannot be folded exactly.
        """
        recipe = replace(self.recipe, weight=weight, activation=activation)
        parts = self._parts(recipe) | {"lanes": lanes}
        content = self.store.compute("network", parts, lambda: self._train(recipe, lanes))
        return from_bytes(content, origin="the result store")

    def _parts(self, recipe: Recipe) -> dict[str, Any]:
        sources = source_digest("model"), source_digest("hw")
        return {"recipe": recipe.plain(), "sources": sources, "torch": version("torch")}

    def _train_float(self) -> Trained:
        if self._float is None:
            with self.reporter.step("train float") as step:
                self._float = train(self.recipe, _shown(step))
                step.note(f"{100 * self._float.accuracy:.2f} % on the test images")
        return self._float

    def _train(self, recipe: Recipe, lanes: int) -> bytes:
        """Train and export; what is reported is the accuracy of the integers, which run."""
        start = self._train_float()
        with self.reporter.step(f"train {recipe.weight}") as step:
            network, _ = export(train(recipe, _shown(step), start=start), lanes=lanes)
            data = load_dataset(recipe.dataset)
            result = evaluate(network, data.levels(data.test_images, network.input), lanes)
            share = accuracy(result, data.test_labels)
            step.note(f"{100 * share:.2f} % on the test images")
        about = {**network.about, "accuracy_reference": share}
        return to_bytes(replace(network, about=about))


def _shown(step: Step) -> Progress:
    """Return a callback that says how far a training is."""

    def show(epoch: int, epochs: int, loss: float, _: float) -> None:
        step.note(f"epoch {epoch} of {epochs}, loss {loss:.3f}")

    return show


def set_accumulator(network: Network, bits: int | None, overflow: str, lanes: int) -> Network:
    """Return ``network`` on an accumulator of ``bits``; None is the narrowest that cannot overflow.

    Raises
    ------
    GeometryError
        For a width or overflow mode that does not exist.
    """
    width = accumulator_bits(network, lanes) if bits is None else bits
    return network.with_accumulator(Accumulator(width, overflow))


@dataclass(frozen=True)
class Checked:
    """What simulating and comparing a network on all test images gave.

    ``first`` describes the first difference, empty where there is none.
    """

    images: int
    accuracy_reference: float
    accuracy_hardware: float
    mismatches: int
    overflows: int
    overflows_reference: int
    cycles: int
    steps: int
    seconds: float
    engine: str
    first: str

    def row(self, accelerator: Accelerator) -> dict[str, Any]:
        """Return its columns of a result row."""
        program = accelerator.program
        macs = sum(layer.macs for layer in program.network) * self.images
        return {
            "images": self.images,
            "accuracy_reference": self.accuracy_reference,
            "accuracy_hardware": self.accuracy_hardware,
            "mismatches": self.mismatches,
            "overflows": self.overflows,
            "cycles_per_image": self.cycles / self.images,
            "utilisation": macs / (program.geometry.macs * self.cycles),
        }


def check(
    accelerator: Accelerator, dataset: Dataset, store: Store, *, engine: str = "auto"
) -> Checked:
    """Run all test images through hardware and reference and compare them."""
    network = accelerator.program.network
    levels = dataset.levels(dataset.test_images, network.input)
    parts = {
        "network": to_bytes(network),
        "geometry": str(accelerator.program.geometry),
        "hop": accelerator.program.geometry.hop,
        "contexts": accelerator.program.contexts,
        "dsp": [accelerator.dsp, accelerator.requantize_dsp],
        "images": levels.tobytes(),
        "engine": engine,
        "sources": [source_digest("hw"), source_digest("hw/sim"), source_digest("model")],
    }
    stored = store.compute(
        "checked", parts, lambda: vars(_check(accelerator, dataset, levels, engine))
    )
    return Checked(**stored)


def _check(accelerator: Accelerator, dataset: Dataset, levels: Any, engine: str) -> Checked:
    run, comparison, expected = simulate_and_compare(accelerator, levels, engine, traced=TRACED)
    labels = dataset.test_labels
    counted = tuple(int(layer.overflowed.sum()) for layer in expected.layers)
    first = str(comparison.first or "")
    if not first and run.overflows != counted:
        first = f"overflows a layer: {run.overflows} in hardware, {counted} in the reference"
    return Checked(
        images=len(levels),
        accuracy_reference=accuracy(expected, labels),
        accuracy_hardware=float((run.labels == labels).mean()),
        mismatches=comparison.mismatches,
        overflows=sum(run.overflows),
        overflows_reference=sum(counted),
        cycles=run.cycles,
        steps=run.steps,
        seconds=run.seconds,
        engine=run.engine,
        first=first,
    )


def simulate_and_compare(
    accelerator: Accelerator, levels: Any, engine: str, **stimulus: Any
) -> tuple[Run, Comparison, Result]:
    """Run images through hardware and reference; return both results and their comparison."""
    program = accelerator.program
    run = make_engine(accelerator, engine).run(Stimulus(levels, **stimulus))
    expected = evaluate(
        program.network, torch.as_tensor(levels), program.geometry.lanes, trace=True
    )
    return run, compare(run, expected, program.network, program.geometry), expected
