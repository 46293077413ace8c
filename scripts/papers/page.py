"""The page of a study, written from its rows: Markdown, with figures as SVG files beside it."""

import textwrap
from pathlib import Path
from typing import Any

from ...hw.files import write_atomically
from .kept import KeptRows
from .study import Study

__all__ = ["body", "page", "write_page"]


def write_page(study: Study, kept: KeptRows, folder: Path) -> list[Path]:
    """Write ``NAME.md`` and its figures into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{study.name}.md": page(study, kept).encode()}
    for figure in study.figures:
        files[f"{study.name}-{figure.name}.svg"] = figure.draw(kept.rows)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def page(study: Study, kept: KeptRows) -> str:
    """Return the page as Markdown."""
    comment = f"<!-- written by `narrowgauge study {study.name}`; not by hand -->"
    return f"# {study.title}\n\n{comment}\n\n{body(study, kept)}"


def body(study: Study, kept: KeptRows) -> str:
    """Return what stands below the head of the page."""
    parts = [
        _wrapped(study.question),
        "## Verdicts",
        _verdicts(study, kept),
        "## Method",
        _wrapped(study.method),
        "## What differs from the paper",
        _wrapped(study.differs),
        "## Figures",
        *(
            f"![{figure.caption.split('.')[0]}]({study.name}-{figure.name}.svg)\n\n"
            f"{_wrapped(figure.caption + '.')}"
            for figure in study.figures
        ),
        "## Tables",
        study.tables(kept.rows),
        "## How it was made",
        _made(study, kept),
    ]
    return "\n\n".join(parts) + "\n"


def _verdicts(study: Study, kept: KeptRows) -> str:
    parts = []
    for claim, finding in zip(study.claims, study.findings(kept.rows), strict=True):
        parts.append(f"**{claim.text}: {finding.verdict}.**")
        parts.append("\n".join(f"- {each}" for each in finding.figures.split("; ")))
        parts.append(_wrapped(f"What would change it: {claim.changes}."))
    return "\n\n".join(parts)


def _made(study: Study, kept: KeptRows) -> str:
    lines = []
    for place, made in enumerate(kept.made):
        each: dict[str, Any] = made
        own = [row for row in kept.rows if row["made"] == place]
        seconds = sum(float(row["seconds"]) for row in own)  # type: ignore[arg-type]
        versions = ", ".join(f"{name} {number}" for name, number in each["versions"].items())
        data = ", ".join(f"{name} {digest}" for name, digest in each["data"].items())
        lines.append(
            f"- {len(own):,} rows by `{each['command']}`, {each['date']}: {versions}; "
            f"{each['machine']}; {seconds / 3600:.1f} hours of one core, beside its trainings; "
            f"data {data}{_note(each)}"
        )
    return "\n".join(lines)


def _note(made: dict[str, Any]) -> str:
    """Return what else there is to say of how rows were made."""
    return f". Note: {made['note']}" if "note" in made else ""


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 104, break_long_words=False, break_on_hyphens=False)
