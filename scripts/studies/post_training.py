"""Float networks at many weight formats without training; run by hand.

``studies post_training MODEL DATA`` quantises a float network as ``narrowgauge quantize`` does,
once for each format of ``--weights``, and keeps how many test images the integers label right in
``docs/results/post_training.json``. Images that the ranges come from are left out of the columns
``others``. ``--choose`` tries several methods at each format, and takes the one that labels most of
2,000 training images, none of them calibrated on, as the float network does; ``--quick`` leaves out
those that take minutes. ``--simulate`` runs all test images through an array of 4x4 elements with 4
lanes, and ``--route TARGET`` places and routes one element of 4 lanes. What was measured already
with these options is measured anew.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.synth.build import cost
from ...hw.synth.targets import target
from ...hw.tools.store import Store
from ...model.data import load
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import Quantised, Shares, quantize
from ...model.post_training.sources import is_trained_first, read
from ...model.training.recipe import Recipe
from ..runs.kept import check
from ..runs.loading import load_images
from ..runs.pipeline import Trainer
from ..terminal.progress import Reporter
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["METHODS", "WEIGHTS", "float_network", "main", "validation"]

WEIGHTS = "int8,int6,int5,int4,pow2_5,e2m1,e3m2,e4m3"
OUTPUT = output("post_training")
TOOLS = ("narrowgauge", "numpy", "torch")
VALIDATION = 2000  # training images
SIMULATED, ROUTED = Geometry(4, 4, 4, chains=2), Geometry(1, 1, 4)
COST = ("target", "lut", "ff", "bram", "fmax_mhz", "seeds", "tools", "critical_path")

OPTIONS = ("rounding", "scales", "weight_range", "equalize")
NAMES = ("network", "weight", "activation", *OPTIONS)
METHODS: tuple[dict[str, str | bool], ...] = (
    {},
    {"weight_range": "minmax"},
    {"weight_range": "output"},
    {"weight_range": "output", "equalize": True},
    {"rounding": "learned"},
    {"weight_range": "output", "rounding": "learned"},
)
"""What ``--choose`` tries; the options of `PostTraining` that differ from its own."""


@dataclass(frozen=True, eq=False)
class _Job:
    """A float network, its images, and what is measured of it.

    Attributes
    ----------
    network : Module
        In float.
    images : NetworkImages
        To calibrate on and to test with.
    store : Store
        Where simulations and routings are kept.
    simulate : bool
        Whether test images run through hardware.
    route : str or None
        The target.
    seeds : int
        Placements.
    methods : sequence
        What is chosen from.
    """

    network: nn.Module
    images: NetworkImages
    store: Store
    simulate: bool
    route: str | None
    seeds: int
    methods: Sequence[dict[str, str | bool]]

    def chosen(self, weight: str, activation: str) -> tuple[PostTraining, list[Row]]:
        """Return the method that is best on training images, and what each of them reached."""
        held, tried = validation(self.images), []
        for options in self.methods:
            method = PostTraining(weight=weight, activation=activation, **options)  # type: ignore[arg-type]
            shares = quantize(self.network, held, method, figures=False).shares
            assert shares is not None
            tried.append({**options, "same": shares.same, "accuracy": shares.integer})
            print(f"  {method.words()}: {100 * shares.same:.2f} % as in float", flush=True)
        best = max(range(len(tried)), key=lambda index: tried[index]["same"])
        options = self.methods[best]
        return PostTraining(weight=weight, activation=activation, **options), tried  # type: ignore[arg-type]

    def row(self, method: PostTraining, name: str) -> Row:
        """Return what a quantisation gives, without its provenance."""
        started = time.perf_counter()
        title = f"{name}-{method.weight}"
        found = quantize(self.network, self.images, method, name=title, lanes=4, figures=False)
        assert found.shares is not None
        row = _accuracies(found, found.shares) | {
            "calibration": len(self.images.calibration),
            "seconds": round(time.perf_counter() - started, 1),
        }
        if self.simulate:
            row["simulated"] = _simulated(found.network, self.store)
        if self.route is not None:
            row["design"] = _routed(found.network, self.route, range(1, self.seeds + 1), self.store)
        return row


def validation(images: NetworkImages) -> NetworkImages:
    """Return images that are tested with training images which are not calibrated on."""
    data = load(images.name)
    data.check_trainable()
    total = len(data.train_images)
    used = np.linspace(0, total - 1, len(images.calibration)).round().astype(int)
    free = np.setdiff1d(np.arange(total), used)
    chosen = free[np.linspace(0, len(free) - 1, min(VALIDATION, len(free))).round().astype(int)]
    return replace(images, test=data.train_images[chosen], test_labels=data.train_labels[chosen])


def _accuracies(found: Quantised, shares: Shares) -> Row:
    return {
        "images": shares.images,
        "others": shares.others,
        "accuracy_float": shares.exact,
        "accuracy_float_others": shares.exact_others,
        "accuracy": shares.integer,
        "accuracy_others": shares.integer_others,
        "same": shares.same,
        "accumulator_bits": found.network.accumulator.width,
        "parameter_bits": found.network.parameter_bits,
    }


def _simulated(network: Network, store: Store) -> Row:
    """Return what all test images give in hardware."""
    program = Program(network, SIMULATED)
    result = check(Accelerator(program), load_images(network, network.name), store)
    return {
        "array": str(SIMULATED),
        "images": result.images,
        "mismatches": result.mismatches,
        "first_difference": result.first or None,
        "accuracy": result.accuracy_hardware,
        "cycles_per_image": result.cycles / result.images,
    }


def _routed(network: Network, on: str, seeds: Sequence[int], store: Store) -> Row:
    """Return what the accelerator costs when it is routed."""
    program = Program(network, ROUTED, contexts=1, batch=1)
    found = cost(Accelerator(program), target(on), store, seeds).row()
    return {"array": str(ROUTED), **{name: found[name] for name in COST if name in found}}


def float_network(
    source: str, data: str, images: NetworkImages, store: Store, *, width: float = 1.0
) -> nn.Module:
    """Return the float network: read, or trained by the kept recipe where it is a name.

    ``width`` multiplies the channels of one that is trained.
    """
    if not is_trained_first(source):
        return read(source, images)
    recipe = Recipe(dataset=data, network=source, width=width)
    with Reporter() as reporter:
        return Trainer(recipe, store, reporter).trained_float().model


def main(arguments: Sequence[str]) -> int:
    """Quantise at each format; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument("--weights", default=WEIGHTS, help=f"[default: {WEIGHTS}]")
    options.add_argument("--activation", default="uint8", help="[default: uint8]")
    options.add_argument("--rounding", default="nearest", help="[default: nearest]")
    options.add_argument("--scales", default="channel", help="[default: channel]")
    options.add_argument("--weight-range", default="mse", help="[default: mse]")
    options.add_argument("--equalize", action="store_true")
    options.add_argument("--calibration", type=int, default=200, help="images [default: 200]")
    options.add_argument("--choose", action="store_true", help="take the best of several methods")
    options.add_argument("--quick", action="store_true", help="but not of learned rounding")
    options.add_argument("--simulate", action="store_true", help="run all test images in hardware")
    options.add_argument("--route", metavar="TARGET", help="place and route the accelerator")
    options.add_argument("--seeds", type=int, default=1, help="placements [default: 1]")
    given = options.parse_args(arguments)
    images, store = NetworkImages.load(given.data, given.calibration), Store()
    if images.test_labels is None:
        print(f"{given.data} has no labels", file=sys.stderr)
        return 1
    network = float_network(given.model, given.data, images, store)
    methods = [each for each in METHODS if not (given.quick and "rounding" in each)]
    job = _Job(network, images, store, given.simulate, given.route, given.seeds, methods)
    name, file, status = Path(given.model).stem, RowFile(given.output, NAMES), 0
    words = [Path(given.model).name, given.data, *_words(given, options)]
    for weight in given.weights.split(","):
        asked = {each: getattr(given, each) for each in OPTIONS}
        method = PostTraining(weight=weight, activation=given.activation, **asked)
        tried: list[Row] = []
        if given.choose:
            method, tried = job.chosen(weight, given.activation)
        row = {"network": name, "data": given.data, "weight": weight}
        row |= {each: getattr(method, each) for each in ("activation", *OPTIONS)}
        row |= job.row(method, name) | ({"tried": tried} if tried else {})
        file.keep([row | provenance(command("post_training", *words), *TOOLS)])
        print(f"{name} {' '.join(method.words())}: {100 * row['accuracy']:.2f} %", flush=True)
        if row.get("simulated", {}).get("mismatches"):
            print(f"post_training: {row['simulated']['first_difference']}", file=sys.stderr)
            status = 1
    return status


def _words(given: Namespace, options: ArgumentParser) -> Iterator[str]:
    """Yield the options that differ from their own."""
    for name, value in vars(given).items():
        if name in ("model", "data", "output") or value == options.get_default(name):
            continue
        option = f"--{name.replace('_', '-')}"
        yield option if value is True else f"{option}={value}"
