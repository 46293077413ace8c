"""Figures of the study ``tostado2019``: heat maps over exponent and mantissa, and curves."""

from collections.abc import Callable
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from ..drawing import drawn
from ..evidence import FEWEST_SEEDS, select
from ..study import Rows, StudyFigure
from .plan import DROPOUT, EXPONENTS, KINDS, MANTISSAS
from .rounded import ROUNDINGS
from .winners import chosen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURES", "lost"]

WORST = 10.0  # points from which a cell has the darkest colour
BITS = range(2, 9)


def lost(rows: Rows) -> tuple[float, float] | None:
    """Return the mean of the points that rounding costs, and their standard deviation over seeds.

    None where there are fewer than three seeds.
    """
    if len(rows) < FEWEST_SEEDS:
        return None
    each = []
    for row in rows:
        one: dict[str, Any] = row
        change = (sum(one["lost"]) - sum(one["gained"])) / len(one["right"])
        each.append(100 * change / one["images"])
    return mean(each), stdev(each)


def _heat(dropout: float) -> Callable[[Rows], bytes]:
    def draw(rows: Rows) -> bytes:
        kinds = [kind for kind in KINDS if select(rows, part="accuracy", kind=kind)]

        def fill(grid: "list[list[Axes]]") -> None:
            for row, kind in zip(grid, kinds, strict=False):  # an empty row where there are none
                for place, rounding in zip(row, ROUNDINGS, strict=True):
                    wanted = {"kind": kind, "dropout": dropout, "rounding": rounding}
                    _map(place, select(rows, part="accuracy", **wanted), f"{kind}, {rounding}")

        return _drawn(len(kinds), len(ROUNDINGS), fill)

    return draw


def _drawn(rows: int, columns: int, fill: "Callable[[list[list[Axes]]], None]") -> bytes:
    return drawn(rows, columns, (4.2 * max(columns, 1), 2.9 * max(rows, 1)), fill)


def _map(axes: "Axes", rows: Rows, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xticks(list(MANTISSAS))
    axes.set_yticks(list(EXPONENTS))
    axes.set_xlim(-0.5, max(MANTISSAS) + 0.5)
    axes.set_ylim(-0.5, max(EXPONENTS) + 0.5)
    axes.set_xlabel("m")
    axes.set_ylabel("e")
    grid = [[float("nan")] * len(MANTISSAS) for _ in EXPONENTS]
    for e in EXPONENTS:
        for m in MANTISSAS:
            found = lost(select(rows, e=e, m=m))
            if found is None:
                continue
            grid[e][m] = found[0]
            dark = found[0] > 0.6 * WORST
            text = f"{found[0]:.1f}" if abs(found[0]) < 9.95 else f"{found[0]:.0f}"
            more = f"\n±{found[1]:.1f}"
            axes.text(
                m, e, text + more, ha="center", va="center", fontsize=5.5,
                color="white" if dark else "black",
            )  # fmt: skip
    axes.imshow(grid, origin="lower", cmap="cividis_r", vmin=0, vmax=WORST, aspect="auto")


def _curves(rows: Rows) -> bytes:
    kinds = [kind for kind in KINDS if select(rows, part="accuracy", kind=kind)]

    def fill(grid: "list[list[Axes]]") -> None:
        for place, kind in zip(grid[0], kinds, strict=False):
            for dropout, line in zip(DROPOUT, ("-", "--"), strict=True):
                for rounding, colour in zip(
                    ROUNDINGS, ("#0072b2", "#d55e00", "#009e73"), strict=True
                ):
                    _curve(place, rows, kind, dropout, rounding, f"{colour}{line}")
            place.set_title(kind, fontsize=9)
            place.set_xlabel("bits of a weight, its sign among them")
            place.set_ylabel("points lost")
            place.set_yscale("symlog", linthresh=1)
            place.set(xlim=(BITS[0] - 0.5, BITS[-1] + 0.5), xticks=BITS, ylim=(100, -1))
            place.grid(alpha=0.25)
            place.legend(fontsize=6)

    return _drawn(1, len(kinds), fill)


def _curve(axes: "Axes", rows: Rows, kind: str, dropout: float, rounding: str, style: str) -> None:
    points = []
    for bits in BITS:
        best = chosen(rows, kind, dropout, bits)
        if best is not None:
            wanted = {"kind": kind, "dropout": dropout, "rounding": rounding}
            found = lost(select(rows, part="accuracy", e=best[0], m=best[1], **wanted))
            if found is not None:
                points.append((bits, *found))
    if points:
        bits, middle, spread = zip(*points, strict=True)
        label = f"{rounding}{', dropout' if dropout else ''}"
        colour, line = style[:7], style[7:]
        axes.errorbar(
            bits, middle, spread, color=colour, linestyle=line, label=label, capsize=2, lw=1
        )


_CELLS = (
    "Points of accuracy lost by rounding weights to `eEmM`, the mean over seeds and ± their "
    "standard deviation (over seeds of the mean of ten draws where rounding is stochastic); "
    "formats without a number have fewer than three seeds"
)
FIGURES = (
    StudyFigure("heat", f"{_CELLS}. Trained without dropout", _heat(DROPOUT[0])),
    StudyFigure("heat-dropout", f"{_CELLS}. Trained with dropout", _heat(DROPOUT[1])),
    StudyFigure(
        "curves",
        "Points lost by the best format of each width, chosen in validation with rounding to the "
        "nearest; bars are standard deviations over seeds",
        _curves,
    ),
)
