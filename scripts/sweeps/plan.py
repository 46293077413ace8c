"""Plan files: what is to be measured, as TOML, checked whole before anything runs."""

import re
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from amaranth.hdl import UnusedElaboratable

from ...hw.errors import FormatError, GeometryError, NarrowgaugeError, NetworkError
from .keys import settings
from .macs import Array, Mac
from .points import Point
from .scalable import Scalable

__all__ = ["LARGEST", "SweepPlan", "make_plan", "read_plan"]

_KINDS: dict[str, Callable[..., Point]] = {
    "mac": Mac.of,
    "array": Array.of,
    "scalable": Scalable,
}
LARGEST = 10_000
"""Rows that a plan may have: more is more likely a mistake than a plan."""


@dataclass(frozen=True)
class SweepPlan:
    """Points that a plan asks for.

    Attributes
    ----------
    name : str
        Name of the file, without its suffix; result files have it too.
    title : str
        What the table is called.
    points : tuple of Point
        One a row.
    left_out : mapping of str to tuple of str
        Combinations that cannot be, by the reason why.
    """

    name: str
    title: str
    points: tuple[Point, ...]
    left_out: Mapping[str, tuple[str, ...]]


def read_plan(path: Path) -> SweepPlan:
    """Return the plan in the TOML file ``path``.

    Raises
    ------
    NarrowgaugeError
        For a file that cannot be read, and for anything in it that cannot be, with the file, the
        key and what is allowed.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NarrowgaugeError(f"cannot read the plan {path}: {error.strerror}") from error
    except ValueError as error:  # of TOML, or of its encoding
        raise NarrowgaugeError(f"{path}: not TOML: {error}") from error
    return make_plan(table, path)


def make_plan(table: Mapping[str, Any], path: Path) -> SweepPlan:
    """Return the plan that ``table`` says; ``path`` is where it came from, for names and errors.

    Raises
    ------
    NarrowgaugeError
        As `read_plan`.
    """
    # whether a point can be built is found out by making its components, and throwing them away
    warnings.simplefilter("ignore", UnusedElaboratable)
    shared = dict(table)
    title = shared.pop("title", path.stem)
    if not isinstance(title, str):
        raise NarrowgaugeError(f"{path}: title: {title!r} is no text")
    parts = shared.pop("part", None)
    if parts is not None and not (
        isinstance(parts, list) and parts and all(isinstance(part, dict) for part in parts)
    ):
        raise NarrowgaugeError(f"{path}: part: parts are tables, each under a line [[part]]")
    points: dict[Point, None] = {}
    left_out: dict[str, list[str]] = {}
    known: dict[Any, str | None] = {}  # of designs that several points share
    for number, part in enumerate(parts or [{}], 1):
        try:
            for point in _points(shared | part, path.parent):
                if point.group not in known:
                    known[point.group] = _impossible(point)
                reason = known[point.group]
                if reason is None:
                    points[point] = None
                else:
                    left_out.setdefault(reason, []).append(point.text)
        except NarrowgaugeError as error:
            own = re.split(r"\W", str(error), maxsplit=1)[0] in part
            where = f"{path}: part {number}" if own else str(path)
            raise NarrowgaugeError(f"{where}: {error}") from error
    if not points:
        reasons = "; ".join(f"{', '.join(texts)}: {why}" for why, texts in left_out.items())
        raise NarrowgaugeError(f"{path}: nothing of it can be built: {reasons}")
    unique = {reason: tuple(dict.fromkeys(texts)) for reason, texts in left_out.items()}
    return SweepPlan(path.stem, title, tuple(points), unique)


def _points(table: Mapping[str, Any], folder: Path) -> Iterator[Point]:
    """Yield every combination of a part's values."""
    measure, values = settings(table)
    count = 1
    for each in values.values():
        count *= len(each)
    if count > LARGEST:
        raise NarrowgaugeError(f"{count:,} combinations; a part has at most {LARGEST:,}")
    if measure == "network":
        from .source import points  # here, because it needs PyTorch

        yield from points(values, folder)
        return
    make = _KINDS[measure]
    names = [*(name for name in values if name != "target"), "target"]
    for chosen in product(*(values[name] for name in names)):
        one = dict(zip(names, chosen, strict=True))
        if "formats" in one:
            one["weight"], one["activation"] = one.pop("formats")
        yield make(**one)


def _impossible(point: Point) -> str | None:
    """Return why a point cannot be built, where it cannot."""
    try:
        point.check()
    except (FormatError, GeometryError, NetworkError) as error:
        return str(error)
    return None
