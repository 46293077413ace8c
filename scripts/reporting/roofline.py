"""The roofline: peak rate against arithmetic intensity, below what memory and logic allow.

Williams, Waterman and Patterson, "Roofline", CACM 2009. The memory is the block RAM of the device:
all its bits a cycle, at the fastest clock of a design with block RAM. An array above that slope
was measured alone, and block RAM could not feed it. A limit of logic is the device filled with one
format's cheapest MAC at its own clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from statistics import fmean

from ...hw.synth.targets import TARGETS, Target
from ..rows.row import ResultRow
from .figure import BLOCK_CLOCKS, Axis, Figure, Line, Mark, Panel, Series, key, spread
from .palette import order
from .quantities import area, drawn, in_blocks, intensity, kind, peak, sustained

__all__ = ["memory_bits", "roofline", "spaced"]

_APART = 0.055  # share of the y axis that labels need to stand apart
_LEADER, _LABEL = 0.05, 0.24  # shares of the x axis, to the right of the lines


def memory_bits(target: Target) -> int:
    """Return the bits that the memory blocks of a device give a cycle, one port of each read.

    >>> from narrowgauge.hw.synth.targets import target
    >>> memory_bits(target("up5k"))  # 30 block RAMs and 4 single-port RAMs of 16 bits
    544
    """
    widest = max((width for width, _ in target.family.bram_shapes), default=0)
    return target.budget.get("bram", 0) * widest + target.budget.get("spram", 0) * 16


def roofline(rows: Sequence[ResultRow]) -> Figure:
    """Return the roofline of each device with a known memory."""
    names = dict.fromkeys(row.target for row in rows if peak(row) and row.target is not None)
    targets = [TARGETS[name] for name in names if name in TARGETS]
    panels = [_Roof(rows, target).panel() for target in targets if memory_bits(target)]
    shown = [panel for panel in panels if panel]
    return Figure(
        name="roofline",
        title="Roofline",
        caption="Peak rate against arithmetic intensity: multiply-accumulates for each bit of "
        "weights and activations fetched from on-chip memory, rows * columns / (columns * weight "
        "bits + rows * activation bits). The slope is what all block RAM of the device delivers: "
        "it could not feed an array above. Its clock is the fastest of a design with block RAM or, "
        "where none was measured, of a lone MAC, which no accelerator reaches. A horizontal line "
        "is the device filled with the cheapest measured MAC of a format, in logic. Bars reach "
        "down to what the network used of the peak."
        + (BLOCK_CLOCKS if any(in_blocks(row) and intensity(row) for row in rows) else ""),
        x=Axis("MAC per bit fetched", "macs_per_bit", log=True),
        y=Axis("peak GMAC/s", "peak_gmacs", log=True),
        panels=tuple(shown),
        symbols=key(shown, (("square", "array"), ("diamond", "accelerator of a network"))),
        missing="narrowgauge run",
    )


@dataclass(frozen=True)
class _Roof:
    rows: Sequence[ResultRow]
    target: Target

    def panel(self) -> Panel | None:
        """Return the panel of the device; None where there is nothing to draw in it."""
        series = tuple(self._series())
        limits = self._limits()
        marks = [mark for entry in series for mark in entry.marks]
        heights = [
            *limits.values(),
            *(value for mark in marks for value in (mark.y, mark.low) if value),
        ]
        if not heights:
            return None
        clock, note = self._clock()
        slope = memory_bits(self.target) * clock / 1000  # GMAC/s at one MAC a bit
        ridges = [limit / slope for limit in (*limits.values(), max(heights))]
        x_range = left, right = spread([*(mark.x for mark in marks), *ridges], log=True, margin=0.1)
        y_range = min(heights) / 2, 2.5 * max(heights)
        lines = list(_labelled(limits, slope, x_range, y_range))
        places = [line.place[1] for line in lines if line.label]
        memory = Line("roof", tuple((x, slope * x) for x in x_range))
        return Panel(
            title=self.target.name,
            note=f"block RAM: {memory_bits(self.target):,} bits at {clock:.0f} MHz{note}",
            target=self.target.name,
            series=series,
            lines=(memory, *lines),
            x_range=(left, right * (right / left) ** (_LABEL if limits else 0)),
            y_range=(min([y_range[0], *places]), max([y_range[1], *places])),
        )

    def _mine(self) -> Iterable[tuple[int, ResultRow]]:
        for number, row in enumerate(self.rows):
            if row.target == self.target.name and drawn(row) and peak(row) is not None:
                yield number, row

    def _clock(self) -> tuple[float, str]:
        """Return the fastest clock with block RAM; or without, and what it is of."""
        mine = [row for _, row in self._mine()]
        fed = [row for row in mine if row.bram]
        clocks = [(row.fmax_mhz_max or row.fmax_mhz or 0.0, kind(row)) for row in fed or mine]
        clock, fastest = max(clocks)
        return clock, "" if fed else f" (lone {fastest})"

    def _series(self) -> Iterable[Series]:
        shown = [(number, row) for number, row in self._mine() if intensity(row) is not None]
        for name in sorted({row.weight for _, row in shown}, key=order):
            marks = [
                Mark(
                    row=number,
                    x=intensity(row) or 0.0,
                    y=peak(row) or 0.0,
                    symbol="diamond" if kind(row) == "network" else "square",
                    hollow=in_blocks(row),
                    size=8,
                    low=sustained(row),
                )
                for number, row in shown
                if row.weight == name
            ]
            yield Series(name, tuple(marks))

    def _limits(self) -> dict[str, float]:
        """Return GMAC/s of the device full of the best MAC of each format."""
        limits: dict[str, float] = {}
        for _, row in self._mine():
            cells, rate = area(row), peak(row)
            if kind(row) != "MAC" or not cells or cells < 0 or rate is None:
                continue
            if in_blocks(row) or row.dsp:
                continue  # what fills the device is its logic
            full = rate * self.target.budget["lut"] / cells
            limits[row.weight] = max(full, limits.get(row.weight, 0))
        return limits


def _labelled(
    limits: dict[str, float],
    slope: float,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> Iterable[Line]:
    """Return a line for each limit, and a leader from its right end to its label."""
    names = sorted(limits, key=lambda name: limits[name])
    left, right = x_range
    end = right * (right / left) ** _LEADER
    heights = spaced(
        [log10(limits[name]) for name in names], _APART * log10(y_range[1] / y_range[0])
    )
    for name, height in zip(names, heights, strict=True):
        limit, place = limits[name], (end, 10**height)
        yield Line("roof", ((limit / slope, limit), (right, limit)), name, name, place, "right")
        yield Line("leader", ((right, limit), place), name)


def spaced(heights: Sequence[float], gap: float) -> list[float]:
    """Return heights at least ``gap`` apart, as near to the sorted ones as can be (least squares).

    What is too near is pooled, and the pool stands around its mean: isotonic regression of what the
    heights are above an even spacing.

    >>> spaced([1.0, 5.0, 5.0, 9.0], gap=2)
    [1.0, 4.0, 6.0, 9.0]
    """
    pools: list[list[float]] = []
    for index, height in enumerate(heights):
        pools.append([height - index * gap])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    above = [fmean(pool) for pool in pools for _ in pool]
    return [height + index * gap for index, height in enumerate(above)]
