"""Markdown of a study's page: tables, and what of the plan is not measured."""

from collections import Counter
from collections.abc import Sequence

from .study import Cell, Rows

__all__ = ["missing", "table"]


def table(head: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table, of whose columns the first ``left`` ones are text."""
    rule = ["---"] * left + ["--:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def missing(rows: Rows, cells: Sequence[Cell], names: Sequence[str]) -> str:
    """Return which cells of a plan have no row, by the columns ``names``; "" where all have one."""
    there = {tuple(row.get(name) for name in names) for row in rows}
    counts = Counter(
        cell.job.text
        for cell in cells
        if tuple(cell.columns.get(name) for name in names) not in there
    )
    lines = [f"- {text}{f' ({count})' if count > 1 else ''}" for text, count in counts.items()]
    return "In the plan and not measured yet:\n\n" + "\n".join(lines) if lines else ""
