"""Sums of floats: the register that an array has for them, and the order in which it adds."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GeometryError
from .format import Format
from .ieee import Float, float_step, tree_add

__all__ = ["MAX_PARTIAL_SUMS", "PARTIAL_SUMS", "FloatSum", "float_total"]

MAX_PARTIAL_SUMS = 8
PARTIAL_SUMS = 4
"""How many networks have unless told: measured, the best of all formats and families (costs.md)."""


@dataclass(frozen=True)
class FloatSum:
    """A sum of floats in single operations of IEEE 754, each rounded to nearest even.

    An addition takes several cycles, so as many partial sums take turns. The steps of a sum are
    counted from its end: of ``n`` steps, step ``n - 1 - k`` is added to partial sum
    ``partial_sums - 1 - k % partial_sums``. Each begins at plus zero and adds its steps in their
    order; at the end they are added as lanes are (`ieee.tree_add`).

    Parameters
    ----------
    format : Float
        What products and sums are rounded to.
    partial_sums : int
        How many take turns, 1 to 8. The result depends on it, as it does on the lanes of a step.

    Raises
    ------
    GeometryError
        For another number of partial sums.
    """

    format: Float
    partial_sums: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.partial_sums <= MAX_PARTIAL_SUMS:
            raise GeometryError(
                f"partial sums are 1 to {MAX_PARTIAL_SUMS}, not {self.partial_sums}"
            )

    def __str__(self) -> str:
        sums = self.partial_sums
        return f"{self.format} in {sums} partial sums" if sums > 1 else str(self.format)

    @property
    def overflow(self) -> None:
        """No mode of overflow: beyond the largest number there is infinity."""

    @property
    def width(self) -> int:
        """Bits of a sum."""
        return self.format.width


def float_total(
    operands: tuple[Format, Float], accumulator: FloatSum, weights: Any, activations: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return whole sums of products, and whether something finite became infinite on the way.

    Parameters
    ----------
    operands : Format and Float
        Of weights and activations; weights that are no floats are the numbers that their levels
        are, exactly.
    accumulator : FloatSum
        Where the products are added.
    weights, activations : array_like of shape (..., steps, lanes)
        Codes; they broadcast.

    Returns
    -------
    sums : numpy.ndarray of shape (...)
        Codes of the accumulator's format.
    overflow : numpy.ndarray of shape (...)
        Whether a product or a sum of finite numbers became infinite.
    """
    fmt, turns = accumulator.format, accumulator.partial_sums
    a, b = np.broadcast_arrays(np.asarray(weights, np.int64), np.asarray(activations, np.int64))
    *shape, steps, _ = a.shape
    partial = np.zeros((turns, *shape), np.int64)
    overflow = np.zeros(shape, bool)
    for step in range(steps):
        turn = (step - steps) % turns
        pairs = (list(np.moveaxis(each[..., step, :], -1, 0)) for each in (a, b))
        partial[turn], over = float_step((*operands, fmt), partial[turn], *pairs)
        overflow |= over
    total, over = tree_add(fmt, list(partial))
    return total, overflow | over
