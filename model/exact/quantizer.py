"""Quantisers, evaluated exactly: those of QONNX, and those of networks that were trained here.

Sources: the operator definitions of QONNX (Quant and its new name IntQuant, BipolarQuant, Trunc of
versions 1 and 2, MultiThreshold). A quantiser maps a value ``v`` to the code
``round(clip(v / scale + zero_point, low, high))``; its **level** here is the code less the output's
zero point, so that its value is ``out_scale * level``.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...hw.numbers.formats import Bipolar, Format
from .rounding_modes import NEAREST, ROUNDINGS

__all__ = ["Quantizer"]


@dataclass(frozen=True, eq=False)
class Quantizer:
    """One quantiser.

    Attributes
    ----------
    scale : object array of shape (channels,) or (1,)
        Value of one code of what it reads: positive Fractions.
    zero_point : Fraction
        Code of value 0.
    low, high : int
        The codes that it gives; -1 and 1 of a bipolar one, which has no others.
    rounding : str
        A key of `ROUNDINGS`.
    is_bipolar : bool
        Gives the sign.
    out_scale : object array
        Value of one code of what it gives.
    out_zero : Fraction
        Code of value 0 in what it gives.
    divisor : Fraction
        What `Trunc` divides codes by, after they were rounded to integers; 0 for other quantisers.
    table : object array of shape (channels, high) or None
        Of a `MultiThreshold`: the values, rising, from which on each code above 0 is given.
    """

    scale: np.ndarray
    zero_point: Fraction
    low: int
    high: int
    rounding: str
    is_bipolar: bool
    out_scale: np.ndarray
    out_zero: Fraction
    divisor: Fraction = Fraction(0)
    table: np.ndarray | None = None

    @classmethod
    def nearest(cls, output: Format, scale: Fraction) -> "Quantizer":
        """Return what `Format.quantize` does: nearest levels, halves up; or the sign, 0 up."""
        unit, none = np.array([scale], object), Fraction(0)
        if output == Bipolar():
            zero = np.array([[none]], object)
            return cls(unit, none, -1, 1, NEAREST, True, unit, none, table=zero)
        ends = output.min_level, output.max_level
        return cls(unit, none, *ends, NEAREST, False, unit, none)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Return the int64 codes of values of shape (channels, any).

        Fractions are quantised exactly, float64 values as float64 gives it.
        """
        if self.table is not None:
            return self._counted(values)
        exact = values.dtype == object
        scale = self.scale if exact else self.scale.astype(np.float64)
        ratio: Any = values / scale[:, None]
        ratio = ratio + (self.zero_point if exact else float(self.zero_point))
        if self.is_bipolar:
            return np.where(ratio >= 0, 1, -1).astype(np.int64)
        if self.divisor:
            ratio = ROUNDINGS["ROUND"](ratio)
            ratio = ratio * (1 / self.divisor if exact else 1 / float(self.divisor))
        ratio = np.minimum(np.maximum(ratio, self.low), self.high)
        return ROUNDINGS[self.rounding](ratio).astype(np.int64)

    def _counted(self, values: np.ndarray) -> np.ndarray:
        """Return how many thresholds of its channel are not above each value; 2 codes are signs."""
        assert self.table is not None
        table = self.table if values.dtype == object else self.table.astype(np.float64)
        rows = [
            np.searchsorted(table[row % len(table)], each, side="right")
            for row, each in enumerate(values)
        ]
        counts = np.array(rows, np.int64).reshape(values.shape)
        return 2 * counts - 1 if self.is_bipolar else counts

    @property
    def zero(self) -> int:
        """The code that is level 0: the integer nearest to ``out_zero``."""
        return 0 if self.is_bipolar or self.table is not None else round(self.out_zero)

    @property
    def unit(self) -> np.ndarray:
        """Value of one code of what it gives, before anything is rounded; Fractions."""
        return self.scale * (self.divisor or 1)

    def of(self, channels: np.ndarray) -> "Quantizer":
        """Return the quantiser of some channels only."""
        table = self.table
        if table is not None and len(table) > 1:
            table = table[channels]
        if len(self.scale) == 1:
            channels = np.zeros_like(channels)
        scale, out_scale = self.scale[channels], self.out_scale[channels]
        return replace(self, scale=scale, out_scale=out_scale, table=table)

    @property
    def is_uniform(self) -> bool:
        """Whether all channels have one scale, and one table."""
        if self.table is not None and len({*map(tuple, self.table.tolist())}) > 1:
            return False
        return len({*self.out_scale.tolist()}) == 1
