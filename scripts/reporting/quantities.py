"""Derives quantities from a row: cost of a multiply-accumulate, throughput, intensity.

One multiply-accumulate is a MAC; a GMAC/s is 10**9 of them a second (2 GOPS). What a row does not
say is None.
"""

from collections.abc import Sequence
from typing import TypeVar

from ..rows.row import ResultRow
from .palette import bits

__all__ = [
    "KINDS",
    "accuracy",
    "area",
    "cost",
    "density",
    "derived",
    "drawn",
    "has_range",
    "in_blocks",
    "intensity",
    "kind",
    "label",
    "peak",
    "slots",
    "sustained",
]

Number = TypeVar("Number", int, float)

KINDS = ("MAC", "array", "network")
_STRUCTURE = "counters"  # of popcounts, what `mac` builds; docs/popcount.md compares it with others


def kind(row: ResultRow) -> str:
    """Return what was measured: a ``MAC``, an ``array`` of them, or a ``network``'s accelerator."""
    if row.network is not None:
        return "network"
    return "array" if row.rows is not None else "MAC"


def drawn(row: ResultRow) -> bool:
    """Return whether figures show the row: what it is made of has the structure of all others."""
    return row.structure in (None, _STRUCTURE)


def in_blocks(row: ResultRow) -> bool:
    """Return whether its multipliers are blocks of the device: they need not be where allowed."""
    return row.multiplier == "block" and (row.dsp is None or row.dsp > 0)


def has_range(row: ResultRow) -> bool:
    """Return whether its clock is that of several placements."""
    ends = row.fmax_mhz_min, row.fmax_mhz_max
    return None not in ends and (row.seeds is None or len(row.seeds) != 1)


def accuracy(row: ResultRow) -> float | None:
    """Return what hardware reached or, where nothing was simulated, the integers; or the float."""
    if row.weight == "float":
        return row.accuracy_float
    return _first(row.accuracy_hardware, row.accuracy_reference)


def label(row: ResultRow, among: Sequence[ResultRow]) -> str:
    """Name a row by its weights, and by its activations where others share the weights."""
    shared = [each for each in among if each.weight == row.weight]
    return row.weight if len(shared) == 1 else f"{row.weight}/{row.activation}"


def _first(first: Number | None, second: Number | None) -> Number | None:
    return second if first is None else first


def slots(row: ResultRow) -> int | None:
    """Return the MACs that can be done in a cycle: rows * columns * lanes."""
    if row.lanes is None:
        return None
    return (row.rows or 1) * (row.columns or 1) * row.lanes


def area(row: ResultRow) -> int | None:
    """Return logic cells after packing, or LUTs as mapped where nothing was packed."""
    return _first(row.lut, row.lut4)


def cost(row: ResultRow) -> float | None:
    """Return LUTs for one MAC a cycle."""
    cells, count = area(row), slots(row)
    return None if cells is None or count is None else cells / count


def peak(row: ResultRow) -> float | None:
    """Return GMAC/s with every slot used in every cycle."""
    count = slots(row)
    return None if count is None or row.fmax_mhz is None else count * row.fmax_mhz / 1000


def sustained(row: ResultRow) -> float | None:
    """Return GMAC/s as a network used them, simulated over its images."""
    rate = peak(row)
    return None if rate is None or row.utilisation is None else rate * row.utilisation


def density(row: ResultRow, clock: float | None = None) -> float | None:
    """Return peak GMAC/s of 1000 LUTs, at the median clock or at another one, in MHz.

    With multipliers in blocks there is none: blocks run out long before LUTs do.
    """
    cells, count, clock = area(row), slots(row), _first(clock, row.fmax_mhz)
    if not cells or cells < 0 or count is None or clock is None or in_blocks(row):
        return None
    return count * clock / cells


def intensity(row: ResultRow) -> float | None:
    """Return MACs for a bit fetched from on-chip memory.

    In a cycle an array takes ``columns * lanes`` weights and ``rows * lanes`` activations, and
    multiplies each weight with ``rows`` of them (docs/architecture.md), so wider arrays and
    narrower formats need less bandwidth.
    """
    if row.rows is None or row.columns is None or row.activation is None:
        return None
    weight, activation = bits(row.weight), bits(row.activation)
    if weight is None or activation is None:
        return None
    rows, columns = row.rows, row.columns
    return rows * columns / (columns * weight + rows * activation)


def derived(row: ResultRow) -> dict[str, float | str | None]:
    """Return all of these by the names of their columns."""
    return {
        "kind": kind(row),
        "weight_bits": bits(row.weight),
        "macs_per_cycle": slots(row),
        "lut_per_mac": cost(row),
        "peak_gmacs": peak(row),
        "sustained_gmacs": sustained(row),
        "gmacs_per_klut": density(row),
        "macs_per_bit": intensity(row),
    }
