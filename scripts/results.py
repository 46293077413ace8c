"""Result rows: one dictionary for each format, as JSON, CSV and a table.

Units are in the names; what was not measured is absent, never 0.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..hw.files import write_atomically

__all__ = ["COLUMNS", "print_table", "write_results"]

Row = dict[str, Any]

COLUMNS = (
    "weight",
    "activation",
    "accumulator_bits",
    "overflow",
    "rows",
    "columns",
    "lanes",
    "network",
    "dataset",
    "images",
    "accuracy_float",
    "accuracy_reference",
    "accuracy_hardware",
    "mismatches",
    "overflows",
    "parameter_bits",
    "cycles_per_image",
    "utilisation",
    "target",
    "lut",
    "ff",
    "carry",
    "bram",
    "spram",
    "dsp",
    "fmax_mhz",
    "fmax_mhz_min",
    "fmax_mhz_max",
    "seeds",
    "images_per_second",
    "tools",
    "routed",
    "failure",
)
"""The columns of a result file, in order (``failure`` says why a row ends early)."""


def write_results(rows: Sequence[Row], folder: Path) -> None:
    """Write ``results.json`` and ``results.csv``, each whole or not at all."""
    ordered = [{name: row[name] for name in COLUMNS if name in row} for row in rows]
    write_atomically(folder / "results.json", (json.dumps(ordered, indent=2) + "\n").encode())
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in ordered:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    write_atomically(folder / "results.csv", text.getvalue().encode())


def _cell(value: Any) -> Any:
    """Return a CSV cell: structures as JSON."""
    return json.dumps(value) if isinstance(value, (dict, list, tuple)) else value


_TABLE = (
    ("weights", lambda row: row["weight"]),
    ("activations", lambda row: row.get("activation")),
    ("acc.", lambda row: row.get("accumulator_bits")),
    ("array", lambda row: "{rows}x{columns}x{lanes}".format(**row) if "rows" in row else None),
    ("accuracy", lambda row: _percent(row.get("accuracy_hardware", row.get("accuracy_float")))),
    ("mismatches", lambda row: row.get("mismatches")),
    ("overflows", lambda row: row.get("overflows")),
    ("cycles/image", lambda row: _number(row.get("cycles_per_image"))),
    ("used", lambda row: _percent(row.get("utilisation"), 0)),
    ("LUT", lambda row: row.get("lut")),
    ("FF", lambda row: row.get("ff")),
    ("BRAM", lambda row: row.get("bram")),
    ("DSP", lambda row: row.get("dsp")),
    ("Fmax MHz", lambda row: _number(row.get("fmax_mhz"))),
    ("images/s", lambda row: _number(row.get("images_per_second"), 0)),
)


def print_table(rows: Iterable[Row], console: Console, *, title: str) -> None:
    """Print the rows as one table; an empty cell was not measured."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, (name, _) in enumerate(_TABLE):
        table.add_column(name, justify="left" if index < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(function(row)) for _, function in _TABLE))
    console.print(table)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _percent(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{100 * value:.{digits}f} %"


def _number(value: float | None, digits: int = 1) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"
