"""The shape of an array."""

from dataclasses import dataclass

from .errors import GeometryError

__all__ = ["SLICES", "Geometry"]

SLICES = 1, 2, 4
"""Bits of a weight that an element of a sliced array can multiply a step."""


@dataclass(frozen=True)
class Geometry:
    """Shape of an array.

    Parameters
    ----------
    rows : int
        Rows carry activations: images of a batch, or output pixels.
    columns : int
        Columns carry weights: output channels.
    lanes : int
        Pairs that a processing element multiplies a step.
    hop : int
        Pipeline distance: processing elements that share one pipeline register, along rows and
        columns alike. At 1 every element has its own; a hop as long as the array broadcasts,
        which on small FPGAs is cheaper: a register that only passes data on takes a whole logic
        cell.
    chains : int
        Chains by which partial sums leave the array, one a cycle each; rows take turns on them.
        One is enough where a tile takes at least ``rows * columns`` steps.
    slice : int, optional
        Bits of a weight that an element multiplies a step, 1, 2 or 4: a weight of ``w`` bits takes
        ``ceil(w / slice)`` passes. None multiplies whole weights, all as wide as the widest.

    Raises
    ------
    GeometryError
        For a size that is not a positive number, or beyond what is sensible.
    """

    rows: int
    columns: int
    lanes: int
    hop: int = 8
    chains: int = 1
    slice: int | None = None

    def __post_init__(self) -> None:
        limits = {"rows": 64, "columns": 256, "lanes": 1024, "hop": 256, "chains": 64}
        for name, limit in limits.items():
            size = getattr(self, name)
            if not 1 <= size <= limit:
                raise GeometryError(f"{name} is 1 to {limit}, not {size}")
        if self.rows % self.chains:
            raise GeometryError(
                f"chains divide the rows: {self.chains} does not divide {self.rows}"
            )
        if self.slice not in (None, *SLICES):
            raise GeometryError(f"a slice has 1, 2 or 4 bits of a weight, not {self.slice}")

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}x{self.lanes}"

    @property
    def elements(self) -> int:
        """Processing elements."""
        return self.rows * self.columns

    @property
    def macs(self) -> int:
        """Multiply-accumulates a cycle."""
        return self.elements * self.lanes

    @property
    def drain_cycles(self) -> int:
        """Cycles that the sums of a tile take to leave the array."""
        return self.elements // self.chains

    @property
    def skew(self) -> int:
        """Cycles by which the farthest element lags behind the first."""
        return (self.rows - 1) // self.hop + (self.columns - 1) // self.hop
