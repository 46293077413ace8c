"""The chart of accuracy against logic cells."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...hw.files import write_atomically
from ..rows.row import ResultRow
from .figure import spread
from .quantities import label
from .roofline import spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_chart"]

_WIDE = 8  # times as many cells as the smallest: from there on the axis is logarithmic
_APART = 0.06  # share of the height that a label needs
_POINTS = 254  # about the height of the axes
_TURN = 0.6  # share of the width from which on labels stand to the left

_COLOURS = ("#3b6ea8", "#c2571a", "#3f8f4f", "#8a4fa3", "#b03a48", "#6b6b6b", "#a88b1f", "#2f8f8f")


def write_chart(rows: Sequence[ResultRow], folder: Path) -> list[Path]:
    """Draw accuracy against LUTs as ``chart.png`` and ``chart.svg``; return their paths.

    Rows without LUTs are left out, and the float network is a line. Without any LUT count there is
    no chart.
    """
    import matplotlib  # here: the import takes half a second

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = [row for row in rows if row.lut is not None and row.accuracy_hardware is not None]
    if not points:
        return []
    with pyplot.rc_context({"svg.hashsalt": "narrowgauge", "font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(7.2, 4.4), layout="constrained")
        _draw(axes, rows, points)
        paths = []
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            image = io.BytesIO()
            figure.savefig(image, format=suffix, dpi=160, metadata=metadata)
            paths.append(folder / f"chart.{suffix}")
            write_atomically(paths[-1], image.getvalue())
        pyplot.close(figure)
    return paths


def _draw(axes: "Axes", rows: Sequence[ResultRow], points: Sequence[ResultRow]) -> None:
    reference = next((row.accuracy_float for row in rows if row.accuracy_float is not None), None)
    log = max(map(_cells, points)) > _WIDE * min(map(_cells, points))
    left, right = _ends(points, log=log)
    low, high = _heights(reference, points)
    axes.set_xscale("log" if log else "linear")
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    if reference is not None:
        axes.axhline(100 * reference, color="#888888", linestyle="--", linewidth=1)
        axes.annotate(
            f"float network, {100 * reference:.2f} %",
            (right, 100 * reference),
            xytext=(-4, 4),
            textcoords="offset points",
            ha="right",
            color="#666666",
            fontsize=9,
        )
    _mark(axes, points)
    first = points[0]
    axes.set_xlabel(f"logic cells (LUT) on {first.target}, post-route")
    axes.set_ylabel(f"accuracy on {first.dataset} in hardware, %")
    axes.set_title(
        "One network, one array, every number format"
        if len({(row.rows, row.columns, row.lanes) for row in points}) == 1
        else "One network, the largest array that fits",
        loc="left",
    )
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _mark(axes: "Axes", points: Sequence[ResultRow]) -> None:
    """Draw the points, each with its label beside it, the labels apart from each other."""
    low, high = axes.get_ylim()
    inside = axes.transData + axes.transAxes.inverted()
    ordered = sorted(points, key=lambda row: (_percent(row), -_cells(row)))
    heights = spaced([_percent(row) for row in ordered], _APART * (high - low))
    colours = {id(row): index for index, row in enumerate(sorted(points, key=_cells))}
    for row, height in zip(ordered, heights, strict=True):
        place = x, y = _cells(row), _percent(row)
        colour = _COLOURS[colours[id(row)] % len(_COLOURS)]
        axes.scatter(*place, s=70, color=colour, zorder=3)
        left = inside.transform(place)[0] > _TURN
        axes.annotate(
            f"{label(row, points)}: {x:,} LUT, {y:.2f} %",
            place,
            xytext=(-12 if left else 12, _POINTS * (height - y) / (high - low)),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=9,
            color=colour,
            arrowprops={
                **{"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6},
                **{"relpos": (1 if left else 0, 0.5), "shrinkA": 0, "shrinkB": 0},
            },
        )


def _ends(points: Sequence[ResultRow], *, log: bool) -> tuple[float, float]:
    """Return the ends of the axis of cells, with room for labels."""
    cells = [_cells(row) for row in points]
    if not log:
        return 0.0, 1.2 * max(cells)
    return spread(cells, log=True, margin=0.12)


def _heights(reference: float | None, points: Sequence[ResultRow]) -> tuple[float, float]:
    """Return the ends of the axis of accuracy."""
    accuracies = [_percent(row) for row in points]
    low, high = min(accuracies), max([100 * (reference or 0), *accuracies])
    margin = max(0.5, 0.18 * (high - low))
    return low - 2 * margin, min(100, high + margin)


def _cells(row: ResultRow) -> int:
    return row.lut or 0


def _percent(row: ResultRow) -> float:
    return 100 * (row.accuracy_hardware or 0.0)
