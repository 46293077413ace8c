"""The roofline: peak rate against arithmetic intensity, below what memory and logic allow.

Williams, Waterman and Patterson, "Roofline", CACM 2009. The memory is the block RAM of the device:
all its bits a cycle, at the fastest clock that was measured there. An array above that slope was
measured alone, and block RAM could not feed it. A limit of logic is the device filled with one
format's cheapest MAC at its own clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...hw.synth.targets import TARGETS, Target
from .figure import Axis, Figure, Line, Mark, Panel, Series, key, spread
from .formats import order
from .quantities import area, intensity, kind, peak, sustained

__all__ = ["memory_bits", "roofline"]

Row = dict[str, Any]

_APART = 0.05  # share of the axis that labels need to stand apart


def memory_bits(target: Target) -> int:
    """Return the bits that the memory blocks of a device give a cycle, one port of each read.

    >>> from narrowgauge.hw.synth.targets import target
    >>> memory_bits(target("up5k"))  # 30 block RAMs and 4 single-port RAMs of 16 bits
    544
    """
    widest = max((width for width, _ in target.family.bram_shapes), default=0)
    return target.budget.get("bram", 0) * widest + target.budget.get("spram", 0) * 16


def roofline(rows: Sequence[Row]) -> Figure:
    """Return the roofline of each device with a known memory."""
    panels = []
    for name in dict.fromkeys(row["target"] for row in rows if peak(row) and "target" in row):
        if name in TARGETS and memory_bits(TARGETS[name]):
            panels.append(_Roof(rows, TARGETS[name]).panel())
    return Figure(
        name="roofline",
        title="Roofline",
        caption="Peak rate against arithmetic intensity: multiply-accumulates for each bit of "
        "weights and activations fetched from on-chip memory, rows * columns / (columns * weight "
        "bits + rows * activation bits). The slope is what all block RAM of the device delivers at "
        "the fastest clock measured there: it could not feed an array above. A horizontal line is "
        "the device filled with the cheapest measured MAC of a format. Bars reach down to what the "
        "network used of the peak.",
        x=Axis("MAC per bit fetched", "macs_per_bit", log=True),
        y=Axis("peak GMAC/s", "peak_gmacs", log=True),
        panels=tuple(panels),
        symbols=key(panels, (("square", "array"), ("diamond", "accelerator of a network"))),
        missing="narrowgauge run",
    )


@dataclass(frozen=True)
class _Roof:
    rows: Sequence[Row]
    target: Target

    def panel(self) -> Panel:
        series = list(self._series())
        limits = self._limits()
        marks = [mark for entry in series for mark in entry.marks]
        slope = self._slope()
        heights = [value for mark in marks for value in (mark.y, mark.low) if value]
        top = max([*limits.values(), *heights])
        lowest = min([*limits.values(), *heights])
        ridges = [limit / slope for limit in (*limits.values(), top)]
        x_range = spread([*(mark.x for mark in marks), *ridges], log=True, margin=0.2)
        y_range = lowest / 2, 2.5 * top
        ends = x_range[0], min(x_range[1], y_range[1] / slope)
        memory = Line("roof", tuple((x, slope * x) for x in ends))
        return Panel(
            title=self.target.name,
            note=f"block RAM: {memory_bits(self.target):,} bits a cycle, {self._clock():.0f} MHz",
            target=self.target.name,
            series=tuple(series),
            lines=(memory, *_labelled(limits, slope, x_range, y_range)),
            x_range=x_range,
            y_range=y_range,
        )

    def _mine(self) -> Iterable[tuple[int, Row]]:
        for number, row in enumerate(self.rows):
            if row.get("target") == self.target.name and peak(row) is not None:
                yield number, row

    def _clock(self) -> float:
        return max(row.get("fmax_mhz_max", row["fmax_mhz"]) for _, row in self._mine())

    def _slope(self) -> float:
        """Return GMAC/s at one MAC a bit."""
        return memory_bits(self.target) * self._clock() / 1000

    def _series(self) -> Iterable[Series]:
        shown = [(number, row) for number, row in self._mine() if intensity(row) is not None]
        for name in sorted({row["weight"] for _, row in shown}, key=order):
            marks = [
                Mark(
                    row=number,
                    x=intensity(row) or 0.0,
                    y=peak(row) or 0.0,
                    symbol="diamond" if kind(row) == "network" else "square",
                    hollow=row.get("multiplier") == "block",
                    size=8,
                    low=sustained(row),
                )
                for number, row in shown
                if row["weight"] == name
            ]
            yield Series(name, tuple(marks))

    def _limits(self) -> dict[str, float]:
        """Return GMAC/s of the device full of the best MAC of each format."""
        limits: dict[str, float] = {}
        for _, row in self._mine():
            cells, rate = area(row), peak(row)
            if kind(row) != "MAC" or not cells or cells < 0 or rate is None:
                continue
            if row.get("multiplier") == "block" or row.get("dsp"):
                continue  # what fills the device is its logic
            full = rate * self.target.budget["lut"] / cells
            limits[row["weight"]] = max(full, limits.get(row["weight"], 0))
        return limits


def _labelled(
    limits: dict[str, float],
    slope: float,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> Iterable[Line]:
    """Return a line for each limit, labelled to the left of the slope, where nothing else is."""
    apart = (y_range[1] / y_range[0]) ** _APART
    height = 0.0
    for name, limit in sorted(limits.items(), key=lambda entry: entry[1]):
        height = max(limit, height * apart)
        corners = ((limit / slope, limit), (x_range[1], limit))
        yield Line("roof", corners, name, name, (height / slope, height), "left")
