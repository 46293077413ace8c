"""The figure of energy against area."""

from collections.abc import Sequence

from ..rows.row import ResultRow
from .figure import Axis, Figure, Mark, Panel, Series, spread
from .palette import order
from .quantities import area

__all__ = ["energy_and_area"]


def energy_and_area(rows: Sequence[ResultRow]) -> Figure:
    """Return the energy of an image against LUTs: a panel for each device."""
    shown = [
        number
        for number, row in enumerate(rows)
        if row.energy_uj is not None and row.target is not None and (area(row) or 0) > 0
    ]
    targets = dict.fromkeys(rows[number].target or "" for number in shown)
    return Figure(
        name="energy_area",
        title="Energy against area",
        caption="What an image takes, modelled from what toggles, of the core, against the LUTs of "
        "the whole accelerator. Bars hold all errors of the model, which are the same of all marks "
        "and move them together.",
        x=Axis("LUT", "lut", log=True),
        y=Axis("microjoules an image", "energy_uj", log=True),
        panels=tuple(
            _panel(rows, [number for number in shown if rows[number].target == target], target)
            for target in targets
        ),
        symbols=(),
        missing="narrowgauge run --energy",
    )


def _panel(rows: Sequence[ResultRow], here: Sequence[int], target: str) -> Panel:
    names = sorted({rows[number].weight for number in here}, key=order)
    series = [
        Series(name, tuple(_mark(rows[n], n) for n in here if rows[n].weight == name))
        for name in names
    ]
    marks = [mark for entry in series for mark in entry.marks]
    heights = [value for mark in marks for value in (mark.y, mark.low, mark.high) if value]
    return Panel(
        title=target,
        note="",
        target=target,
        series=tuple(series),
        x_range=spread((mark.x for mark in marks), log=True, margin=0.22),
        y_range=spread(heights, log=True),
    )


def _mark(row: ResultRow, number: int) -> Mark:
    return Mark(
        row=number,
        x=area(row) or 0,
        y=row.energy_uj or 0.0,
        size=8,
        low=row.energy_uj_low,
        high=row.energy_uj_high,
        label=row.weight,
    )
