"""The page of a study as HTML, a part of the report: its figures are in it."""

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from ...hw.errors import DataError
from .kept import KeptRows, study_of
from .page import body
from .perform import find_study
from .study import Study

__all__ = ["html_page", "study_files", "study_page"]

LEVELS = {"h1": "h2", "h2": "h3"}
"""A page is a section of the report: its heads are a level below those of a page."""


def study_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of studies' rows among files, in folders, and in their ``studies``."""
    found = []
    for path in paths:
        inside = sorted([*path.glob("*.json"), *path.glob("studies/*.json")])
        found += [each for each in inside or [path] if study_of(each)]
    return found


def study_page(path: Path) -> tuple[str, str]:
    """Return the name of a study, and the page of the rows that a file keeps of it, as HTML.

    Raises
    ------
    DataError
        For what is no file of a study's rows, or holds others than this version's study has.
    NarrowgaugeError
        For a study that this version does not have.
    """
    study, kept = find_study(study_of(path) or path.stem), KeptRows.read(path)
    if not all(row.get("made") in range(len(kept.made)) for row in kept.rows):
        raise DataError(f"{path}: its rows do not say how they were made")
    try:
        return study.name, html_page(study, kept)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: its rows are not those that the study {study.name} has in this version "
            f"({type(error).__name__}: {error})"
        ) from error


def html_page(study: Study, kept: KeptRows) -> str:
    """Return the page of a study as HTML; what looks like HTML in its rows is shown as text."""
    from markdown_it import MarkdownIt

    pictures = {
        f"{study.name}-{figure.name}.svg": figure.draw(kept.rows) for figure in study.figures
    }
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(f"# {study.title}\n\n{body(study, kept)}")
    for token in tokens:
        token.tag = LEVELS.get(token.tag, token.tag)
        for child in token.children or ():
            if child.type == "image":
                image = b64encode(pictures[str(child.attrs["src"])]).decode()
                child.attrs["src"] = f"data:image/svg+xml;base64,{image}"
    return reader.renderer.render(tokens, reader.options, {})
