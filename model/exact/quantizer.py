"""Quantisers, evaluated exactly: those of QONNX, and those of networks that were trained here.

Sources: the operator definitions of QONNX (Quant and its new name IntQuant, BipolarQuant, Trunc of
versions 1 and 2, MultiThreshold). A quantiser maps a value ``v`` to the code
``round(clip(v / scale + zero_point, low, high))``; its **level** here is the code less the output's
zero point, so that its value is ``out_scale * level``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ...hw.numbers.formats import Bipolar, Format
from .step_function import count_reached

__all__ = ["NEAREST", "QONNX", "ROUNDINGS", "Quantizer"]

NEAREST = "NEAREST"
"""The mode of our own quantisers: to the nearest integer, halves up."""


def _floor(x: np.ndarray) -> np.ndarray:
    return x // 1


def _ceil(x: np.ndarray) -> np.ndarray:
    return -((-x) // 1)


def _by_magnitude(function: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """Round magnitudes, and give them their signs back."""
    return lambda x: np.where(x < 0, -function(abs(x)), function(abs(x)))


def _half_even(x: np.ndarray) -> np.ndarray:
    """Round to the nearest integer, ties to the even one."""
    if x.dtype != object:
        return np.round(x)
    down = (2 * x + 1) // 2
    tie = (2 * x + 1) % 2 == 0
    return np.where(tie & (down % 2 == 1), down - 1, down)


def _half_up(x: np.ndarray) -> np.ndarray:
    return _floor(x + _half(x))


def _half_down(x: np.ndarray) -> np.ndarray:
    return _ceil(x - _half(x))


def _half(x: np.ndarray) -> Fraction | float:
    return Fraction(1, 2) if x.dtype == object else 0.5


ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ROUND": _half_even,
    "HALF_EVEN": _half_even,
    "CEIL": _ceil,
    "FLOOR": _floor,
    "UP": _by_magnitude(_ceil),
    "DOWN": _by_magnitude(_floor),
    "HALF_UP": _by_magnitude(_half_up),
    "HALF_DOWN": _by_magnitude(_half_down),
    NEAREST: _half_up,
}
"""Rounding modes by name; halves of ``HALF_UP`` go
away from zero, as in its executor."""
QONNX = tuple(each for each in ROUNDINGS if each != NEAREST)
"""The names that QONNX has."""


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
    base : int or None
        The code that is stored as level 0, if not the one nearest to value 0.
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
    base: int | None = None

    @classmethod
    def nearest(
        cls, output: Format, scale: Fraction, ends: tuple[int, int] | None = None
    ) -> "Quantizer":
        """Return what `Format.quantize` does: nearest levels, halves up; or the sign, 0 up.

        ``ends`` are the lowest and the highest level, where those are not the format's own.
        """
        unit, none = np.array([scale], object), Fraction(0)
        if output == Bipolar():
            zero = np.array([[none]], object)
            return cls(unit, none, -1, 1, NEAREST, True, unit, none, table=zero)
        ends = ends or (output.min_level, output.max_level)
        return cls(unit, none, *ends, NEAREST, False, unit, none)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Return the int64 codes of values of shape (channels, any).

        Fractions are quantised exactly, float64 values as float64 gives it.
        """
        if self.table is not None:
            return self._counted(values)
        exact = values.dtype == object
        scale = self.scale if exact else self.scale.astype(np.float64)
        ratio = values / scale[:, None]
        ratio = ratio + np.asarray(self.zero_point, values.dtype)
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
        counts = count_reached(table, values)
        return 2 * counts - 1 if self.is_bipolar else counts

    @property
    def zero(self) -> int:
        """The code that is level 0: ``base``, or the integer nearest to ``out_zero``."""
        if self.base is not None:
            return self.base
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
