"""Result rows of files, checked: a report is only of what was measured."""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from reprlib import repr as shown
from typing import Any

from ...hw.errors import NarrowgaugeError
from ...hw.synth.targets import TARGETS
from ..rows.columns import ColumnError, Kind
from ..rows.row import COLUMNS, ResultRow
from .palette import order
from .quantities import KINDS, kind

__all__ = ["ReportError", "ResultsFile", "merged", "read"]

_CLOCKS = ("fmax_mhz_min", "fmax_mhz", "fmax_mhz_max")  # in their order
_MEASURED = ("lut", "lut4", "fmax_mhz", "failure", "accuracy_float", "accuracy_hardware")
_MEASURED += ("accuracy_reference",)
_UNPRINTABLE = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML


class ReportError(NarrowgaugeError):
    """A file of which there can be no report."""


@dataclass(frozen=True)
class ResultsFile:
    """One results file.

    Attributes
    ----------
    path : Path
        Where it was read.
    digest : str
        SHA-256 of its content, in hexadecimal.
    rows : tuple of ResultRow
        Its rows.
    """

    path: Path
    digest: str
    rows: tuple[ResultRow, ...]


def read(
    paths: Iterable[Path], others: Collection[Path] = ()
) -> tuple[list[ResultsFile], list[str]]:
    """Read files, and the results among the ``*.json`` of folders.

    Parameters
    ----------
    others : collection of Path
        Files that hold something else, for which the report has a place.

    Returns
    -------
    sources : list of ResultsFile
        The files with rows.
    left_out : list of str
        For each other JSON file in a folder, why it is none: a file that is named must be one.

    Raises
    ------
    ReportError
        For a file that is missing, damaged or without result rows, and a folder without results.
    """
    sources: list[ResultsFile] = []
    left_out: list[str] = []
    for path in paths:
        if path in others:
            continue
        if not path.is_dir():
            sources.append(_source(path, _load(path)))
            continue
        files = [file for file in sorted(path.glob("*.json")) if file not in others]
        found = []
        for file in files:
            content = _load(file)
            try:
                found.append(_source(file, content))
            except _NoRows as error:
                left_out.append(str(error))
        if not found and not any(path in other.parents for other in others):
            what = f"none of its {len(files)} JSON files has any" if files else "no JSON file"
            raise ReportError(f"no results in {path}: {what}; `narrowgauge run` writes them")
        sources += found
    return list({source.digest: source for source in sources}.values()), left_out


def merged(sources: Sequence[ResultsFile]) -> list[ResultRow]:
    """Return the rows of all sources, each once: from MACs to networks, by device and format."""
    rows = {
        json.dumps(row.plain(), sort_keys=True): row for source in sources for row in source.rows
    }
    return sorted(rows.values(), key=_place)


def _place(row: ResultRow) -> tuple[int, int, str, tuple[int, int, str], *tuple[int, ...]]:
    target = row.target or ""
    devices = ["", *TARGETS]
    sizes = row.rows, row.columns, row.lanes, row.accumulator_bits
    return (
        KINDS.index(kind(row)),
        devices.index(target) if target in devices else len(devices),
        target,
        order(row.weight),
        *(size or 0 for size in sizes),
    )


class _NoRows(ReportError):
    """JSON of something else."""


def _load(path: Path) -> tuple[Any, str]:
    """Return what the JSON file holds, and its digest."""
    try:
        content = path.read_bytes()
    except OSError as error:
        advice = (
            "; `narrowgauge run` writes results" if isinstance(error, FileNotFoundError) else ""
        )
        raise ReportError(f"cannot read {path}: {error.strerror}{advice}") from error
    if not content.strip():
        raise ReportError(f"{path} is empty; a results file is a JSON list of rows")
    try:
        return json.loads(content), sha256(content).hexdigest()
    except (ValueError, RecursionError) as error:  # no JSON, no text, or endless numbers
        raise ReportError(f"{path} is not JSON: {error}") from error


def _source(path: Path, loaded: tuple[Any, str]) -> ResultsFile:
    content, digest = loaded
    if not isinstance(content, list) or not content:
        raise _NoRows(f"{path} has no result rows: it is not a list of them, or an empty one")
    rows = []
    for number, row in enumerate(content, 1):
        if not isinstance(row, dict) or not isinstance(row.get("weight"), str):
            raise _NoRows(f"{path} has no result rows: entry {number} has no column 'weight'")
        if not any(name in row for name in _MEASURED):
            raise _NoRows(
                f"{path} has no result rows: entry {number} has none of {', '.join(_MEASURED)}"
            )
        try:
            rows.append(_read(row))
        except ValueError as error:
            raise ReportError(f"{path}, row {number}: {error}") from error
    return ResultsFile(path, digest, tuple(rows))


def _read(row: dict[str, Any]) -> ResultRow:
    """Return a row; raises `ValueError` with what is wrong with its values."""
    for name, value in row.items():
        if wanted := _wanted(name, value):
            raise _fault(name, value, wanted)
    clocks = [name for name in _CLOCKS if name in row]
    for lower, upper in pairwise(clocks):
        if row[lower] > row[upper]:
            raise ValueError(
                f"{lower} is {row[lower]}, and must not be above {upper}, which is {row[upper]}"
            )
    if "target" not in row and any(name in row for name in ("lut", "lut4", *_CLOCKS)):
        raise ValueError("it has cells or a clock, and must say of which target")
    try:
        return ResultRow.read(row)
    except ColumnError as error:
        raise _fault(error.name, row[error.name], error.wanted) from error


def _fault(name: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"{shown(name)[1:-1]} is {shown(value)}, and must be {wanted}")


def _wanted(name: str, value: object) -> str | None:
    """Say what the value of a column must be, if it is not."""
    column = COLUMNS.get(name)
    if column and column.kind is Kind.TEXT and not isinstance(value, str):
        return column.kind.value
    if _UNPRINTABLE.search(name + _text(value)):
        return "without control characters and halves of characters"
    return column.kind.wanted(value) if column else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
