"""Rows of studies in files: each kept as soon as it is there, with how it was made.

Nothing that is kept tells of the machine, but what a study measures of it: a row has its command,
the versions of its tools, and the day.
"""

import argparse
import fcntl
import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from ...hw.files import write_atomically
from ...hw.tools.programs import find

__all__ = ["Row", "RowFile", "command", "output", "parser", "provenance"]

Row: TypeAlias = dict[str, Any]
"""What a study measured, in columns of its own."""

MODULE = "narrowgauge.scripts.studies"


def output(name: str) -> Path:
    """Return where a study keeps its rows: in the checkout, or else in the current folder."""
    folder = Path(__file__).parents[2] / "docs" / "results"
    return (folder if folder.is_dir() else Path()) / f"{name}.json"


def parser(text: str | None, rows: Path | None = None) -> argparse.ArgumentParser:
    """Return a parser whose help is a study's text, with ``--output`` where it keeps rows."""
    made = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if rows is not None:
        made.add_argument("--output", type=Path, default=rows, help=f"[default: {rows.name}]")
    return made


def command(study: str, *arguments: object) -> str:
    """Return the command that runs a study; arguments that are None are left out."""
    words = [str(each) for each in arguments if each is not None]
    return shlex.join(["python", "-m", MODULE, study, *words])


def provenance(made_by: str, *tools: str) -> Row:
    """Return how a row was made: the command, the day, and the versions of libraries and programs.

    Raises
    ------
    ToolError
        For a program that is not there.
    """
    found = {"versions": {name: _version(name) for name in tools}} if tools else {}
    return {"command": made_by, "date": datetime.now(UTC).date().isoformat(), **found}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return find(name).version


@dataclass(frozen=True)
class RowFile:
    """A file of rows.

    Attributes
    ----------
    path : Path
        The file; JSON.
    names : tuple of str
        The columns in which no two rows agree.
    order : callable, optional
        What rows are sorted by; by the columns of ``names`` unless given.
    beside : mapping, optional
        What the file has beside its ``rows``; without it, rows are all that it has.
    """

    path: Path
    names: tuple[str, ...]
    order: Callable[[Row], Any] | None = None
    beside: Mapping[str, Any] | None = None

    def rows(self) -> list[Row]:
        """Return the rows that are kept."""
        if not self.path.exists():
            return []
        found = json.loads(self.path.read_text(encoding="utf-8"))
        return found if self.beside is None else found["rows"]

    def has(self, row: Mapping[str, Any], *more: str) -> bool:
        """Tell whether there is a row that agrees in ``names``, and in other columns."""
        names = (*self.names, *more)
        return any(all(each.get(name) == row.get(name) for name in names) for each in self.rows())

    def keep(self, rows: Sequence[Row], *, instead: Sequence[str] = ()) -> None:
        """Put rows in the places of those that agree in ``names``, or in the columns ``instead``.

        The file is written whole or not at all, by one process at a time.
        """
        names = instead or self.names
        replaced = {_place(row, names) for row in rows}
        with _alone(self.path.parent):
            kept = [row for row in self.rows() if _place(row, names) not in replaced]
            found = sorted([*kept, *rows], key=self.order or (lambda row: _place(row, self.names)))
            content = found if self.beside is None else {**self.beside, "rows": found}
            write_atomically(self.path, f"{json.dumps(content, indent=1)}\n".encode())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from the files of a folder; nothing is left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _place(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in names)
