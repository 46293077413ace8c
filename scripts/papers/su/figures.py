"""Figures of the study ``su2018``: accuracy against cost, and the roofline."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....hw.synth.targets import target as find_target
from ...pricing.costs import ArrayCost
from ...pricing.ranking import Contender, front
from ..drawing import drawn
from ..study import Rows, StudyFigure
from .claims import FAMILIES
from .plan import ELEMENTS, TARGETS
from .priced import BIPOLAR, BIPOLAR_8, BLOCK, FLOAT, contenders

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURES"]

COLOURS = {
    FLOAT: "#000000",
    "bf16": "#999999",
    "int8/uint8": "#0072b2",
    "int4/uint4": "#56b4e9",
    "int2/uint4": "#009e73",
    "int2/uint2": "#b2df8a",
    "pow2_4/uint8": "#cc79a7",
    BIPOLAR_8: "#e69f00",
    BIPOLAR: "#d55e00",
}
PANELS = [(dataset, family) for dataset, names in FAMILIES.items() for family in names]
FULL = 0.7  # of the device's logic cells
MEMORIES = (1, 8)
"""Gbit/s of memories outside."""


def _by_format(found: Sequence[Contender]) -> dict[str, list[Contender]]:
    return {
        fmt: sorted((each for each in found if each.format == fmt), key=lambda each: each.cost)
        for fmt in COLOURS
    }


def _panels(rows: Rows) -> list[tuple[str, str]]:
    """Return the data sets and families that there are networks of; all before the first one."""
    found = {(row["dataset"], row["family"]) for row in rows if row["part"] == "accuracy"}
    return [each for each in PANELS if each in found] or PANELS


def _draw_costs(rows: Rows) -> bytes:
    panels = _panels(rows)

    def draw(grid: "list[list[Axes]]") -> None:
        for axes, (dataset, family) in zip(grid[0], panels, strict=True):
            axes.set_title(f"{family}, {dataset}")
            found = contenders(rows, dataset, (family,))
            if not found:
                continue
            for fmt, own in _by_format(found).items():
                if own:
                    wrong = [100 * (1 - each.share.mean) for each in own]
                    errors = [100 * each.share.error for each in own]
                    axes.errorbar([each.cost for each in own], wrong, errors, marker="o", ms=3,
                                  lw=1, color=COLOURS[fmt], label=fmt)  # fmt: skip
            best = front(found)
            axes.plot([each.cost for each in best], [100 * (1 - each.share.mean) for each in best],
                      color="grey", lw=4, alpha=0.3, label="front", zorder=0)  # fmt: skip
            for target in TARGETS[dataset]:
                axes.axhline(100 - target, color="grey", lw=0.6, ls=":")
            axes.set(xscale="log", yscale="log")
            axes.set_xlabel("LUT us an image")
            axes.set_ylabel("wrong, % of held-out images")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")
            axes.grid(alpha=0.25, which="both")

    return drawn(1, len(panels), (11.0, 4.0), draw, legend=True)


def _draw_roofline(rows: Rows) -> bytes:
    logic, panels = FULL * find_target(ELEMENTS).budget["lut"], _panels(rows)

    def draw(grid: "list[list[Axes]]") -> None:
        for axes, (dataset, family) in zip(grid[0], panels, strict=True):
            axes.set_title(f"{family}, {dataset}")
            found = contenders(rows, dataset, (family,))
            if not found:
                continue
            for fmt, own in _by_format(found).items():
                costs: list[ArrayCost] = [each.fields["cost"] for each in own]
                if costs:
                    peak = _peak(costs[0], logic)
                    places = [each.intensity for each in costs]
                    axes.plot(places, [peak] * len(places), marker="o", ms=3, lw=1,
                              color=COLOURS[fmt], label=fmt)  # fmt: skip
            left, right = axes.get_xlim()
            left = max(left, 1e-2)
            for speed in MEMORIES:
                ends = [left, max(right, 2 * left)]
                axes.plot(ends, [speed * each for each in ends], color="grey", lw=1, ls="--",
                          label=f"{speed} Gbit/s of weights")  # fmt: skip
            axes.set(xscale="log", yscale="log")
            axes.set_xlabel("products for each bit of weights")
            axes.set_ylabel("products, 10⁹/s")
            axes.grid(alpha=0.25, which="both")

    return drawn(1, len(panels), (11.0, 4.0), draw, legend=True)


def _peak(cost: ArrayCost, logic: float) -> float:
    """Return the products of so many LUTs of elements, in 10**9 a second."""
    return logic / cost.element.per_slot(BLOCK) / 1000


FIGURES = (
    StudyFigure(
        "costs",
        "Share of held-out images that are wrong against what an image costs, by format: the "
        "array alone, DSP blocks priced, floats pipelined. Bars are standard errors, dotted lines "
        "the targets, and the broad line is the front of all formats",
        _draw_costs,
    ),
    StudyFigure(
        "roofline",
        f"Products a second of {ELEMENTS} with {100 * FULL:.0f} % of its logic cells in elements, "
        "against the products of an image for each bit of weights. A network left of a dashed line "
        "is limited by a memory of that speed outside the device, where weights are read once an "
        "image; with weights in block RAM it is not",
        _draw_roofline,
    ),
)
