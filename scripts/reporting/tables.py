"""Rows as text: cells of the table, what is shown over a mark, and CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from ..rows.row import COLUMNS, ResultRow
from .figure import Figure
from .palette import order
from .quantities import accuracy, cost, density, derived, has_range, kind, peak, slots, sustained

__all__ = ["TABLE", "TableColumn", "all_rows_csv", "cells", "figure_csv", "geometry", "hover"]


def geometry(row: ResultRow) -> str | None:
    """Return rows x columns x lanes, or the lanes of one MAC."""
    if row.lanes is None:
        return None
    sizes = row.rows, row.columns, row.lanes
    return "x".join(str(size) for size in sizes if size is not None)


def _number(value: float | None, digits: int = 0) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _short(value: float | None) -> str | None:
    """Return three figures, and no exponent."""
    if value is None:
        return None
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.2f} %"


def _range(row: ResultRow) -> str | None:
    if not has_range(row):
        return None
    return f"{row.fmax_mhz_min:.1f} to {row.fmax_mhz_max:.1f}"


def _routed(row: ResultRow) -> str | None:
    if row.target is None or row.failure is not None:
        return None
    return "yes" if row.routed else "not routed"


class TableColumn(NamedTuple):
    """A column of the table: what is shown, what numbers are sorted by, and what it means."""

    shown: Callable[[ResultRow], str | None]
    sort: Callable[[ResultRow], float | None] | None
    meaning: str


def _texts(name: str) -> TableColumn:
    """Return the head of a column of texts, as it is in files."""
    return TableColumn(lambda row: getattr(row, name), None, COLUMNS[name].words)


def _numbers(name: str, digits: int = 0) -> TableColumn:
    """Return the head of a column of numbers, as it is in files."""
    return TableColumn(
        lambda row: _number(getattr(row, name), digits),
        lambda row: getattr(row, name),
        COLUMNS[name].words,
    )


def _derived(function: Callable[[ResultRow], float | None], meaning: str) -> TableColumn:
    return TableColumn(lambda row: _short(function(row)), function, meaning)


def _labelled(*names: str) -> dict[str, TableColumn]:
    """Return heads of numbers by what their columns are called."""
    return {COLUMNS[name].label: _numbers(name) for name in names}


TABLE: dict[str, TableColumn] = {
    "measured": TableColumn(
        kind, None, "a multiply-accumulate, an array of them, or an accelerator"
    ),
    "network": _texts("network"),
    "weights": TableColumn(
        lambda row: row.weight, lambda row: order(row.weight)[0], COLUMNS["weight"].words
    ),
    "activations": _texts("activation"),
    "sum, bits": _numbers("accumulator_bits"),
    "array": TableColumn(geometry, slots, "rows x columns x lanes, or the lanes of one MAC"),
    "multiplier": _texts("multiplier"),
    "structure": _texts("structure"),
    "device": _texts("target"),
    "accuracy": TableColumn(
        lambda row: _percent(accuracy(row)), accuracy, COLUMNS["accuracy_hardware"].words
    ),
    **_labelled("lut", "lut4", "ff", "carry", "bram", "spram", "dsp"),
    "Fmax, MHz": _numbers("fmax_mhz", 1),
    "range": TableColumn(
        _range,
        lambda row: row.fmax_mhz_min if has_range(row) else None,
        "that of the slowest and of the fastest seed",
    ),
    "LUT/MAC": _derived(cost, "LUTs for one MAC a cycle"),
    "peak GMAC/s": _derived(peak, "with every slot used in every cycle"),
    "GMAC/s per kLUT": _derived(density, "peak of 1000 LUTs"),
    "images/s": _numbers("images_per_second"),
    "routed": TableColumn(_routed, None, COLUMNS["routed"].words),
}
"""The columns of the table."""


Cell = tuple[str, float | str]
"""What is shown, and what it is sorted by."""


def cells(rows: Sequence[ResultRow]) -> tuple[list[str], list[bool], list[list[Cell]]]:
    """Return the table of all rows: only columns in which something was measured.

    Returns
    -------
    names : list of str
        Heads of the columns.
    numeric : list of bool
        Whether each is of numbers.
    body : list of list of (str, value)
        For each row, what is shown and what it is sorted by.
    """
    names = [name for name, head in TABLE.items() if any(head.shown(row) for row in rows)]
    body = [[_cell(row, TABLE[name]) for name in names] for row in rows]
    return names, [TABLE[name].sort is not None and name != "weights" for name in names], body


def _cell(row: ResultRow, head: TableColumn) -> Cell:
    text = head.shown(row) or ""
    key = head.sort(row) if head.sort else text
    return text, "" if key is None else key


def hover(row: ResultRow) -> str:
    """Return what is shown over a row's mark, as lines in plotly's markup."""
    name = row.weight if row.activation is None else f"{row.weight} x {row.activation}"
    lanes = f"{row.lanes} lane{'s' * (row.lanes > 1)}" if row.lanes else None
    shape = f"{geometry(row)} {kind(row)}" if row.rows else _joined(kind(row), lanes)
    bits = row.accumulator_bits
    lines = [
        f"<b>{escape(name)}</b>" + (f", {bits}-bit accumulator" if bits else ""),
        escape(_joined(row.target, shape, row.structure, row.network)),
        _listed(row, "lut", "lut4", "ff", "carry"),
        _listed(row, "bram", "spram", "dsp"),
        _joined(_said(_short(cost(row)), "LUT per MAC a cycle")),
        _clock(row),
        _joined(
            _said(_short(peak(row) or None), "GMAC/s peak"),
            _said(_short(sustained(row) or None), "used"),
            _said(_short(density(row) or None), "per kLUT"),
        ),
        _joined(
            f"accuracy {_percent(accuracy(row))}" if accuracy(row) is not None else None,
            _said(_number(row.images_per_second), COLUMNS["images_per_second"].label),
        ),
    ]
    return "<br>".join(line for line in lines if line)


def _clock(row: ResultRow) -> str:
    if row.fmax_mhz is None:
        return "not routed"
    seeds = ", ".join(map(str, row.seeds or ()))
    spread = _range(row)
    text = f"Fmax {row.fmax_mhz:.1f} MHz" + (f" ({spread})" if spread else "")
    return text + (f", seeds {escape(seeds)}" if seeds else "")


def _listed(row: ResultRow, *names: str) -> str:
    """Return resources, each with what its column is called."""
    found = row.measured()
    return _joined(*(f"{found[name]:,} {COLUMNS[name].label}" for name in names if name in found))


def _said(number: str | None, words: str) -> str | None:
    return None if number is None else f"{number} {words}"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def figure_csv(figure: Figure, rows: Sequence[ResultRow]) -> str:
    """Return the rows behind a figure, a line each: where its mark stands, and all columns."""
    lines = []
    for panel, _, mark in figure.marks():
        place = {"panel": panel.title, figure.y.column: mark.y}
        if not figure.x.ticks:
            place[figure.x.column] = mark.x
        lines.append({**_plain(rows[mark.row]), **place})
    head = ["panel", *([] if figure.x.ticks else [figure.x.column]), figure.y.column]
    return _csv(lines, head)


def all_rows_csv(rows: Sequence[ResultRow]) -> str:
    """Return all rows, with what follows from them."""
    return _csv([{**_plain(row), **derived(row)} for row in rows], ["kind", *COLUMNS])


def _plain(row: ResultRow) -> dict[str, Any]:
    """Return a row for CSV: without layers, other structures as JSON."""
    return {
        name: json.dumps(value) if isinstance(value, (dict, list)) else value
        for name, value in row.plain().items()
        if name != "layers"
    }


def _csv(lines: Iterable[dict[str, Any]], first: Sequence[str]) -> str:
    lines = list(lines)
    used = dict.fromkeys(name for line in lines for name in line)
    names = [name for name in dict.fromkeys([*first, *COLUMNS, *used]) if name in used]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
