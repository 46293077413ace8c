"""Whole networks of floats through their accelerators, compared with torch; run by hand.

``studies float_networks FILE... [--images 1000]`` simulates test images of network files that
``narrowgauge train --weight fp32`` and others wrote, on an array of 2x2 elements with 8 lanes, and
compares every sum and level with the reference in torch. It keeps a row for each in
``docs/results/float_networks.json``, with the commands that trained and simulated it; ``python
docs/update.py`` makes the table of ``docs/floats.md``. Exits with 1 where anything differs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ...hw.accelerator.top import Accelerator
from ...hw.errors import NetworkError
from ...hw.files import file_name
from ...hw.geometry import Geometry
from ...hw.numbers.float_sum import FloatSum
from ...hw.program.layout import Program
from ...hw.tools.store import Store
from ..runs.kept import check
from ..runs.loading import load_images, load_network
from .record import Row, RowFile, command, output, parser, provenance
from .testsets import summary

__all__ = ["main", "simulate_floats"]

GEOMETRY = Geometry(2, 2, 8)
IMAGES = 1000
OUTPUT = output("float_networks")
TOOLS = ("narrowgauge", "amaranth", "torch", "yosys")


def simulate_floats(path: Path, images: int, store: Store) -> Row:
    """Return the row of a network file.

    Raises
    ------
    NarrowgaugeError
        For a file or a data set that is not there, and for a network of integers.
    """
    network = load_network(path, GEOMETRY.lanes)
    total = network.accumulator
    if not isinstance(total, FloatSum):
        raise NetworkError(f"{path} is no network of floats; testsets takes networks of integers")
    dataset = load_images(network, path)
    count = min(images, len(dataset.test_images))
    program = Program(network, GEOMETRY)
    result = check(Accelerator(program), dataset, store, engine="batch", images=slice(count))
    return {
        "network": network.name,
        "dataset": dataset.name,
        "weight": network.about["weight"],
        "activation": network.about["activation"],
        "total": str(total.format),
        "partial_sums": total.partial_sums,
        "trained": network.about["command"],
        **summary(program, result),
    }


def main(arguments: Sequence[str]) -> int:
    """Simulate the networks; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("networks", nargs="+", metavar="FILE", type=Path)
    options.add_argument("--images", type=int, default=IMAGES, help="of each [default: 1000]")
    given = options.parse_args(arguments)
    status, store = 0, Store()
    for path in given.networks:
        row = simulate_floats(path, given.images, store)
        name = f"{file_name(row['network'])}.safetensors"  # as the command that trained it says
        made = provenance(command("float_networks", name, "--images", given.images), *TOOLS)
        RowFile(given.output, ("network",)).keep([row | made])
        print(
            f"{path.name}: {row['images']} images, {row['mismatches']} differ, "
            f"{row['cycles_per_image']:,.1f} cycles an image, {row['seconds']} s"
        )
        if row["first_difference"]:
            print(f"float_networks: {path.name}: {row['first_difference']}", file=sys.stderr)
            status = 1
    return status
