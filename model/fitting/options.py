"""Options of fitting a network to an accumulator."""

from dataclasses import dataclass

from ...hw.errors import NetworkError
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.bounds import BOUNDS

__all__ = ["FEWEST", "AccumulatorFit"]

FEWEST = 8
"""Images to validate on at least."""


@dataclass(frozen=True, kw_only=True)
class AccumulatorFit:
    """What a network has to fit, and how that is told.

    Parameters
    ----------
    bits : int
        Width of the accumulator.
    overflow : str
        ``wrap``: the last sum has to fit; or ``saturate``: every partial sum has to.
    bound : str
        One of `bounds.BOUNDS`: what says how wide sums are.
    accuracy_drop : float, optional
        Points of the validation images that may be lost at most against the float network.
    validation : int
        Training images on which formats are chosen; ranges come from others.
    lanes : int
        Of the array, which decide the order of partial sums.
    fine_tune : int
        Epochs of training after the search, with weights that stay within the bound.

    Raises
    ------
    GeometryError
        For an accumulator that does not exist.
    NetworkError
        For another bound, a negative drop, too few images, or a negative number of epochs.
    """

    bits: int
    overflow: str = "wrap"
    bound: str = "exact"
    accuracy_drop: float | None = None
    validation: int = 1000
    lanes: int = 4
    fine_tune: int = 0

    def __post_init__(self) -> None:
        _ = self.accumulator
        if self.bound not in BOUNDS:
            raise NetworkError(f"a bound is {', '.join(BOUNDS)}, not {self.bound!r}")
        if self.accuracy_drop is not None and not 0 <= self.accuracy_drop <= 100:
            raise NetworkError(f"an accuracy drop is 0 to 100 points, not {self.accuracy_drop:g}")
        if self.validation < FEWEST:
            raise NetworkError(
                f"formats are chosen on at least {FEWEST} images, not {self.validation}"
            )

        if self.fine_tune < 0:
            raise NetworkError(f"fine-tuning takes 0 epochs or more, not {self.fine_tune}")

    @property
    def accumulator(self) -> Accumulator:
        """The register."""
        return Accumulator(self.bits, self.overflow)
