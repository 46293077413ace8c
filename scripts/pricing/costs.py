"""What a network costs in a format: on an array that is never idle, and in bits of memory.

The unit is LUTs times microseconds an image: as many LUTs make a million images a second. DSP
blocks count as so many LUTs, or as none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .elements import PricedFormat
from .work import ImageWork

__all__ = ["BLOCK_LUTS", "ArrayCost", "Element", "array_cost"]

BLOCK_LUTS: Mapping[str, int] = {"ecp5": 378, "ice40": 458}
"""LUTs that a DSP block saves: an int16 x uint16 multiply-accumulate of 32 bits in logic less one
with a block, on ecp5-25k and on up5k (`docs/results/macs.json`)."""


@dataclass(frozen=True)
class Element:
    """An element of a format on a device.

    Attributes
    ----------
    lanes, lut, dsp : int
    fmax_mhz, error : float
        Clock alone, and the relative standard error by placements.
    multiplier : str
        ``logic`` or ``block``.
    """

    lanes: int
    lut: int
    dsp: int
    fmax_mhz: float
    error: float
    multiplier: str

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Element":
        """Return the element of a row of `elements.measure_element`."""
        clock = row["fmax_mhz"]
        spread = (row["fmax_mhz_max"] - row["fmax_mhz_min"]) / 2 / clock
        return cls(row["lanes"], row["lut"], row["dsp"], clock, spread, row["multiplier"])

    def area(self, block: float) -> float:
        """Return its LUTs, of which a DSP block counts as ``block``."""
        return self.lut + block * self.dsp

    def per_slot(self, block: float) -> float:
        """Return the LUT-microseconds of a lane-cycle."""
        return self.area(block) / self.lanes / self.fmax_mhz


@dataclass(frozen=True)
class ArrayCost:
    """What an image costs on an array that is never idle.

    Attributes
    ----------
    area_time, free : float
        LUT-microseconds, with DSP blocks priced and left out; each with the element that is then
        the cheapest.
    lut_cycles : float
        LUTs times cycles, blocks priced.
    slots : int
        Lane-cycles.
    weight_bits, value_bits : int
        Of all weights; of what the largest layer reads and gives.
    error : float
        Relative, of both costs.
    element : Element
        The cheapest with blocks priced.
    """

    area_time: float
    free: float
    lut_cycles: float
    slots: int
    weight_bits: int
    value_bits: int
    error: float
    element: Element

    @property
    def intensity(self) -> float:
        """Lane-cycles for each bit of weights, where these are read once an image."""
        return self.slots / self.weight_bits


def array_cost(
    fmt: PricedFormat, work: ImageWork, elements: Iterable[Element], block: float
) -> ArrayCost:
    """Return what a network costs an image.

    Parameters
    ----------
    elements : iterable of Element
        Of the format, on one device.
    block : float
        LUTs that a DSP block counts as.
    """
    known = list(elements)
    priced = min(known, key=lambda each: each.per_slot(block))
    free = min(known, key=lambda each: each.per_slot(0))
    slots = work.slots(fmt.operands)
    return ArrayCost(
        area_time=slots * priced.per_slot(block),
        free=slots * free.per_slot(0),
        lut_cycles=slots * priced.area(block) / priced.lanes,
        slots=slots,
        weight_bits=work.weight_bits(fmt.operands),
        value_bits=work.value_bits(fmt.operands),
        error=priced.error,
        element=priced,
    )
