"""Limits on the weights of a channel, so that no input makes its sums overflow a register.

Where inputs reach from ``low`` to ``high``, the largest sum is ``high * P - low * N`` and the
lowest ``low * P - high * N``: ``P`` is the sum of the positive levels of the channel's weights and
``N`` that of the magnitudes of the negative ones. So a register is two linear limits on ``P`` and
``N``. They hold for partial sums in any order, too, because 0 is an input.

Unsigned inputs have a limit for either sign. That is what zero-centred weights have (see
`norm_limits`), and they need not be centred for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.format import Format
from ..layers.norm_limits import norm_limits

__all__ = ["SumLimit", "SumLimits"]

ROUNDS = 32  # of the search for a threshold, which ends after a handful


class SumLimit(NamedTuple):
    """``positive * P + negative * N <= most``."""

    positive: int
    negative: int
    most: int


@dataclass(frozen=True)
class SumLimits:
    """Limits that a channel keeps, all at once.

    Parameters
    ----------
    limits : tuple of SumLimit
        Coefficients are 0 or more; of each sign one is not 0 somewhere.
    """

    limits: tuple[SumLimit, ...]

    @classmethod
    def exact(cls, bits: int, inputs: Format) -> Self:
        """Return those of the exact interval, in a register of ``bits`` bits.

        Its lowest level is left out, because the sign of a channel may be flipped yet.

        Raises
        ------
        FormatError
            Where not even one weight of level 1 fits, with the least bits that would do.
        """
        low, high = inputs.min_level, inputs.max_level
        norm_limits(bits, low, high)
        most = Accumulator(bits).max_level
        return cls((SumLimit(high, -low, most), SumLimit(-low, high, most)))

    @classmethod
    def l1(cls, bits: int, inputs: Format) -> Self:
        """Return that of the l1 norm times the largest magnitude of an input; raises as `exact`."""
        return cls((SumLimit(1, 1, norm_limits(bits, inputs.min_level, inputs.max_level).norm),))

    def fits(self, levels: Tensor) -> Tensor:
        """Tell which channels keep the limits, of levels of shape (..., weights)."""
        positive, negative = _by_sign(levels)
        kept = [a * positive + b * negative <= most for a, b, most in self.limits]
        return torch.stack(kept).all(dim=0)

    def share(self, real: Tensor) -> Tensor:
        """Return which share of a limit real levels of shape (..., weights) take, (..., 1)."""
        positive, negative = real.clamp(min=0).sum(-1, True), (-real).clamp(min=0).sum(-1, True)
        taken = [(a * positive + b * negative) / most for a, b, most in self.limits]
        return torch.stack(taken).amax(dim=0)

    def room(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest level that a weight more may have.

        Parameters
        ----------
        positive, negative : int64 Tensor
            ``P`` and ``N`` of the other weights, which keep the limits.
        """
        left = [most - a * positive - b * negative for a, b, most in self.limits]
        up, down = (
            torch.stack(
                [
                    rest.div(each[sign], rounding_mode="floor")
                    for rest, each in zip(left, self.limits, strict=True)
                    if each[sign]
                ]
            ).amin(dim=0)
            for sign in (0, 1)
        )
        return -down, up

    def projected(self, real: Tensor) -> Tensor:
        """Return real levels of shape (..., weights) that keep the limits, near the given ones.

        Each sign is moved towards 0 by a threshold of its own, which is the nearest point in the
        Euclidean sense for each limit.
        """
        sides = [real.clamp(min=0), (-real).clamp(min=0)]
        for *coefficients, most in self.limits:
            size = max(coefficients)  # so that thresholds are of the magnitude of levels
            shares = {sign: each / size for sign, each in enumerate(coefficients) if each}
            threshold = _threshold(
                [sides[sign] for sign in shares], list(shares.values()), most / size
            )
            for sign, share in shares.items():
                sides[sign] = (sides[sign] - threshold * share).clamp(min=0)
        return sides[0] - sides[1]


def _by_sign(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``P`` and ``N`` of levels of shape (..., weights), as int64 of shape (...)."""
    whole = levels.long()
    return whole.clamp(min=0).sum(dim=-1), (-whole).clamp(min=0).sum(dim=-1)


def _threshold(sides: Sequence[Tensor], coefficients: Sequence[float], most: float) -> Tensor:
    """Return what to take off, times the coefficients, so that a limit is kept; (..., 1).

    The threshold grows with what is still above it until nothing falls below it any more (Michelot,
    "A finite algorithm for finding the projection of a point onto the canonical simplex", 1986).
    """
    found, before = sides[0].new_zeros(*sides[0].shape[:-1], 1), None
    for _ in range(ROUNDS):
        total, counts = torch.full_like(found, -most), torch.zeros_like(found)
        for side, each in zip(sides, coefficients, strict=True):
            above = side > found * each
            total += each * (side * above).sum(-1, True)
            counts += each * each * above.sum(-1, True)
        if before is not None and torch.equal(counts, before):
            break
        before = counts
        found = (total / counts.clamp(min=1e-12)).clamp(min=0).maximum(found)
    return found
