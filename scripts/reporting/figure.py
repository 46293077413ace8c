"""A figure as data, which is drawn twice: interactive in the page, and as a picture.

A figure has a panel for each device. In a panel, marks are grouped by format, so that both filters
of the page show or hide whole things.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log10

__all__ = [
    "BLOCK_CLOCKS",
    "Axis",
    "Figure",
    "Line",
    "Mark",
    "Panel",
    "Series",
    "key",
    "log_ticks",
    "spread",
]


BLOCK_CLOCKS = (
    " With multipliers in blocks, clocks on Gowin leave out all paths through blocks, and those on "
    "the UP5K the paths inside blocks, which nextpnr does not analyse."
)
"""What must be said of clocks; docs/synthesis.md and docs/array.md say more."""

_STEPS = (  # up to so many decades, the steps of each
    (0.75, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)),
    (1.3, (1, 1.5, 2, 3, 5, 7)),
    (2.4, (1, 2, 5)),
    (3.4, (1, 3)),
)


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes
    ----------
    title : str
        What it shows, with its unit.
    column : str
        Name of the quantity in the CSV file.
    log : bool
        Whether it is logarithmic.
    ticks : tuple of (str, str)
        Names at 0, 1, 2, ..., and what stands in small letters under each; empty for numbers.
    """

    title: str
    column: str
    log: bool = False
    ticks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Mark:
    """One row, drawn.

    Attributes
    ----------
    row : int
        Its number among the report's rows.
    x, y : float
        Position.
    symbol : str
        ``circle``, ``square`` or ``diamond``.
    hollow : bool
        Whether only its outline is drawn.
    size : float
        Diameter in points.
    low, high : float or None
        Ends of a bar through the mark.
    label : str
        What is written at it.
    """

    row: int
    x: float
    y: float
    symbol: str = "circle"
    hollow: bool = False
    size: float = 7
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Series:
    """The marks of one format."""

    format: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Line:
    """A line through a panel.

    Attributes
    ----------
    role : str
        ``stem`` joins marks that differ in one thing; ``front`` is the Pareto front, ``roof``
        a limit, ``leader`` leads from it to its label, ``level`` is a reference.
    points : tuple of (float, float)
        Corners.
    format : str
        Format that it belongs to; empty where it belongs to the panel.
    label : str
        What is written at it.
    place : (float, float)
        Where the label stands.
    side : str
        On which side of that place: ``right``, or ``above`` and left.
    corners : bool
        Whether the format of the mark at each corner is written there.
    """

    role: str
    points: tuple[tuple[float, float], ...]
    format: str = ""
    label: str = ""
    place: tuple[float, float] = (0.0, 0.0)
    side: str = "above"
    corners: bool = False


@dataclass(frozen=True)
class Panel:
    """A part of a figure with axes of its own."""

    title: str
    note: str
    target: str
    series: tuple[Series, ...]
    lines: tuple[Line, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes
    ----------
    name : str
        Stem of its files.
    title, caption : str
        What it shows, and how to read it.
    x, y : Axis
        Axes of all panels.
    panels : tuple of Panel
        One a device, or a device and data set.
    symbols : tuple of (str, bool, str)
        Symbol, whether hollow, and what it means.
    missing : str
        Where there are no panels: the command that would measure what the figure shows.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    panels: tuple[Panel, ...]
    symbols: tuple[tuple[str, bool, str], ...]
    missing: str

    def marks(self) -> Iterator[tuple[Panel, Series, Mark]]:
        """Iterate over all marks."""
        for panel in self.panels:
            for series in panel.series:
                for mark in series.marks:
                    yield panel, series, mark


def spread(values: Iterable[float], *, log: bool, margin: float = 0.08) -> tuple[float, float]:
    """Return a range that holds all values, with a margin on both sides as a share of it.

    >>> spread([10, 1000], log=True, margin=0.5)
    (1.0, 10000.0)
    """
    found = [log10(value) if log else value for value in values]
    low, high = min(found), max(found)
    pad = (high - low) * margin or (0.3 if log else abs(high) * margin or 1)
    ends = low - pad, high + pad
    return (10 ** ends[0], 10 ** ends[1]) if log else ends


def key(
    panels: Iterable[Panel], meanings: Iterable[tuple[str, str]]
) -> tuple[tuple[str, bool, str], ...]:
    """Return what the symbols mean that were drawn; a hollow one is in DSP blocks."""
    marks = [mark for panel in panels for series in panel.series for mark in series.marks]
    used = {mark.symbol for mark in marks}
    found = [(symbol, False, text) for symbol, text in meanings if symbol in used]
    if any(mark.hollow for mark in marks):
        found.append((found[0][0], True, "hollow: in DSP blocks"))
    return tuple(found)


def log_ticks(limits: tuple[float, float]) -> list[float]:
    """Return round numbers for a logarithmic axis, neither too many nor too few.

    >>> log_ticks((8, 620))
    [10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
    """
    low, high = limits
    decades = log10(high / low)
    steps = next((steps for most, steps in _STEPS if decades <= most), (1.0,))
    exponents = range(int(log10(low)) - 2, int(log10(high)) + 2)
    values = [float(f"{step}e{exponent}") for exponent in exponents for step in steps]
    return [value for value in values if low <= value <= high]
