"""Arrays that fit a device, and what each layer costs on them at each width.

An array of slices takes every width; one of whole weights multiplies all of them as wide as the
widest, so on it all layers have one. Logic cells are a plane through the estimates of a few arrays
of a kind: what is left of the choice is estimated itself, and what is left then is built.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice, product
from math import ceil, inf
from typing import Any

import numpy as np

from ...hw.errors import FitError, GeometryError, NetworkError
from ...hw.geometry import SLICES, Geometry
from ...hw.network.file import to_bytes
from ...hw.network.layers import Weighted
from ...hw.network.network import Network
from ...hw.program.cycles import CycleModel
from ...hw.program.layout import Program
from ...hw.synth.estimate import Estimate, estimate
from ...hw.synth.placement import check_memories, fits, weight_room
from ...hw.synth.targets import Target
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store
from .costs import LayerCosts, words_of
from .groups import Groups
from .quantised import Versions
from .request import Request

__all__ = ["ArrayKind", "FittingArray", "Shape", "cycles_of", "estimated", "fitting", "kinds"]

ROWS = (1, 2, 3, 4, 6, 8, 12, 16)
COLUMNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LANES = (1, 2, 4, 8, 16, 32, 64)
CHAINS = (1, 2, 4)
FULL = 0.95  # of the logic cells; beyond that, routing fails or becomes slow
LARGEST = 0.8  # products of bits that a logic cell does at most, with room for doubt
TRIED, KEPT = 400, 10  # arrays of a kind, the fastest first: whose memories are looked at, and kept
PROBES = ((1, 1, 2), (2, 2, 2), (2, 2, 8), (4, 2, 4))
"""Rows, columns and lanes of the arrays whose estimates all others' follow from."""


@dataclass(frozen=True)
class Shape:
    """An array, and how images share it."""

    geometry: Geometry
    contexts: int
    batch: int

    def program(self, network: Network) -> Program:
        """Return the program of a network; raises `GeometryError` where it cannot run."""
        return Program(network, self.geometry, contexts=self.contexts, batch=self.batch)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = ("rows", "columns", "lanes", "hop", "chains", "slice")
        found = {name: getattr(self.geometry, name) for name in names}
        return {"geometry": found, "contexts": self.contexts, "batch": self.batch}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Shape":
        """Return what `plain` gave."""
        return cls(Geometry(**plain["geometry"]), plain["contexts"], plain["batch"])


@dataclass(frozen=True)
class ArrayKind:
    """Arrays of slices, or of whole weights of one width.

    Attributes
    ----------
    slice : int or None
        Bits of a slice.
    widths : tuple of int
        Widths that layers may have on it.
    """

    slice: int | None
    widths: tuple[int, ...]

    def __str__(self) -> str:
        return f"slices of {self.slice}" if self.slice else f"whole weights of {self.widths[0]}"


def kinds(widths: Sequence[int]) -> list[ArrayKind]:
    """Return the kinds of arrays for some widths."""
    sliced = [ArrayKind(bits, tuple(widths)) for bits in SLICES if len(widths) > 1]
    return [*sliced, *(ArrayKind(None, (width,)) for width in widths)]


