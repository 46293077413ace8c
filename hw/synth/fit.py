"""The array that makes the most of a target."""

from collections.abc import Callable, Iterator

from ..array import Geometry
from ..errors import FitError, GeometryError
from ..network import Network
from ..program import Program
from .build import accelerator_for, cost
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
    network: Network, target: Target, store: Store, *, contexts: int = 2
) -> Geometry:
    """Return the geometry that classifies most images a cycle and fits ``target``.

    Three small arrays are synthesised to learn what an element and a lane cost of this network's
    arithmetic; the best candidate that should fit is then synthesised and packed, and the next one
    if it does not fit after all.

    Raises
    ------
    FitError
        When not even the smallest array fits, with the numbers.
    """

    def lut(geometry: Geometry) -> int:
        program = Program(network, geometry, contexts=contexts)
        return cost(accelerator_for(program, target), target, store).lut or 0

    costs = _learn(lut)
    if costs is None:
        return SMALLEST
    room = FULL * target.budget["lut"]
    candidates = sorted(_candidates(network, target, contexts), key=lambda pair: pair[0])
    tries = 0
    for _, geometry in candidates:
        if costs.predict(geometry) > room:
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
    network: Network, target: Target, contexts: int
) -> Iterator[tuple[tuple[float, int], Geometry]]:
    """Yield geometries whose memories fit, with cycles an image and elements to order them by."""
    widest_input = max(layer.inputs for layer in network)
    widest_output = max(layer.outputs for layer in network)
    for rows in ROWS:
        for columns in COLUMNS:
            for lanes in LANES:
                if columns >= 2 * widest_output or lanes >= 2 * widest_input:
                    continue
                geometry = Geometry(rows, columns, lanes)
                try:
                    program = Program(network, geometry, contexts=contexts)
                except GeometryError:
                    continue
                blocks = sum(target.family.brams(*shape) for shape in program.memories.values())
                if blocks <= target.budget["bram"]:
                    yield (program.cycles_per_image, geometry.macs), geometry
