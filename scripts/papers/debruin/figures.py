"""Figures of the study ``debruin2020``: accuracy against the width of the accumulator."""

from typing import TYPE_CHECKING

from ..drawing import drawn
from ..evidence import select
from ..study import Rows, StudyFigure
from .claims import float_row, number, share
from .subjects import SUBJECTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURES"]

COLOURS = {
    "as it is": "#999999",
    "rounded": "#0072b2",
    "a2q+": "#d55e00",
    "a2q": "#e69f00",
    "projected": "#56b4e9",
    "plain": "#009e73",
}
MARKS = {"type": "v", "l1": "<", "exact": "o", "calibrated": "x"}


def _curve(axes: "Axes", rows: Rows, network: str) -> None:
    for name, colour in COLOURS.items():
        part = name if name in ("as it is", "rounded") else "trained"
        wanted = {} if part != "trained" else {"method": name}
        found = select(rows, part=part, network=network, **wanted)
        bits = sorted({number(row, "bits") for row in found})
        shares = [[share(row) for row in select(found, bits=each)] for each in bits]
        if not found:
            continue
        labels = {"as it is": "8 bits as they are, wrapping", "rounded": "rounded, untrained"}
        axes.errorbar(
            bits,
            [sum(each) / len(each) for each in shares],
            [(max(each) - min(each)) / 2 for each in shares],
            marker=".", lw=1, color=colour, capsize=2,
            label=labels.get(name, f"trained, {name}"),
        )  # fmt: skip
    for bound, mark in MARKS.items():
        found = [
            row
            for row in select(rows, part="searched", network=network, bound=bound)
            if "refused" not in row
        ]
        if found:
            points = [number(row, "bits") for row in found], [share(row) for row in found]
            label = f"searched, {bound}"
            axes.scatter(*points, marker=mark, s=18, color="#cc79a7", label=label)
    base = float_row(rows, network)
    if base is not None:
        axes.axhline(share(base), color="grey", lw=0.8, ls=":")
    axes.set_title(network, fontsize=9)
    axes.set_xlabel("accumulator, bits")
    axes.set_ylabel("right, % of test images")
    axes.grid(alpha=0.25)


def _draw(rows: Rows) -> bytes:
    def draw(grid: "list[list[Axes]]") -> None:
        for axes, network in zip(grid[0], SUBJECTS, strict=True):
            _curve(axes, rows, network)

    return drawn(1, len(SUBJECTS), (9.0, 3.4), draw, legend=True)


FIGURES = (
    StudyFigure(
        "curves",
        "Accuracy against the bits of the accumulator, in the mean over seeds with their range; "
        "float networks as dotted lines",
        _draw,
    ),
)
