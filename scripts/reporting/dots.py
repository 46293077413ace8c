"""The figures with a format at each step of the x axis: cost, throughput, clock."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import log2
from typing import Any

from ..rows.row import ResultRow
from .figure import BLOCK_CLOCKS, Axis, Figure, Line, Mark, Panel, Series, key, spread
from .palette import bits, order
from .quantities import KINDS, cost, density, drawn, has_range, in_blocks, kind

__all__ = ["clock", "costs", "throughput"]

_WIDTH = 0.62  # what the marks of a format take of its step
_ACCUMULATORS = {16: "circle", 32: "square"}
_SYMBOLS: dict[str, str] = dict(zip(KINDS, ("circle", "square", "diamond"), strict=True))
_MEANINGS = (
    ("circle", "one MAC"),
    ("square", "array"),
    ("diamond", "accelerator of a network"),
)


@dataclass(frozen=True)
class _Dots:
    """Marks of a figure.

    Attributes
    ----------
    value : callable
        Height of a row's mark.
    symbol : callable
        Its symbol.
    place : callable
        What decides where in the format's step it stands: rows that agree stand above each other.
    ends : tuple of callables
        Lower and upper end of its bar, where its clock has a range.
    """

    value: Callable[[ResultRow], float | None]
    symbol: Callable[[ResultRow], str]
    place: Callable[[ResultRow], tuple[Any, ...]]
    ends: tuple[Callable[[ResultRow], float | None], ...] = (lambda row: None, lambda row: None)

    def shows(self, row: ResultRow) -> bool:
        """Return whether the row has a mark."""
        return drawn(row) and self.value(row) is not None

    def panels(
        self, rows: Sequence[ResultRow], formats: Sequence[str], *, log: bool
    ) -> list[Panel]:
        """Return a panel for each device, of the rows that have a mark."""
        shown = [number for number, row in enumerate(rows) if self.shows(row)]
        panels = []
        for target in dict.fromkeys(rows[number].target or "" for number in shown):
            here = [number for number in shown if rows[number].target == target]
            series = [
                Series(name, tuple(self._marks(rows, mine, step)))
                for step, name in enumerate(formats)
                if (mine := [number for number in here if rows[number].weight == name])
            ]
            panels.append(
                Panel(
                    title=target,
                    note="" if any(rows[n].routed for n in here) else "not routed",
                    target=target,
                    series=tuple(series),
                    lines=tuple(_stems(series)),
                    x_range=(-0.6, len(formats) - 0.4),
                    y_range=spread(_heights(series), log=log),
                )
            )
        return panels

    def _marks(self, rows: Sequence[ResultRow], mine: Sequence[int], step: int) -> Iterable[Mark]:
        def place(number: int) -> tuple[Any, ...]:
            return self.place(rows[number])

        groups = [list(group) for _, group in groupby(sorted(mine, key=place), key=place)]
        gap = min(_WIDTH / len(groups), 0.16)
        for index, group in enumerate(groups):
            for number in group:
                row = rows[number]
                low, high = (end(row) if has_range(row) else None for end in self.ends)
                yield Mark(
                    row=number,
                    x=step + (index - (len(groups) - 1) / 2) * gap,
                    y=self.value(row) or 0.0,
                    symbol=self.symbol(row),
                    hollow=in_blocks(row),
                    size=6 + 0.9 * log2(row.lanes or 1) if kind(row) == "MAC" else 7,
                    low=low,
                    high=high,
                )


def costs(rows: Sequence[ResultRow]) -> Figure:
    """Return the cost of one MAC against the bits of a weight."""
    dots = _Dots(
        value=lambda row: cost(row) if kind(row) == "MAC" and (cost(row) or 0) > 0 else None,
        symbol=lambda row: _ACCUMULATORS.get(row.accumulator_bits or 0, "diamond"),
        place=lambda row: (row.accumulator_bits or 0, in_blocks(row)),
    )
    free = sum(kind(row) == "MAC" and cost(row) is not None and not dots.value(row) for row in rows)
    return _figure(
        *(rows, dots, Axis("LUT per lane", "lut_per_mac", log=True)),
        name="cost",
        title="Cost of a multiply-accumulate",
        caption="LUTs of one multiply-accumulate unit, with its accumulator and without the shell "
        "around it, divided by its lanes. Larger marks have more lanes; lanes share one "
        "accumulator, and a line joins them. DSP blocks are not counted. LUTs of different "
        "families differ in what they hold: compare within a panel."
        + (f" Without a LUT, and so only in the table: {free}." if free else ""),
        meanings=(
            ("circle", "16-bit accumulator"),
            ("square", "32-bit accumulator"),
            ("diamond", "accumulator of another width"),
        ),
        missing="narrowgauge compare macs",
    )


def throughput(rows: Sequence[ResultRow]) -> Figure:
    """Return the throughput of 1000 LUTs."""
    dots = _Dots(
        value=density,
        symbol=lambda row: _SYMBOLS[kind(row)],
        place=_in_turn,
        ends=(_slowest, _fastest),
    )
    return _figure(
        *(rows, dots, Axis("GMAC/s per 1000 LUT", "gmacs_per_klut", log=True)),
        name="throughput",
        title="Throughput for the area",
        caption="Peak rate of 1000 LUTs: every slot used in every cycle, at the median clock; bars "
        "are those of the slowest and the fastest placement. A MAC alone pays for no memory and no "
        "control, the accelerator of a network pays for both. What multiplies in blocks of the "
        "device is left out: there are too few blocks for such a rate.",
        meanings=_MEANINGS,
        missing="narrowgauge run",
    )


def clock(rows: Sequence[ResultRow]) -> Figure:
    """Return the clock frequencies, with their spread."""
    dots = _Dots(
        value=lambda row: row.fmax_mhz,
        symbol=lambda row: _SYMBOLS[kind(row)],
        place=_in_turn,
        ends=(lambda row: row.fmax_mhz_min, lambda row: row.fmax_mhz_max),
    )
    return _figure(
        *(rows, dots, Axis("Fmax, MHz", "fmax_mhz")),
        name="clock",
        title="Clock frequency and its spread",
        caption="Highest clock frequency after place and route: the median of the seeds, and a bar "
        "from the slowest seed to the fastest. The axes do not begin at zero."
        + (BLOCK_CLOCKS if any(map(in_blocks, rows)) else ""),
        meanings=_MEANINGS,
        missing="narrowgauge run",
    )


def _figure(
    rows: Sequence[ResultRow],
    dots: _Dots,
    y: Axis,
    *,
    meanings: tuple[tuple[str, str], ...],
    caption: str,
    **texts: str,
) -> Figure:
    formats = sorted({row.weight for row in rows if dots.shows(row)}, key=order)
    others = [row.structure or "" for row in rows if not drawn(row) and dots.value(row) is not None]
    if others:
        names = " and ".join(f"{name}s" for name in dict.fromkeys(others))
        caption += f" Popcounts are those that narrowgauge builds: {names} are only in the table."
    panels = dots.panels(rows, formats, log=y.log)
    if y.log:  # lengths on a logarithmic axis are ratios, so one range for all devices shows more
        limits = [limit for panel in panels for limit in panel.y_range or ()]
        panels = [replace(panel, y_range=(min(limits), max(limits))) for panel in panels]
    ticks = tuple((name, str(bits(name) or "")) for name in formats)
    return Figure(
        x=Axis("weights, and their bits", "weight_bits", ticks=ticks),
        y=y,
        caption=caption,
        panels=tuple(panels),
        symbols=key(panels, meanings),
        **texts,
    )


def _slowest(row: ResultRow) -> float | None:
    return density(row, row.fmax_mhz_min)


def _fastest(row: ResultRow) -> float | None:
    return density(row, row.fmax_mhz_max)


def _in_turn(row: ResultRow) -> tuple[Any, ...]:
    """Sort what was measured from small to large, each at a place of its own."""
    size = [each or 0 for each in (row.rows, row.columns, row.lanes, row.accumulator_bits)]
    return (KINDS.index(kind(row)), in_blocks(row), *size, row.network or "")


def _stems(series: Iterable[Series]) -> Iterable[Line]:
    """Join the marks of a format that stand above each other."""
    for entry in series:
        for _, column in groupby(entry.marks, key=lambda mark: mark.x):
            heights = [(mark.x, mark.y) for mark in column]
            if len(heights) > 1:
                ends = min(heights), max(heights)
                yield Line("stem", ends, entry.format)


def _heights(series: Iterable[Series]) -> list[float]:
    marks = [mark for entry in series for mark in entry.marks]
    return [value for mark in marks for value in (mark.y, mark.low, mark.high) if value is not None]
