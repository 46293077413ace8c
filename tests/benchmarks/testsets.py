"""Whole test sets through the accelerators of trained networks; run by hand, for hours.

``python tests/benchmarks/testsets.py NETWORK... [--images 10000]`` simulates test images on an
array of 4x4 elements with 8 lanes and 2 chains, compares every one with the integer reference, and
keeps a row for each network in ``docs/results/testsets.json``, with the command that made it;
``python docs/update.py`` makes a table of them. Images run in parts, which the result store keeps,
so what was interrupted goes on where it stopped. Exits with 1 where anything differs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.files import write_atomically
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.tools.programs import find
from narrowgauge.hw.tools.store import Store
from narrowgauge.scripts.runs.checked import Checked, layer_use, total_macs, used
from narrowgauge.scripts.runs.kept import check
from narrowgauge.scripts.runs.networks import load_images, load_network

GEOMETRY = Geometry(4, 4, 8, chains=2)
OUTPUT = Path(__file__).parents[2] / "docs" / "results" / "testsets.json"
PART = 500


def simulate(name: str, images: int | None, store: Store) -> dict[str, Any]:
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
    accelerator = Accelerator(program)
    parts = []
    for start in range(0, count, PART):
        chosen = slice(start, min(start + PART, count))
        parts.append(check(accelerator, dataset, store, images=chosen))
        print(f"{name}: {chosen.stop} of {count} images", file=sys.stderr, flush=True)
    return {"network": network.name, "dataset": dataset.name, **summary(program, parts)}


def summary(program: Program, parts: Sequence[Checked]) -> dict[str, Any]:
    """Return what the parts gave together, the sums that overflowed included."""
    images = sum(part.images for part in parts)
    cycles = sum(part.cycles for part in parts)
    each = zip(*(part.layer_cycles for part in parts), strict=True)
    geometry = program.geometry
    return {
        "images": images,
        "mismatches": sum(part.mismatches for part in parts),
        "first_difference": next((part.first for part in parts if part.first), None),
        "accuracy_reference": _share(parts, "accuracy_reference"),
        "accuracy_hardware": _share(parts, "accuracy_hardware"),
        "overflows": sum(part.overflows or 0 for part in parts),
        **{name: getattr(geometry, name) for name in ("rows", "columns", "lanes", "chains")},
        "contexts": program.contexts,
        "batch": program.batch,
        "cycles_per_image": cycles / images,
        "utilisation": used(program, total_macs(program.network), cycles / images),
        "layers": layer_use(program, [sum(layer) for layer in each], images),
        "seconds": round(sum(part.seconds for part in parts), 1),
        "engine": parts[0].engine,
    }


def _share(parts: Sequence[Checked], name: str) -> float:
    right = sum(round(getattr(part, name) * part.images) for part in parts)
    return right / sum(part.images for part in parts)


def keep(row: dict[str, Any], output: Path) -> None:
    """Put a row into the file, in the place of the one that the network had."""
    rows = json.loads(output.read_text()) if output.exists() else []
    rows = [each for each in rows if each["network"] != row["network"]] + [row]
    rows.sort(key=lambda each: each["network"])
    write_atomically(output, (json.dumps(rows, indent=1) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("networks", nargs="+", metavar="NETWORK")
    parser.add_argument("--images", type=int, help="of each network [default: all]")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args(arguments)
    versions = {name: version(name) for name in ("narrowgauge", "amaranth", "torch")}
    versions["yosys"] = find("yosys").version
    status, store = 0, Store()
    for name in given.networks:
        try:
            row = simulate(name, given.images, store)
        except NarrowgaugeError as error:
            print(f"testsets: {error}", file=sys.stderr)
            return 1
        command = f"python tests/benchmarks/testsets.py {name}"
        command += f" --images {given.images}" if given.images else ""
        keep({**row, "versions": versions, "command": command}, given.output)
        print(
            f"{name}: {row['images']} images, {row['mismatches']} differ, "
            f"{row['cycles_per_image']:,.1f} cycles an image, {row['seconds']} s"
        )
        if row["first_difference"]:
            print(f"testsets: {name}: {row['first_difference']}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
