"""Solves step functions as integers: each layer alone, or all with one shift."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...hw.errors import NetworkError
from ...hw.network.layers import MAX_SHIFT, Layer
from ...hw.numbers.formats import Bipolar, Format
from .logits import LOGIT_BITS, Meaning, logits
from .requantisation import WIDE, Steps
from .search import UNBOUNDED, Integers, Listed
from .staircase import ClosedForm
from .step_function import StepFunction, count_reached
from .unsolved import Clamp, Parameters, UnsolvedLayer

__all__ = ["Solution", "build", "solve_all", "solve_together"]

ROUNDINGS = ("half_up", "half_even")
MAX_THRESHOLD_BITS = 8
SAMPLES = 257
MOST = 1 << 22  # steps of a layer, over all channels, that are looked at one by one


@dataclass(frozen=True, eq=False)
class Solution:
    """Parameters of a `Layer` that turn its sums into levels, and the method that found them.

    Attributes
    ----------
    method : str
        ``sign``, ``shift``, ``multiplier``, ``thresholds`` or ``sums``.
    parameters : dict
        Of `hw.network.Requantised`.
    compared : int
        Accumulator levels, over all channels, at which integers and function were compared.
    error : float
        Largest rounding of a logit, relative to the largest logit that can be; 0 where exact.
    meaning : Meaning or None
        What its levels stand for, where they are logits.
    """

    method: str
    parameters: Parameters
    compared: int
    error: float = 0.0
    meaning: Meaning | None = None


@dataclass(frozen=True, eq=False)
class _Trial:
    """A step function, the shift that is enough for it, and how ties are rounded."""

    function: StepFunction
    solver: Listed | ClosedForm
    shift: int
    rounding: str
    integers: Integers | None


def solve_all(
    unsolved: Sequence[UnsolvedLayer],
    logit_bits: int = LOGIT_BITS,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Solution]:
    """Return the integers of all layers; ``progress`` is told which layer is next.

    Raises
    ------
    NetworkError
        Where no integers are exact; the text names the layer.
    """
    functions = [each.steps for each in unsolved if each.steps is not None]
    whole = {each.name: _whole_numbers(each) for each in functions if each.output.width > WIDE}
    found = {name: each for name, each in whole.items() if each is not None}
    trials = []
    for place, each in enumerate(functions, 1):
        progress(f"integers of {each.name}, layer {place} of {len(functions)}")
        trials += [_smallest(each)] if each.name not in found else []
    progress("shifts that layers share")
    found |= _with_few_shifts(trials)
    bits = max(
        (int(np.max(each.parameters["multiplier"])).bit_length() for each in found.values()),
        default=1,
    )
    for each in unsolved:
        if each.ends is not None:
            found[each.name] = _as_they_are(each)
        elif each.steps is None:
            found[each.name] = _logits(each, max(bits, logit_bits))
    return found


def solve_together(unsolved: Sequence[UnsolvedLayer]) -> dict[str, Solution]:
    """Return the integers of all layers at the smallest shift that they can share.

    Raises
    ------
    NetworkError
        When no shift up to 40, with products inside 62 bits, is exact; the text names the layer and
        the channel that need more.
    """
    functions = [each.steps for each in unsolved if each.steps is not None]
    solvers = [_solver(each) for each in functions]
    last = {each.name: _logits(each, LOGIT_BITS) for each in unsolved if each.steps is None}
    order, culprit = [*solvers], ""  # what failed last comes first
    for shift in range(MAX_SHIFT + 1):
        beyond = [each.name for each in functions if each.product_limit(shift) >= UNBOUNDED]
        if beyond:
            culprit = culprit or f"layer {beyond[0]}"
            break
        found = {}
        for solver in order:
            integers = solver.at(shift)
            if integers is None:
                culprit = f"layer {solver.function.name}, channel {solver.culprit}"
                order.remove(solver)
                order.insert(0, solver)
                break
            trial = _Trial(solver.function, solver, shift, "half_up", integers)
            found[trial.function.name] = trial, integers
        else:
            return {name: _solution(*each) for name, each in found.items()} | last
    raise NetworkError(
        f"{culprit}: no multiplier and shift within 62-bit products give its function "
        "exactly; train with multiplier_bits, or a narrower activation format"
    )


def _smallest(function: StepFunction) -> _Trial:
    """Return the integers of the smallest shift that are exact; none where thresholds must do."""
    solver = _solver(function)
    if function.output == Bipolar():
        return _Trial(function, solver, 0, "half_up", solver.at(0, "half_up"))
    is_line = not isinstance(function, Steps) or function.is_line
    for shift in range(MAX_SHIFT + 1) if is_line else ():
        if function.product_limit(shift) >= UNBOUNDED:
            break
        for rounding in ROUNDINGS if shift else ROUNDINGS[:1]:
            integers = solver.at(shift, rounding)
            if integers is not None:
                return _Trial(function, solver, shift, rounding, integers)
    if function.output.width > MAX_THRESHOLD_BITS:
        raise _too_wide(function)
    return _Trial(function, solver, 0, "half_up", None)


def _solver(function: StepFunction) -> Listed | ClosedForm:
    """Return what finds integers; steps are listed only where they are few."""
    if isinstance(function, Steps):
        if not function.is_line and function.output.width > MAX_THRESHOLD_BITS:
            raise _too_wide(function)
        closed = function.closed_form()
        if closed is not None:
            return closed
    steps = function.span * len(function.low)
    if steps > MOST:
        raise NetworkError(
            f"layer {function.name}: {function.output} and {len(function.low)} channels have "
            f"{steps:,} steps that must be looked at one by one, of at most {MOST:,}; quantise it "
            "to fewer bits"
        )
    return Listed(function)


def _too_wide(function: StepFunction) -> NetworkError:
    return NetworkError(
        f"layer {function.name}: no multiplier and shift give its function exactly, and "
        f"{function.output} is too wide for thresholds, which have up to "
        f"{MAX_THRESHOLD_BITS} bits; quantise it to fewer bits"
    )


def _whole_numbers(function: StepFunction) -> Solution | None:
    """Return the integers of wide levels that are whole multiples of the sums, plus a bias.

    For whole slopes ``m`` the function is ``clip(round(m * sum + offset))``, and as ``m * sum`` is
    whole, ``m * sum + round(offset)`` before the clip: nothing is rounded but the offset, once, and
    every mode that rounds to the nearest rounds it alike unless it is a tie. That is the proof. The
    sums that are compared, the ends and some between, only guard the code.

    Raises
    ------
    NetworkError
        For multiples beyond what int64 holds, which no other integers are within either.
    """
    if not isinstance(function, Steps) or not function.is_line or function.quantizer.divisor:
        return None
    slope, offset = function.exact_slope, function.exact_offset
    if function.mirrored.any() or any(each.denominator != 1 or each < 1 for each in slope):
        return None
    if any(each.denominator == 2 for each in offset):
        return None
    if not function.rounds_to_nearest:
        return None
    if function.product_limit(0) >= UNBOUNDED:
        raise NetworkError(
            f"layer {function.name}: its levels are {float(max(slope)):.3g} times its sums, and "
            "products of more than 62 bits are not computed; quantise it with a larger scale"
        )
    multiplier, bias = slope.astype(np.int64), np.array([round(each) for each in offset], np.int64)
    sums = np.linspace(function.low, function.high, SAMPLES, axis=1).round().astype(np.int64)
    found = sums * multiplier[:, None] + bias[:, None]
    if (found.clip(function.bottom, function.top) != function.levels(sums)).any():
        return None
    ends = _ends(function.output, function.bottom, function.top)
    return Solution("sums", {"multiplier": multiplier, "bias": bias, **ends}, sums.size)


def _with_few_shifts(trials: Sequence[_Trial]) -> dict[str, Solution]:
    """Return parameters of all trials, in few shifts and the narrowest multipliers.

    A shift that another layer has costs no gates, unless it takes a wider multiplier.
    """
    solved = [each.integers for each in trials if each.integers is not None]
    limit = max((int(each.multiplier.max()) for each in solved), default=1).bit_length()
    found, used = {}, []
    for trial in sorted(trials, key=lambda each: -each.shift):
        name, integers = trial.function.name, trial.integers
        if integers is None:
            found[name] = _with_thresholds(trial.function, trial.solver.steps)
            continue
        if trial.function.output != Bipolar():
            shared = [each for each in (_at(trial, shift, limit) for shift in used) if each]
            integers = shared[-1] if shared else integers
            used += [integers.shift] if integers.shift not in used else []
        found[name] = _solution(trial, integers)
    return found


def _at(trial: _Trial, shift: int, limit: int) -> Integers | None:
    """Return the integers of a larger shift, if they are exact within ``limit`` bits."""
    if shift < trial.shift or trial.function.product_limit(shift) >= UNBOUNDED:
        return None
    integers = trial.solver.at(shift, trial.rounding)
    if integers is None or int(integers.multiplier.max()).bit_length() > limit:
        return None
    return integers


def _solution(trial: _Trial, integers: Integers) -> Solution:
    """Return the parameters of integers, checked."""
    function = trial.function
    compared = trial.solver.check(integers, trial.rounding)
    parameters: Parameters = {
        "multiplier": integers.multiplier, "bias": integers.bias, "shift": integers.shift,
        **_ends(function.output, function.bottom, function.top),
    }  # fmt: skip
    if trial.rounding != "half_up":
        parameters["rounding"] = trial.rounding
    method = "sign"
    if function.output != Bipolar() and trial.integers is not None:
        method = "shift" if (trial.integers.multiplier == 1).all() else "multiplier"
    return Solution(method, parameters, compared)


def _ends(output: Format, bottom: int, top: int) -> Clamp:
    """Return the ends of the clamp where they are not those of the format."""
    found: Clamp = {}
    if output != Bipolar() and bottom != output.min_level:
        found["low"] = bottom
    if output != Bipolar() and top != output.max_level:
        found["high"] = top
    return found


def _with_thresholds(function: StepFunction, thresholds: np.ndarray) -> Solution:
    """Return one threshold for each level above the lowest of the format."""
    output, channels = function.output, len(thresholds)
    below = function.bottom - output.min_level
    above = output.max_level - function.top
    always = np.broadcast_to(function.low[:, None], (channels, below))
    never = np.broadcast_to(function.high[:, None] + 1, (channels, above))
    if isinstance(function, Steps) and len(function.goals) != thresholds.shape[1]:
        raise NetworkError(f"layer {function.name}: thresholds of another format")
    table = np.concatenate([always, thresholds, never], axis=1)
    compared = _check_thresholds(function, table)
    one = np.ones(channels, np.int64)
    parameters: Parameters = {"multiplier": one, "bias": 0 * one, "thresholds": table}
    return Solution("thresholds", parameters, compared)


def _check_thresholds(function: StepFunction, table: np.ndarray) -> int:
    """Compare thresholds with the function on both sides of each; return how many sums that is."""
    sides = np.concatenate([table, table - 1], axis=1)
    sums = sides.clip(function.low[:, None], function.high[:, None])
    counted = count_reached(np.sort(table), sums) + function.output.min_level
    for channel, place in np.argwhere(counted != function.levels(sums))[:1]:
        raise NetworkError(
            f"layer {function.name}, channel {channel}: thresholds differ from its function at "
            f"accumulator {sums[channel, place]}"
        )
    return sum(len(np.unique(row)) for row in sums)


def _as_they_are(unsolved: UnsolvedLayer) -> Solution:
    """Return parameters of sums that are levels already."""
    assert unsolved.ends is not None
    assert unsolved.output is not None
    channels = unsolved.accumulation.size.channels if unsolved.accumulation.is_weighted else 1
    one = np.ones(channels, np.int64)
    parameters: Parameters = {
        "multiplier": one,
        "bias": 0 * one,
        **_ends(unsolved.output, *unsolved.ends),
    }
    return Solution("sums", parameters, 0)


def _logits(unsolved: UnsolvedLayer, bits: int) -> Solution:
    """Return parameters of a last layer without a quantiser: its levels are logits."""
    found = logits(unsolved, bits)
    plain = not found.is_rounded and (found.parameters["multiplier"] == 1).all()
    method = "sums" if plain else "multiplier"
    return Solution(method, found.parameters, 0, found.relative_error, found.meaning)


def build(unsolved: Sequence[UnsolvedLayer | Layer], solutions: dict[str, Solution]) -> list[Layer]:
    """Return the layers of the network."""
    layers = []
    for each in unsolved:
        if isinstance(each, Layer):
            layers.append(each)
            continue
        parameters = solutions[each.name].parameters
        output = parameters.get("output", each.output)
        assert output is not None
        layers.append(each.accumulation.layer(each.name, output, parameters))
    return layers
