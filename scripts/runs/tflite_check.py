"""Comparison of a TFLite file with its integers and their hardware, and how it is printed."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from ..terminal.progress import Reporter, standard_output
from . import imports

if TYPE_CHECKING:
    from ...hw.sim.compare import Comparison
    from ...hw.sim.run import Run
    from ...model.exchange.tflite.agree import TfliteAgreement
    from ...model.exchange.tflite.importer import ImportedTflite

__all__ = ["agreed", "print_summary", "random_images", "summary_of"]

SEED = 0

Summary = dict[str, object]


def random_images(imported: "ImportedTflite", count: int) -> np.ndarray:
    """Return random codes as a model reads them: int8, or the real values that they stand for."""
    graph = imported.graph
    start = graph.tensors[imported.start]
    codes = np.random.default_rng(SEED).integers(-128, 128, (count, *start.shape[1:]))
    if graph.tensors[graph.input].dtype == "INT8":
        return codes.astype(np.int8)
    return ((codes - start.zero) * start.unit).astype(np.float32)


def agreed(
    imported: "ImportedTflite", images: np.ndarray, lanes: int, reporter: Reporter
) -> "tuple[TfliteAgreement, str]":
    """Compare kernels and integers on images; also return whose kernels they are."""
    from ...model.exchange.tflite.agree import agree_tflite
    from ...model.exchange.tflite.litert import litert_kernels, litert_version

    known = litert_version()
    kernels = litert_kernels(imported) if known else None
    name = f"LiteRT {known}'s reference kernels" if known else "the kernels' arithmetic in NumPy"
    with reporter.step(f"{len(images)} images in {name} and the integers"):
        return agree_tflite(imported, images, lanes, kernels), name


def summary_of(
    imported: "ImportedTflite",
    agreement: "TfliteAgreement",
    kernels: str,
    run: "Run",
    comparison: "Comparison",
    labels: np.ndarray | None,
) -> Summary:
    """Return what came out, as plain data."""
    images = len(run.labels)
    found: Summary = {
        "network": imported.network.name,
        "images": images,
        "kernels": kernels,
        "tensors": [asdict(each) for each in agreement.tensors],
        "hardware_mismatches": comparison.mismatches,
        "cycles_per_image": run.cycles / images,
        "layers": [asdict(each) for each in imported.report],
    }
    if imported.network.classes:
        found["same_class"] = agreement.same_class
    if labels is not None and imported.network.classes:
        found["accuracy_hardware"] = float((run.labels == labels).mean())
    return found


def print_summary(summary: Summary, imported: "ImportedTflite") -> None:
    """Print a table of the tensors, and what hardware gave."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("layer", "method", "codes compared", "kernels = integers"):
        table.add_column(name, justify="right" if name == "codes compared" else "left")
    methods = {row.layer: imports.method(row) for row in imported.report}
    tensors = summary["tensors"]
    assert isinstance(tensors, list)
    for each in tensors:
        verdict = f"{each['different']} differ" if each["different"] else "equal"
        name, method = imports.short(each["layer"]), methods.get(each["layer"], "")
        table.add_row(name, method, f"{each['elements']:,}", verdict)
    standard_output().print(table)
    right = summary.get("accuracy_hardware")
    same = f"; the same class in {summary['same_class']}" if "same_class" in summary else ""
    print(
        f"{summary['network']}: {summary['images']} images in {summary['kernels']}{same}\n"
        f"hardware and integers, every sum and level: {summary['hardware_mismatches']} images "
        f"differ; {summary['cycles_per_image']:,.1f} cycles an image"
        + (f"; {100 * right:.2f} % right" if isinstance(right, float) else "")
    )
