"""Result rows of files, checked: a report is only of what was measured."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...hw.errors import NarrowgaugeError
from ...hw.synth.targets import TARGETS
from .formats import order
from .quantities import KINDS, kind

__all__ = ["ReportError", "Source", "merged", "read"]

Row = dict[str, Any]

_TEXTS = ("weight", "activation", "overflow", "network", "dataset", "target", "failure")
_TEXTS += ("multiplier",)
_COUNTS = ("accumulator_bits", "rows", "columns", "lanes")
_NUMBERS = ("images", "accuracy_float", "accuracy_reference", "accuracy_hardware", "mismatches")
_NUMBERS += ("overflows", "parameter_bits", "cycles_per_image", "utilisation", "lut", "lut4", "ff")
_NUMBERS += ("carry", "bram", "spram", "dsp", "fmax_mhz", "fmax_mhz_min", "fmax_mhz_max")
_NUMBERS += ("images_per_second",)
_MEASURED = ("lut", "lut4", "fmax_mhz", "failure", "accuracy_float", "accuracy_hardware")
_MEASURED += ("accuracy_reference",)


class ReportError(NarrowgaugeError):
    """A file of which there can be no report."""


@dataclass(frozen=True)
class Source:
    """One results file.

    Attributes
    ----------
    path : Path
        Where it was read.
    digest : str
        SHA-256 of its content, in hexadecimal.
    rows : tuple of dict
        Its rows.
    """

    path: Path
    digest: str
    rows: tuple[Row, ...]


def read(paths: Iterable[Path]) -> tuple[list[Source], list[str]]:
    """Read files, and the results among the ``*.json`` of folders.

    Returns
    -------
    sources : list of Source
        The files with rows.
    left_out : list of str
        For each other JSON file in a folder, why it is none: a file that is named must be one.

    Raises
    ------
    ReportError
        For a file that is missing, damaged or without result rows, and a folder without results.
    """
    sources: list[Source] = []
    left_out: list[str] = []
    for path in paths:
        if not path.is_dir():
            sources.append(_source(path, _load(path)))
            continue
        files = sorted(path.glob("*.json"))
        found = []
        for file in files:
            content = _load(file)
            try:
                found.append(_source(file, content))
            except _NoRows as error:
                left_out.append(str(error))
        if not found:
            what = f"none of its {len(files)} JSON files has any" if files else "no JSON file"
            raise ReportError(f"no results in {path}: {what}; `narrowgauge run` writes them")
        sources += found
    return list({source.digest: source for source in sources}.values()), left_out


def merged(sources: Sequence[Source]) -> list[Row]:
    """Return the rows of all sources, each once: from MACs to networks, by device and format."""
    rows = {json.dumps(row, sort_keys=True): row for source in sources for row in source.rows}
    return sorted(rows.values(), key=_place)


def _place(row: Row) -> tuple[Any, ...]:
    target = row.get("target", "")
    devices = ["", *TARGETS]
    return (
        KINDS.index(kind(row)),
        devices.index(target) if target in devices else len(devices),
        target,
        order(row["weight"]),
        *(row.get(name, 0) for name in ("rows", "columns", "lanes", "accumulator_bits")),
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
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ReportError(f"{path} is not JSON: {error}") from error


def _source(path: Path, loaded: tuple[Any, str]) -> Source:
    content, digest = loaded
    if not isinstance(content, list) or not content:
        raise _NoRows(f"{path} has no result rows: it is not a list of them, or an empty one")
    for number, row in enumerate(content, 1):
        if not isinstance(row, dict) or not isinstance(row.get("weight"), str):
            raise _NoRows(f"{path} has no result rows: entry {number} has no column 'weight'")
        if not any(name in row for name in _MEASURED):
            raise _NoRows(
                f"{path} has no result rows: entry {number} has none of {', '.join(_MEASURED)}"
            )
        for fault in _faults(row):
            raise ReportError(f"{path}, row {number}: {fault}")
    return Source(path, digest, tuple(content))


def _faults(row: Row) -> Iterator[str]:
    """Say what is wrong with the values of a row."""
    for name in _TEXTS:
        if name in row and not isinstance(row[name], str):
            yield f"{name} is {row[name]!r}, and must be text"
    for name in _COUNTS:
        if name in row and (type(row[name]) is not int or row[name] < 1):
            yield f"{name} is {row[name]!r}, and must be a positive integer"
    for name in _NUMBERS:
        if name in row and not _is_number(row[name]):
            yield f"{name} is {row[name]!r}, and must be a number; what was not measured is absent"
    if "target" not in row and any(name in row for name in ("lut", "lut4", "fmax_mhz")):
        yield "it has cells or a clock, and must say of which target"
    if not isinstance(row.get("tools", {}), dict):
        yield f"tools is {row['tools']!r}, and must be names with versions"
    if not isinstance(row.get("seeds", []), list):
        yield f"seeds is {row['seeds']!r}, and must be a list"
    if not isinstance(row.get("routed", False), bool):
        yield f"routed is {row['routed']!r}, and must be true or false"


def _is_number(value: Any) -> bool:
    """Return whether ``value`` is one; subtracting a shell can leave less than nothing."""
    return type(value) in (int, float) and math.isfinite(value)
