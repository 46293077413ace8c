"""The page: one HTML file that needs nothing else."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..rows.row import ResultRow
from .figure import Figure
from .interactive import library, panels
from .palette import colour, order
from .provenance import provenance, summary
from .quantities import kind
from .rows import ResultsFile
from .tables import TABLE, cells, geometry, hover

__all__ = ["page"]

_TEMPLATES = Path(__file__).parent / "templates"


def page(
    title: str,
    rows: Sequence[ResultRow],
    sources: Sequence[ResultsFile],
    figures: Sequence[Figure],
    downloads: Mapping[str, Mapping[str, bytes]],
    studies: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    title : str
        Its heading.
    rows, sources : sequence
        All rows, and the files that they come from.
    figures : sequence of Figure
        What is drawn; those without panels say how to measure what they need.
    downloads : mapping
        For each figure's name, by suffix, the files that the page offers.
    studies : sequence
        Names of studies, and their pages as HTML, figures and all.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    hovers = [hover(row) for row in rows]
    drawn = {figure.name: panels(figure, hovers) for figure in figures}
    names, numeric, body = cells(rows)
    meanings = [TABLE[name].meaning for name in names]
    formats = sorted({row.weight for row in rows}, key=order)
    return environment.get_template("report.html.j2").render(
        title=title,
        summary=summary(rows, sources),
        figures=figures,
        studies=studies,
        drawn=drawn,
        links={name: _links(name, files) for name, files in downloads.items()},
        formats=[(name, colour(name)) for name in formats],
        targets=list(dict.fromkeys(row.target for row in rows if row.target is not None)),
        heads=list(zip(names, numeric, meanings, strict=True)),
        body=[
            (row.weight, row.target or "", row.failure is not None, line)
            for row, line in zip(rows, body, strict=True)
        ],
        failures=[
            (row.weight, row.target or "", _name(row), row.failed)
            for row in rows
            if row.failure is not None
        ],
        provenance=provenance(rows, sources),
        data=[panel for group in drawn.values() for panel in group],
        library=library(),
    )


def _name(row: ResultRow) -> str:
    """Say which row failed."""
    return ", ".join(filter(None, [kind(row), row.network, geometry(row)]))


_TYPES = {"svg": "image/svg+xml", "csv": "text/csv;charset=utf-8", "png": "image/png"}


def _links(name: str, files: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """Return suffix, file name and content of each file, as data within the page."""
    return [
        (suffix, f"{name}.{suffix}", f"data:{_TYPES[suffix]};base64,{b64encode(content).decode()}")
        for suffix, content in files.items()
    ]
