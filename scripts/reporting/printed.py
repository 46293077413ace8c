"""Figures as pictures: PNG and SVG by matplotlib."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...hw.files import write_atomically
from .figure import Figure, Line, Panel, log_ticks
from .palette import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["draw"]

_SHAPES = {"circle": "o", "square": "s", "diamond": "D"}
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "narrowgauge",
    "text.parse_math": False,  # names of rows are text, dollars included
    "font.size": 8.5,
    "axes.edgecolor": "#9aa1ab",
    "axes.linewidth": 0.8,
    "axes.labelcolor": "#4b5563",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e6ea",
    "grid.linewidth": 0.7,
    "xtick.color": "#9aa1ab",
    "ytick.color": "#9aa1ab",
    "xtick.labelcolor": "#1f2328",
    "ytick.labelcolor": "#1f2328",
    "text.color": "#1f2328",
}
_COLUMNS = 3


def draw(figure: Figure, folder: Path) -> list[Path]:
    """Draw a figure as ``NAME.png`` and ``NAME.svg``; return their paths."""
    import matplotlib  # here: the import takes half a second

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(_COLUMNS, len(figure.panels))
    lines = -(-len(figure.panels) // columns)
    size = (max(4.6, 3.9 * columns), 3.0 * lines + 0.4)
    with pyplot.rc_context(_STYLE):
        drawing, grid = pyplot.subplots(
            lines, columns, figsize=size, layout="constrained", squeeze=False
        )
        for number, axes in enumerate(grid.flat):
            if number < len(figure.panels):
                _panel(axes, figure, figure.panels[number], first=number % columns == 0)
            else:
                axes.set_axis_off()
        _key(drawing, figure)
        paths = []
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            image = io.BytesIO()
            drawing.savefig(image, format=suffix, dpi=200, metadata=metadata)
            paths.append(folder / f"{figure.name}.{suffix}")
            write_atomically(paths[-1], image.getvalue())
        pyplot.close(drawing)
    return paths


def _panel(axes: "Axes", figure: Figure, panel: Panel, *, first: bool) -> None:
    axes.set_title(panel.title, loc="left", fontweight="bold", fontsize=9.5)
    if panel.note:
        axes.set_title(panel.note, loc="right", fontsize=8, color="#6b7280")
    _axes(axes, figure, panel, first)
    for line in panel.lines:
        _line(axes, panel, line)
    for series in panel.series:
        ink = colour(series.format)
        for mark in series.marks:
            axes.plot(
                [mark.x],
                [mark.y],
                linestyle="none",
                marker=_SHAPES[mark.symbol],
                markersize=mark.size * (0.72 if mark.symbol == "diamond" else 0.82),
                markerfacecolor="none" if mark.hollow else ink,
                markeredgecolor=ink if mark.hollow else "white",
                markeredgewidth=1.2 if mark.hollow else 0.6,
                zorder=3,
            )
            if mark.label:
                _text(axes, mark.label, (mark.x, mark.y), ink)
            if mark.low is not None or mark.high is not None:
                low = mark.y if mark.low is None else mark.low
                high = mark.y if mark.high is None else mark.high
                axes.errorbar(
                    *([mark.x], [mark.y], [[mark.y - low], [high - mark.y]]),
                    **{"fmt": "none", "ecolor": ink, "elinewidth": 1, "capsize": 2, "zorder": 2},
                )


def _axes(axes: "Axes", figure: Figure, panel: Panel, first: bool) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    for name, axis, limits in (("x", figure.x, panel.x_range), ("y", figure.y, panel.y_range)):
        mine = getattr(axes, f"{name}axis")
        if axis.log:
            getattr(axes, f"set_{name}scale")("log")
            ticks = log_ticks(limits or (1, 10))
            mine.set_ticks(ticks, [f"{tick:,.10g}" for tick in ticks])
            mine.set_minor_locator(NullLocator())
            mine.set_minor_formatter(NullFormatter())
        if axis.ticks:
            mine.set_ticks(
                range(len(axis.ticks)), [f"{label}\n{below}" for label, below in axis.ticks]
            )
            mine.grid(False)
            axes.tick_params(
                "x" if name == "x" else "y", length=0, labelsize=8 if len(axis.ticks) < 7 else 6.5
            )
        if limits:
            getattr(axes, f"set_{name}lim")(*limits)
    axes.set_xlabel(figure.x.title)
    if first:
        axes.set_ylabel(figure.y.title)


_STROKES = {"stem": (1.0, 0.55), "leader": (0.6, 0.8)}  # width in points, opacity


def _line(axes: "Axes", panel: Panel, line: Line) -> None:
    ink = colour(line.format) if line.format else "#5b6270"
    xs, ys = zip(*line.points, strict=True)
    width, alpha = _STROKES.get(line.role, (1.2, 1.0))
    axes.plot(
        xs,
        ys,
        color=ink,
        linewidth=width,
        alpha=alpha,
        zorder=1,
        drawstyle="steps-post" if line.role == "front" else "default",
        linestyle="--" if line.role == "level" else "-",
    )
    if line.label:
        _text(axes, line.label, line.place, ink, line.side)
    if line.corners:
        names = {(mark.x, mark.y): entry.format for entry in panel.series for mark in entry.marks}
        for point in line.points:
            _text(axes, names[point], point, "#1f2328")


_SIDES = {  # offset in points, and what of the text stands there
    "above": ((-4, 3), "right", "bottom"),
    "right": ((3, 0), "left", "center"),
}


def _text(
    axes: "Axes", text: str, place: tuple[float, float], ink: str, side: str = "above"
) -> None:
    offset, horizontal, vertical = _SIDES[side]
    axes.annotate(
        *(text, place),
        xytext=offset,
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=7.5,
        color=ink,
    )


def _key(drawing: "Drawing", figure: Figure) -> None:
    """Say what the symbols mean, and colours where no axis names the formats."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            *([], []),
            linestyle="none",
            marker=_SHAPES[symbol],
            markerfacecolor="none" if hollow else "#5b6270",
            markeredgecolor="#5b6270",
            label=label,
        )
        for symbol, hollow, label in figure.symbols
    ]
    if not figure.x.ticks:
        names = dict.fromkeys(series.format for _, series, _ in figure.marks())
        handles += [
            Line2D([], [], linestyle="none", marker="o", color=colour(name), label=name)
            for name in names
        ]
    if handles:
        drawing.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(len(handles), 3 * min(_COLUMNS, len(figure.panels))),
            frameon=False,
            handletextpad=0.2,
        )
