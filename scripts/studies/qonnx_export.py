"""Whole test sets through qonnx's own executor; run by hand, for minutes.

``studies qonnx_export [NETWORK...] [--images 10000]`` exports networks of the
zoo (by default all for MNIST) as QONNX, executes the graphs on test images, compares every image
with the integer reference, and keeps a row for each network in ``docs/results/qonnx.json``, with
the command that made it. Exits with 1 where anything differs.
"""

import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...hw.network.network import INPUT, Network
from ...model.exchange.writing.qonnx import Exported, export
from ...model.integers.reference import evaluate
from ...model.zoo import networks as zoo
from ..runs.loading import input_levels, load_images, load_network
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["execute", "main", "run"]

OUTPUT = output("qonnx")
DATASET = "mnist"
BATCH = 500
THRESHOLD_BATCH = 100  # the executor compares every element with every threshold at once
TOOLS = ("narrowgauge", "qonnx", "onnx", "onnxruntime", "numpy", "torch")


def execute(name: str, images: int | None) -> Row:
    """Return a network's row.

    Raises
    ------
    NarrowgaugeError
        For a network or a data set that is not there, and for a network that cannot be exported.
    """
    network = load_network(Path(name), 1)
    dataset = load_images(network, name)
    count = min(images or len(dataset.test_images), len(dataset.test_images))
    levels = input_levels(network, dataset, slice(count))
    started = time.perf_counter()
    found, methods = run(network, levels)
    seconds = time.perf_counter() - started
    expected = evaluate(network, levels, 1)
    classes = found.argmax(axis=1)
    return {
        "network": network.name,
        "dataset": dataset.name,
        "images": count,
        "same_class": int((classes == expected.labels.numpy()).sum()),
        "same_levels": int((found == expected.levels.numpy()).all(axis=1).sum()),
        "accuracy": float((classes == dataset.test_labels[:count]).mean()),
        "methods": methods,
        "seconds": round(seconds, 1),
    }


def run(network: Network, levels: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Export and execute a network; return the levels of its last layer, and how layers were made.

    The last images fill a batch with images from the start, which are dropped.
    """
    exported = export(network)
    methods = {layer.layer: layer.method for layer in exported.layers if layer.method}
    size = min(THRESHOLD_BATCH if "thresholds" in methods.values() else BATCH, len(levels))
    exported = export(network, batch=size)
    parts = []
    for start in range(0, len(levels), size):
        chosen = np.arange(start, start + size) % len(levels)
        parts.append(_outputs(exported, levels[chosen]))
        print(
            f"{network.name}: {min(start + size, len(levels))} images", file=sys.stderr, flush=True
        )
    return np.concatenate(parts)[: len(levels)], methods


def _outputs(exported: Exported, levels: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what these libraries import
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx

    graph = exported.model.graph
    shape = [each.dim_value for each in graph.input[0].type.tensor_type.shape.dim]
    values = levels.transpose(0, 3, 1, 2).reshape(shape).astype(np.float32)
    return execute_onnx(ModelWrapper(exported.model), {INPUT: values})[graph.output[0].name]


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("networks", nargs="*", metavar="NETWORK")
    options.add_argument("--images", type=int, help="of each network [default: all]")
    given = options.parse_args(arguments)
    names = given.networks or [each.name for each in zoo.entries() if each.dataset == DATASET]
    status = 0
    for name in names:
        row = execute(name, given.images)
        words = ["--images", given.images] if given.images else []
        row |= provenance(command("qonnx_export", name, *words), *TOOLS)
        RowFile(given.output, ("network",)).keep([row])
        print(
            f"{name}: {row['images']} images, {row['same_class']} with the same class, "
            f"{row['same_levels']} with the same levels, {row['seconds']} s"
        )
        if row["same_levels"] != row["images"]:
            status = 1
    return status
