"""The versions of other people's tools that are tested: the one place that names them.

Older programs on the ``PATH`` are passed over, newer ones are used, and both are said. What pip
installs is bounded by ``pyproject.toml`` in the same way.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["TESTED", "Tested", "compare", "tested"]


class Tested(NamedTuple):
    """The oldest and the newest version that the tests were run with."""

    oldest: str
    newest: str


TESTED: Mapping[str, Tested] = {
    "yosys": Tested("0.60", "0.70"),
    "nextpnr": Tested("0.9", "0.11.1"),
}
"""Ranges by tool; that of ``nextpnr`` is for all of its programs."""


def tested(name: str) -> Tested | None:
    """Return the range of a tool; None for one whose version does not matter, or is not told."""
    return TESTED.get(name.partition("-")[0])


def compare(first: str, second: str) -> int:
    """Return -1, 0 or 1 for a version that is older than the second, as old, or newer.

    Only the numbers before the first other sign count: ``0.33+45`` is as old as ``0.33``.
    """
    a, b = _numbers(first), _numbers(second)
    length = max(len(a), len(b))
    a, b = (each + (0,) * (length - len(each)) for each in (a, b))
    return (a > b) - (a < b)


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()