@dataclass(frozen=True, eq=False)
class FittingArray:
    """An array whose memories and logic should fit, and what layers cost on it.

    Attributes
    ----------
    kind : ArrayKind
    versions : Versions
        What runs on it.
    shape : Shape
    groups : tuple of Groups
        Of the channels of each layer, and the widths that these may have.
    cycles : float array of shape (layers, choices)
        What each layer adds to `fixed` with each choice, infinite where it cannot be.
    fixed : float
        Cycles of an image, or of a single one where latency counts, with no layer's own.
    words : float array of shape (layers, choices)
        Words of weights.
    room : int
        Words of weights for which there is a place.
    lut : float
        Logic cells, by the plane through the estimates.
    fmax_mhz : float
        Estimated clock.
    """

    kind: ArrayKind
    versions: Versions
    shape: Shape
    groups: tuple[Groups, ...]
    cycles: np.ndarray
    fixed: float
    words: np.ndarray
    room: int
    lut: float
    fmax_mhz: float

    @cached_property
    def losses(self) -> np.ndarray:
        """Sum of what groups lose alone, of shape (layers, choices)."""
        each = zip(self.groups, self.versions.group_losses(self.groups), strict=True)
        return _table([own.picked(costs).sum(axis=1) for own, costs in each])

    @cached_property
    def bits(self) -> np.ndarray:
        """Bits of weights, of shape (layers, choices)."""
        each = zip(self.groups, self.versions.bits, strict=True)
        return _table(
            [
                own.picked(np.outer(own.sizes, bits / sum(own.sizes))).sum(axis=1)
                for own, bits in each
            ]
        )

    @cached_property
    def accumulators(self) -> np.ndarray:
        """Bits of the accumulator that are needed, of shape (layers, choices)."""
        channels = self.versions.accumulators(self.shape.geometry.lanes)
        found = []
        for own, costs in zip(self.groups, channels, strict=True):
            largest = np.array([each.max(axis=0) for each in own.split(costs)])
            found.append(own.picked(largest).max(axis=1))
        return _table(found)


def cycles_of(model: CycleModel, objective: str) -> float:
    """Return the cycles that count: of an image in a stream, or from end to end of a single one."""
    return float(model.run(1)) if objective == "latency" else model.per_image


def estimated(program: Program, target: Target, store: Store) -> Estimate:
    """Return the estimate of a program, kept in the store."""
    geometry = program.geometry
    parts = {
        "network": to_bytes(replace(program.network, about={})),
        "geometry": Shape(geometry, program.contexts, program.batch).plain(),
        "target": target.name,
        "sources": source_digest(estimate),
    }
    return Estimate(**store.compute("estimate", parts, lambda: vars(estimate(program, target))))


def fitting(request: Request, versions: Versions, kind: ArrayKind) -> list[FittingArray]:
    """Return the arrays of a kind that should fit, and are fastest with the narrowest weights.

    Raises
    ------
    FitError
        Where none does; with what is missing.
    """
    narrow = versions.networks[kind.widths[0]]
    plane = _Plane(request, narrow, kind)
    found: list[FittingArray] = []
    refused: FitError | None = None
    room = FULL * request.device.budget["lut"]
    small = (each for each in _geometries(request, narrow, kind) if plane.lut(each) <= room)
    for geometry in islice(small, TRIED):
        shape = _shape(request, narrow, geometry)
        if isinstance(shape, FitError):
            refused = refused or shape
            continue
        if shape is None:
            continue
        array = _costs(request, versions, kind, shape, plane)
        if array is not None:
            found.append(array)
        if len(found) == KEPT:
            break
    if not found:
        raise refused or FitError(
            f"no array of {kind} has room for itself in {request.device.budget['lut']} logic "
            f"cells of {request.target}: the smallest takes about {plane.least:.0f}; take narrower "
            "activations or a larger target"
        )
    return found


class _Plane:
    """Logic cells of arrays of a kind: those of everything else, of elements, and of lanes."""

    def __init__(self, request: Request, network: Network, kind: ArrayKind):
        found = []
        for rows, columns, lanes in PROBES:
            shape = Shape(Geometry(rows, columns, lanes, slice=kind.slice), 1, 1)
            try:
                program = shape.program(network)
            except GeometryError:
                continue
            found.append((shape.geometry, estimated(program, request.device, request.store)))
        from scipy.optimize import nnls  # here: the import takes a while

        terms = np.array([self._terms(geometry) for geometry, _ in found], float)
        cells = np.array([each.lut for _, each in found], float)
        self._costs = nnls(terms / cells[:, None], np.ones(len(cells)))[0]  # none is negative
        self.fmax_mhz = float(np.median([each.fmax_mhz or 0 for _, each in found]))
        self.least = float(cells.min())

    @staticmethod
    def _terms(geometry: Geometry) -> tuple[int, int, int]:
        return 1, geometry.elements, geometry.macs

    def lut(self, geometry: Geometry) -> float:
        return float(self._costs @ self._terms(geometry))


