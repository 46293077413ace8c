"""Training for an accumulator against plain quantised training, for each width; run by hand.

``studies constrained NETWORK DATA`` trains for accumulators of ``--bits``, from one float network
and with one schedule: by ``a2q`` and ``a2q+``; ``plain``, of which only formats count whose sums
fit the width by their exact bound; and ``unguarded``, plain in the formats that were chosen for
``a2q+``, on a register that does not hold its sums. Formats, weights, activations and pixels, are
chosen among ``--formats`` on a quarter of ``--choose`` training images, which is left out there;
then all are trained on. Accuracy is that of the integers on a register of exactly that width, over
all test images; sums that it does not hold are counted on them, and ``--simulate`` of them run in
hardware. Rows are kept in ``docs/results/constrained.json``, each as soon as it is there.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.files import write_atomically
from ...hw.geometry import Geometry
from ...hw.network.layers import Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import parse
from ...hw.program.bounds import accumulator_bits
from ...hw.program.layout import Program
from ...hw.tools.store import Store
from ...model.data import Dataset, load
from ...model.integers.export import export
from ...model.integers.partial_sums import seen_sums
from ...model.integers.reference import accuracy, evaluate
from ...model.training.recipe import Recipe
from ...model.training.schedule import default_schedule
from ...model.training.train import Trained, train
from ..runs.kept import check
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["METHODS", "Trainings", "main", "row"]

OUTPUT = output("constrained")
METHODS = ("plain", "unguarded", "a2q", "a2q+")
FORMATS = "int8/uint8/uint8,int4/uint4/uint4,int4/uint2/uint2"
NAMES = ("network", "data", "bits", "method", "ends", "seed")
ARRAY = Geometry(2, 2, 4)
TOOLS = ("narrowgauge", "numpy", "torch")


@dataclass
class Trainings:
    """Trainings of one network that differ in formats and constraint; see the module.

    Attributes
    ----------
    network, data : str
        Names of both.
    epochs : int or None
        Of what is quantised; None takes the kept schedule's.
    choose : int
        Training images, of which three quarters choose formats and one quarter tests them.
    ends : str
        As a `Recipe` has it.
    seed : int
        Of all of them.
    """

    network: str
    data: str
    epochs: int | None
    choose: int
    ends: str
    seed: int

    def __post_init__(self) -> None:
        self.folder = Store().path.parent / "checkpoints"
        self._floats: dict[str, Trained] = {}
        self._found: dict[Recipe, Network] = {}

    def start(self, dataset: str) -> Trained:
        """Return the float network of a data set."""
        if dataset not in self._floats:
            schedule = default_schedule(self.network, self.data, None)
            recipe = Recipe(dataset, network=self.network, seed=self.seed, **asdict(schedule))
            self._floats[dataset] = train(recipe, checkpoints=self.folder)
        return self._floats[dataset]

    def trained(self, dataset: str, formats: str, method: str, bits: int) -> Network:
        """Return the integers of one training."""
        weight, activation, pixels = formats.split("/")
        schedule = default_schedule(self.network, self.data, parse(weight))
        if self.epochs is not None:
            schedule = replace(schedule, epochs=self.epochs)
        recipe = Recipe(
            *(dataset,),
            **asdict(schedule),
            network=self.network,
            weight=weight,
            activation=activation,
            input=pixels,
            seed=self.seed,
        )
        if method.startswith("a2q"):
            recipe = replace(recipe, constrain=method, accumulator_bits=bits, ends=self.ends)
        if recipe not in self._found:
            found = train(recipe, start=self.start(dataset), checkpoints=self.folder)
            self._found[recipe] = export(found, lanes=ARRAY.lanes)[0]
        return self._found[recipe]

    def choosing(self) -> Path:
        """Return the file of the images on which formats are chosen."""
        images, path = load(self.data), self.folder.parent / f"{self.data}-{self.choose}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        bright = images.train_images[: self.choose] * (255 / images.pixel_max)
        labels = images.train_labels[: self.choose]
        buffer = BytesIO()
        np.savez(buffer, inputs=bright.round().astype(np.uint8), labels=labels)
        write_atomically(path, buffer.getvalue())
        return path

    def shares(self, formats: Sequence[str], method: str, bits: int) -> dict[str, float]:
        """Return the validation accuracy of formats, of plain ones if their sums fit."""
        path, found = str(self.choosing()), {}
        for each in formats:
            network = self.trained(path, each, method, bits)
            needed = accumulator_bits(network, ARRAY.lanes)
            if method == "plain" and needed > bits:
                continue
            wide = network.with_accumulator(Accumulator(max(needed, bits)))
            found[each] = _share(wide, load(path))
            print(f"  {method}, {bits} bits, {each}: {100 * found[each]:.2f} %", flush=True)
        return found


def _share(network: Network, data: Dataset) -> float:
    """Return the share of test images that integers label right."""
    levels = data.levels(data.test_images, network.input)
    return accuracy(evaluate(network, levels, ARRAY.lanes), data.test_labels)


def row(trainings: Trainings, method: str, bits: int, shares: dict[str, float], images: int) -> Row:
    """Return what the best formats give, without its provenance."""
    about: Row = {
        "network": trainings.network,
        "data": trainings.data,
        "bits": bits,
        "method": method,
        "ends": trainings.ends,
        "seed": trainings.seed,
        "epochs": trainings.epochs,
        "validation": shares,
    }
    if not shares:
        return about | {"refused": "no formats that were tried fit it"}
    formats = max(shares, key=shares.__getitem__)
    found = trainings.trained(trainings.data, formats, method, bits)
    needed, data = accumulator_bits(found, ARRAY.lanes), load(trainings.data)
    free = method.startswith("a2q") and trainings.ends == "free"
    network = found.with_accumulator(Accumulator(needed if free else bits))
    levels = data.levels(data.test_images, network.input)
    about |= {
        "formats": formats,
        "accuracy_float": trainings.start(trainings.data).accuracy,
        "accuracy": _share(network, data),
        "images": len(levels),
        "register": network.accumulator.width,
        "needed": needed,
        "overflows": sum(each.beyond for each in seen_sums(network, levels, ARRAY.lanes).values()),
        "sparsity": network.sparsity,
        "layers": {each.name: each.sparsity for each in network if isinstance(each, Weighted)},
    }
    return about | _simulated(network, data, images)


def _simulated(network: Network, data: Dataset, count: int) -> Row:
    """Run test images in hardware: what they give is what the reference gives, or not."""
    if not count:
        return {"simulated": None}
    result = check(Accelerator(Program(network, ARRAY)), data, Store(), images=slice(count))
    return {
        "simulated": {
            "array": str(ARRAY),
            "images": result.images,
            "mismatches": result.mismatches,
            "overflows": result.overflows_reference,
            "cycles_per_image": result.cycles / result.images,
        }
    }


def _options() -> argparse.ArgumentParser:
    options = parser(__doc__, OUTPUT)
    options.add_argument("network")
    options.add_argument("data")
    options.add_argument("--bits", default="16,14,12,10", help="[default: 16,14,12,10]")
    options.add_argument("--methods", default=",".join(METHODS), help="[default: all]")
    options.add_argument("--formats", default=FORMATS, help=f"[default: {FORMATS}]")
    options.add_argument("--plain-formats", help="those of plain [default: --formats]")
    options.add_argument("--epochs", type=int, help="[default: the kept schedule's]")
    options.add_argument("--choose", type=int, default=12000, help="images [default: 12000]")
    options.add_argument("--ends", default="constrained", help="[default: constrained]")
    options.add_argument("--seed", type=int, default=0, help="[default: 0]")
    options.add_argument("--simulate", type=int, default=20, help="test images [default: 20]")
    return options


def _command(options: argparse.ArgumentParser, given: argparse.Namespace) -> str:
    """Return the command, without defaults."""
    words = [given.network, given.data]
    for name, value in vars(given).items():
        if name not in ("network", "data", "output") and value != options.get_default(name):
            words.append(f"--{name.replace('_', '-')}={value}")
    return command("constrained", *words)


def main(arguments: Sequence[str]) -> int:
    """Train for each width; return the exit status, 1 where hardware differs."""
    options = _options()
    given = options.parse_args(arguments)
    made, kept, status = _command(options, given), RowFile(given.output, NAMES), 0
    trainings = Trainings(
        given.network, given.data, given.epochs, given.choose, given.ends, given.seed
    )
    for bits in map(int, given.bits.split(",")):
        for method in given.methods.split(","):
            of_plain = method == "plain" and given.plain_formats
            formats = (of_plain or given.formats).split(",")
            chooser = "a2q+" if method == "unguarded" else method
            shares = trainings.shares(formats, chooser, bits)
            found = row(trainings, method, bits, shares, given.simulate)
            kept.keep([found | provenance(made, *TOOLS)])
            said = found.get("refused") or f"{100 * found['accuracy']:.2f} %"
            print(f"{given.network}, {bits} bits, {method}: {said}", flush=True)
            if (found.get("simulated") or {}).get("mismatches"):
                print("constrained: hardware differs from the reference", file=sys.stderr)
                status = 1
    return status
