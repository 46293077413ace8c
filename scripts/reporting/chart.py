"""The chart of accuracy against logic cells."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...hw.files import write_atomically
from ..rows.row import ResultRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_chart"]

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
    largest = max(map(_cells, points))
    if reference is not None:
        axes.axhline(100 * reference, color="#888888", linestyle="--", linewidth=1)
        axes.annotate(
            f"float network, {100 * reference:.2f} %",
            (largest * 1.18, 100 * reference),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            color="#666666",
            fontsize=9,
        )
    for index, row in enumerate(sorted(points, key=_cells)):
        cells, accuracy = _cells(row), _percent(row)
        colour = _COLOURS[index % len(_COLOURS)]
        axes.scatter(cells, accuracy, s=70, color=colour, zorder=3)
        leftwards = cells > 0.85 * largest
        axes.annotate(
            f"{_label(row, points)}\n{cells} LUT\n{accuracy:.2f} %",
            (cells, accuracy),
            xytext=(-8 if leftwards else 8, -6),
            textcoords="offset points",
            ha="right" if leftwards else "left",
            va="top",
            fontsize=9,
            color=colour,
        )
    first = points[0]
    accuracies = [_percent(row) for row in points]
    low = min(accuracies)
    high = max([100 * (reference or 0), *accuracies])
    margin = max(0.5, 0.18 * (high - low))
    axes.set_xlim(0, largest * 1.2)
    axes.set_ylim(low - 2 * margin, min(100, high + margin))
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


def _cells(row: ResultRow) -> int:
    return row.lut or 0


def _percent(row: ResultRow) -> float:
    return 100 * (row.accuracy_hardware or 0.0)


def _label(row: ResultRow, points: Sequence[ResultRow]) -> str:
    """Name a point by its weights, and by its activations where other points share the weights."""
    shared = [point for point in points if point.weight == row.weight]
    return row.weight if len(shared) == 1 else f"{row.weight}/{row.activation}"
