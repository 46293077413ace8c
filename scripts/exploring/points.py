"""Points: candidates whose program, estimate and accuracy on validation images are known."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ...hw.errors import FitError
from ...hw.synth.estimate import Estimate
from ..terminal.progress import time_left
from .arrays import FULL, FittingArray, cycles_of, estimated
from .candidates import Candidate, candidates_of, front, limits_of, place
from .quantised import Quantiser, SharedFormats
from .request import Objective, Request

__all__ = [
    "PredictedPoint",
    "best_front",
    "chosen_points",
    "figure",
    "noted",
    "random_points",
    "uniform_points",
]

DRAWN = 200  # assignments for each random one that is wanted, at most
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PredictedPoint:
    """A candidate with what was predicted of it.

    Attributes
    ----------
    candidate : Candidate
    cycles : float
        Cycles that count, of its own program.
    estimate : Estimate
        What it should take of the target.
    accuracy : float
        Share of the validation images that it labels right.
    """

    candidate: Candidate
    cycles: float
    estimate: Estimate
    accuracy: float

    def value(self, goal: Objective) -> float:
        """Return the predicted figure of the objective."""
        clock = self.estimate.fmax_mhz or self.candidate.array.fmax_mhz
        return figure(goal, clock, self.cycles, self.candidate.bits)


def figure(goal: Objective, fmax_mhz: float, cycles: float, bits: float) -> float:
    """Return the figure of an objective from clock, cycles that count and bits of weights."""
    if goal.name == "bits":
        return bits
    return 1e6 * fmax_mhz / cycles if goal.name == "images" else cycles / fmax_mhz


def noted(things: Sequence[T], note: Callable[[str], None]) -> Iterator[T]:
    """Iterate over things, and note how many are done and the time that is left."""
    started = time.perf_counter()
    for done, each in enumerate(things):
        left = (time.perf_counter() - started) / done * (len(things) - done) if done else None
        text = f"{done} of {len(things)}"
        note(text if left is None else f"{text}, {time_left(left)}")
        yield each
    note(f"{len(things)}")


def _point(request: Request, quantiser: Quantiser, candidate: Candidate) -> PredictedPoint | None:
    """Return the point of a candidate; None where it should not fit after all."""
    lanes = candidate.shape.geometry.lanes
    network = candidate.versions.mixed(candidate.widths, lanes)
    program = candidate.shape.program(network)
    found = estimated(program, request.device, request.store)
    if found.lut > FULL * request.device.budget["lut"]:
        return None
    accuracy = quantiser.accuracy(candidate.numbers, candidate.widths)
    return PredictedPoint(candidate, cycles_of(program.cycles, request.objective), found, accuracy)


def chosen_points(
    request: Request,
    quantiser: Quantiser,
    candidates: Sequence[Candidate],
    note: Callable[[str], None],
) -> list[PredictedPoint]:
    """Return the points of candidates that should fit, whatever their accuracy."""
    found = (_point(request, quantiser, each) for each in noted(candidates, note))
    return [each for each in found if each is not None]


def uniform_points(
    request: Request,
    quantiser: Quantiser,
    arrays: Iterable[FittingArray],
    note: Callable[[str], None],
) -> list[PredictedPoint]:
    """Return for each uniform format the best point on an array of whole weights."""
    best: dict[object, list[Candidate]] = {}
    for array in arrays:
        if array.kind.slice is None:
            try:
                found = candidates_of(request, array)
            except FitError:
                continue
            for each in found:
                best.setdefault(each.identity, []).append(each)
    points = []
    for among in noted(list(best.values()), note):
        ordered = sorted(among, key=lambda each: request.goal.sign * each.value(request.goal))
        tried = (_point(request, quantiser, each) for each in ordered)
        points.append(next((point for point in tried if point is not None), None))
    return [point for point in points if point is not None]


def random_points(
    request: Request,
    quantiser: Quantiser,
    arrays: Sequence[FittingArray],
    note: Callable[[str], None],
) -> list[PredictedPoint]:
    """Return points of random widths, each on the array on which it does best.

    Widths are drawn until some array meets all limits but that of the accuracy.
    """
    rng = np.random.default_rng(0)
    kinds = list(dict.fromkeys(map(_drawn_alike, arrays)))
    drawn: dict[object, Candidate] = {}
    for _ in range(DRAWN * request.random):
        if len(drawn) == request.random:
            break
        mine = kinds[rng.integers(len(kinds))]
        among = [array for array in arrays if _drawn_alike(array) == mine]
        counts = [len(groups.choices) for groups in among[0].groups]
        chosen = tuple(rng.integers(counts).tolist())
        possible = [
            each for each in (Candidate(array, chosen) for array in among) if _meets(request, each)
        ]
        if possible:
            best = min(possible, key=lambda each: request.goal.sign * each.value(request.goal))
            drawn.setdefault(best.identity, best)
    return chosen_points(request, quantiser, list(drawn.values()), note)


def _drawn_alike(array: FittingArray) -> tuple[SharedFormats, tuple[tuple[int, ...], ...]]:
    """Return what arrays share whose layers have the same choices."""
    return array.versions.numbers, tuple(groups.sizes for groups in array.groups)


def _meets(request: Request, candidate: Candidate) -> bool:
    """Tell whether a candidate meets the limits of its array and of the request."""
    rows = np.arange(len(candidate.chosen))
    limits = limits_of(request, candidate.array)
    return bool(np.isfinite(candidate.cycles)) and all(
        each.costs[rows, list(candidate.chosen)].sum() <= each.most for each in limits
    )


def best_front(
    points: Sequence[PredictedPoint], goal: Objective, count: int
) -> list[PredictedPoint]:
    """Return points from the front of values and accuracies on, front by front.

    At most ``count`` of each front, spread evenly: those of the first one come first.
    """
    left, kept = list(points), []
    while left:
        on = front([place(each.value(goal), each.accuracy, goal) for each in left])
        spread = np.linspace(0, len(on) - 1, min(count, len(on))).round().astype(int)
        first = [on[index] for index in spread]
        kept += [left[index] for index in (*first, *(each for each in on if each not in first))]
        left = [each for index, each in enumerate(left) if index not in on]
    return kept
