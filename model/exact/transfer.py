"""Transfer functions: the exact map of a tensor's values between two quantisers.

A transfer maps the sums of a layer to real values, channel by channel. As long as it is built from
scales, offsets and clips its constants are rational numbers, which float32 constants always are, so
nothing is ever rounded; a sigmoid or another nonlinear function ends that, and what follows it is
evaluated in float64.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Rational

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["INFINITY", "Number", "Transfer", "column", "fractions"]

INFINITY = float("inf")
Number = Fraction | float
"""A Fraction, or an infinity."""


def fractions(values: ArrayLike) -> np.ndarray:
    """Return numbers as an object array of exact `Fraction` values, of the same shape.

    Objects are Fractions or integers: a float among them has been rounded already, by whoever made
    it, and is refused with a `TypeError`.
    """
    array = np.asarray(values)
    if array.dtype == object:
        if not all(isinstance(each, Rational) for each in array.flat):
            raise TypeError("a float among fractions")
        return array
    if not np.isfinite(array).all():
        raise OverflowError("an infinity, which cannot be folded")
    flat = [Fraction(each) for each in array.astype(np.float64).ravel().tolist()]
    return np.array([*flat, None], object)[:-1].reshape(array.shape)


@dataclass(frozen=True, eq=False)
class Transfer:
    """``min(max(gain * sum + offset, low), high)``, and then the nonlinear functions of ``tail``.

    Attributes
    ----------
    gain, offset : object arrays of shape (channels,)
        Fractions.
    low, high : object arrays of shape (channels,)
        Fractions, or an infinity where nothing is clipped.
    tail : tuple of (function, direction)
        Functions of float64 arrays of shape (channels, any), and of what sign each one's slope is:
        int arrays of shape (channels,).
    one_tail : bool
        Whether the functions of ``tail`` do the same in all channels.
    """

    gain: np.ndarray
    offset: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tail: tuple[tuple[Callable[[np.ndarray], np.ndarray], np.ndarray], ...] = ()
    one_tail: bool = True

    @classmethod
    def linear(cls, gain: np.ndarray, offset: np.ndarray) -> "Transfer":
        """Return a transfer that clips nothing."""
        return cls(
            gain,
            offset,
            np.full(len(gain), -INFINITY, object),
            np.full(len(gain), INFINITY, object),
        )

    @property
    def is_affine(self) -> bool:
        """Whether it is exact: nothing but scales, offsets and clips."""
        return not self.tail

    @property
    def clips(self) -> bool:
        """Whether anything is clipped."""
        return any(each != -INFINITY for each in self.low) or any(
            each != INFINITY for each in self.high
        )

    @property
    def direction(self) -> np.ndarray:
        """Whether each channel rises (1), falls (-1) or is constant (0)."""
        sign = np.array([(each > 0) - (each < 0) for each in self.gain], np.int64)
        for _, direction in self.tail:
            sign = sign * direction
        return sign

    def scaled(self, factor: np.ndarray) -> "Transfer":
        """Multiply by ``factor``, Fractions of shape (channels,)."""
        if self.tail:
            numbers, sign = column(factor), np.sign(factor.astype(np.float64)).astype(int)
            return self.then(lambda values: values * numbers, sign, one=len(numbers) == 1)
        ends = [
            np.array([_times(end, each) for end, each in zip(ends, factor, strict=True)], object)
            for ends in (self.low, self.high)
        ]
        falling = np.array([each < 0 for each in factor])
        return Transfer(
            self.gain * factor,
            self.offset * factor,
            np.where(falling, ends[1], ends[0]),
            np.where(falling, ends[0], ends[1]),
        )

    def shifted(self, amount: np.ndarray) -> "Transfer":
        """Add ``amount``, Fractions of shape (channels,)."""
        if self.tail:
            numbers, sign = column(amount), np.ones(len(amount), np.int64)
            return self.then(lambda values: values + numbers, sign, one=len(numbers) == 1)
        return Transfer(self.gain, self.offset + amount, self.low + amount, self.high + amount)

    def clipped(self, low: Number, high: Number) -> "Transfer":
        """Limit the values to ``low`` and ``high``; either may be an infinity."""
        if self.tail:
            ends = float(low), float(high)
            return self.then(lambda values: values.clip(*ends), np.ones(len(self.gain), np.int64))

        def inside(ends: np.ndarray) -> np.ndarray:
            return np.array([min(max(each, low), high) for each in ends], object)

        return replace(self, low=inside(self.low), high=inside(self.high))

    def then(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        direction: np.ndarray,
        *,
        one: bool = True,
    ) -> "Transfer":
        """Apply a monotone function of float64: ``one`` for all channels, or not."""
        tail = (*self.tail, (function, direction))
        return replace(self, tail=tail, one_tail=self.one_tail and one)

    @property
    def is_uniform(self) -> bool:
        """Whether all channels have one transfer."""
        arrays = (self.gain, self.offset, self.low, self.high)
        return self.one_tail and all(len({*each.tolist()}) == 1 for each in arrays)

    def of(self, channels: Sequence[int] | np.ndarray) -> "Transfer":
        """Return the transfers of some channels only; their tail must be one for all."""
        assert self.one_tail
        arrays = (self.gain, self.offset, self.low, self.high)
        tail = tuple((function, direction[channels]) for function, direction in self.tail)
        return Transfer(*(each[channels] for each in arrays), tail=tail)

    def flipped(self, channels: np.ndarray) -> "Transfer":
        """Return the transfer over the negative sums of the channels where ``channels`` is true."""
        return replace(self, gain=np.where(channels, -self.gain, self.gain))

    def values(self, sums: np.ndarray) -> np.ndarray:
        """Return the values at integer sums of shape (channels, any): Fractions, or float64."""
        exact = sums.astype(object) * self.gain[:, None] + self.offset[:, None]
        clipped = exact
        if self.clips:
            clipped = np.minimum(np.maximum(exact, self.low[:, None]), self.high[:, None])
        if not self.tail:
            return clipped
        return self.through_tail(clipped.astype(np.float64))

    def through_tail(self, values: np.ndarray) -> np.ndarray:
        """Return what the nonlinear functions make of float64 values of shape (channels, any)."""
        for function, _ in self.tail:
            values = function(values)
        return values


def _times(end: Number, factor: Fraction) -> Number:
    """Multiply the end of a range, which may be infinite; an end times 0 is 0."""
    return end * factor if factor else Fraction(0)


def column(numbers: np.ndarray) -> np.ndarray:
    """Return numbers for arrays of shape (channels, any): a column, or one where all are equal."""
    column = numbers.astype(np.float64)[:, None]
    return column[:1] if (column == column[0]).all() else column
