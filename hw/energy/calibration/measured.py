"""Currents that somebody measured, each with the design that ran and who says so.

``measurements.json`` holds those of others; those of one's own board are rows of another file of
the same form, which the study ``energy_calibration`` adds:

``name``
    What it is called, in one file no two alike.
``design``
    ``nothing``; ``counter`` of ``width`` bits; ``product``, with ``block`` true where it is formed
    in a multiplier block; ``multiply-accumulate``. `rebuilt` builds them.
``mhz``, ``oscillator``
    The clock, 0 where it stands, and whether the device's own oscillator makes it.
``microampere``, ``volt``
    Of the core's supply.
``source``
    A name under ``sources``.
``held_out``
    Optional: true for what is predicted and not fitted.
"""

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ...errors import DataError

__all__ = ["DESIGNS", "MEASUREMENTS", "MeasuredCurrent", "read_measurements"]

MEASUREMENTS = Path(__file__).with_name("measurements.json")
DESIGNS = ("nothing", "counter", "product", "multiply-accumulate")


@dataclass(frozen=True)
class MeasuredCurrent:
    """A current; see the module's text. ``cells`` is how many logic cells its design took."""

    name: str
    design: str
    mhz: float
    microampere: float
    volt: float
    source: str
    oscillator: bool = False
    width: int = 0
    block: bool = False
    cells: int = 0
    held_out: bool = False

    @property
    def milliwatts(self) -> float:
        """The power of the core."""
        return self.microampere * self.volt * 1e-3


def read_measurements(path: Path = MEASUREMENTS) -> list[MeasuredCurrent]:
    """Read a file of measurements.

    Raises
    ------
    DataError
        For a file of another form; it names the row, what is wrong and what is allowed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows, sources = content["measurements"], content["sources"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of measurements: {error!r}") from error
    found = [_read(path, index, row) for index, row in enumerate(rows, 1)]
    for each in found:
        if each.source not in sources:
            raise DataError(f"{path}: {each.name} is of {each.source!r}, which is no source in it")
    if len({each.name for each in found}) < len(found):
        raise DataError(f"{path}: two measurements have one name")
    return found


def _read(path: Path, index: int, row: Any) -> MeasuredCurrent:
    known = {field.name: field for field in fields(MeasuredCurrent)}
    needed = {name for name, field in known.items() if field.default is MISSING}
    if not isinstance(row, dict) or not needed <= set(row) <= set(known):
        raise DataError(
            f"{path}, measurement {index}: there must be {', '.join(sorted(needed))}, and there "
            f"may be {', '.join(sorted(set(known) - needed))}"
        )
    made = MeasuredCurrent(**row)
    if made.design not in DESIGNS:
        raise DataError(f"{path}: {made.name} is of {made.design!r}, not of {', '.join(DESIGNS)}")
    if made.design == "counter" and made.width < 1:
        raise DataError(f"{path}: {made.name} is a counter and has no width")
    if min(made.microampere, made.volt) <= 0 or made.mhz < 0:
        raise DataError(f"{path}: {made.name} has a current, voltage or clock below its least")
    return made
