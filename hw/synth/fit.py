"""The array that makes the most of a target."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from ..array import Geometry
from ..errors import FitError, GeometryError
from ..layers import Weighted
from ..network import Network
from ..program import Program
from .build import accelerator_for, cost
from .placement import fits
from .store import Store
from .targets import Target

__all__ = ["largest_geometry"]

ROWS = (1, 2, 3, 4, 6, 8, 12, 16)
COLUMNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LANES = (1, 2, 4, 8, 16, 32, 64)
FULL = 0.95  # of the logic cells; beyond that, routing fails or becomes slow
TRIES = 6
SMALLEST = Geometry(1, 1, 1)
PROBES = (5, 2)  # lanes of the arrays to learn from; the fewer, the more noise in what they tell


def largest_geometry(
    network: Network,
    target: Target,
    store: Store,
    *,
    contexts: int = 2,
    batch: int | None = None,
    chains: int = 1,
) -> Geometry:
    """Return the geometry that classifies most images a cycle and fits ``target``.

    ``contexts``, ``batch`` and ``chains`` are as in `Program` and `Geometry`; a batch or chains
    that an array of few rows cannot have leave those arrays out.

    Three small arrays are synthesised to learn what an element and a lane cost of this network's
    arithmetic; the best candidate that should fit is then synthesised and packed, and the next one
    if it does not fit after all.

    Raises
    ------
    FitError
        When not even the smallest array fits, with the numbers.
    """

    def lut(geometry: Geometry) -> int:
        program = Program(network, geometry, contexts=contexts)  # a batch moves no logic
        return cost(accelerator_for(program, target), target, store).lut or 0

    costs = _learn(lut)
    if costs is None:
        return SMALLEST
    room = FULL * target.budget["lut"]

    def possible(geometry: Geometry) -> bool:
        return costs.predict(geometry) <= room

    found = _candidates(network, target, possible, chains=chains, contexts=contexts, batch=batch)
    candidates = sorted(found, key=lambda pair: pair[0])
    tries = 0
    for _, geometry in candidates:
        if not possible(geometry):
            continue
        try:
            lut(geometry)
            return geometry
        except FitError:
            tries += 1
            room *= FULL
        if tries == TRIES:
            break
    return SMALLEST


def _learn(lut: Callable[[Geometry], int]) -> "_Costs | None":
    """Return what elements and lanes cost, or None where nothing fits to learn it from."""
    single = lut(SMALLEST)
    for lanes in PROBES:
        try:
            return _Costs(lut, single, lanes)
        except FitError:
            continue
    return None


class _Costs:
    """Logic cells as a linear function of elements and of lanes, from three measured arrays."""

    def __init__(self, lut: Callable[[Geometry], int], single: int, lanes: int):
        wide = lut(Geometry(1, 1, lanes))
        several = lut(Geometry(2, 2, lanes))
        self.lane = (wide - single) / (lanes - 1)
        element = (several - wide) / 3
        self.element = element - lanes * self.lane
        self.base = wide - element

    def predict(self, geometry: Geometry) -> float:
        """Return the logic cells that an array of this geometry should take in all."""
        element = self.element + self.lane * geometry.lanes
        return self.base + geometry.elements * element


def _candidates(
    network: Network,
    target: Target,
    possible: Callable[[Geometry], bool],
    *,
    chains: int,
    **options: Any,
) -> Iterator[tuple[tuple[float, int], Geometry]]:
    """Yield geometries whose memories fit, with cycles an image and elements to order them by."""
    weights = [layer.weights for layer in network if isinstance(layer, Weighted)]
    longest = max((each[0].size for each in weights), default=1)
    widest = max(size.channels for size in network.sizes.values())
    for rows, columns, lanes in product(ROWS, COLUMNS, LANES):
        if columns >= 2 * widest or lanes >= 2 * longest:
            continue
        try:
            geometry = Geometry(rows, columns, lanes, chains=chains)
            if not possible(geometry):
                continue
            program = Program(network, geometry, **options)
        except GeometryError:
            continue
        if fits(program, target):
            yield (program.cycles_per_image, geometry.macs), geometry
