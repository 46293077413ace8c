"""The figures of accuracy against area and against energy, with the Pareto front."""

from collections.abc import Callable, Iterable, Sequence

from ..rows.row import ResultRow
from .figure import Axis, Figure, Line, Mark, Panel, Series, spread
from .palette import order
from .quantities import accuracy, area

__all__ = ["accuracy_and_area", "accuracy_and_energy", "pareto"]

_CAPTION = (
    "Test accuracy of the integers, as the simulated hardware computes them (where nothing was "
    "simulated, as the reference does), against {}. The line is the Pareto front: nothing below "
    "and to the right of it is worth building. Dashed: the float network."
)
_FEW = 12  # marks that all get a label; of more, only those on the front do


def pareto(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points with no other that is as small in x and as large in y, from small x on.

    >>> pareto([(3, 9), (1, 5), (2, 4), (3, 8)])
    [(1, 5), (3, 9)]
    """
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def accuracy_and_area(rows: Sequence[ResultRow]) -> Figure:
    """Return accuracy against LUTs: a panel for each data set and device."""
    return Figure(
        name="accuracy",
        title="Accuracy against area",
        caption=_CAPTION.format("the LUTs of the whole accelerator"),
        x=Axis("LUT", "lut", log=True),
        y=Axis("accuracy, %", "accuracy_percent"),
        panels=_panels(rows, area),
        symbols=(),
        missing="narrowgauge run",
    )


def accuracy_and_energy(rows: Sequence[ResultRow]) -> Figure:
    """Return accuracy against the energy of an image: a panel for each data set and device."""
    return Figure(
        name="energy",
        title="Accuracy against energy",
        caption=_CAPTION.format("what an image takes, modelled from what toggles, of the core")
        + " What the model may err by is in the columns of the rows; most of it moves all of them "
        "together.",
        x=Axis("microjoules an image", "energy_uj", log=True),
        y=Axis("accuracy, %", "accuracy_percent"),
        panels=_panels(rows, lambda row: row.energy_uj),
        symbols=(),
        missing="narrowgauge run --energy",
    )


def _panels(
    rows: Sequence[ResultRow], value: Callable[[ResultRow], float | None]
) -> tuple[Panel, ...]:
    """Return the panels of accuracy against what ``value`` says of a row."""
    shown = [
        number
        for number, row in enumerate(rows)
        if accuracy(row) is not None and row.target is not None and (value(row) or 0) > 0
    ]
    places = dict.fromkeys(_place(rows[number]) for number in shown)
    panels = []
    for dataset, target in places:
        here = [number for number in shown if _place(rows[number]) == (dataset, target)]
        panels.append(_panel(rows, here, value, dataset, target))
    return tuple(panels)


def _place(row: ResultRow) -> tuple[str, str]:
    return row.dataset or "", row.target or ""


def _panel(
    rows: Sequence[ResultRow],
    here: Sequence[int],
    value: Callable[[ResultRow], float | None],
    dataset: str,
    target: str,
) -> Panel:
    few = len(here) <= _FEW
    marks = [
        Mark(
            row=number,
            x=value(rows[number]) or 0,
            y=100 * (accuracy(rows[number]) or 0),
            size=8,
            label=rows[number].weight if few else "",
        )
        for number in here
    ]
    names = sorted({rows[mark.row].weight for mark in marks}, key=order)
    series = [
        Series(name, tuple(mark for mark in marks if rows[mark.row].weight == name))
        for name in names
    ]
    x_range = spread((mark.x for mark in marks), log=True, margin=0.22)
    heights = [mark.y for mark in marks]
    front = tuple(pareto((mark.x, mark.y) for mark in marks))
    lines = [Line("front", front, corners=not few)]
    floats = [
        100 * row.accuracy_float
        for row in rows
        if row.accuracy_float is not None and (row.dataset or "") == dataset
    ]
    if floats:
        level = max(floats)
        heights.append(level)
        ends = ((x_range[0], level), (x_range[1], level))
        lines.append(Line("level", ends, "float", f"float network, {level:.2f} %", ends[1]))
    return Panel(
        title=f"{dataset} on {target}" if dataset else target,
        note="" if any(rows[number].routed for number in here) else "not routed",
        target=target,
        series=tuple(series),
        lines=tuple(lines),
        x_range=x_range,
        y_range=spread(heights, log=False, margin=0.2),
    )
