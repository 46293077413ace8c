"""Whole test sets through the accelerators of trained networks; run by hand, for minutes.

``studies testsets NETWORK... [--images 10000]`` simulates test images on an
array of 4x4 elements with 8 lanes and 2 chains, compares every one with the integer reference, and
keeps a row for each network in ``docs/results/testsets.json``, with the command that made it;
``python docs/update.py`` makes a table of them. The result store keeps what was simulated. Exits
with 1 where anything differs.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.tools.store import Store
from ..runs.checked import Checked
from ..runs.kept import check
from ..runs.loading import load_images, load_network
from ..runs.row_parts import layer_use, total_macs, used
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main", "simulate", "summary"]

GEOMETRY = Geometry(4, 4, 8, chains=2)
OUTPUT = output("testsets")
TOOLS = ("narrowgauge", "amaranth", "torch", "yosys")


def simulate(name: str, images: int | None, store: Store) -> Row:
    """Return a network's row.

    Raises
    ------
    NarrowgaugeError
        For a network or a data set that is not there.
    """
    network = load_network(Path(name), GEOMETRY.lanes)
    dataset = load_images(network, name)
    count = min(images or len(dataset.test_images), len(dataset.test_images))
    program = Program(network, GEOMETRY)
    result = check(Accelerator(program), dataset, store, images=slice(count), note=_note)
    return {"network": network.name, "dataset": dataset.name, **summary(program, result)}


def _note(text: str) -> None:
    print(f"testsets: {text}", file=sys.stderr, flush=True)


def summary(program: Program, result: Checked) -> Row:
    """Return what the images gave, the sums that overflowed included."""
    cycles = result.cycles / result.images
    geometry = program.geometry
    return {
        "images": result.images,
        "mismatches": result.mismatches,
        "first_difference": result.first or None,
        "accuracy_reference": result.accuracy_reference,
        "accuracy_hardware": result.accuracy_hardware,
        "overflows": result.overflows or 0,
        **{name: getattr(geometry, name) for name in ("rows", "columns", "lanes", "chains")},
        "contexts": program.contexts,
        "batch": program.batch,
        "cycles_per_image": cycles,
        "utilisation": used(program, total_macs(program.network), cycles),
        "layers": [asdict(row) for row in layer_use(program, result.layer_cycles, result.images)],
        "seconds": round(result.seconds, 1),
        "engine": result.engine,
    }


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("networks", nargs="+", metavar="NETWORK")
    options.add_argument("--images", type=int, help="of each network [default: all]")
    given = options.parse_args(arguments)
    status, store = 0, Store()
    for name in given.networks:
        row = simulate(name, given.images, store)
        words = ["--images", given.images] if given.images else []
        row |= provenance(command("testsets", name, *words), *TOOLS)
        RowFile(given.output, ("network",)).keep([row])
        print(
            f"{name}: {row['images']} images, {row['mismatches']} differ, "
            f"{row['cycles_per_image']:,.1f} cycles an image, {row['seconds']} s"
        )
        if row["first_difference"]:
            print(f"testsets: {name}: {row['first_difference']}", file=sys.stderr)
            status = 1
    return status
