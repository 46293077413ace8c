"""MLPerf Tiny's models as TFLite files: kernels, integers, hardware, and a device; run by hand.

``studies tflite_models [FOLDER] [--model NAME]... [--seeds N]`` looks in a folder, by default in
``mlperf-tiny`` of ``NARROWGAUGE_DATA``, for the reference models of keyword spotting, image
classification, anomaly detection and visual wake words. Each runs in LiteRT's reference kernels and
in integers, which are compared in every code, and its first images in the compiled simulation,
compared in every sum and level. Its accelerator is placed and routed, or mapped where no routed
device has its memories. A row each is kept in ``docs/results/tflite_models.json``. Exits with 1
where anything differs.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, cost
from ...hw.synth.targets import target
from ...hw.tools.store import Store
from ...model.exchange.tflite.agree import agree_tflite
from ...model.exchange.tflite.importer import import_tflite
from ...model.exchange.tflite.litert import litert_kernels
from ..rows.row import geometry_columns
from ..runs.checked import simulate_and_compare
from ..runs.imports import load_data
from ..runs.tflite_check import random_images
from .keywords import found
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["MODELS", "ReferenceModel", "main", "measure"]

OUTPUT = output("tflite_models")
TOOLS = ("narrowgauge", "ai-edge-litert", "flatbuffers", "numpy", "amaranth", "yosys")


@dataclass(frozen=True)
class ReferenceModel:
    """What is measured of a file.

    Attributes
    ----------
    name : str
        The file's, without ``.tflite``.
    data : str or None
        The data set; random codes where there is none.
    images, simulated : int
        How many run in kernels and integers, and how many of them in hardware.
    geometry : Geometry
        The array, and the images of a group.
    device : str
        Where it is placed.
    """

    name: str
    data: str | None
    images: int
    simulated: int
    geometry: Geometry
    batch: int
    device: str


MODELS = (
    ReferenceModel("kws_ref_model", "kws", 1000, 1000, Geometry(4, 4, 4, chains=4), 1, "ecp5-85k"),
    ReferenceModel(
        "pretrainedResnet_quant", "cifar10", 2000, 128, Geometry(4, 4, 4), 1, "ecp5-85k"
    ),
    ReferenceModel("ad01_int8", None, 200, 100, Geometry(4, 4, 4), 1, "ecp5-85k"),
    ReferenceModel("vww_96_int8", None, 20, 20, Geometry(4, 4, 4, chains=4), 1, "xc7"),
)


def measure(model: ReferenceModel, path: Path, seeds: Sequence[int]) -> Row:
    """Return the row of a file: what differs, who is right how often, and what it costs."""
    started = time.perf_counter()
    lanes = model.geometry.lanes
    imported = import_tflite(path, lanes=lanes)
    images, labels = random_images(imported, model.images), None
    if model.data is not None:
        images, labels = load_data(model.data, imported, model.images)
    agreement = agree_tflite(imported, images, lanes, litert_kernels(imported))
    row: Row = {
        "model": model.name,
        "data": model.data,
        "images": len(images),
        "codes_compared": sum(each.elements for each in agreement.tensors),
        "first_difference": agreement.first or None,
    }
    if labels is not None:
        row["right"] = int((agreement.result.labels.numpy() == labels).sum())

    device = target(model.device)
    program = Program(imported.network, model.geometry, batch=model.batch)
    accelerator = accelerator_for(program, device, multiplier="block")
    levels = agreement.levels[: model.simulated]
    run, comparison, _ = simulate_and_compare(accelerator, levels, "compiled", traced=len(levels))
    row |= {
        "simulated": len(levels),
        "mismatches": comparison.mismatches,
        "first_mismatch": comparison.first and str(comparison.first),
        **geometry_columns(model.geometry),
        "batch": model.batch,
        "cycles_per_image": run.cycles / len(levels),
    }
    row |= cost(accelerator, device, Store(), seeds if device.family.router else ()).row()
    return row | {"seconds": round(time.perf_counter() - started, 1)}


def main(arguments: Sequence[str]) -> int:
    """Run the study; return the exit status."""
    options = parser(__doc__, OUTPUT)
    data = Path(os.environ.get("NARROWGAUGE_DATA", "."), "mlperf-tiny")
    options.add_argument("folder", nargs="?", type=Path, default=data)
    names = [model.name for model in MODELS]
    options.add_argument("--model", action="append", choices=names, help="[default: all]")
    options.add_argument("--seeds", type=int, default=3, help="placements [default: 3]")
    given = options.parse_args(arguments)
    seeds = range(1, given.seeds + 1)
    kept, wrong = RowFile(given.output, ("model",)), 0
    for model in MODELS:
        if given.model and model.name not in given.model:
            continue
        row = measure(model, found(given.folder, f"{model.name}.tflite"), seeds)
        row |= provenance(command("tflite_models", "--seeds", given.seeds), *TOOLS)
        kept.keep([row])
        clock = f"{row['fmax_mhz']:.1f} MHz" if "fmax_mhz" in row else "not routed"
        print(
            f"{row['model']}: {row['codes_compared']:,} codes of {row['images']} images, "
            f"{row['simulated']} of them in hardware, {row['mismatches']} differ; "
            f"{row['cycles_per_image']:,.0f} cycles an image; {row['lut']} LUT, {clock} on "
            f"{row['target']}"
        )
        difference = row["first_difference"] or row["first_mismatch"]
        if difference:
            print(f"tflite_models: {difference}", file=sys.stderr)
            wrong = 1
    return wrong
