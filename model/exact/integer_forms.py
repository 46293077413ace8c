"""A transfer of scales, offsets and clips, and the quantiser behind it, in integers.

Where nothing is nonlinear, a table counts the thresholds that a line of the sums reaches, and any
other quantiser of channel ``c`` rounds ``(rise * sum + start) / unit``, all
three integers, and clamps the code. Whether code ``K`` is reached is a comparison of twice that
with an integer, or beyond it, depending on how ties are rounded::

    2 * (rise * sum + start)  >=  unit * edge          or  >, that is, >= unit * edge + 1

    FLOOR      2K      from 2K on           CEIL       2K - 2  beyond it
    DOWN       as FLOOR above zero, as CEIL else; UP the other way round
    HALF_UP    2K - 1  from there on above zero, beyond it else; HALF_DOWN the other way round
    NEAREST    2K - 1  from there on
    ROUND      2K - 1  from there on where K is even, beyond it where K is odd

`Trunc` rounds to integers first, ties to even, and then divides by an integer: ``K`` is reached
from some integer ``M`` on, and so at ``2M - 1``, by the last line.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from .quantizer import Quantizer
from .staircase import SMALL, Stairs, StepRun
from .step_function import count_reached
from .transfer import INFINITY, Transfer

__all__ = ["RoundedLine", "StepCounts", "end_codes"]

# edge less 2K, and whether it must be passed: up to zero, and above
EDGES = {
    "FLOOR": ((0, False), (0, False)),
    "CEIL": ((-2, True), (-2, True)),
    "UP": ((0, False), (-2, True)),
    "DOWN": ((-2, True), (0, False)),
    "HALF_UP": ((-1, True), (-1, False)),
    "HALF_DOWN": ((-1, False), (-1, True)),
    "NEAREST": ((-1, False), (-1, False)),
}


@dataclass(frozen=True, eq=False)
class RoundedLine:
    """Channels whose codes are rounded lines of their sums.

    Attributes
    ----------
    rise, start, unit : object arrays of shape (channels,)
        Integers; ``unit`` is positive.
    low, high : int64 arrays of shape (channels,)
        The codes at the ends of the transfer's clips and of the quantiser's range.
    mode : str
        A key of `ROUNDINGS`.
    divisor : Fraction
        Of a `Trunc`, else 0.
    zero : int
        The code that is level 0.
    """

    rise: np.ndarray
    start: np.ndarray
    unit: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mode: str
    divisor: Fraction
    zero: int

    @classmethod
    def of(cls, transfer: Transfer, quantizer: Quantizer) -> "RoundedLine | None":
        """Return the integers, or None for tables, signs and what is nonlinear."""
        if not transfer.is_affine or quantizer.table is not None or quantizer.is_bipolar:
            return None
        gain = np.asarray(transfer.gain / quantizer.scale, object)
        offset = np.asarray(transfer.offset / quantizer.scale, object) + quantizer.zero_point
        pairs = list(zip(gain, offset, strict=True))
        units = [lcm(one.denominator, two.denominator) for one, two in pairs]
        rows = [
            (int(one * unit), int(two * unit), unit)
            for (one, two), unit in zip(pairs, units, strict=True)
        ]
        rise, start, unit = np.array(rows, object).reshape(-1, 3).T
        low, high = (end_codes(each, quantizer) for each in (transfer.low, transfer.high))
        return cls(
            rise, start, unit, low, high, quantizer.rounding, quantizer.divisor, quantizer.zero
        )

    def is_small(self, farthest: int) -> bool:
        """Tell whether int64 does for sums up to ``farthest`` from 0."""
        scale = max(self.divisor.numerator, self.divisor.denominator)
        largest = max(abs(self.rise)) * max(farthest, 1) + max(abs(self.start)) + max(self.unit)
        return 2 * scale * largest < SMALL

    def codes(self, sums: np.ndarray) -> np.ndarray:
        """Return the codes of sums of shape (channels, any), in int64; see `is_small`."""
        rise, start, unit = (
            each.astype(np.int64)[:, None] for each in (self.rise, self.start, self.unit)
        )
        codes = self._rounded(sums * rise + start, unit)
        return codes.clip(self.low[:, None], self.high[:, None])

    def codes_at(self, channels: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the codes of one sum of each of some channels, in integers of any size."""
        rise, start, unit = (each[channels] for each in (self.rise, self.start, self.unit))
        codes = self._rounded(sums.astype(object) * rise + start, unit).clip(
            self.low[channels], self.high[channels]
        )
        return codes.astype(np.int64)

    def _rounded(self, numerator: np.ndarray, unit: np.ndarray) -> np.ndarray:
        if self.divisor:
            whole = _round(numerator, unit, "ROUND") * self.divisor.denominator
            return _round(whole, self.divisor.numerator, self.mode)
        return _round(numerator, unit, self.mode)

    # --- steps -----------------------------------------------------------------------------------

    @property
    def has_runs(self) -> bool:
        """Whether its steps are runs of equal ones."""
        return self.divisor.denominator == 1

    def stairs(self, channel: int, flip: int | None, ends: Stairs) -> Stairs:
        """Return a channel's steps.

        Parameters
        ----------
        channel : int
            Which.
        flip : int or None
            Levels are ``flip`` less those of the quantiser; None where they are those.
        ends : Stairs
            All but its runs.
        """
        if ends.first == ends.last:
            return ends
        mirrored = flip is not None
        # a goal is a code, or one that is not reached any more
        moved = flip + self.zero + 1 if flip is not None else self.zero
        split = moved if mirrored else -self.zero + 1  # from here on codes are on the other side
        split = min(max(split, ends.first + 1), ends.last + 1)
        by_parity = bool(self.divisor) or self.mode not in EDGES
        runs = []
        for first, last in ((ends.first + 1, split - 1), (split, ends.last)):
            for skipped in range(2) if by_parity else range(1):
                step = 2 if by_parity else 1
                count = (last - first - skipped) // step + 1
                if count > 0:
                    runs.append(self._run(channel, first + skipped, step, count, moved, mirrored))
        return Stairs(ends.low, ends.high, ends.first, ends.last, ends.bottom, ends.top, (*runs,))

    def _run(
        self, channel: int, first: int, step: int, count: int, moved: int, mirrored: bool
    ) -> StepRun:
        rise, start, unit = (int(each[channel]) for each in (self.rise, self.start, self.unit))
        edge, beyond = self._edge(moved - first if mirrored else first + moved)
        pitch = unit * 2 * step * max(int(self.divisor), 1)
        if mirrored:  # the last sum at which the code is not reached is the first one of the level
            return StepRun(
                first, step, count, pitch, 2 * start - unit * edge - beyond + 1, -2 * rise
            ).reduced()
        return StepRun(
            first, step, count, pitch, unit * edge + beyond - 2 * start, 2 * rise
        ).reduced()

    def _edge(self, code: int) -> tuple[int, bool]:
        """Return the integer that twice the ratio must reach for a code, or pass."""
        if not self.divisor:
            return self._rule(code)
        edge, beyond = self._rule(code)
        edge *= int(self.divisor)
        whole = edge // 2 + 1 if beyond else (edge + 1) // 2
        return 2 * whole - 1, whole % 2 == 1

    def _rule(self, code: int) -> tuple[int, bool]:
        if self.mode not in EDGES:
            return 2 * code - 1, code % 2 == 1
        less, beyond = EDGES[self.mode][code > 0]
        return 2 * code + less, beyond


