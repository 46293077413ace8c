"""Fits the coefficients of the model to measured powers, by least squares, and tells the misses.

Why these coefficients:

``static``
    What is left where the clock stands.
``oscillator``
    What the device's own oscillator takes, at any frequency; the designs that it clocks have it in
    common, and those with a clock from outside do not have it.
``clock``, ``register``
    Per cycle, and per cycle and register: counters of 28 to 224 bits toggle alike, as the upper
    bits of a counter stand still, so that what tells them apart is their registers.
``wire``
    Per change of a wire and tile of its length: what the product in LUTs takes beyond counters.
``block``
    Per product: what the same product takes in a block beyond its counters and wires.

``wire`` and ``block`` have a measurement each, which they meet exactly; a residual of these says
nothing. Where one of the two is left out, ``block`` is not told from ``wire`` any more: it is 0
then, and the miss of the prediction bounds what the model can be wrong by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import DataError
from ..model import LENGTHS
from .assumed import MEMORIES
from .measured import MeasuredCurrent
from .rebuilt import Observed

__all__ = ["NAMES", "PowerFit", "PowerPoint", "fit", "fit_without"]

NAMES: tuple[str, ...] = ("static", "oscillator", "clock", "register", "wire", "block")
"""Of the coefficients: milliwatts, and from the third on picojoules."""
_DETERMINED = 0.01  # a direction with a hundredth of the effect of the strongest is not known


@dataclass(frozen=True)
class PowerPoint:
    """A measurement, and what its rebuilt design does.

    Attributes
    ----------
    measured : MeasuredCurrent
    does : mapping
        Of a cycle, the mean of the placements, as `rebuilt.mean` gives it.
    placements : sequence of Observed
    """

    measured: MeasuredCurrent
    does: Mapping[str, Any]
    placements: Sequence[Observed] = field(default=(), repr=False)

    def row(self, lengths: Mapping[str, float] = LENGTHS) -> np.ndarray:
        """Return milliwatts for one of each coefficient, in the order of `NAMES`."""
        length = sum(lengths[kind] * self.does["charged"].get(kind, 0) for kind in lengths)
        cycle = np.array([1, self.does["registers"], length, self.does["products"]])
        return np.array([1, self.measured.oscillator, *(self._milliwatts * cycle)])

    @property
    def memories(self) -> float:
        """Milliwatts of reading block RAM: assumed, not fitted."""
        return self._milliwatts * self.does["reads"] * MEMORIES["bram"].value

    @property
    def _milliwatts(self) -> float:
        """Milliwatts of a picojoule a cycle."""
        return 1e-3 * self.measured.mhz


@dataclass(frozen=True)
class PowerFit:
    """Coefficients.

    Attributes
    ----------
    values : dict of str to float
        By `NAMES`.
    lengths : mapping of str to float
        Of wires, in tiles.
    open : tuple of str
        Coefficients that the points do not tell, and that are 0.
    """

    values: dict[str, float]
    lengths: Mapping[str, float]
    open: tuple[str, ...] = ()

    def parts(self, point: PowerPoint) -> dict[str, float]:
        """Return milliwatts, by coefficient and for memories."""
        each = point.row(self.lengths) * np.array([self.values[name] for name in NAMES])
        return {**dict(zip(NAMES, each.tolist(), strict=True)), "memories": point.memories}

    def predict(self, point: PowerPoint) -> float:
        """Return milliwatts."""
        return sum(self.parts(point).values())

    def miss(self, point: PowerPoint) -> float:
        """Return by which share of the measured power the prediction is too high."""
        return self.predict(point) / point.measured.milliwatts - 1


def fit(points: Sequence[PowerPoint], lengths: Mapping[str, float] = LENGTHS) -> PowerFit:
    """PowerFit by least squares; an error of a power counts by 1 % of it and 1 microwatt.

    ``block`` is 0 where the points do not tell it from ``wire``.

    Raises
    ------
    DataError
        Where the points leave another coefficient open.
    """
    rows = np.array([point.row(lengths) for point in points])
    powers = np.array([point.measured.milliwatts - point.memories for point in points])
    weights = 1 / (0.01 * powers + 0.001)
    weighted = rows * weights[:, None]
    names = NAMES if _determined(weighted) else NAMES[:-1]
    weighted = weighted[:, : len(names)]
    if not _determined(weighted):
        raise DataError(
            f"{len(points)} measurements leave some of {', '.join(names)} open: it takes a clock "
            "that stands, two frequencies with and without the oscillator, counters of two widths, "
            "and the product"
        )
    found, *_ = np.linalg.lstsq(weighted, powers * weights, rcond=None)
    values = dict.fromkeys(NAMES, 0.0) | dict(zip(names, found.tolist(), strict=True))
    return PowerFit(values, lengths, NAMES[len(names) :])


def _determined(rows: np.ndarray) -> bool:
    scaled = rows / np.maximum(np.abs(rows).max(axis=0), 1e-12)
    singular = np.linalg.svd(scaled, compute_uv=False)
    return len(singular) == rows.shape[1] and singular[-1] > _DETERMINED * singular[0]


def fit_without(points: Sequence[PowerPoint], name: str) -> tuple[PowerFit, PowerPoint]:
    """Return the fit of all points but one, and that point."""
    (left,) = (point for point in points if point.measured.name == name)
    return fit([point for point in points if point is not left]), left
