"""Write the table of results in README.md from docs/results/results.json.

::

    python docs/update.py          # rewrite the table
    python docs/update.py --check  # exit with 1 when it is not current
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results" / "results.json"
TABLE = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)

Row = dict[str, Any]


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _speed(row: Row) -> str | None:
    if "fmax_mhz" not in row:
        return None
    return "{fmax_mhz:.1f} ({fmax_mhz_min:.1f} to {fmax_mhz_max:.1f})".format(**row)


COLUMNS: dict[str, Callable[[Row], Any]] = {
    "weights": lambda row: row["weight"],
    "activations": lambda row: row.get("activation"),
    "accumulator, bits": lambda row: row.get("accumulator_bits"),
    "accuracy": lambda row: _percent(row.get("accuracy_hardware", row.get("accuracy_float"))),
    "images that differ": lambda row: row.get("mismatches"),
    "cycles an image": lambda row: _rounded(row, "cycles_per_image"),
    "LUT": lambda row: row.get("lut"),
    "FF": lambda row: row.get("ff"),
    "block RAM": lambda row: row.get("bram"),
    "DSP": lambda row: row.get("dsp"),
    "Fmax, MHz": _speed,
    "images/s": lambda row: _rounded(row, "images_per_second"),
}


def _rounded(row: Row, name: str) -> str | None:
    return f"{row[name]:,.0f}" if name in row else None


def caption(rows: Sequence[Row]) -> str:
    """Return what all rows of the table share."""
    row = next(row for row in rows if row.get("routed"))
    tools = ", ".join(f"{name} {version}" for name, version in row["tools"].items())
    return (
        "Data set {dataset}, {images} test images; array of {rows}x{columns} elements with {lanes} "
        f"lanes; {{target}}, median and range of {len(row['seeds'])} placements; ".format(**row)
        + f"{tools}."
    )


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown; an empty cell was not measured."""
    lines = [" | ".join(COLUMNS), " | ".join(["---"] * 2 + ["--:"] * (len(COLUMNS) - 2))]
    for row in rows:
        cells = (function(row) for function in COLUMNS.values())
        lines.append(" | ".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join(f"| {line} |" for line in lines)


def updated(readme: str, rows: Sequence[Row]) -> str:
    """Return the README with the table of these rows."""
    if not TABLE.search(readme):
        raise SystemExit("README.md has no markers <!-- results --> and <!-- /results -->")
    return TABLE.sub(f"{table(rows)}\n\n{caption(rows)}\n", readme)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the README, or check it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only tell whether it is current")
    only_check = parser.parse_args(arguments).check
    readme = README.read_text(encoding="utf-8")
    wanted = updated(readme, json.loads(RESULTS.read_text(encoding="utf-8")))
    if wanted == readme:
        return 0
    if only_check:
        print("README.md is not current: run python docs/update.py", file=sys.stderr)
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
