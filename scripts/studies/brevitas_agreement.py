"""Networks of Brevitas in executor, integers and hardware; run by hand, for minutes.

``studies brevitas_agreement [NAME...] [--images 397]`` trains the networks of the tests,
exports them with Brevitas' own exporter, and compares every quantised tensor of QONNX's executor,
of the integer reference and of the simulated accelerator. What a network was trained for is proven:
that no input overflows an accumulator of so many bits. It keeps a row for each network in
``docs/results/brevitas.json``. Exits with 1 where anything differs that is no tie.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ...hw.accelerator.top import Accelerator
from ...hw.errors import NarrowgaugeError
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...model.exchange.agree import agree
from ...model.exchange.importer import import_qonnx
from ...model.integers.guarantee import prove_sums
from ..runs.checked import simulate_and_compare
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main", "measure"]

OUTPUT = output("brevitas")
GEOMETRY = Geometry(2, 2, 4)
REFUSED = ("minifloat activations",)
TOOLS = ("narrowgauge", "brevitas", "qonnx", "onnx", "onnxruntime", "torch")


def _networks() -> ModuleType:
    """Return the networks of the tests: the module and its data are no part of the package."""
    try:
        from tests.model.exchange import brevitas_networks
    except ImportError as error:
        raise NarrowgaugeError(
            f"the networks are those of the tests: run this in a checkout ({error})"
        ) from error
    return brevitas_networks


def measure(name: str, count: int) -> Row:
    """Return the row of a network."""
    networks = _networks()
    module, _, test = networks.train(name)
    images = test[:count]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        networks.export(module, images[:1], path, dynamo=False)
        imported = import_qonnx(path, lanes=GEOMETRY.lanes)
    found = agree(imported, images.numpy(), GEOMETRY.lanes)
    promised = networks.NETWORKS[name].promised
    if promised is not None:
        prove_sums(imported.network, GEOMETRY.lanes, bits=promised)
    accelerator = Accelerator(Program(imported.network, GEOMETRY))
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "auto", traced=len(images))
    first = [each.first for each in found.tensors if each.first]
    first += [str(comparison.first)] if comparison.first else []
    return {
        "network": name,
        "weights": sorted({each.weight for each in imported.report if each.weight}),
        "methods": sorted({each.method for each in imported.report if each.method}),
        "accumulator_bits": imported.network.accumulator.width,
        "promised_bits": promised,
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


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("networks", nargs="*", metavar="NAME")
    options.add_argument("--images", type=int, default=397)
    given = options.parse_args(arguments)
    known = list(_networks().NETWORKS)
    names = given.networks or [name for name in known if name not in REFUSED]
    record = RowFile(given.output, ("network",), lambda row: known.index(row["network"]))
    made = command("brevitas_agreement", "--images", given.images)
    for name in names:
        row = measure(name, given.images) | provenance(made, *TOOLS)
        record.keep([row])
        print(f"{name}: {row['elements']:,} levels, {row['ties']} ties", file=sys.stderr)
    return int(any(row["first_difference"] for row in record.rows()))
