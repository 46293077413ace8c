"""The report's files: page, pictures, tables."""

from collections.abc import Sequence
from pathlib import Path

from ...hw.files import write_atomically
from ..rows.row import ResultRow
from .dots import clock, costs, throughput
from .energies import energy_and_area
from .figure import Figure
from .page import page
from .pareto import accuracy_and_area, accuracy_and_energy
from .printed import draw
from .roofline import roofline
from .rows import ResultsFile
from .tables import all_rows_csv, figure_csv

__all__ = ["build", "figures"]


def figures(rows: Sequence[ResultRow]) -> list[Figure]:
    """Return the figures of the report, in its order."""
    makers = (costs, accuracy_and_area, accuracy_and_energy, energy_and_area, throughput, clock)
    return [make(rows) for make in (*makers, roofline)]


def build(
    title: str,
    rows: Sequence[ResultRow],
    sources: Sequence[ResultsFile],
    folder: Path,
    studies: Sequence[tuple[str, str]] = (),
) -> list[Path]:
    """Write page, ``rows.csv``, and PNG, SVG and CSV of each figure; return the paths.

    Without a row there are no figures. ``studies`` are names and pages, as HTML.
    """
    drawn = figures(rows) if rows else []
    written: list[Path] = []
    downloads: dict[str, dict[str, bytes]] = {}
    for figure in drawn:
        if figure.panels:
            pictures = draw(figure, folder)
            table = folder / f"{figure.name}.csv"
            write_atomically(table, figure_csv(figure, rows))
            written += [*pictures, table]
            downloads[figure.name] = {
                path.suffix[1:]: path.read_bytes() for path in (*pictures, table)
            }
    write_atomically(folder / "rows.csv", all_rows_csv(rows))
    html = page(title, rows, sources, drawn, downloads, studies)
    write_atomically(folder / "report.html", html)
    return [folder / "report.html", *written, folder / "rows.csv"]
