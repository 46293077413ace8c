"""Rows of a study in a file, with how they were made; what the repository keeps is one of these.

A row's ``made`` is the place in the file's list of how rows were made: the command, the day, the
versions, the machine, and digests of the data sets.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...hw.errors import DataError
from ...hw.files import write_atomically
from ...hw.tools.store import Store
from ...model.data import load
from .study import Cell, Rows, Study, StudyRow

__all__ = ["KeptRows", "gathered", "kept", "study_of"]

LIBRARIES = ("narrowgauge", "numpy", "torch")


@dataclass(frozen=True)
class KeptRows:
    """Rows, and how they were made.

    Attributes
    ----------
    made : sequence of mapping
        What the ``made`` of a row is the place in.
    """

    rows: Rows
    made: Sequence[StudyRow]

    @classmethod
    def read(cls, path: Path) -> "KeptRows":
        """Return the rows of a file, none where there is no file.

        Raises
        ------
        DataError
            For what is no file of rows.
        """
        if not path.exists():
            return cls([], [])
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            rows, made = found["rows"], found["made"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a file of a study's rows ({error})") from error
        for name, each in (("rows", rows), ("made", made)):
            if not isinstance(each, list) or not all(isinstance(one, dict) for one in each):
                raise DataError(f"{path}: not a file of a study's rows ({name} is no list of such)")
        return cls(rows, made)

    def write(self, path: Path, study: Study) -> None:
        """Write them, a line for each."""
        lines = [
            f"{json.dumps(name)}: [\n{_lines(each)}\n]"
            for name, each in (("made", self.made), ("rows", self.rows))
        ]
        head = f'"study": {json.dumps(study.name)}'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, ("{" + ",\n".join([head, *lines]) + "}\n").encode())

    def joined(self, newer: "KeptRows", names: Sequence[str]) -> "KeptRows":
        """Return all rows, the newer ones in place of those that agree in ``names``."""
        made = list(self.made)
        found = {_place(row, names): row for row in self.rows}
        for row in newer.rows:
            origin = newer.made[row["made"]]  # type: ignore[index]
            if origin not in made:
                made.append(origin)
            found[_place(row, names)] = {**row, "made": made.index(origin)}
        used = sorted({row["made"] for row in found.values()})  # type: ignore[type-var]
        return KeptRows(
            [
                {**row, "made": used.index(row["made"])}
                for _, row in sorted(found.items(), key=lambda item: repr(item[0]))
            ],
            [made[place] for place in used],  # type: ignore[index]
        )


def _lines(each: Sequence[StudyRow]) -> str:
    return ",\n".join(json.dumps(row) for row in each)


def _place(row: StudyRow, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in names)


def kept(name: str) -> Path:
    """Return the file of rows that the repository keeps of a study; there may be none."""
    return Path(__file__).parents[2] / "docs" / "results" / "studies" / f"{name}.json"


def study_of(path: Path) -> str | None:
    """Return the name of the study whose rows a file keeps; None for any other file, or none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return (
        found["study"] if isinstance(found, dict) and isinstance(found.get("study"), str) else None
    )


def gathered(study: Study, cells: Sequence[Cell], store: Store, command: str) -> KeptRows:
    """Return the rows of those cells whose values the store has."""
    rows: list[StudyRow] = []
    made: list[StudyRow] = []
    for cell in cells:
        value = cell.job.get(store)
        about = cell.job.about(store)
        if not isinstance(value, dict) or about is None:
            continue
        origin: StudyRow = {
            "command": command,
            "date": datetime.now(UTC).date().isoformat(),
            "versions": {each: version(each) for each in LIBRARIES},
            "machine": about.machine,
            "data": {each: _digest(each) for each in study.datasets},
        }
        if origin not in made:
            made.append(origin)
        columns = {**cell.columns, **value, "seconds": about.seconds, "made": made.index(origin)}
        rows.append(columns)
    return KeptRows(rows, made)


@cache
def _digest(dataset: str) -> str:
    """Return the beginning of the digest of a data set's images and labels."""
    found, digest = load(dataset), sha256()
    for each in (found.train_images, found.train_labels, found.test_images, found.test_labels):
        digest.update(f"{each.shape}".encode() + each.tobytes())
    return digest.hexdigest()[:16]
