"""What follows from a row: cost of a multiply-accumulate, throughput, intensity.

One multiply-accumulate is a MAC; a GMAC/s is 10**9 of them a second (2 GOPS). What a row does not
say is None.
"""

from typing import Any

from .formats import bits

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
    "peak",
    "slots",
    "sustained",
]

Row = dict[str, Any]

KINDS = ("MAC", "array", "network")
_STRUCTURE = "counters"  # of popcounts, what `mac` builds; docs/popcount.md compares it with others


def kind(row: Row) -> str:
    """Return what was measured: a ``MAC``, an ``array`` of them, or a ``network``'s accelerator."""
    if "network" in row:
        return "network"
    return "array" if "rows" in row else "MAC"


def drawn(row: Row) -> bool:
    """Return whether figures show the row: what it is made of has the structure of all others."""
    return row.get("structure", _STRUCTURE) == _STRUCTURE


def in_blocks(row: Row) -> bool:
    """Return whether its multipliers are blocks of the device: they need not be where allowed."""
    return row.get("multiplier") == "block" and row.get("dsp", 1) > 0


def has_range(row: Row) -> bool:
    """Return whether its clock is that of several placements."""
    return {"fmax_mhz_min", "fmax_mhz_max"} <= row.keys() and len(row.get("seeds", ())) != 1


def accuracy(row: Row) -> float | None:
    """Return what hardware reached or, where nothing was simulated, the integers; or the float."""
    if row["weight"] == "float":
        return row.get("accuracy_float")
    return row.get("accuracy_hardware", row.get("accuracy_reference"))


def slots(row: Row) -> int | None:
    """Return the MACs that can be done in a cycle: rows * columns * lanes."""
    if "lanes" not in row:
        return None
    return row.get("rows", 1) * row.get("columns", 1) * row["lanes"]


def area(row: Row) -> int | None:
    """Return logic cells after packing, or LUTs as mapped where nothing was packed."""
    return row.get("lut", row.get("lut4"))


def cost(row: Row) -> float | None:
    """Return LUTs for one MAC a cycle."""
    cells, count = area(row), slots(row)
    return None if cells is None or count is None else cells / count


def peak(row: Row) -> float | None:
    """Return GMAC/s with every slot used in every cycle."""
    count = slots(row)
    return None if count is None or "fmax_mhz" not in row else count * row["fmax_mhz"] / 1000


def sustained(row: Row) -> float | None:
    """Return GMAC/s as a network used them, simulated over its images."""
    rate = peak(row)
    return None if rate is None or "utilisation" not in row else rate * row["utilisation"]


def density(row: Row, fmax: str = "fmax_mhz") -> float | None:
    """Return peak GMAC/s of 1000 LUTs, at the median clock or at another column's.

    With multipliers in blocks there is none: blocks run out long before LUTs do.
    """
    cells, count = area(row), slots(row)
    if not cells or cells < 0 or count is None or fmax not in row or in_blocks(row):
        return None
    return count * row[fmax] / cells


def intensity(row: Row) -> float | None:
    """Return MACs for a bit fetched from on-chip memory.

    In a cycle an array takes ``columns * lanes`` weights and ``rows * lanes`` activations, and
    multiplies each weight with ``rows`` of them (docs/architecture.md), so wider arrays and
    narrower formats need less bandwidth.
    """
    if "rows" not in row or "columns" not in row or "activation" not in row:
        return None
    weight, activation = bits(row["weight"]), bits(row["activation"])
    if weight is None or activation is None:
        return None
    rows, columns = row["rows"], row["columns"]
    return rows * columns / (columns * weight + rows * activation)


def derived(row: Row) -> dict[str, float | str | None]:
    """Return all of these by the names of their columns."""
    return {
        "kind": kind(row),
        "weight_bits": bits(row["weight"]),
        "macs_per_cycle": slots(row),
        "lut_per_mac": cost(row),
        "peak_gmacs": peak(row),
        "sustained_gmacs": sustained(row),
        "gmacs_per_klut": density(row),
        "macs_per_bit": intensity(row),
    }
