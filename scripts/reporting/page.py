"""The page: one HTML file that needs nothing else."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .figure import Figure
from .formats import colour, order
from .interactive import library, panels
from .provenance import provenance, summary
from .quantities import kind
from .rows import ResultsFile
from .tables import cells, geometry, hover

__all__ = ["page"]

Row = dict[str, Any]

_TEMPLATES = Path(__file__).parent / "templates"


def page(
    title: str,
    rows: Sequence[Row],
    sources: Sequence[ResultsFile],
    figures: Sequence[Figure],
    downloads: Mapping[str, Mapping[str, bytes]],
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
    formats = sorted({row["weight"] for row in rows}, key=order)
    return environment.get_template("report.html.j2").render(
        title=title,
        summary=summary(rows, sources),
        figures=figures,
        drawn=drawn,
        links={name: _links(name, files) for name, files in downloads.items()},
        formats=[(name, colour(name)) for name in formats],
        targets=list(dict.fromkeys(row["target"] for row in rows if "target" in row)),
        heads=list(zip(names, numeric, strict=True)),
        body=[
            (row["weight"], row.get("target", ""), "failure" in row, line)
            for row, line in zip(rows, body, strict=True)
        ],
        failures=[
            (row["weight"], row.get("target", ""), _name(row), row["failure"])
            for row in rows
            if "failure" in row
        ],
        provenance=provenance(rows, sources),
        data=[panel for group in drawn.values() for panel in group],
        library=library(),
    )


def _name(row: Row) -> str:
    """Say which row failed."""
    return ", ".join(filter(None, [kind(row), row.get("network"), geometry(row)]))


_TYPES = {"svg": "image/svg+xml", "csv": "text/csv;charset=utf-8", "png": "image/png"}


def _links(name: str, files: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """Return suffix, file name and content of each file, as data within the page."""
    return [
        (suffix, f"{name}.{suffix}", f"data:{_TYPES[suffix]};base64,{b64encode(content).decode()}")
        for suffix, content in files.items()
    ]
