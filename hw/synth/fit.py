"""The array that makes the most of a target."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from math import inf

import numpy as np

from ..errors import FitError, GeometryError
from ..geometry import Geometry
from ..network.layers import Weighted
from ..network.network import Network
from ..program.cycles import CycleModel
from ..program.layout import Program
from .placement import fits
from .targets import Target

__all__ = ["largest_geometry"]

ROWS = (1, 2, 3, 4, 6, 8, 12, 16)
COLUMNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LANES = (1, 2, 4, 8, 16, 32, 64)
FULL = 0.95  # of the logic cells; beyond that, routing fails or becomes slow
TRIES = 6
ESTIMATES = 40
PROBES = (5, 2)  # lanes of the arrays to learn from; the fewer, the more noise in what they tell


def largest_geometry(
    network: Network,
    target: Target,
    cells: Callable[[Program], int],
    *,
    hop: int = 8,
    contexts: int = 2,
    batch: int | None = None,
    chains: int = 1,
    slice: int | None = None,
    predict: Callable[[Program], float] | None = None,
) -> Geometry:
    """Return the geometry that classifies most images a cycle and fits ``target``.

    Three small arrays are measured to learn what an element and a lane cost of this network's
    arithmetic. The best candidate that should fit is then measured; what it takes, where it does
    not fit after all, is learned from before the next. So the answer was always seen to fit; where
    `TRIES` candidates did not, it is the best of the small ones. With estimates none of the small
    ones is measured, as long as a candidate that should fit does.

    Parameters
    ----------
    target : Target
        Whose memories are to hold those of the network; what something else takes of them is
        missing in its budget.
    cells : callable
        Returns the logic cells of what is built with a program, or raises `FitError`.
    hop, contexts, batch, chains, slice
        As in `Geometry` and `Program`; a batch or chains that an array of few rows cannot have
        leave those arrays out.
    predict : callable, optional
        Returns the logic cells that `cells` should find, in less than a second.

    Raises
    ------
    FitError
        When not even the smallest array fits, with the numbers; when none that fits has the batch
        and the chains.
    GeometryError
        For a network that no array runs, such as one of slices.
    """
    array = partial(Geometry, hop=hop, slice=slice)
    ranking = _Ranking(network, target, contexts, batch, chains)
    # a batch moves no logic
    tried = _Tried(lambda each: cells(Program(network, each, contexts=contexts)))
    grid = list(_grid(network, array, chains))
    room = FULL * target.budget["lut"]
    if predict is not None:
        estimates = _Estimates(lambda each: predict(Program(network, each, contexts=contexts)))
        found = estimates.largest(ranking, tried, _probes(array) + grid, room)
        if found is not None:
            return found
    tried.probe(array)
    for _ in range(TRIES):
        learned = _learned(tried.cells)
        chosen = ranking.best(
            each
            for each in dict.fromkeys([*grid, *tried.cells])
            if each not in tried.refused and tried.cells.get(each, learned(each)) <= room
        )
        if chosen is None:
            break
        if tried.fits(chosen):
            return chosen
    known = ranking.best(each for each in tried.cells if each not in tried.refused)
    if known is None:
        raise FitError(
            f"no array that was seen to fit {target.name} has --chains {chains}"
            + (f" and --batch {batch}" if batch else "")
            + "; leave them out, or give --rows, --columns and --lanes"
        )
    return known


class _Ranking:
    """Ranking of arrays whose memories fit, by the images that they classify a cycle."""

    def __init__(
        self, network: Network, target: Target, contexts: int, batch: int | None, chains: int
    ):
        self._network, self._target, self._chains = network, target, chains
        self._contexts, self._batch = contexts, batch
        self._known: dict[Geometry, CycleModel | None] = {}

    def best(self, among: Iterable[Geometry]) -> Geometry | None:
        """Return the best; None where none of them can be.

        Cycles are counted, and fewest products a cycle preferred among equals, as long as those
        that are left could be faster.
        """
        models = {each: model for each in among if (model := self._model(each)) is not None}
        chosen, fastest = None, (inf, 0)
        for geometry, model in sorted(models.items(), key=lambda each: each[1].least):
            if model.least > fastest[0]:
                break
            order = (model.per_image, geometry.macs)
            if order < fastest:
                chosen, fastest = geometry, order
        return chosen

    def _model(self, geometry: Geometry) -> CycleModel | None:
        if geometry not in self._known:
            self._known[geometry] = self._find(geometry)
        return self._known[geometry]

    def _find(self, geometry: Geometry) -> CycleModel | None:
        """Return the cycles of what a geometry takes; None for what cannot be."""
        try:
            program = Program(self._network, geometry, contexts=self._contexts, batch=self._batch)
        except GeometryError:
            return None
        possible = geometry.chains == self._chains and fits(program, self._target)
        return program.cycles if possible else None


class _Tried:
    """Arrays that were measured.

    Attributes
    ----------
    cells : dict of Geometry to int
        Logic cells, as far as they were counted; of some that do not fit, too.
    refused : set of Geometry
        Those that do not fit.
    """

    def __init__(self, measure: Callable[[Geometry], int]):
        self._measure = measure
        self.cells: dict[Geometry, int] = {}
        self.refused: set[Geometry] = set()

    def probe(self, array: Callable[..., Geometry]) -> None:
        """Measure arrays to learn from; raises `FitError` where the smallest does not fit."""
        smallest = array(1, 1, 1)
        if smallest not in self.cells or smallest in self.refused:
            self.cells[smallest] = self._measure(smallest)
        for lanes in PROBES:
            probes = [array(side, side, lanes) for side in (1, 2)]
            for each in probes:
                self.fits(each)
            if self.cells.keys() >= set(probes):
                break

    def fits(self, geometry: Geometry) -> bool:
        """Tell whether an array fits; measure it, unless that was done."""
        if geometry not in self.cells and geometry not in self.refused:
            try:
                self.cells[geometry] = self._measure(geometry)
            except FitError as error:
                self.refused.add(geometry)
                if error.lut is not None:
                    self.cells[geometry] = error.lut
        return geometry not in self.refused


class _Estimates:
    """Logic cells of arrays, estimated one by one."""

    def __init__(self, predict: Callable[[Geometry], float]):
        self._predict = predict
        self._known: dict[Geometry, float] = {}

    def largest(
        self, ranking: _Ranking, tried: _Tried, grid: list[Geometry], room: float
    ) -> Geometry | None:
        """Return the best array that should fit and does; None where none of `TRIES` did.

        Which are worth an estimate tells a plane through those that there are. Where one takes more
        than its estimate and does not fit, so do all others, in the same ratio.
        """
        self._known |= {each: self._predict(each) for each in grid[: 1 + len(PROBES)]}
        low = 1.0  # what estimates are to be multiplied by
        for _ in range(ESTIMATES):
            plane = _learned(self._known)
            chosen = ranking.best(
                each
                for each in grid
                if each not in tried.refused and low * self._known.get(each, plane(each)) <= room
            )
            if chosen is None or len(tried.refused) == TRIES:
                return None
            if chosen not in self._known:
                self._known[chosen] = self._predict(chosen)
            elif tried.fits(chosen):
                return chosen
            elif chosen in tried.cells:
                low = max(low, tried.cells[chosen] / self._known[chosen])
        return None


def _probes(array: Callable[..., Geometry]) -> list[Geometry]:
    """Return the arrays to estimate first: of one element and one lane, and of several."""
    return [array(1, 1, 1), *(array(2, 2, lanes) for lanes in PROBES)]


def _learned(measured: Mapping[Geometry, float]) -> Callable[[Geometry], float]:
    """Return what predicts logic cells: those of elements, and those of all their lanes.

    By least squares; where that would make one of the two negative, without it.
    """

    def terms(geometry: Geometry) -> tuple[int, int, int]:
        return 1, geometry.elements, geometry.macs

    sizes, found = np.array([terms(each) for each in measured]), np.array([*measured.values()])
    solutions = []
    for kept in ([0, 1, 2], [0, 2], [0, 1], [0]):
        costs = np.zeros(3)
        costs[kept] = np.linalg.lstsq(sizes[:, kept], found, rcond=None)[0]
        if costs[1:].min() >= 0:
            solutions.append(costs)
    best = min(solutions, key=lambda costs: float(((sizes @ costs - found) ** 2).sum()))
    return lambda geometry: float(best @ terms(geometry))


def _grid(network: Network, array: Callable[..., Geometry], chains: int) -> Iterator[Geometry]:
    """Yield geometries none of which is far larger than every layer."""
    weights = [layer.weights for layer in network if isinstance(layer, Weighted)]
    longest = max((each[0].size for each in weights), default=1)
    widest = max(size.channels for size in network.sizes.values())
    for rows, columns, lanes in product(ROWS, COLUMNS, LANES):
        if columns < 2 * widest and lanes < 2 * longest and not rows % chains:
            yield array(rows, columns, lanes, chains=chains)
