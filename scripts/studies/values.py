"""Networks of Brevitas that give images, in executor, integers and hardware; run by hand.

``studies values [NAME...]`` trains super-resolution by 2 and an autoencoder, for minutes, exports
them with Brevitas' own exporter as QONNX, and compares what they give for test images: QONNX's
executor with the integers, and the integers with the simulated accelerator, in every sum and every
level. It keeps a row for each network in ``docs/results/values.json``, and beside it a picture of
what hardware gave. Exits with 1 where anything differs that is no tie.

Inputs of super-resolution are means of 2x2 pixels. Epochs are chosen on training images that are
not trained on.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.sim.engine import ENGINES
from ...model.exchange.agree import Agreement, agree
from ...model.exchange.brevitas import import_brevitas
from ...model.exchange.executor import Executor
from ...model.exchange.importer import Imported
from ...model.exchange.output_values import OutputErrors, OutputValues
from ..rows.row import geometry_columns
from ..runs.checked import simulate_and_compare
from .image_networks import BOTTLENECK, NETWORKS, Pairs, psnr, train
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["Work", "baselines", "main", "measure", "picture"]

GEOMETRY = Geometry(4, 4, 8)
OUTPUT = output("values")
TOOLS = ("narrowgauge", "brevitas", "qonnx", "onnx", "onnxruntime", "torch", "amaranth")
SHOWN = 8  # images of a picture


@dataclass(frozen=True)
class Work:
    """How much a study trains and tests.

    Attributes
    ----------
    data : str or None
        The data set of all networks; None for each one's own.
    train, epochs, images : int
        Training images, epochs of each half of training, test images.
    seed : int
        Of the random numbers.
    engine : str
        What simulates.
    """

    data: str | None
    train: int
    epochs: int
    images: int
    seed: int
    engine: str

    def command(self, name: str) -> str:
        """Return the command that makes the row of a network."""
        names = ("train", "epochs", "images", "seed")
        words = [word for each in names for word in (f"--{each}", getattr(self, each))]
        data = ("--data", self.data) if self.data else ()
        return command("values", name, *words, *data)


def baselines(name: str, training: Pairs, test: Pairs) -> Mapping[str, np.ndarray]:
    """Return what is to be beaten: interpolations, or as many principal components."""
    if name == "super-resolution":
        larger = torch.nn.functional.interpolate
        return {
            "nearest": larger(test.inputs, scale_factor=2, mode="nearest").numpy(),
            "bicubic": larger(test.inputs, scale_factor=2, mode="bicubic").numpy(),
        }
    seen, given = training.targets.flatten(1), test.inputs.flatten(1)
    mean = seen.mean(dim=0)
    _, _, directions = torch.linalg.svd(seen - mean, full_matrices=False)
    directions = directions[:BOTTLENECK]
    projected = (given - mean) @ directions.T @ directions + mean
    found = projected.reshape(test.targets.shape).numpy()
    return {f"{len(directions)} principal components": found}


def picture(path: Path, *rows: np.ndarray) -> None:
    """Write images of shape (images, 1, height, width) below each other, at twice their size."""
    size = max(row.shape[-1] for row in rows)
    shown = [np.kron(row[:SHOWN, 0], np.ones((size // row.shape[-1],) * 2)) for row in rows]
    framed = [np.pad(row, ((0, 0), (1, 1), (1, 1)), constant_values=0.5) for row in shown]
    whole = np.concatenate([np.concatenate([*row], axis=1) for row in framed])
    pixels = np.rint(255 * np.clip(whole, 0, 1)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.kron(pixels, np.ones((2, 2), np.uint8))).save(path, optimize=True)


def measure(name: str, work: Work, pictures: Path) -> Row:
    """Return the row of a network, and draw what its hardware gave."""
    started = time.perf_counter()
    network, data = NETWORKS[name], work.data or NETWORKS[name].data
    training, validation, test = network.splits(data, work.train, work.images)
    exact, trained = train(network, training, validation, work.epochs, work.seed)
    seconds = time.perf_counter() - started
    imported = import_brevitas(
        trained.module, test.inputs[:1], name=name, dynamo=False, lanes=GEOMETRY.lanes
    )
    if imported.network.classes:
        imported = imported.as_values()
    found = agree(imported, test.inputs.numpy(), GEOMETRY.lanes)
    program = Program(imported.network, GEOMETRY)
    run, comparison, _ = simulate_and_compare(
        Accelerator(program), found.levels, work.engine, traced=len(test)
    )
    targets, graph = test.targets.numpy(), imported.output
    executed = Executor(imported.model).run(test.inputs.numpy(), keep=[graph])[graph]
    given = OutputValues.of(imported.network).values(run.levels)
    errors = OutputErrors.of(given, executed)
    picture(pictures / f"{name}.png", test.inputs.numpy(), given, targets)
    return {
        "network": name,
        "data": data,
        "train": len(training),
        "validation": len(validation),
        "images": len(test),
        "epoch_float": exact.epoch,
        "epoch": trained.epoch,
        "train_seconds": round(seconds, 1),
        **_levels(imported, found),
        "psnr_baselines": {
            each: psnr(values, targets) for each, values in baselines(name, training, test).items()
        },
        "psnr_float": psnr(exact.images(test.inputs), targets),
        "psnr_graph": psnr(executed, targets),
        "psnr_hardware": psnr(given, targets),
        "mean_error": errors.mean,
        "largest_error": errors.largest,
        "outputs": imported.network.outputs,
        "sums_compared": program.sums * len(test),
        "mismatches": comparison.mismatches,
        "first_mismatch": comparison.first and str(comparison.first),
        **geometry_columns(GEOMETRY),
        "cycles_per_image": run.cycles / len(test),
        "engine": run.engine,
    }


def _levels(imported: Imported, found: Agreement) -> Row:
    """Return what was imported, and how its levels agree with the executor's."""
    return {
        "weights": sorted({each.weight for each in imported.report if each.weight}),
        "parameters": imported.network.parameters,
        "accumulator_bits": imported.network.accumulator.width,
        "levels_compared": sum(each.elements for each in found.tensors),
        "ties": sum(each.ties for each in found.tensors),
        "same_levels": found.same_levels,
        "first_difference": found.first,
    }


