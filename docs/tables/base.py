"""What all tables share: how values are written, and rows in Markdown."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"

Row = Mapping[str, Any]
Columns = Mapping[str, Callable[[Any], Any]]


def percent(value: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * value:.2f} %"


def speed(row: Row, digits: int = 1, unit: str = "") -> str | None:
    """Return the clock of a row, with its range where there were several placements.

    It is None where no clock was measured.
    """
    if "fmax_mhz" not in row:
        return None
    median = f"{row['fmax_mhz']:.{digits}f}{unit}"
    if len(row.get("seeds", ())) < 2:
        return median
    return f"{median} ({row['fmax_mhz_min']:.{digits}f} to {row['fmax_mhz_max']:.{digits}f})"


def rounded(row: Row, name: str) -> str | None:
    """Return a figure of a row without its decimals; None where it was not measured."""
    return f"{row[name]:,.0f}" if name in row else None


def table(columns: Columns, rows: Sequence[Row], left: int = 2) -> str:
    """Return the rows in Markdown, ``left`` columns of text first; empty is not measured."""
    lines = [" | ".join(columns), " | ".join(["---"] * left + ["--:"] * (len(columns) - left))]
    for row in rows:
        cells = (function(row) for function in columns.values())
        lines.append(" | ".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join(f"| {line} |" for line in lines)


def versions(tools: Mapping[str, str]) -> str:
    """Return names and versions of tools."""
    return ", ".join(f"{name} {version}" for name, version in tools.items())


def read(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
