"""Networks of Brevitas in executor, integers and hardware; run by hand, for minutes.

``python -m tests.benchmarks.brevitas [NAME...] [--images 397]`` trains the networks of the tests,
exports them with Brevitas' own exporter, and compares every quantised tensor of QONNX's executor,
of the integer reference and of the simulated accelerator. It keeps a row for each network in
``docs/results/brevitas.json``. Exits with 1 where anything differs that is no tie.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.files import write_atomically
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.importer import import_qonnx
from narrowgauge.scripts.runs.checked import simulate_and_compare

from ..model.exchange import brevitas_networks as networks

OUTPUT = Path(__file__).parents[2] / "docs" / "results" / "brevitas.json"
GEOMETRY = Geometry(2, 2, 4)
REFUSED = ("minifloat activations",)
TOOLS = ("narrowgauge", "brevitas", "qonnx", "onnx", "onnxruntime", "torch")


def measure(name: str, count: int) -> dict[str, Any]:
    """Return the row of a network."""
    module, _, test = networks.train(name)
    images = test[:count]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        networks.export(module, images[:1], path, dynamo=False)
        imported = import_qonnx(path, lanes=GEOMETRY.lanes)
    found = agree(imported, images.numpy(), GEOMETRY.lanes)
    accelerator = Accelerator(Program(imported.network, GEOMETRY))
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "auto", traced=len(images))
    first = [each.first for each in found.tensors if each.first]
    first += [str(comparison.first)] if comparison.first else []
    return {
        "network": name,
        "weights": sorted({each.weight for each in imported.report if each.weight}),
        "methods": sorted({each.method for each in imported.report if each.method}),
        "accumulator_bits": imported.network.accumulator.width,
        "images": len(images),
        "elements": sum(each.elements for each in found.tensors),
        "ties": sum(each.ties for each in found.tensors),
        "tie_distance": max(each.distance for each in found.tensors),
        "same_class": found.same_class,
        "sums_compared": sum(each.levels_compared for each in imported.report),
        "hardware_mismatches": comparison.mismatches,
        "cycles_per_image": run.cycles / len(images),
        "accuracy": networks.accuracy(module),
        "first_difference": first[0] if first else "",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NAME")
    parser.add_argument("--images", type=int, default=397)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args(arguments)
    names = given.networks or [name for name in networks.NETWORKS if name not in REFUSED]
    versions = {name: version(name) for name in TOOLS}
    rows = json.loads(given.output.read_text()) if given.output.exists() else []
    for name in names:
        command = f"python -m tests.benchmarks.brevitas --images {given.images}"
        row = measure(name, given.images) | {"versions": versions, "command": command}
        rows = [each for each in rows if each["network"] != name] + [row]
        write_atomically(given.output, (json.dumps(rows, indent=1) + "\n").encode())
        print(f"{name}: {row['elements']:,} levels, {row['ties']} ties", file=sys.stderr)
    return int(any(row["first_difference"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
