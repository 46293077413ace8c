"""Delays of a routed design, from the SDF file that nextpnr writes.

Three kinds are read: of a wire to the pin at its end (``INTERCONNECT``), of a cell from a pin to
an output (``IOPATH``), and how long before a clock's edge a pin has to be there (``SETUPHOLD``).
Delays are those of the slowest corner, the only one that nextpnr gives; rising and falling edges
share the larger of theirs. A line in none of these forms is refused, so that none is overlooked.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import EngineRefusal

__all__ = ["Delays", "read_delays"]

_HEAD = re.compile(
    r"\(DELAYFILE|\((SDFVERSION|DESIGN|VENDOR|PROGRAM) \"[^\"]*\"\)|\(DIVIDER /\)"
    r"|\(CELL$|\((DELAY|ABSOLUTE|TIMINGCHECK)$|\)$"
)
_UNIT = re.compile(r"\(TIMESCALE 1ps\)")
_CELL = re.compile(r"\(INSTANCE (\S*)\)|\(CELLTYPE \"[^\"]*\"\)")
_TIMES = r"\(([\d.]*):([\d.]*):([\d.]*)\)"
_WIRE = re.compile(rf"\(INTERCONNECT (\S+) (\S+) {_TIMES} {_TIMES}\)")
_PATH = re.compile(rf"\(IOPATH (?:\((?:pos|neg)edge )?([^\s)]+)\)? (\S+) {_TIMES} {_TIMES}\)")
_SETUP = re.compile(
    r"\(SETUPHOLD \((?:pos|neg)edge (\S+)\) \((?:pos|neg)edge \S+\) " + rf"{_TIMES} {_TIMES}\)"
)


@dataclass(frozen=True)
class Delays:
    """Delays in picoseconds.

    Attributes
    ----------
    wires : dict of (str, str) to int
        By cell and pin at which a wire ends.
    paths : dict of (str, str, str) to int
        By cell, input and output.
    setups : dict of (str, str) to int
        By cell and pin: what the cell needs before the edge of its clock.
    """

    wires: dict[tuple[str, str], int] = field(default_factory=dict)
    paths: dict[tuple[str, str, str], int] = field(default_factory=dict)
    setups: dict[tuple[str, str], int] = field(default_factory=dict)


def read_delays(text: str) -> Delays:
    """Read nextpnr's SDF.

    Raises
    ------
    EngineRefusal
        For a line of another form, another unit than 1 ps, or a file without delays.
    """
    delays = Delays()
    instance, scaled = "", False
    for number, line in _lines(text):
        if wire := _WIRE.fullmatch(line):
            delays.wires[_pin(wire[2])] = _longest(wire, 3)
        elif path := _PATH.fullmatch(line):
            delays.paths[instance, path[1], path[2]] = _longest(path, 3)
        elif setup := _SETUP.fullmatch(line):
            before = _number(setup[4])
            delays.setups[instance, setup[1]] = max(
                before, delays.setups.get((instance, setup[1]), 0)
            )
        elif cell := _CELL.fullmatch(line):
            instance = _plain(cell[1]) if cell[1] is not None else instance
        elif _UNIT.fullmatch(line):
            scaled = True
        elif not _HEAD.fullmatch(line):
            raise EngineRefusal(
                f"line {number} of the SDF file is {line[:80]!r}; read are INTERCONNECT, IOPATH "
                "and SETUPHOLD, in units of 1ps"
            )
    if not scaled or not delays.wires:
        raise EngineRefusal("the SDF file has no TIMESCALE or no INTERCONNECT: it is not nextpnr's")
    return delays


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if stripped := line.strip():
            yield number, stripped


def _plain(name: str) -> str:
    """Return a name without the backslashes that SDF puts before its special characters."""
    return re.sub(r"\\(.)", r"\1", name)


def _pin(path: str) -> tuple[str, str]:
    cell, _, pin = path.rpartition("/")
    return _plain(cell), _plain(pin)


def _number(text: str) -> int:
    return round(float(text or 0))


def _longest(match: re.Match[str], first: int) -> int:
    """Return the longest of the six times that begin with a group."""
    return max(_number(match[group]) for group in range(first, first + 6))
