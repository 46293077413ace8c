"""Candidates: widths that the integer program chooses on each array, as far as none is better."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from ...hw.errors import FitError
from .arrays import FittingArray, Shape
from .choice import Limit, choose_widths, refuse_limits
from .groups import Widths, common, formats_of
from .quantised import SharedFormats, Versions
from .request import Objective, Request

__all__ = ["Candidate", "budgets", "candidates_of", "front", "limits_of", "place", "thinned"]

BUDGETS = 12  # of losses, on each array
SMALLEST = 1e-9  # loss that is more than none

Identity: TypeAlias = tuple[SharedFormats, tuple[int | tuple[int, ...], ...]]


@dataclass(frozen=True, eq=False)
class Candidate:
    """Widths on an array, with what they should come to.

    Attributes
    ----------
    array : FittingArray
    chosen : tuple of int
        Index of the choice of each layer.
    """

    array: FittingArray
    chosen: tuple[int, ...]

    @property
    def versions(self) -> Versions:
        """The versions that its layers are of."""
        return self.array.versions

    @property
    def numbers(self) -> SharedFormats:
        """Formats that its layers share."""
        return self.versions.numbers

    @property
    def shape(self) -> Shape:
        """Its array, and how images share it."""
        return self.array.shape

    @property
    def widths(self) -> Widths:
        """The width of each layer, or those of its channels."""
        each = zip(self.array.groups, self.chosen, strict=True)
        widths = (groups.chosen(index) for groups, index in each)
        return dict(zip(self.versions.names, widths, strict=True))

    @property
    def identity(self) -> Identity:
        """What decides its accuracy."""
        return self.numbers, tuple(self.widths.values())

    @property
    def formats(self) -> str:
        """The formats of its weights, layer by layer, or the one that all have."""
        found = [formats_of(width) for width in self.widths.values()]
        return found[0] if self.is_uniform else ", ".join(found)

    @property
    def is_uniform(self) -> bool:
        """Whether all weights have one width."""
        return common(self.widths) != "mixed"

    def _sum(self, costs: np.ndarray) -> float:
        return float(costs[np.arange(len(costs)), list(self.chosen)].sum())

    @cached_property
    def loss(self) -> float:
        """Sum of what each group alone costs."""
        return self._sum(self.array.losses)

    @cached_property
    def cycles(self) -> float:
        """Cycles that count."""
        return self.array.fixed + self._sum(self.array.cycles)

    @cached_property
    def bits(self) -> float:
        """Bits of all weights."""
        return self._sum(self.array.bits)

    def value(self, goal: Objective) -> float:
        """Return the figure of the objective."""
        if goal.name == "bits":
            return self.bits
        if goal.name == "images":
            return 1e6 * self.array.fmax_mhz / self.cycles
        return self.cycles / self.array.fmax_mhz


def limits_of(request: Request, array: FittingArray) -> list[Limit]:
    """Return the limits of the array and of the request, but for that of losses."""
    found = [Limit("the weight memory", array.words, array.room, " words")]
    if request.accumulator is not None:
        # a layer has a sum of its own, so this limits each choice, and no sum over layers
        wide = np.where(array.accumulators > request.accumulator, np.inf, 0.0)
        found.append(Limit("--accumulator", wide, 0.0))
    return found


def budgets(request: Request, array: FittingArray) -> list[float]:
    """Return limits of the sum of losses, from the least that is possible to none.

    Raises
    ------
    FitError
        Where no widths meet the other limits, with the nearest that would do.
    """
    limits, losses = limits_of(request, array), array.losses
    least = choose_widths(losses, limits)
    if least is None:
        raise _refused(request, array, limits)
    fastest = choose_widths(array.cycles, limits, then=losses)
    assert fastest is not None
    low, high = (Candidate(array, each).loss for each in (least, fastest))
    ends = max(low, SMALLEST), max(high, low, SMALLEST)
    return sorted({*np.geomspace(*ends, BUDGETS).tolist()} if ends[1] > ends[0] else {ends[1]})


def _refused(request: Request, array: FittingArray, limits: Sequence[Limit]) -> FitError:
    """Return the error of limits that nothing meets; of accumulators, the least that would do."""
    if request.accumulator is not None:
        bits = np.where(np.isfinite(array.cycles), array.accumulators, np.inf)
        needed = int(bits.min(axis=1).max())
        if needed > request.accumulator:
            return FitError(
                f"no widths meet the limits: --accumulator is at most {request.accumulator} bits, "
                f"and at least {needed} bits with any widths"
            )
    return refuse_limits(limits)


def candidates_of(request: Request, array: FittingArray) -> list[Candidate]:
    """Return what the integer program chooses on an array, under each budget of losses."""
    limits, losses, goal = limits_of(request, array), array.losses, request.goal
    costs = array.cycles if goal.name != "bits" else array.bits
    costs = np.where(np.isfinite(array.cycles), costs, np.inf)
    then = losses if goal.name != "bits" else array.cycles
    found = []
    for budget in budgets(request, array):
        chosen = choose_widths(costs, [*limits, Limit("losses", losses, budget)], then=then)
        if chosen is not None:
            found.append(chosen)
    return [Candidate(array, chosen) for chosen in dict.fromkeys(found)]


def place(value: float, quality: float, goal: Objective) -> tuple[float, float]:
    """Return where something stands: less is better of both."""
    return goal.sign * value, -quality


def front(places: Sequence[tuple[float, float]]) -> list[int]:
    """Return which places are on the front, the best of the first kind first: less is better.

    >>> front([(1, 5), (2, 5), (3, 1), (2, 3)])
    [0, 3, 2]
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    found: list[int] = []
    for index in order:
        if not found or places[index][1] < places[found[-1]][1]:
            found.append(index)
    return found


def thinned(found: Iterable[Candidate], goal: Objective, count: int) -> list[Candidate]:
    """Return as many candidates of the front of values and losses, spread evenly, ends included.

    Where the front has fewer, those that it hides come next, front by front.
    """
    left = _distinct(found, goal)
    kept: list[Candidate] = []
    while left and len(kept) < count:
        places = [place(each.value(goal), -each.loss, goal) for each in left]
        on = front(places)
        take = min(len(on), count - len(kept))
        spread = np.linspace(0, len(on) - 1, take).round().astype(int)
        kept += [left[on[index]] for index in spread]
        left = [each for index, each in enumerate(left) if index not in set(on)]
    return kept


def _distinct(found: Iterable[Candidate], goal: Objective) -> list[Candidate]:
    """Return the candidate of each identity whose value is best."""
    best: dict[Identity, Candidate] = {}
    for each in sorted(found, key=lambda one: goal.sign * one.value(goal)):
        best.setdefault(each.identity, each)
    return list(best.values())
