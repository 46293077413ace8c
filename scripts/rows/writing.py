"""Rows in files: JSON and CSV, with the same columns."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

from ...hw.files import write_atomically
from .row import COLUMNS, ResultRow

__all__ = ["to_json", "write_results"]


def to_json(rows: Iterable[ResultRow]) -> str:
    """Return rows as a JSON list, what was not measured being absent."""
    return json.dumps([row.plain() for row in rows], indent=2)


def write_results(rows: Iterable[ResultRow], folder: Path, name: str = "results") -> None:
    """Write ``NAME.json`` and ``NAME.csv``, each whole or not at all."""
    rows = list(rows)
    write_atomically(folder / f"{name}.json", f"{to_json(rows)}\n")
    lines = [row.plain() for row in rows]
    used = [n for n, each in COLUMNS.items() if each.always or any(n in line for line in lines)]
    text = io.StringIO()
    writer = csv.DictWriter(text, used, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for line in lines:
        writer.writerow({column: _cell(value) for column, value in line.items()})
    write_atomically(folder / f"{name}.csv", text.getvalue())


def _cell(value: object) -> object:
    """Return a CSV cell: structures as JSON."""
    return json.dumps(value) if isinstance(value, (dict, list)) else value
