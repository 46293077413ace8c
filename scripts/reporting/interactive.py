"""Figures for the page: one plotly figure for each panel, as plain data.

Each trace carries ``meta`` with its format and role, by which the page's filters find it.
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from math import log10
from typing import Any

from .figure import Axis, Figure, Line, Mark, Panel, Series, log_ticks
from .palette import colour

__all__ = ["library", "panels"]

_INK, _GREY, _RULE = "#1f2328", "#6b7280", "#e4e6ea"
_FONT = 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif'
_HEIGHT = 310
_SPACE = "\N{NO-BREAK SPACE}" * 2  # between a label and its mark
_SIDES = {"above": "top left", "right": "middle right"}


def library() -> str:
    """Return the JavaScript of plotly, whole."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def panels(figure: Figure, hovers: Sequence[str]) -> list[dict[str, Any]]:
    """Return the panels of a figure, each with plotly's ``data`` and ``layout``.

    Parameters
    ----------
    figure : Figure
        What to draw.
    hovers : sequence of str
        What is shown over the mark of each row.
    """
    return [
        {"id": f"{figure.name}-{number}", "target": panel.target, **_plot(figure, panel, hovers)}
        for number, panel in enumerate(figure.panels)
    ]


def _plot(figure: Figure, panel: Panel, hovers: Sequence[str]) -> dict[str, Any]:
    from plotly.graph_objects import Figure as Plot  # here: the import takes a while

    stems = [line for line in panel.lines if line.role == "stem"]
    others = [line for line in panel.lines if line.role != "stem"]
    plot = Plot(
        [
            *(_line(line) for line in stems),
            *(trace for line in others for trace in _labelled(line, panel)),
            *(trace for series in panel.series for trace in _traces(series, hovers)),
        ],
        {
            "template": "none",
            "height": _HEIGHT,
            "margin": {"l": 58, "r": 14, "t": 10, "b": 52},
            "font": {"family": _FONT, "size": 12, "color": _INK},
            "showlegend": False,
            "hovermode": "closest",
            "hoverlabel": {
                "bgcolor": "#ffffff",
                "bordercolor": "#9aa1ab",
                "font": {"family": _FONT, "size": 12, "color": _INK},
                "align": "left",
            },
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "dragmode": "zoom",
            "xaxis": _axis(figure.x, panel.x_range) | {"showgrid": not figure.x.ticks},
            "yaxis": _axis(figure.y, panel.y_range),
        },
    )
    return json.loads(str(plot.to_json(validate=True, engine="json")))


def _axis(axis: Axis, limits: tuple[float, float] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": {"text": axis.title, "font": {"size": 12, "color": _GREY}, "standoff": 8},
        "gridcolor": _RULE,
        "linecolor": "#9aa1ab",
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "#9aa1ab",
        "tickfont": {"size": 11},
        "zeroline": False,
        "fixedrange": False,
    }
    if axis.log:
        values = log_ticks(limits or (1, 10))
        found |= {"type": "log", "tickvals": values, "ticktext": [f"{v:,.10g}" for v in values]}
    if limits:
        found["range"] = [log10(end) for end in limits] if axis.log else list(limits)
    if axis.ticks:
        found |= {
            "tickmode": "array",
            "tickvals": list(range(len(axis.ticks))),
            "ticktext": [
                f'{escape(name)}<br><span style="color:{_GREY}">{below}</span>'
                for name, below in axis.ticks
            ],
            "ticks": "",
        }
    return found


def _traces(series: Series, hovers: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Return a trace of the marks with bars, and one of those without: plotly would draw them."""
    for bars in (True, False):
        marks = [mark for mark in series.marks if bars == ((mark.low, mark.high) != (None, None))]
        if marks:
            yield _marks(series.format, marks, hovers)


def _marks(name: str, marks: Sequence[Mark], hovers: Sequence[str]) -> dict[str, Any]:
    ink = colour(name)
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "meta": {"format": name, "role": "marks"},
        "x": [mark.x for mark in marks],
        "y": [mark.y for mark in marks],
        "customdata": [mark.row for mark in marks],
        "hovertext": [hovers[mark.row] for mark in marks],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "symbol": [f"{mark.symbol}{'-open' if mark.hollow else ''}" for mark in marks],
            "size": [mark.size * 1.25 for mark in marks],
            "color": ink,
            "opacity": 0.92,
            "line": {"width": [1.8 if mark.hollow else 0.8 for mark in marks]},
        },
    }
    if not any(mark.hollow for mark in marks):
        trace["marker"]["line"]["color"] = "#ffffff"
    if any(mark.label for mark in marks):
        trace |= {
            "mode": "markers+text",
            "text": [f"{mark.label}{_SPACE}" for mark in marks],
            "textposition": "top left",
            "textfont": {"size": 11, "color": ink},
        }
    if any(mark.low is not None or mark.high is not None for mark in marks):
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [0 if mark.high is None else mark.high - mark.y for mark in marks],
            "arrayminus": [0 if mark.low is None else mark.y - mark.low for mark in marks],
            "color": ink,
            "thickness": 1.3,
            "width": 3,
        }
    return trace


_STYLES = {
    "stem": {"width": 1.2},
    "front": {"width": 1.4, "color": "#5b6270", "shape": "hv"},
    "roof": {"width": 1.5},
    "leader": {"width": 0.8},
    "level": {"width": 1.2, "dash": "dash"},
}


def _line(line: Line) -> dict[str, Any]:
    style = {"color": colour(line.format) if line.format else "#5b6270"} | _STYLES[line.role]
    return {
        "type": "scatter",
        "mode": "lines",
        "meta": {"format": line.format, "role": line.role},
        "x": [x for x, _ in line.points],
        "y": [y for _, y in line.points],
        "line": style,
        "opacity": 0.55 if line.role == "stem" else 1,
        "hoverinfo": "skip",
    }


def _labelled(line: Line, panel: Panel) -> Iterable[dict[str, Any]]:
    """Return a line and its label, or the formats at its corners."""
    trace = _line(line)
    if line.corners:
        corners = {(mark.x, mark.y): entry.format for entry in panel.series for mark in entry.marks}
        trace |= {
            "mode": "lines+text",
            "text": [f"{corners[point]}{_SPACE}" for point in line.points],
            "textposition": "top left",
            "textfont": {"size": 11, "color": _INK},
        }
    yield trace
    if line.label:
        x, y = line.place
        yield {
            "type": "scatter",
            "mode": "text",
            "meta": trace["meta"],
            "x": [x],
            "y": [y],
            "text": [f"{_SPACE[0] if line.side == 'right' else ''}{line.label}"],
            "textposition": _SIDES[line.side],
            "textfont": {"size": 11, "color": trace["line"]["color"]},
            "hoverinfo": "skip",
            "cliponaxis": False,
        }
