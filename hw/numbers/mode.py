"""A requantisation as gates are made for it."""

from dataclasses import dataclass

from .format import Format

__all__ = ["ROUNDINGS", "Mode"]

ROUNDINGS = ("half_up", "half_even")
"""Where a half goes: up, or to the even one of its neighbours."""


@dataclass(frozen=True)
class Mode:
    """A requantisation that some layer uses.

    Attributes
    ----------
    output : Format
        The format of its levels.
    shift : int
        Rounding shift.
    low, high : int, optional
        Ends of the clamp, where they are not the format's.
    rounding : str
        Where halves go, if any can be.
    thresholds : bool
        Whether sums are compared with thresholds instead.
    """

    output: Format
    shift: int
    low: int | None = None
    high: int | None = None
    rounding: str = "half_up"
    thresholds: bool = False

    @property
    def clamp(self) -> tuple[int, int]:
        """The ends of the clamp."""
        low = self.output.min_level if self.low is None else self.low
        return low, self.output.max_level if self.high is None else self.high
