"""Requantisation as exact step functions of sums: a transfer and the quantiser behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...hw.errors import NetworkError
from ...hw.numbers.formats import Bipolar, Format
from .integer_forms import RoundedLine, StepCounts, end_codes
from .quantizer import NEAREST, Quantizer
from .staircase import ClosedForm, Stairs
from .step_function import StepFunction
from .transfer import Transfer

__all__ = ["WIDE", "PairSteps", "Steps", "end_levels", "estimated_codes"]

WIDE = 12  # bits from which levels are looked at one by one only if they must be
LARGEST = 1 << 900  # of slopes and offsets: products with sums are still float64
MARGIN = 1e-13  # of float64 estimates, relative to what was added up; its rounding is below 2e-15


@dataclass(frozen=True, eq=False)
class Steps(StepFunction):
    """A layer's step function over its sums, nowhere falling.

    Attributes
    ----------
    transfer : Transfer
        From sums to values; falls in the channels that are mirrored, and in no other.
    quantizer : Quantizer
        From values to codes.
    mirrored : bool array of shape (channels,)
        Channels whose levels are stored as ``bottom + top - level``.
    ends : tuple of int
        The lowest and the highest level that it can give.

    Raises
    ------
    NetworkError
        For slopes and offsets beyond float64.
    """

    name: str
    output: Format
    low: np.ndarray
    high: np.ndarray
    transfer: Transfer
    quantizer: Quantizer
    mirrored: np.ndarray
    ends: tuple[int, int]

    def __post_init__(self):
        transfer = self.transfer
        for each in (transfer.gain, transfer.offset, self.exact_slope, self.exact_offset):
            if abs(each).max() >= LARGEST:
                raise NetworkError(
                    f"layer {self.name}: its slope or offset is beyond 2**900, and float64 cannot "
                    "estimate its levels; scale it by less"
                )

    @property
    def goals(self) -> np.ndarray:
        """The levels above the lowest; of a wide format those only that some sum reaches."""
        if self.output == Bipolar() or self.output.width <= WIDE:
            return super().goals
        reached = self._end_levels
        return np.arange(reached.min() + 1, reached.max() + 1)

    @property
    def span(self) -> int:
        """Number of levels that `goals` are, which need not be listed for it."""
        if self.output == Bipolar() or self.output.width <= WIDE:
            return super().span
        return int(np.ptp(self._end_levels))

    @cached_property
    def _end_levels(self) -> np.ndarray:
        """The levels at the lowest and the highest sum, shape (channels, 2)."""
        return self.levels(np.stack([self.low, self.high], axis=1))

    @cached_property
    def line(self) -> RoundedLine | None:
        """The same in integers, where it is a rounded line."""
        return RoundedLine.of(self.transfer, self.quantizer)

    def closed_form(self) -> ClosedForm | None:
        """Return what finds its integers without looking at every level, if anything can."""
        line = self.line
        if line is None or not line.has_runs or self.output == Bipolar():
            return None
        found = []
        sums = zip(self.low.tolist(), self.high.tolist(), strict=True)
        pairs = zip(sums, self._end_levels.tolist(), strict=True)
        for channel, ((low, high), (first, last)) in enumerate(pairs):
            flip = self.bottom + self.top if self.mirrored[channel] else None
            flat = Stairs(low, high, first, last, self.bottom, self.top, ())
            found.append(line.stairs(channel, flip, flat))
        return ClosedForm(self, found)

    def levels(self, accumulator: np.ndarray) -> np.ndarray:
        """Return the output levels of accumulators of shape (channels, any)."""
        codes = self._codes(accumulator)
        levels = codes - self.quantizer.zero
        return np.where(self.mirrored[:, None], self.bottom + self.top - levels, levels)

    def _codes(self, sums: np.ndarray) -> np.ndarray:
        """Return codes in exact arithmetic, where float64 leaves a doubt."""
        transfer, line = self.transfer, self.line
        farthest = int(abs(sums).max(initial=0))
        if line is not None and line.is_small(farthest):
            return line.codes(sums)
        if self._counts is not None and self._counts.is_small(farthest):
            return self._counts.codes(sums)
        gain, offset, low, high = (
            each.astype(np.float64)[:, None]
            for each in (transfer.gain, transfer.offset, transfer.low, transfer.high)
        )
        estimate = (sums * gain + offset).clip(low, high)
        doubt = abs(sums * gain) + abs(offset)
        if not transfer.is_affine:
            return self._nonlinear_codes(sums, estimate, MARGIN * doubt)
        scale = self.quantizer.scale.astype(np.float64)[:, None]
        estimate, doubt = estimate / scale, doubt / scale

        def exact(channels: np.ndarray, places: np.ndarray) -> np.ndarray:
            picked = sums[channels, places]
            in_integers = line or self._counts
            if in_integers is not None:
                return in_integers.codes_at(channels, picked)
            values = transfer.of(channels).values(picked[:, None])
            return self.quantizer.of(channels).codes(values)[:, 0]

        return estimated_codes(self.quantizer, estimate, doubt, exact)

    def _nonlinear_codes(
        self, sums: np.ndarray, estimate: np.ndarray, margin: np.ndarray
    ) -> np.ndarray:
        """Return the codes of a nonlinear transfer: functions read what is exact, rounded once.

        They nowhere fall, or nowhere rise; so where estimates to both sides give one code, that is
        it.
        """
        transfer, quantizer = self.transfer, self.quantizer
        codes, *others = (
            quantizer.codes(transfer.through_tail(each))
            for each in (estimate, estimate - margin, estimate + margin)
        )
        channels, places = np.nonzero((codes != others[0]) | (codes != others[1]))
        if not len(channels):
            return codes
        picked = sums[channels, places].astype(object) * transfer.gain[channels]
        picked = np.maximum(picked + transfer.offset[channels], transfer.low[channels])
        estimate[channels, places] = np.minimum(picked, transfer.high[channels]).astype(np.float64)
        columns = np.unique(places)  # of all channels: the functions may have one for each
        codes[:, columns] = quantizer.codes(transfer.through_tail(estimate[:, columns]))
        return codes

    def thresholds(self) -> np.ndarray:
        """Return where each level above the lowest is reached, shape (channels, levels - 1)."""
        closed = self.closed_form()
        if closed is not None:
            return closed.thresholds(self.goals)
        if self._counts is not None:
            return self._counts.thresholds(self.low, self.high, self.mirrored)
        return super().thresholds()

    @cached_property
    def _counts(self) -> StepCounts | None:
        """The same in integers, where it counts thresholds of a line."""
        return StepCounts.of(self.transfer, self.quantizer)

    @property
    def is_line(self) -> bool:
        """Whether its steps are equally long, but for rounding: a multiplier may give them."""
        return self.transfer.is_affine and self.quantizer.table is None

    @property
    def rounds_to_nearest(self) -> bool:
        """Whether the quantiser rounds to the nearest code, whatever it does with ties."""
        return self.quantizer.rounding in ("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN", NEAREST)

    @property
    def exact_slope(self) -> np.ndarray:
        """The slope as Fractions, mirrored or not."""
        return self.transfer.gain / self.quantizer.unit

    @property
    def exact_offset(self) -> np.ndarray:
        """The offset as Fractions, mirrored or not."""
        zero = self.quantizer.zero_point / (self.quantizer.divisor or 1) - self.quantizer.zero
        return np.asarray(self.transfer.offset / self.quantizer.unit, object) + zero

    @property
    def slope(self) -> np.ndarray:
        """Output levels per accumulator level, before rounding; shape (channels,)."""
        return self._slope

    @cached_property
    def _slope(self) -> np.ndarray:
        if self.output != Bipolar() and self.quantizer.is_bipolar:
            return np.full(len(self.low), 2.0)  # one step, from -1 to +1
        slope = self.exact_slope.astype(np.float64)
        return np.where(self.mirrored, -slope, slope)

    @property
    def offset(self) -> np.ndarray:
        """Output level at accumulator 0, before rounding; shape (channels,)."""
        return self._offset

    @cached_property
    def _offset(self) -> np.ndarray:
        offset = self.exact_offset.astype(np.float64)
        return np.where(self.mirrored, self.bottom + self.top - offset, offset)


def estimated_codes(
    quantizer: Quantizer,
    estimate: np.ndarray,
    doubt: np.ndarray,
    exact: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return exact codes, computed in float64 wherever that is certain.

    Parameters
    ----------
    quantizer : Quantizer
        From values to codes.
    estimate, doubt : float64 arrays of shape (channels, any)
        Values in units of its scale; the size of what was added up for them.
    exact : callable
        Returns codes, of shape (picked,), given indices of channels and places.
    """
    if quantizer.table is not None:
        return _counted(quantizer, estimate, doubt, exact)
    ends = quantizer.low - 2, quantizer.high + 2
    shifted = estimate + float(quantizer.zero_point)
    margin = 2 * MARGIN * (doubt + abs(shifted) + 1)
    if quantizer.divisor:  # what was rounded to an integer is divided without an error
        near = abs(shifted - np.floor(shifted) - 0.5) <= margin
    else:
        near = abs(2 * shifted - np.round(2 * shifted)) <= 2 * margin
        near &= (shifted > ends[0]) & (shifted < ends[1])
    codes = quantizer.codes(estimate * quantizer.scale.astype(np.float64)[:, None])
    channels, places = np.nonzero(near)
    if len(channels):
        codes[channels, places] = exact(channels, places)
    return codes


