"""Result rows: one dictionary for each format, as JSON, CSV and a table.

Units are in the names; what was not measured is absent, never 0.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ...hw.files import write_atomically

__all__ = [
    "COLUMNS",
    "LAYER_COLUMNS",
    "NETWORKS",
    "SWEEPS",
    "Columns",
    "Row",
    "in_order",
    "print_layers",
    "print_table",
    "write_results",
]

Row = dict[str, Any]

COLUMNS: tuple[str, ...] = (
    "weight",
    "activation",
    "accumulator_bits",
    "overflow",
    "rows",
    "columns",
    "lanes",
    "hop",
    "chains",
    "multiplier",
    "contexts",
    "batch",
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
    "layers",
    "target",
    "lut",
    "lut4",
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
    "remark",
    "failure",
)
"""The columns of a result file, in order (``remark`` says what was done in another way than usual,
``failure`` why a row ends early)."""


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return rows with their columns in the order of a result file."""
    return [{name: row[name] for name in COLUMNS if name in row} for row in rows]


def write_results(rows: Iterable[Row], folder: Path, name: str = "results") -> None:
    """Write ``NAME.json`` and ``NAME.csv``, each whole or not at all."""
    ordered = in_order(rows)
    write_atomically(folder / f"{name}.json", json.dumps(ordered, indent=2) + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in ordered:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    write_atomically(folder / f"{name}.csv", text.getvalue())


def _cell(value: Any) -> Any:
    """Return a CSV cell: structures as JSON."""
    return json.dumps(value) if isinstance(value, (dict, list, tuple)) else value


LAYER_COLUMNS: dict[str, Callable[[Row], Any]] = {
    "layer": lambda row: row["layer"],
    "kind": lambda row: row["kind"],
    "output": lambda row: row["size"],
    "MACs": lambda row: f"{row['macs']:,}",
    "cycles/image": lambda row: _number(row["cycles_per_image"]),
    "used": lambda row: _percent(row["utilisation"], 0) if row["macs"] else None,
}


def print_layers(layers: Iterable[Row], console: Console) -> None:
    """Print what the layers took, a line each; pools and sums have no MACs to use the array for."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in LAYER_COLUMNS:
        table.add_column(name, justify="left" if name in ("layer", "kind") else "right")
    for row in layers:
        table.add_row(*(_shown(function(row)) for function in LAYER_COLUMNS.values()))
    console.print(table)


Columns = Mapping[str, tuple[int, Callable[[Row], Any]]]
"""Columns of a table by their headings: a rank, of which a narrow terminal goes without the high
ones, and what stands in the cell."""

NETWORKS: Columns = {
    "weights": (0, lambda row: row["weight"]),
    "acti-\nvations": (1, lambda row: row.get("activation")),
    "accumu-\nlator": (2, lambda row: row.get("accumulator_bits")),
    "array": (0, lambda row: _array(row)),
    "accuracy": (0, lambda row: _percent(_accuracy(row))),
    "mis-\nmatches": (0, lambda row: row.get("mismatches")),
    "over-\nflows": (5, lambda row: row.get("overflows")),
    "cycles/\nimage": (3, lambda row: _number(row.get("cycles_per_image"))),
    "used": (8, lambda row: _percent(row.get("utilisation"), 0)),
    "LUT": (0, lambda row: row.get("lut")),
    "FF": (7, lambda row: row.get("ff")),
    "BRAM": (4, lambda row: row.get("bram")),
    "DSP": (6, lambda row: row.get("dsp")),
    "Fmax\nMHz": (0, lambda row: _number(row.get("fmax_mhz"))),
    "images/s": (0, lambda row: _number(row.get("images_per_second"), 0)),
}


SWEEPS: Columns = {
    "network": (0, lambda row: row.get("network")),
    "weights": (0, lambda row: row["weight"]),
    "acti-\nvations": (2, lambda row: row.get("activation")),
    "accumu-\nlator": (0, lambda row: row.get("accumulator_bits")),
    "over-\nflow": (8, lambda row: row.get("overflow")),
    "array": (0, lambda row: _array(row)),
    "lanes": (0, lambda row: row.get("lanes") if "rows" not in row else None),
    "multi-\nplier": (7, lambda row: row.get("multiplier")),
    "accuracy": (0, lambda row: _percent(_known_accuracy(row))),
    "target": (0, lambda row: row["target"]),
    "LUT": (0, lambda row: row.get("lut", row.get("lut4"))),
    "FF": (3, lambda row: row.get("ff")),
    "BRAM": (4, lambda row: row.get("bram")),
    "DSP": (1, lambda row: row.get("dsp")),
    "Fmax\nMHz": (0, lambda row: _number(row.get("fmax_mhz"))),
    "slowest,\nfastest": (5, lambda row: _range(row)),
    "failure": (0, lambda row: "failed" if "failure" in row else None),
}
"""Columns of a sweep's table."""

_TEXTS = ("network", "weights", "acti-\nvations", "target", "failure")


def print_table(
    rows: Sequence[Row],
    console: Console,
    *,
    title: str,
    columns: Columns = NETWORKS,
    file: str = "results.csv",
) -> None:
    """Print the rows as one table; an empty cell was not measured.

    Where the console is too narrow, the least important columns are left out, and named below with
    the ``file`` that has them.
    """
    console.print(title, style="bold", markup=False, soft_wrap=True)
    shown = dict(columns)
    dispensable = sorted((name for name in shown if shown[name][0]), key=lambda n: shown[n][0])
    unlimited = console.options.update(width=1000)
    while dispensable and (
        console.measure(_table(rows, shown), options=unlimited).maximum > console.width
    ):
        del shown[dispensable.pop()]
    console.print(_table(rows, shown))
    hidden = [name.replace("-\n", "").replace("\n", " ") for name in columns if name not in shown]
    if hidden:
        console.print(f"in {file}: {', '.join(hidden)}", soft_wrap=True)


def _table(rows: Iterable[Row], columns: Columns) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in columns:
        left = name in _TEXTS
        table.add_column(name, justify="left" if left else "right", vertical="bottom", no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(cell(row)) for _, cell in columns.values()))
    return table


def _accuracy(row: Row) -> float | None:
    """Return what hardware reached; the float network has none, and its own counts."""
    return row.get("accuracy_float" if row["weight"] == "float" else "accuracy_hardware")


def _known_accuracy(row: Row) -> float | None:
    """Return what hardware reached or, where nothing was simulated, the integers."""
    return row.get("accuracy_hardware", row.get("accuracy_reference"))


def _range(row: Row) -> str | None:
    if "fmax_mhz" not in row:
        return None
    return f"{row['fmax_mhz_min']:.1f}, {row['fmax_mhz_max']:.1f}"


def _array(row: Row) -> str | None:
    return "{rows}x{columns}x{lanes}".format(**row) if "rows" in row else None


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _percent(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{100 * value:.{digits}f} %"


def _number(value: float | None, digits: int = 1) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"
