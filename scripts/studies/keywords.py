"""A public network and its whole test set, in executor, integers and hardware; run by hand.

``studies keywords [FOLDER]`` looks in a folder, by default in ``mlperf-tiny`` of
``NARROWGAUGE_DATA``, for what was submitted to MLPerf Tiny v0.7 as keyword spotting by FINN:
``finn_kws_w3a3_qonnx.onnx``, and its 1,000 test clips as ``finn_kws_int8.npz``. Clips are codes of
the model's input, 49x10 in the file, which the model reads as 10x49 in the same order. Executor and
integers are compared in every quantised tensor, integers and the compiled simulation of an array
of 4x4 elements with 8 lanes in every sum and every level. The row is kept in
``docs/results/keywords.json``. Exits with 1 where anything differs that float32 did not decide.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.errors import DataError
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...model.exchange.agree import agree
from ...model.exchange.executor import Executor
from ...model.exchange.importer import Imported, import_qonnx
from ...model.exchange.preparation import Preparation
from ..rows.row import geometry_columns
from ..runs.checked import simulate_and_compare
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["Clips", "clips", "count_of", "found", "main", "measure"]

MODEL, CLIPS = "finn_kws_w3a3_qonnx.onnx", "finn_kws_int8.npz"
GEOMETRY = Geometry(4, 4, 8)
OUTPUT = output("keywords")
TOOLS = ("narrowgauge", "qonnx", "onnx", "onnxruntime", "numpy", "torch", "amaranth")


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips as the model reads them, and their classes."""

    images: np.ndarray
    labels: np.ndarray


def found(folder: Path, name: str) -> Path:
    """Return a file anywhere in a folder.

    Raises
    ------
    DataError
        Where it is not there.
    """
    path = next(folder.rglob(name), None)
    if path is None:
        raise DataError(f"{folder}: has no {name}; see the head of this script")
    return path


def clips(path: Path, imported: Imported) -> Clips:
    """Return the clips of a file, as values that the model reads."""
    preparation = Preparation.from_about(imported.network.about)
    assert preparation is not None
    with np.load(path) as stored:
        codes, labels = stored["inputs"], stored["labels"]
    shaped = codes.reshape(len(codes), *preparation.shape).astype(np.float32)
    return Clips(shaped * np.float32(preparation.scale), labels)


def measure(imported: Imported, given: Clips) -> Row:
    """Return the row: who is right how often, and what differs."""
    started = time.perf_counter()
    agreement = agree(imported, given.images, GEOMETRY.lanes)
    logits = Executor(imported.model).run(given.images, keep={imported.output})[imported.output]
    accelerator = Accelerator(Program(imported.network, GEOMETRY))
    count = len(given.images)
    run, comparison, _ = simulate_and_compare(
        accelerator, agreement.levels, "compiled", traced=count
    )

    logits = logits.reshape(count, -1)
    classes, levels = logits.argmax(axis=1), agreement.result.levels.numpy()
    other = classes != agreement.result.labels.numpy()
    equal = levels[np.arange(count), classes] == levels.max(axis=1)

    def share(labels: np.ndarray) -> float:
        return float((labels == given.labels).mean())

    return {
        "network": imported.network.name,
        "images": count,
        "accuracy_executor": share(classes),
        "accuracy_reference": share(agreement.result.labels.numpy()),
        "accuracy_hardware": share(run.labels),
        "same_class": agreement.same_class,
        "equal_logits": int((other & equal).sum()),
        "same_levels": agreement.same_levels,
        "levels_compared": sum(each.elements for each in agreement.tensors),
        "ties": sum(each.ties for each in agreement.tensors),
        "first_difference": next((each.first for each in agreement.tensors if each.first), None),
        "mismatches": comparison.mismatches,
        "first_mismatch": comparison.first and str(comparison.first),
        **geometry_columns(GEOMETRY),
        "cycles_per_image": run.cycles / count,
        "engine": run.engine,
        "seconds": round(time.perf_counter() - started, 1),
    }


def count_of(row: Row) -> int:
    """Return how many clips have another class, though no two logits are equal."""
    return row["images"] - row["same_class"] - row["equal_logits"]


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    data = Path(os.environ.get("NARROWGAUGE_DATA", "."), "mlperf-tiny")
    options.add_argument("folder", nargs="?", type=Path, default=data)
    given = options.parse_args(arguments)
    imported = import_qonnx(found(given.folder, MODEL), lanes=GEOMETRY.lanes)
    row = measure(imported, clips(found(given.folder, CLIPS), imported))
    row |= provenance(command("keywords"), *TOOLS)
    RowFile(given.output, ("network",)).keep([row])
    print(
        f"{row['network']}: {row['images']} clips; right in QONNX's executor "
        f"{100 * row['accuracy_executor']:.1f} %, as integers {100 * row['accuracy_reference']:.1f}"
        f" %, in hardware {100 * row['accuracy_hardware']:.1f} %\n"
        f"executor and integers: the same class in {row['same_class']}, one of two equal logits in "
        f"{row['equal_logits']}; all levels in {row['same_levels']}, {row['ties']} of "
        f"{row['levels_compared']:,} are ties of float32\n"
        f"hardware and integers, every sum and level: {row['mismatches']} clips differ; "
        f"{row['cycles_per_image']:,.1f} cycles a clip"
    )
    wrong = row["first_difference"] or row["first_mismatch"]
    if wrong:
        print(f"keywords: {wrong}", file=sys.stderr)
    unexplained = count_of(row) > row["ties"]
    return 1 if wrong or row["mismatches"] or unexplained else 0
