"""A TFLite file, its integers and their hardware on the same images."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...hw.errors import MismatchError
from ..terminal.progress import Reporter, standard_output
from . import imports

if TYPE_CHECKING:
    from ...hw.sim.compare import Comparison
    from ...hw.sim.run import Run
    from ...model.exchange.tflite.agree import TfliteAgreement
    from ...model.exchange.tflite.importer import ImportedTflite

__all__ = ["check_tflite"]

SEED = 0  # of images that nobody gave

Simulate = Callable[["ImportedTflite", "TfliteAgreement"], "tuple[Run, Comparison]"]


def check_tflite(
    model: Path,
    imported: "ImportedTflite",
    images: np.ndarray | None,
    labels: np.ndarray | None,
    count: int,
    lanes: int,
    simulate: Simulate,
    reporter: Reporter,
    *,
    as_json: bool,
) -> None:
    """Compare kernels, integers and hardware, and print what came out.

    Parameters
    ----------
    images : array of shape (images, ...), optional
        As the model reads them; None takes ``count`` of random codes.
    simulate : callable
        Runs the levels through the accelerator and compares every sum.

    Raises
    ------
    MismatchError
        For any difference.
    """
    from ...model.exchange.tflite.agree import agree_tflite
    from ...model.exchange.tflite.litert import litert_kernels, litert_version

    if images is None:
        shape = (count, *imported.graph.tensors[imported.start].shape[1:])
        images = _random(imported, np.random.default_rng(SEED).integers(-128, 128, shape))
    known = litert_version()
    kernels = litert_kernels(imported) if known else None
    name = f"LiteRT {known}'s reference kernels" if known else "the kernels' arithmetic in NumPy"
    with reporter.step(f"{len(images)} images in {name} and the integers"):
        agreement = agree_tflite(imported, images, lanes, kernels)
    with reporter.step(f"{len(images)} images in hardware") as step:
        run, comparison = simulate(imported, agreement)
        step.note(f"{run.cycles:,} cycles, {run.engine} engine")
    summary = {
        "network": imported.network.name,
        "images": len(images),
        "kernels": name,
        "tensors": [asdict(each) for each in agreement.tensors],
        "same_class": agreement.same_class,
        "hardware_mismatches": comparison.mismatches,
        "cycles_per_image": run.cycles / len(images),
        "layers": [asdict(each) for each in imported.report],
    }
    if labels is not None:
        summary["accuracy_hardware"] = float((run.labels == labels).mean())
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        _print(summary, imported, agreement)
    wrong = [agreement.first] if agreement.first else []
    if comparison.first:
        wrong.append(f"hardware and reference: {comparison.first}")
    if wrong:
        raise MismatchError(f"{model}: {wrong[0]}")


def _random(imported: "ImportedTflite", codes: np.ndarray) -> np.ndarray:
    """Return codes as the model reads them: int8, or the real values that they stand for."""
    graph = imported.graph
    if graph.tensors[graph.input].dtype == "INT8":
        return codes.astype(np.int8)
    start = graph.tensors[imported.start]
    return ((codes - start.zero) * start.unit).astype(np.float32)


def _print(
    summary: dict[str, object], imported: "ImportedTflite", agreement: "TfliteAgreement"
) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("layer", "method", "codes compared", "kernels = integers"):
        table.add_column(name, justify="right" if name == "codes compared" else "left")
    methods = {row.layer: imports.method(row) for row in imported.report}
    for each in agreement.tensors:
        verdict = f"{each.different} differ" if each.different else "equal"
        name = imports.short(each.layer)
        table.add_row(name, methods.get(each.layer, ""), f"{each.elements:,}", verdict)
    standard_output().print(table)
    right = summary.get("accuracy_hardware")
    print(
        f"{summary['network']}: {summary['images']} images in {summary['kernels']}; the same class "
        f"in {summary['same_class']}\n"
        f"hardware and integers, every sum and level: {summary['hardware_mismatches']} images "
        f"differ; {summary['cycles_per_image']:,.1f} cycles an image"
        + (f"; {100 * right:.2f} % right" if isinstance(right, float) else "")
    )