def end_codes(ends: np.ndarray, quantizer: Quantizer) -> np.ndarray:
    """Return the codes of the ends of a clip, in each channel."""
    rows = np.arange(len(ends))
    infinite = np.array([abs(each) == INFINITY for each in ends])
    codes = np.where([each > 0 for each in ends], quantizer.high, quantizer.low).astype(np.int64)
    if not infinite.all():
        finite = rows[~infinite]
        codes[finite] = quantizer.of(finite).codes(ends[finite][:, None] + Fraction(0))[:, 0]
    return codes


def _round(numerator: np.ndarray, unit: np.ndarray | int, mode: str) -> np.ndarray:
    """Return ``numerator / unit`` rounded, for integers and a positive ``unit``."""
    if mode == "FLOOR":
        return numerator // unit
    if mode == "CEIL":
        return -(-numerator // unit)
    if mode == "NEAREST":
        return (2 * numerator + unit) // (2 * unit)
    if mode in ("ROUND", "HALF_EVEN"):
        doubled = 2 * numerator + unit
        whole = doubled // (2 * unit)
        return whole - ((doubled == whole * (2 * unit)) & (whole % 2 == 1))
    size = abs(numerator)
    found = {
        "DOWN": lambda: size // unit,
        "UP": lambda: -(-size // unit),
        "HALF_UP": lambda: (2 * size + unit) // (2 * unit),
        "HALF_DOWN": lambda: -((unit - 2 * size) // (2 * unit)),
    }[mode]()
    return np.where(numerator < 0, -found, found)


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
    def of(cls, transfer: Transfer, quantizer: Quantizer) -> "StepCounts | None":
        """Return the integers, or None for other quantisers and for what is nonlinear."""
        if not transfer.is_affine or quantizer.table is None:
            return None
        rises, starts, rows = [], [], []
        tables = np.broadcast_to(quantizer.table, (len(transfer.gain), quantizer.table.shape[1]))
        ends = zip(transfer.gain, transfer.offset, transfer.low, transfer.high, tables, strict=True)
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
        counts = count_reached(table, values)
        return 2 * counts - 1 if self.signs else counts

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
