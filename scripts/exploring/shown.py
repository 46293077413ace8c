"""Shows an exploration: a table, a figure, a page, and result rows."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ...hw.files import write_atomically
from ..reporting.figure import Axis, Figure, Line, Mark, Panel, Series, spread
from ..reporting.page import page
from ..reporting.printed import draw
from ..reporting.rows import ResultsFile
from ..rows.row import ResultRow
from ..rows.writing import write_results
from .candidates import front, place
from .exploration import Explored
from .measured import Measured, predicted
from .points import PredictedPoint
from .quantised import Versions

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["FILES", "NAME", "rows_of", "table", "verdict", "write", "write_rows"]

NAME = "explore"
FILES = (f"{NAME}.json", f"{NAME}.csv", f"{NAME}.html", f"{NAME}.png", f"{NAME}.svg", f"{NAME}.md")


def rows_of(explored: Explored) -> list[ResultRow]:
    """Return the rows of what was measured, then those of what it was compared with."""
    kinds = (("uniform", explored.uniform), ("random", explored.random))
    compared = [_row(explored, name, each) for name, points in kinds for each in points]
    return [*(each.row for each in explored.measured), *compared]


def _row(explored: Explored, kind: str, point: PredictedPoint) -> ResultRow:
    """Return the row of what was predicted only."""
    candidate, request = point.candidate, explored.request
    geometry = candidate.shape.geometry
    row = ResultRow(
        weight=candidate.formats if candidate.is_uniform else "mixed",
        activation=candidate.numbers.activation,
        rows=geometry.rows,
        columns=geometry.columns,
        lanes=geometry.lanes,
        chains=geometry.chains,
        slice=geometry.slice,
        network=f"{kind}: {candidate.formats}",
        target=request.target,
        routed=False,
    )
    return row | {"more": {**predicted(point, request), "compared": kind}}


CELLS = (
    *("weights", "activations", "array", "slice", "bits a weight"),
    *("accuracy, validation", "accuracy, test", "images that differ"),
    *("cycles", "simulated", "LUT", "routed", "MHz", "clocked"),
)
"""Heads of the table: a figure that was predicted stands before the one that was measured."""


def _heads(explored: Explored) -> list[str]:
    goal = explored.request.goal
    return [*CELLS, f"{goal.title}", "measured", "front"]


def _cells(explored: Explored, each: Measured, on: bool) -> list[str]:
    """Return the line of a measured point."""
    point, row, goal = each.point, each.row, explored.request.goal
    geometry, widths = point.candidate.shape.geometry, point.candidate.versions.bits
    weights = widths[:, 0].sum() / point.candidate.versions.widths[0]
    fmax = point.estimate.fmax_mhz
    return [
        point.candidate.formats,
        str(point.candidate.numbers),
        f"{geometry}",
        str(geometry.slice or "whole"),
        f"{point.candidate.bits / weights:.2f}",
        f"{100 * point.accuracy:.2f} %",
        "" if row.accuracy_hardware is None else f"{100 * row.accuracy_hardware:.2f} %",
        "" if row.mismatches is None else f"{row.mismatches}",
        f"{point.cycles:,.0f}",
        "" if row.cycles_per_image is None else f"{row.cycles_per_image:,.0f}",
        f"{point.estimate.lut:,}",
        "" if row.lut is None else f"{row.lut:,}",
        "" if fmax is None else f"{fmax:.1f}",
        "" if row.fmax_mhz is None else f"{row.fmax_mhz:.1f}",
        f"{point.value(goal):,.0f}",
        "failed" if each.value is None else f"{each.value:,.0f}",
        "yes" if on else "",
    ]


def _lines(explored: Explored) -> list[list[str]]:
    on = _on_front(explored)
    return [_cells(explored, each, each in on) for each in explored.measured]


def _on_front(explored: Explored) -> list[Measured]:
    """Return the measured points of which none is better both in value and in accuracy."""
    goal = explored.request.goal
    built = [each for each in explored.measured if each.value is not None]
    places = [place(each.value or 0.0, each.point.accuracy, goal) for each in built]
    return [built[index] for index in front(places)]


def table(explored: Explored) -> "Table":
    """Return the measured points as a table for a terminal."""
    from rich import box
    from rich.table import Table

    found = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in _heads(explored):
        left = name in ("weights", "activations", "slice")
        found.add_column(name, justify="left" if left else "right")
    for line in _lines(explored):
        found.add_row(*line)
    return found


def verdict(explored: Explored) -> list[str]:
    """Return what the comparison says, in sentences."""
    request, goal = explored.request, explored.request.goal
    on, built = len(_on_front(explored)), len(explored.measured)
    exact, drop = 100 * explored.accuracy_float, request.accuracy_drop
    first = f"{on} of {built} measured points are on the front; the float network labels "
    lines = [f"{first}{exact:.2f} % of the validation images, and {drop:g} points may be lost."]
    own = explored.best(explored.points)
    named = [("explored", own)]
    named += [("uniform", explored.best(explored.uniform))]
    named += [("random", explored.best(explored.random))]
    counts = {"uniform": len(explored.uniform), "random": len(explored.random), "explored": 1}
    for name, each in named:
        if each is None:
            kept = f"none of {counts[name]} keeps the accuracy" if counts[name] else "none fits"
            lines.append(f"best {name}: {kept}.")
        else:
            lines.append(
                f"best {name}: {each.candidate.formats} with {each.candidate.numbers} activations, "
                f"{each.value(goal):,.0f} {goal.unit} predicted, {100 * each.accuracy:.2f} %."
            )
    if request.per == "channel":
        lines.append(_cut(explored.points[0].candidate.versions))
    word = "beats" if explored.beats else "does not beat"
    lines.append(
        f"By prediction the best explored point {word} every uniform format that fits and the best "
        f"of {len(explored.random)} random assignments."
    )
    return lines


def _cut(versions: Versions) -> str:
    """Return which layers have channels of several widths, and which cannot have them."""
    own = [name for name in versions.names if name in versions.orders]
    others = [name for name in versions.names if name not in versions.orders]
    text = f"channels may have widths of their own in {', '.join(own)}"
    if others:
        text += f"; one width each have {', '.join(others)}, whose channels cannot be sorted by it"
    return f"{text}."


def _figure(explored: Explored, rows: Sequence[ResultRow]) -> Figure:
    """Return accuracy against the objective: what was measured, predicted, and compared."""
    goal, marks = explored.request.goal, []
    for number, each in enumerate(explored.measured):
        if each.value is not None:
            place = each.value, 100 * each.point.accuracy
            marks.append(("explored", Mark(number, *place, size=9)))
    start = len(explored.measured)
    for kind, symbol, points in (
        ("uniform", "square", explored.uniform),
        ("random", "diamond", explored.random),
    ):
        for number, point in enumerate(points, start):
            place = point.value(goal), 100 * point.accuracy
            label = point.candidate.formats if kind == "uniform" else ""
            marks.append((kind, Mark(number, *place, symbol=symbol, hollow=True, label=label)))
        start += len(points)
    series: dict[str, list[Mark]] = {}
    for _, mark in marks:
        series.setdefault(rows[mark.row].weight, []).append(mark)
    on = [(each.value or 0.0, 100 * each.point.accuracy) for each in _on_front(explored)]
    xs, ys = [mark.x for _, mark in marks], [mark.y for _, mark in marks]
    least = 100 * explored.least_accuracy
    x_range = spread(xs, log=True) if xs else None
    level = tuple((x, least) for x in x_range or (1.0, 2.0))
    panel = Panel(
        title=f"{explored.request.target}",
        note="",
        target=explored.request.target,
        series=tuple(Series(name, tuple(each)) for name, each in series.items()),
        lines=(
            *((Line("front", tuple(sorted(on))),) if on else ()),
            Line("level", level, label="least accuracy", place=level[-1]),
        ),
        x_range=x_range,
        y_range=spread([*ys, least], log=False) if ys else None,
    )
    return Figure(
        name=NAME,
        title="Accuracy against what was wanted",
        caption="Accuracy on validation images. Filled: placed and routed, simulated on test "
        "images. Hollow: predicted. The line is the front of what was measured.",
        x=Axis(goal.title, goal.name, log=True),
        y=Axis("accuracy, %", "accuracy_percent"),
        panels=(panel,) if marks else (),
        symbols=(
            ("circle", False, "explored"),
            ("square", True, "uniform format"),
            ("diamond", True, "random widths"),
        ),
        missing="narrowgauge explore",
    )


def write_rows(explored: Explored, folder: Path) -> list[ResultRow]:
    """Write the rows, and return them."""
    rows = rows_of(explored)
    write_results(rows, folder, NAME)
    return rows


def write(explored: Explored, folder: Path) -> list[str]:
    """Write rows, table, figure and page; return the files' names."""
    rows = write_rows(explored, folder)
    figure = _figure(explored, rows)
    source = folder / f"{NAME}.json"
    digest = sha256(source.read_bytes()).hexdigest()
    if figure.panels:
        draw(figure, folder)
    files = [ResultsFile(source, digest, tuple(rows))]
    write_atomically(
        folder / f"{NAME}.html", page("Explored widths", rows, files, [figure], {NAME: {}})
    )
    write_atomically(folder / f"{NAME}.md", _markdown(explored))
    return [name for name in FILES if (folder / name).exists()]


def _markdown(explored: Explored) -> str:
    """Return table and verdict in Markdown."""
    heads = _heads(explored)
    lines = [heads, ["---"] * len(heads), *_lines(explored)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n" + "\n\n".join(verdict(explored)) + "\n"