def _geometries(request: Request, network: Network, kind: ArrayKind) -> Iterator[Geometry]:
    """Yield arrays, those first that need the fewest cycles for the narrowest weights."""
    weight = kind.slice or kind.widths[0]
    activation = max(layer.input.width for layer in network)
    most = LARGEST * request.device.budget["lut"] / (weight * activation)
    sizes = [_work(network, layer, kind) for layer in network if isinstance(layer, Weighted)]
    batched = request.objective != "latency"

    def least(geometry: Geometry) -> tuple[float, int]:
        return sum(_cycles(size, geometry, batched) for size in sizes), geometry.macs

    found = [
        Geometry(rows, columns, lanes, chains=chains, slice=kind.slice)
        for rows, columns, lanes, chains in product(ROWS, COLUMNS, LANES, CHAINS)
        if not rows % chains and rows * columns * lanes <= most
    ]
    yield from sorted(found, key=least)


def _work(network: Network, layer: Weighted, kind: ArrayKind) -> tuple[int, int, int, int, int]:
    """Return positions, groups, channels of each, codes that each reads, and slices."""
    groups = getattr(layer, "groups", 1)
    width = max(2, kind.widths[0])  # bipolar weights are integers of two bits in slices
    slices = ceil(width / kind.slice) if kind.slice else 1
    channels = network.sizes[layer.name].channels // groups
    return network.sizes[layer.name].positions, groups, channels, layer.weights[0].size, slices


def _cycles(size: tuple[int, int, int, int, int], geometry: Geometry, batched: bool) -> float:
    """Return the cycles that a layer keeps the array busy an image, at least."""
    positions, groups, channels, codes, slices = size
    steps = max(ceil(codes / geometry.lanes) * slices, geometry.drain_cycles)
    tiles = groups * ceil(channels / geometry.columns) * steps
    if positions == 1 and batched:
        return tiles / geometry.rows
    return ceil(positions / geometry.rows) * tiles


def _shape(request: Request, network: Network, geometry: Geometry) -> Shape | FitError | None:
    """Return how images share an array: as many in flight as memories allow; or why none can be."""
    try:
        program = Shape(geometry, 1, 1).program(network)
    except (GeometryError, NetworkError):
        return None
    try:
        check_memories(program, request.device)
    except FitError as error:
        return error
    single = request.objective == "latency"
    modes = [] if single else [(2, geometry.rows), (2, 1), (1, geometry.rows)]
    for contexts, batch in dict.fromkeys(modes):
        shape = Shape(geometry, contexts, batch)
        if fits(shape.program(network), request.device):
            return shape
    return Shape(geometry, 1, 1) if fits(program, request.device) else None


def _costs(
    request: Request, versions: Versions, kind: ArrayKind, shape: Shape, plane: _Plane
) -> FittingArray | None:
    """Return an array with what each layer costs on it; None where a width cannot run."""
    at = [versions.widths.index(width) for width in kind.widths]
    try:
        programs = [shape.program(versions.networks[width]) for width in kind.widths]
    except (GeometryError, NetworkError):
        return None
    base = programs[0]
    names = [record.mapped.layer.name for record in base.records]
    groups = versions.groups_on(shape.geometry.columns if kind.slice else None)
    found = [
        LayerCosts(programs, names.index(name), partial(cycles_of, objective=request.objective)).of(
            own, at
        )
        for name, own in zip(versions.names, groups, strict=True)
    ]
    return FittingArray(
        kind=kind,
        versions=versions,
        shape=shape,
        groups=groups,
        cycles=_table([cycles for cycles, _ in found]),
        fixed=cycles_of(base.cycles, request.objective),
        words=_table([words for _, words in found]),
        room=weight_room(programs[-1], request.device) - _others(base, versions.names),
        lut=plane.lut(shape.geometry),
        fmax_mhz=plane.fmax_mhz,
    )


def _table(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows side by side; the shorter ones are infinite at their ends."""
    most = max(map(len, rows))
    return np.array([np.pad(row, (0, most - len(row)), constant_values=inf) for row in rows])


def _others(base: Program, names: Iterable[str]) -> int:
    """Return the words of weights that pick channels: of pools and sums."""
    own = set(names)
    return sum(
        words_of(base, at)
        for at, record in enumerate(base.records)
        if record.mapped.layer.name not in own
    )
