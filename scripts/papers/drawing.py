"""Figures of a study's page: a grid of axes, as SVG that is the same for the same rows."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["drawn"]


def drawn(
    rows: int,
    columns: int,
    size: tuple[float, float],
    draw: Callable[[list[list["Axes"]]], None],
    *,
    legend: bool = False,
) -> bytes:
    """Return an SVG of axes that ``draw`` has filled.

    Parameters
    ----------
    rows, columns : int
        Of the grid; at least one of each is there.
    size : pair of float
        Width and height, inches.
    draw : callable
        Takes the axes, row by row.
    legend : bool
        Whether one legend below stands for all axes.
    """
    import matplotlib  # here: the import takes half a second
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {"font.size": 8, "svg.hashsalt": "narrowgauge", "svg.fonttype": "none"}
    ):
        sheet = Figure(figsize=size, layout="constrained")
        grid = sheet.subplots(max(rows, 1), max(columns, 1), squeeze=False)
        draw([list(each) for each in grid])
        shown = {
            label: handle
            for axes in sheet.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        if legend and shown:
            sheet.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=5)
        image = io.BytesIO()
        sheet.savefig(image, format="svg", metadata={"Date": None})
    return image.getvalue()
