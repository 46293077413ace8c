"""The chart of what the energy of an image is made of, a bar for each format."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...hw.files import write_atomically
from ..rows.row import ResultRow
from .quantities import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GROUPS", "grouped", "write_energy_chart"]

GROUPS = ("array", "memories", "clock and registers", "ways in and out", "static and blocks")
"""What a bar is made of, from its left end."""
_COLOURS = ("#0072b2", "#e69f00", "#999999", "#56b4e9", "#333333")  # Okabe and Ito, and greys
_OF = {"array": 0, "clock": 2, "static": 4, "blocks": 4}
_MEMORY = ", block RAM", ", single-port RAM"


def grouped(parts: Mapping[str, float]) -> list[float]:
    """Return the parts of an energy in the groups of a bar; together they are as much.

    >>> grouped({"array": 2, "clock": 1, "feeder": 0.5, "feeder, block RAM": 0.25})
    [2.0, 0.25, 1.0, 0.5, 0.0]
    """
    found = [0.0] * len(GROUPS)
    for name, value in parts.items():
        found[1 if name.endswith(_MEMORY) else _OF.get(name, 3)] += value
    return found


def write_energy_chart(rows: Sequence[ResultRow], folder: Path) -> list[Path]:
    """Draw the energies as ``energy.png`` and ``energy.svg``; return their paths, none without one.

    A thin line holds all errors of the model, which move all bars together.
    """
    shown = [row for row in rows if row.energy_uj is not None]
    if not shown:
        return []
    import matplotlib  # here: the import takes half a second

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "narrowgauge", "font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(7.2, 1.9 + 0.5 * len(shown)), layout="constrained")
        _draw(axes, shown)
        handles, names = axes.get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=8
        )
        paths = []
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            image = io.BytesIO()
            figure.savefig(image, format=suffix, dpi=160, metadata=metadata)
            paths.append(folder / f"energy.{suffix}")
            write_atomically(paths[-1], image.getvalue())
        pyplot.close(figure)
    return paths


def _draw(axes: "Axes", shown: Sequence[ResultRow]) -> None:
    names = [label(row, shown) for row in shown]
    bars = [grouped(row.energy_parts or {}) for row in shown]
    begins = [0.0] * len(shown)
    for index, (group, colour) in enumerate(zip(GROUPS, _COLOURS, strict=True)):
        values = [bar[index] for bar in bars]
        axes.barh(range(len(shown)), values, left=begins, color=colour, label=group, height=0.62)
        begins = [begin + value for begin, value in zip(begins, values, strict=True)]
    for place, row in enumerate(shown):
        value, low, high = row.energy_uj or 0, row.energy_uj_low or 0, row.energy_uj_high or 0
        errors = [[value - low], [high - value]]
        axes.errorbar(value, place, xerr=errors, color="#444444", linewidth=0.8, capsize=2)
        axes.annotate(
            f"{value:.3g}",
            (high, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(row.energy_uj_high or 0 for row in shown))
    axes.set_xlabel(f"microjoules an image on {shown[0].target}, core, modelled")
    axes.set_title("What the energy of an image is made of", loc="left")
    axes.grid(alpha=0.25, axis="x")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
