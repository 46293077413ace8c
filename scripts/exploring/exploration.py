"""Explores: sensitivities, arrays, widths, accuracies, and the points that are built."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...hw.errors import FitError
from ..terminal.progress import Reporter
from .arrays import FittingArray, fitting, kinds
from .candidates import Candidate, candidates_of, thinned
from .measured import Measured
from .points import (
    PredictedPoint,
    best_front,
    chosen_points,
    noted,
    random_points,
    uniform_points,
)
from .quantised import Quantiser, numbers_of
from .request import Request

__all__ = ["Explored", "choose"]

VALIDATED = 24  # candidates whose accuracy is taken, or 4 for each point that is wanted


@dataclass(frozen=True, eq=False)
class Explored:
    """What was chosen, and what it is compared with.

    Attributes
    ----------
    request : Request
    accuracy_float : float
        Of the float network on validation images.
    points : tuple of PredictedPoint
        Within the accuracy that may be lost; the best front first.
    uniform, random : tuple of PredictedPoint
        One width for all layers, on arrays of whole weights; widths by chance.
    measured : tuple of Measured
        What was built.
    """

    request: Request
    accuracy_float: float
    points: tuple[PredictedPoint, ...]
    uniform: tuple[PredictedPoint, ...]
    random: tuple[PredictedPoint, ...]
    measured: tuple[Measured, ...] = ()

    @property
    def least_accuracy(self) -> float:
        """Accuracy that is not lost."""
        return self.accuracy_float - self.request.accuracy_drop / 100

    def best(self, points: Sequence[PredictedPoint]) -> PredictedPoint | None:
        """Return the best of some points within the accuracy that may be lost."""
        good = [each for each in points if each.accuracy >= self.least_accuracy]
        goal = self.request.goal
        return min(good, key=lambda each: goal.sign * each.value(goal), default=None)

    @property
    def beats(self) -> bool:
        """Whether the best point is better than all uniform formats and random widths that do."""
        goal, own = self.request.goal, self.best(self.points)
        others = [self.best(each) for each in (self.uniform, self.random)]
        return own is not None and all(
            goal.sign * own.value(goal) < goal.sign * each.value(goal)
            for each in others
            if each is not None
        )


def choose(request: Request, quantiser: Quantiser, reporter: Reporter) -> Explored:
    """Choose widths and arrays, and take their accuracy on validation images.

    Raises
    ------
    FitError
        Where nothing meets the limits: which, and the nearest that would do.
    """
    with reporter.step("validate the float network") as step:
        exact = quantiser.accuracy_float()
        step.note(f"{100 * exact:.2f} % of {len(quantiser.choose.test)} validation images")
    arrays = _arrays(request, quantiser, reporter)
    candidates = _candidates(request, arrays, reporter)
    with reporter.step("validate candidates") as step:
        points = chosen_points(request, quantiser, candidates, step.note)
        step.note(f"{len(points)} of {len(candidates)} fit by their own estimate")
    with reporter.step("validate uniform formats") as step:
        uniform = uniform_points(request, quantiser, arrays, step.note)
    with reporter.step("validate random widths") as step:
        random = random_points(request, quantiser, arrays, step.note)
    least = exact - request.accuracy_drop / 100
    good = [each for each in (*points, *uniform) if each.accuracy >= least]
    if not good:
        raise _lost(request, exact, points)
    ordered = best_front(_distinct(good), request.goal, request.points)
    return Explored(request, exact, tuple(ordered), tuple(uniform), tuple(random))


def _distinct(points: Sequence[PredictedPoint]) -> list[PredictedPoint]:
    """Return each identity once."""
    return list({each.candidate.identity: each for each in reversed(points)}.values())


def _lost(request: Request, exact: float, points: Sequence[PredictedPoint]) -> FitError:
    """Return the error of an accuracy that nothing keeps, with the nearest that would do."""
    if not points:
        return FitError(
            f"of what fits by its costs nothing fits {request.target} by its own estimate; take a "
            "larger target, or narrower activations"
        )
    best = max(points, key=lambda each: each.accuracy)
    drop = 100 * (exact - best.accuracy)
    return FitError(
        f"no widths meet --accuracy-drop {request.accuracy_drop:g}: the best of what fits "
        f"{request.target}, {best.candidate.formats} with {best.candidate.numbers} activations, "
        f"loses {drop:.2f} points on validation images; take --accuracy-drop {drop + 0.005:.2f}, "
        "other --widths or --activations, or a larger target"
    )


def _arrays(request: Request, quantiser: Quantiser, reporter: Reporter) -> list[FittingArray]:
    """Return the arrays of all kinds and formats that should fit."""
    found: list[FittingArray] = []
    refused: list[FitError] = []
    for numbers in numbers_of(request.activations, request.input, quantiser.choose):
        with reporter.step(f"quantise, {numbers} activations") as step:
            versions = quantiser.versions(
                numbers,
                noted(request.widths, step.note),
                by_channel=request.per == "channel",
            )
        with reporter.step(f"fit arrays, {numbers} activations") as step:
            before = len(found)
            for kind in noted(kinds(request.widths), step.note):
                try:
                    found += fitting(request, versions, kind)
                except FitError as error:
                    refused.append(error)
            step.note(f"{len(found) - before} arrays")
    if not found:
        raise FitError(
            f"no array of any kind fits {request.target}; of the narrowest: "
            f"{min(refused, key=lambda each: len(str(each)))}"
        )
    return found


def _candidates(
    request: Request, arrays: Sequence[FittingArray], reporter: Reporter
) -> list[Candidate]:
    """Return the best choices of the integer program."""
    found: list[Candidate] = []
    refused: FitError | None = None
    with reporter.step("choose widths") as step:
        for array in noted(arrays, step.note):
            try:
                found += candidates_of(request, array)
            except FitError as error:
                refused = refused or error
        step.note(f"{len(found)} choices on {len(arrays)} arrays")
    if not found:
        assert refused is not None
        raise refused
    return thinned(found, request.goal, max(VALIDATED, 4 * request.points))
