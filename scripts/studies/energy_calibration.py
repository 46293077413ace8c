"""What a UP5K takes, from what others measured: the coefficients of the model, and its misses.

``studies energy_calibration [--add FILE]`` builds and routes the measured designs with
five placements each, counts what toggles in them with routed delays, fits the coefficients of the
model of energy to the measured powers, and keeps a row a measurement in
``docs/results/energy_calibration.json``, with the power that the fit gives, that which it gives
without this measurement, and their misses; and the coefficients with their ranges in
``hw/energy/coefficients.json``. What was routed before is taken from the result store.

With ``--add``, measurements of one's own board are fitted with the others; what such a file has is
said in ``hw/energy/calibration/measured.py``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...hw.energy.calibration.fit import PowerFit, PowerPoint, fit, fit_without
from ...hw.energy.calibration.measured import MeasuredCurrent, read_measurements
from ...hw.energy.calibration.ranges import coefficients, other_lengths
from ...hw.energy.calibration.rebuilt import NOTHING_DOES, Observed, mean, observe, rebuild
from ...hw.energy.model import COEFFICIENTS
from ...hw.files import write_atomically
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main", "points_of", "rows_of"]

OUTPUT = output("energy_calibration")
GLITCHES = output("energy_glitches")
SEEDS = (1, 2, 3, 4, 5)
TARGET = "up5k"


def points_of(measurements: Sequence[MeasuredCurrent], seeds: Sequence[int]) -> list[PowerPoint]:
    """Build, route and simulate what was measured, each design once."""
    done: dict[tuple[str, int, bool], list[Observed]] = {}
    points = []
    for each in measurements:
        design = (each.design, each.width, each.block)
        if design not in done and (built := rebuild(each)):
            component, dsp = built
            done[design] = observe(component, dsp=dsp, seeds=seeds, on=TARGET)
        placements = done.get(design, [])
        points.append(
            PowerPoint(each, mean(placements) if placements else NOTHING_DOES, placements)
        )
    return points


def rows_of(points: Sequence[PowerPoint], made: Mapping[str, Any]) -> list[Row]:
    """Return a row for each measurement: what was measured, what its design does, and misses."""
    fitted = [point for point in points if not point.measured.held_out]
    whole = fit(fitted)
    return [_row(point, whole, fitted) | dict(made) for point in points]


def _row(point: PowerPoint, whole: PowerFit, fitted: Sequence[PowerPoint]) -> Row:
    given = point.measured
    row: Row = {
        "name": given.name,
        "design": given.design,
        "source": given.source,
        "mhz": given.mhz,
        "oscillator": given.oscillator,
        "cells_measured": given.cells,
        "milliwatts": round(given.milliwatts, 4),
        "held_out": given.held_out,
        "does": _rounded(point.does),
        "predicted": round(whole.predict(point), 4),
        "miss": round(whole.miss(point), 4),
        "parts": {name: round(value, 4) for name, value in whole.parts(point).items()},
    }
    if not given.held_out:
        without, _ = fit_without(fitted, given.name)
        row["left_out"] = round(without.predict(point), 4)
        row["left_out_miss"] = round(without.miss(point), 4)
        row["left_out_open"] = without.open
    if given.held_out:
        others = [fit(fitted, lengths).predict(point) for lengths in other_lengths()]
        row["other_lengths"] = [round(power, 4) for power in others]
    if point.placements:
        each = [whole.predict(PowerPoint(given, mean([one]))) for one in point.placements]
        row["predicted_placements"] = [round(value, 4) for value in each]
    return row


def _rounded(does: Mapping[str, Any]) -> Row:
    charged = {kind: round(number, 3) for kind, number in does["charged"].items()}
    numbers = {name: round(value, 3) for name, value in does.items() if name != "charged"}
    return {**numbers, "charged": charged}


def main(arguments: Sequence[str]) -> None:
    """PowerFit, and keep rows and coefficients."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--add", type=Path, help="a JSON file with more measurements")
    options.add_argument("--coefficients", type=Path, default=COEFFICIENTS, help="what is written")
    values = options.parse_args(arguments)
    more = () if values.add is None else ("--add", values.add)
    made = provenance(command("energy_calibration", *more), "yosys", "nextpnr-ice40")
    measured = read_measurements()
    if values.add is not None:
        measured += read_measurements(values.add)
    points = points_of(measured, SEEDS)
    rows = rows_of(points, made)
    content = {"made_by": made, "targets": {TARGET: coefficients(points, _factors())}}
    write_atomically(values.output, f"{json.dumps(rows, indent=1)}\n")
    write_atomically(values.coefficients, f"{json.dumps(content, indent=1)}\n")
    for row in rows:
        print(f"{row['name']:24} {row['milliwatts']:8.4f} mW {100 * row['miss']:+6.1f} %")


def _factors() -> dict[str, list[float]]:
    """Return the factors that `energy_glitches` has measured, by design, where it has."""
    found: dict[str, list[float]] = {}
    for row in RowFile(GLITCHES, ("design", "seed")).rows():
        found.setdefault(row["design"], []).append(row["factor"])
    return found