def _counted(
    quantizer: Quantizer,
    estimate: np.ndarray,
    doubt: np.ndarray,
    exact: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the codes of a table of thresholds; see `estimated_codes`."""
    scale = quantizer.scale.astype(np.float64)[:, None]
    values = estimate * scale
    margin = np.maximum(MARGIN * (doubt * scale + abs(values) + 1), 0)
    codes, others = quantizer.codes(values - margin), quantizer.codes(values + margin)
    channels, places = np.nonzero(codes != others)
    if len(channels):
        codes[channels, places] = exact(channels, places)
    return codes


def end_levels(transfer: Transfer, quantizer: Quantizer) -> tuple[int, int]:
    """Return the smallest and the largest level of a quantiser behind a transfer's clips."""
    bottom, top = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    if not transfer.is_affine or quantizer.is_bipolar or quantizer.table is not None:
        return bottom, top
    low, high = (end_codes(each, quantizer) for each in (transfer.low, transfer.high))
    return int(low.min()) - quantizer.zero, int(high.max()) - quantizer.zero


@dataclass(frozen=True, eq=False)
class PairSteps(StepFunction):
    """The step function of a sum of two tensors, ``summands[0] * x + summands[1] * y``.

    It is known at the sums that pairs of levels make; between two of those it has the level of the
    lower one.

    Attributes
    ----------
    ends : tuple of int
        The lowest and the highest level that it can give.
    sums : int64 array of shape (n,)
        Sums that occur, rising.
    given : int64 array of shape (n,)
        Their levels, nowhere falling.
    rise, start : float
        Levels per sum, and the level at sum 0, before rounding.
    """

    name: str
    output: Format
    low: np.ndarray
    high: np.ndarray
    ends: tuple[int, int]
    sums: np.ndarray
    given: np.ndarray
    rise: float
    start: float

    def levels(self, accumulator: np.ndarray) -> np.ndarray:
        """Return the output levels of accumulators of shape (1, any)."""
        place = np.searchsorted(self.sums, accumulator, side="right") - 1
        return self.given[place.clip(0)]

    @property
    def slope(self) -> np.ndarray:
        """Output levels per accumulator level, before rounding."""
        return np.array([self.rise])

    @property
    def offset(self) -> np.ndarray:
        """Output level at accumulator 0, before rounding."""
        return np.array([self.start])
