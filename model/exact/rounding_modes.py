"""Rounding modes, for arrays of float numbers or of exact Fractions: those of QONNX, and ours."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np

__all__ = ["NEAREST", "QONNX", "ROUNDINGS"]

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
