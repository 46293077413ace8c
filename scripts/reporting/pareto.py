"""The figure of accuracy against area, with the Pareto front."""

from collections.abc import Iterable, Sequence

from ..rows.row import ResultRow
from .figure import Axis, Figure, Line, Mark, Panel, Series, spread
from .palette import order
from .quantities import accuracy, area

__all__ = ["accuracy_and_area", "pareto"]

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
    shown = [
        number
        for number, row in enumerate(rows)
        if accuracy(row) is not None and row.target is not None and (area(row) or 0) > 0
    ]
    places = dict.fromkeys(_place(rows[number]) for number in shown)
    panels = []
    for dataset, target in places:
        here = [number for number in shown if _place(rows[number]) == (dataset, target)]
        panels.append(_panel(rows, here, dataset, target))
    return Figure(
        name="accuracy",
        title="Accuracy against area",
        caption="Test accuracy of the integers, as the simulated hardware computes them (where "
        "nothing was simulated, as the reference does), against the LUTs of the whole accelerator. "
        "The line is the Pareto front: nothing below and to the right of it is worth building. "
        "Dashed: the float network.",
        x=Axis("LUT", "lut", log=True),
        y=Axis("accuracy, %", "accuracy_percent"),
        panels=tuple(panels),
        symbols=(),
        missing="narrowgauge run",
    )


def _place(row: ResultRow) -> tuple[str, str]:
    return row.dataset or "", row.target or ""


def _panel(rows: Sequence[ResultRow], here: Sequence[int], dataset: str, target: str) -> Panel:
    few = len(here) <= _FEW
    marks = [
        Mark(
            row=number,
            x=area(rows[number]) or 0,
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