def _in_words(row: Row) -> str:
    beaten = ", ".join(f"{name} {each:.2f}" for name, each in row["psnr_baselines"].items())
    return (
        f"{row['network']}: {row['images']} images of {row['data']}; PSNR in dB: {beaten}, "
        f"float {row['psnr_float']:.2f}, graph {row['psnr_graph']:.2f}, hardware "
        f"{row['psnr_hardware']:.2f}\n"
        f"graph and hardware: mean error {row['mean_error']:.3g}, largest "
        f"{row['largest_error']:.3g}; all levels the same in {row['same_levels']}, {row['ties']} "
        f"of {row['levels_compared']:,} are ties\n"
        f"hardware and integers, every sum and level: {row['mismatches']} images differ; "
        f"{row['cycles_per_image']:,.1f} cycles an image"
    )


def main(arguments: Sequence[str]) -> int:
    """Run the study; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("networks", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    options.add_argument("--data", help="of all networks, instead of each one's own")
    options.add_argument("--train", type=int, default=6000, help="images [default: 6000]")
    options.add_argument("--epochs", type=int, default=16, help="of each half [default: 16]")
    options.add_argument("--images", type=int, default=200, help="to test [default: 200]")
    options.add_argument("--seed", type=int, default=1, help="[default: 1]")
    options.add_argument("--engine", choices=ENGINES, default="batch", help="[default: batch]")
    given = options.parse_args(arguments)
    known = list(NETWORKS)
    if unknown := [name for name in given.networks if name not in known]:
        options.error(f"there is no {unknown[0]}; there is {', '.join(known)}")
    torch.set_num_threads(1)  # the same network wherever it is trained
    work = Work(given.data, given.train, given.epochs, given.images, given.seed, given.engine)
    record = RowFile(given.output, ("network",), lambda row: known.index(row["network"]))
    wrong = False
    for name in given.networks or known:
        row = measure(name, work, given.output.parent)
        record.keep([row | provenance(work.command(name), *TOOLS)])
        print(_in_words(row), flush=True)
        first = row["first_difference"] or row["first_mismatch"]
        if first:
            print(f"values: {name}: {first}", file=sys.stderr)
        wrong = wrong or bool(first or row["mismatches"])
    return int(wrong)
