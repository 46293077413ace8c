"""Rows as text: cells of the table, what is shown over a mark, and CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from .figure import Figure
from .formats import order
from .quantities import accuracy, cost, density, derived, has_range, kind, peak, slots, sustained
from .results import COLUMNS

__all__ = ["TABLE", "all_rows_csv", "cells", "figure_csv", "geometry", "hover"]

Row = dict[str, Any]


def geometry(row: Row) -> str | None:
    """Return rows x columns x lanes, or the lanes of one MAC."""
    if "lanes" not in row:
        return None
    sizes = [row[name] for name in ("rows", "columns", "lanes") if name in row]
    return "x".join(map(str, sizes))


def _number(value: float | None, digits: int = 0) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _short(value: float | None) -> str | None:
    """Return three figures, and no exponent."""
    if value is None:
        return None
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.2f} %"


def _range(row: Row) -> str | None:
    if not has_range(row):
        return None
    return f"{row['fmax_mhz_min']:.1f} to {row['fmax_mhz_max']:.1f}"


def _routed(row: Row) -> str | None:
    if "target" not in row or "failure" in row:
        return None
    return "yes" if row.get("routed") else "not routed"


Shown = Callable[[Row], str | None]
TABLE: dict[str, tuple[Shown, Callable[[Row], Any] | None]] = {
    "measured": (kind, None),
    "network": (lambda row: row.get("network"), None),
    "weights": (lambda row: row["weight"], lambda row: order(row["weight"])[0]),
    "activations": (lambda row: row.get("activation"), None),
    "sum, bits": (
        lambda row: _number(row.get("accumulator_bits")),
        lambda row: row.get("accumulator_bits"),
    ),
    "array": (geometry, slots),
    "multiplier": (lambda row: row.get("multiplier"), None),
    "structure": (lambda row: row.get("structure"), None),
    "device": (lambda row: row.get("target"), None),
    "accuracy": (lambda row: _percent(accuracy(row)), accuracy),
    "LUT": (lambda row: _number(row.get("lut")), lambda row: row.get("lut")),
    "LUT4": (lambda row: _number(row.get("lut4")), lambda row: row.get("lut4")),
    "FF": (lambda row: _number(row.get("ff")), lambda row: row.get("ff")),
    "carry": (lambda row: _number(row.get("carry")), lambda row: row.get("carry")),
    "BRAM": (lambda row: _number(row.get("bram")), lambda row: row.get("bram")),
    "SPRAM": (lambda row: _number(row.get("spram")), lambda row: row.get("spram")),
    "DSP": (lambda row: _number(row.get("dsp")), lambda row: row.get("dsp")),
    "Fmax, MHz": (lambda row: _number(row.get("fmax_mhz"), 1), lambda row: row.get("fmax_mhz")),
    "range": (_range, lambda row: row["fmax_mhz_min"] if has_range(row) else None),
    "LUT/MAC": (lambda row: _short(cost(row)), cost),
    "peak GMAC/s": (lambda row: _short(peak(row)), peak),
    "GMAC/s per kLUT": (lambda row: _short(density(row)), density),
    "images/s": (
        lambda row: _number(row.get("images_per_second")),
        lambda row: row.get("images_per_second"),
    ),
    "routed": (_routed, None),
}
"""The columns of the table: what is shown, and what numbers are sorted by."""


def cells(rows: Sequence[Row]) -> tuple[list[str], list[bool], list[list[tuple[str, Any]]]]:
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
    names = [name for name, (shown, _) in TABLE.items() if any(shown(row) for row in rows)]
    body = [[_cell(row, *TABLE[name]) for name in names] for row in rows]
    return names, [TABLE[name][1] is not None and name != "weights" for name in names], body


def _cell(row: Row, shown: Shown, sort: Callable[[Row], Any] | None) -> tuple[str, Any]:
    text = shown(row) or ""
    key = sort(row) if sort else text
    return text, "" if key is None else key


def hover(row: Row) -> str:
    """Return what is shown over a row's mark, as lines in plotly's markup."""
    name = f"{row['weight']} x {row['activation']}" if "activation" in row else row["weight"]
    lanes = f"{row['lanes']} lane{'s' if row['lanes'] > 1 else ''}" if "lanes" in row else None
    shape = f"{geometry(row)} {kind(row)}" if "rows" in row else _joined(kind(row), lanes)
    bits = row.get("accumulator_bits")
    lines = [
        f"<b>{escape(name)}</b>" + (f", {bits}-bit accumulator" if bits else ""),
        escape(_joined(row.get("target"), shape, row.get("structure"), row.get("network"))),
        _listed(row, {"lut": "LUT", "lut4": "LUT4", "ff": "FF", "carry": "carry"}),
        _listed(row, {"bram": "block RAM", "spram": "SPRAM", "dsp": "DSP"}),
        _joined(f"{_short(cost(row))} LUT per MAC a cycle" if cost(row) is not None else None),
        _clock(row),
        _joined(
            f"{_short(peak(row))} GMAC/s peak" if peak(row) else None,
            f"{_short(sustained(row))} used" if sustained(row) else None,
            f"{_short(density(row))} per kLUT" if density(row) else None,
        ),
        _joined(
            f"accuracy {_percent(accuracy(row))}" if accuracy(row) is not None else None,
            f"{_number(row.get('images_per_second'))} images/s"
            if "images_per_second" in row
            else None,
        ),
    ]
    return "<br>".join(line for line in lines if line)


def _clock(row: Row) -> str:
    if "fmax_mhz" not in row:
        return "not routed"
    seeds = ", ".join(map(str, row.get("seeds", [])))
    spread = _range(row)
    text = f"Fmax {row['fmax_mhz']:.1f} MHz" + (f" ({spread})" if spread else "")
    return text + (f", seeds {escape(seeds)}" if seeds else "")


def _listed(row: Row, names: dict[str, str]) -> str:
    return _joined(*(f"{row[name]:,} {word}" for name, word in names.items() if name in row))


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def figure_csv(figure: Figure, rows: Sequence[Row]) -> str:
    """Return the rows behind a figure, a line each: where its mark stands, and all columns."""
    lines = []
    for panel, _, mark in figure.marks():
        place = {"panel": panel.title, figure.y.column: mark.y}
        if not figure.x.ticks:
            place[figure.x.column] = mark.x
        lines.append({**_plain(rows[mark.row]), **place})
    head = ["panel", *([] if figure.x.ticks else [figure.x.column]), figure.y.column]
    return _csv(lines, head)


def all_rows_csv(rows: Sequence[Row]) -> str:
    """Return all rows, with what follows from them."""
    return _csv([{**_plain(row), **derived(row)} for row in rows], ["kind", *COLUMNS])


def _plain(row: Row) -> Row:
    """Return a row for CSV: without layers, other structures as JSON."""
    return {
        name: json.dumps(value) if isinstance(value, (dict, list)) else value
        for name, value in row.items()
        if name != "layers"
    }


def _csv(lines: Iterable[Row], first: Sequence[str]) -> str:
    lines = list(lines)
    used = dict.fromkeys(name for line in lines for name in line)
    names = [name for name in dict.fromkeys([*first, *COLUMNS, *used]) if name in used]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
