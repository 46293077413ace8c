"""A curve of scales, offsets and clips, and a table of thresholds behind it, in integers."""

from dataclasses import dataclass
from math import lcm

import numpy as np

from .curve import INFINITY, Curve
from .quantizer import Quantizer
from .staircase import SMALL

__all__ = ["StepCounts"]


@dataclass(frozen=True, eq=False)
class StepCounts:
    """Channels whose codes count the thresholds that a line of their sums reaches.

    Attributes
    ----------
    rise, start : object arrays of shape (channels,)
        Integers: the line.
    table : object array of shape (channels, thresholds)
        Integers, rising; those that a clip makes always or never reached are beyond every line.
    signs : bool
        The codes of its one threshold are -1 and 1.
    """

    rise: np.ndarray
    start: np.ndarray
    table: np.ndarray
    signs: bool

    @classmethod
    def of(cls, curve: Curve, quantizer: Quantizer) -> "StepCounts | None":
        """Return the integers, or None for other quantisers and for what is bent."""
        if not curve.is_affine or quantizer.table is None:
            return None
        rises, starts, rows = [], [], []
        tables = np.broadcast_to(quantizer.table, (len(curve.gain), quantizer.table.shape[1]))
        ends = zip(curve.gain, curve.offset, curve.low, curve.high, tables, strict=True)
        for gain, offset, low, high, table in ends:
            unit = lcm(gain.denominator, offset.denominator, *{each.denominator for each in table})
            rises.append(int(gain * unit))
            starts.append(int(offset * unit))
            rows.append(
                [
                    -INFINITY if each <= low else INFINITY if each > high else int(each * unit)
                    for each in table
                ]
            )
        table = np.array(rows, object).reshape(len(rows), -1)
        return cls(np.array(rises, object), np.array(starts, object), table, quantizer.is_bipolar)

    def is_small(self, farthest: int) -> bool:
        """Tell whether int64 does for sums up to ``farthest`` from 0."""
        finite = [abs(each) for each in self.table.flat if abs(each) != INFINITY]
        largest = max(abs(self.rise)) * max(farthest, 1) + max(abs(self.start))
        return max(largest, *finite, 0) < SMALL

    def codes(self, sums: np.ndarray) -> np.ndarray:
        """Return the codes of sums of shape (channels, any), in int64; see `is_small`."""
        rise, start = (each.astype(np.int64)[:, None] for each in (self.rise, self.start))
        table = np.minimum(np.maximum(self.table, -SMALL), SMALL).astype(np.int64)
        return self._counted(table, sums * rise + start)

    def codes_at(self, channels: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the codes of one sum of each of some channels, in integers of any size."""
        values = sums.astype(object) * self.rise[channels] + self.start[channels]
        codes = np.empty(len(sums), np.int64)
        for channel in np.unique(channels):
            own = channels == channel
            codes[own] = self._counted(self.table[channel, None], values[None, own])[0]
        return codes

    def _counted(self, table: np.ndarray, values: np.ndarray) -> np.ndarray:
        rows = zip(table, values, strict=True)
        counts = np.array([np.searchsorted(row, each, side="right") for row, each in rows])
        return 2 * counts.reshape(values.shape) - 1 if self.signs else counts.reshape(values.shape)

    def thresholds(self, low: np.ndarray, high: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        """Return the sums, from ``low`` to ``high + 1``, at which each level is reached.

        Parameters
        ----------
        low, high : int64 arrays of shape (channels,)
            Ends of the sums.
        mirrored : bool array of shape (channels,)
            Channels whose lines fall, and whose levels are those left over.
        """
        rows = [self._row(*each) for each in zip(range(len(low)), low, high, mirrored, strict=True)]
        return np.array(rows, np.int64).reshape(self.table.shape)

    def _row(self, channel: int, low: int, high: int, mirrored: bool) -> list[int]:
        rise, start, low, high = self.rise[channel], self.start[channel], int(low), int(high)
        table = self.table[channel].tolist()
        if mirrored:  # a level is reached where a threshold is not any more: -line >= 1 - threshold
            rise, start, table = -rise, -start, [1 - each for each in reversed(table)]

        def first(threshold: int) -> int:
            if abs(threshold) == INFINITY or not rise:
                return low if start >= threshold else high + 1
            return min(max(-((start - threshold) // rise), low), high + 1)

        return [first(each) for each in table]
