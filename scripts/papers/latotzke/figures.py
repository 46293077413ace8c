"""Figures of the study ``latotzke2022``: accuracy against memory, and against images/s."""

from typing import TYPE_CHECKING

from ..answers import answers
from ..drawing import drawn
from ..evidence import select
from ..study import Rows, StudyFigure
from .claims import best, images_per_second, one
from .plan import ARRAYS, BAR, FAST, MEANS, MIXED, RESNET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURES"]

COLOURS = {
    "uniform": "#0072b2",
    "layers": "#d55e00",
    "channels": "#009e73",
    FAST: "#cc79a7",
    BAR: "#e69f00",
}


def _memory(axes: "Axes", rows: Rows) -> None:
    for by, colour in COLOURS.items():
        for trained, line in ((False, "--"), (True, "-")):
            found = select(rows, part="accuracy", network=RESNET, by=by, trained=trained, draw=None)
            points = sorted(
                (float(row["bits"]) / 8000, 100 * float(answers(row).mean()))  # type: ignore[arg-type]
                for row in found
            )
            if points:
                label = f"{by}, {'trained' if trained else 'after training'}"
                axes.plot(*zip(*points, strict=True), line, marker="o", ms=3, color=colour, lw=1,
                          label=label)  # fmt: skip
    axes.set_xlabel("weights, kB")
    _finished(axes, rows)


def _speed(axes: "Axes", rows: Rows) -> None:
    marks = dict(zip(ARRAYS, ("o", "s", "^"), strict=True))
    for array, mark in marks.items():
        points = []
        for by, mean in [*(("uniform", width) for width in (2, 3, 4, 6, 8)), *_mixed()]:
            name = f"int{mean}" if by == "uniform" else by
            row, rate = best(rows, by, mean), images_per_second(rows, array, name)
            if row is not None and rate is not None:
                points.append((rate, 100 * float(answers(row).mean()), name))
        for index, (rate, share, name) in enumerate(points):
            below = index % 2 and name not in (MIXED, FAST, BAR)  # neighbours are close
            offset = (3, -9) if below else (3, 3)
            axes.annotate(
                name, (rate, share), fontsize=6, xytext=offset, textcoords="offset points"
            )
        if points:
            axes.scatter([point[0] for point in points], [point[1] for point in points],
                         marker=mark, s=16, label=array)  # fmt: skip
    axes.set_xlabel("images/s")
    _finished(axes, rows)


def _mixed() -> list[tuple[str, float]]:
    return [(MIXED, MEANS[1]), (FAST, MEANS[1]), (BAR, MEANS[1])]


def _finished(axes: "Axes", rows: Rows) -> None:
    base = one(rows, part="accuracy", network=RESNET, by="float")
    if base is not None:
        axes.axhline(100 * float(answers(base).mean()), color="grey", lw=0.8, ls=":")
    axes.set_ylabel("right, % of test images")
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6)


def _draw(rows: Rows) -> bytes:
    def draw(grid: "list[list[Axes]]") -> None:
        left, right = grid[0]
        _memory(left, rows)
        _speed(right, rows)

    return drawn(1, 2, (9.0, 3.4), draw)


FIGURES = (
    StudyFigure(
        "curves",
        "Accuracy against memory of the weights, and against images/s of the routed arrays, with "
        "the float network as a dotted line; images/s are of the network's own cycles on the array "
        "that is marked, with its accuracy trained or not, whichever is better in validation",
        _draw,
    ),
)
