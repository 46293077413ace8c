"""Provenance of rows: files, tools, seeds, and the code that wrote the report."""

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from ..rows.row import ResultRow
from .quantities import KINDS, kind
from .rows import ResultsFile

__all__ = ["commit", "provenance", "summary"]


def commit(folder: Path = Path(__file__).parents[2]) -> str | None:
    """Return the commit of the code, where it runs from a checkout of its own."""
    if not (folder / ".git").exists():
        return None
    try:
        head, changes = (
            subprocess.run(
                ["git", "-C", str(folder), *command],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            ).stdout.strip()
            for command in (
                ["rev-parse", "--short=12", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no"],
            )
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}, with changes" if changes else head


def summary(rows: Sequence[ResultRow], sources: Sequence[ResultsFile]) -> str:
    """Return in a line what the report is of."""
    kinds = Counter(map(kind, rows))
    words = {"MAC": "MACs", "array": "arrays", "network": "networks"}
    parts = [_count(kinds[name], name, words[name]) for name in KINDS if kinds[name]]
    targets = {row.target for row in rows if row.target is not None}
    formats = {row.weight for row in rows}
    return (
        f"{_count(len(rows), 'row')} from {_count(len(sources), 'file')}: {', '.join(parts)}, in "
        f"{_count(len(formats), 'weight format')}, on {_count(len(targets), 'device')}."
    )


def provenance(
    rows: Sequence[ResultRow], sources: Sequence[ResultsFile]
) -> list[tuple[str, list[str]]]:
    """Return what there is to know, as names with lines."""
    code = [f"narrowgauge {version('narrowgauge')}"]
    if found := commit():
        code.append(f"commit {found}")
    return [
        (
            "Results",
            [
                f"{source.path.name}: {_count(len(source.rows), 'row')}, "
                f"SHA-256 {source.digest[:16]}"
                for source in sources
            ],
        ),
        ("Tools", list(_tools(rows))),
        ("Seeds", list(_counted(_seeds(row) for row in rows if row.routed))),
        ("Devices", list(_devices(rows))),
        ("Report written by", [", ".join(code)]),
    ]


def _tools(rows: Iterable[ResultRow]) -> Iterable[str]:
    return _counted(
        ", ".join(f"{name} {number}" for name, number in row.tools.items())
        for row in rows
        if row.tools
    )


def _seeds(row: ResultRow) -> str:
    return ", ".join(str(seed) for seed in row.seeds or ()) or "not said"


def _devices(rows: Sequence[ResultRow]) -> Iterable[str]:
    for target in dict.fromkeys(row.target for row in rows if row.target is not None):
        mine = [row for row in rows if row.target == target and row.failure is None]
        routed = sum(bool(row.routed) for row in mine)
        rest = len(mine) - routed
        yield f"{target}: {routed} routed" + (f", {rest} not routed" if rest else "")


def _counted(texts: Iterable[str]) -> Iterable[str]:
    for text, count in Counter(texts).items():
        yield f"{text} ({_count(count, 'row')})"


def _count(number: int, word: str, several: str = "") -> str:
    return f"{number:,} {word if number == 1 else several or word + 's'}"
