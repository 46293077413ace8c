"""The coefficients of the model with their ranges, from the fit and what is assumed beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..model import LENGTHS, Ranged
from .assumed import GLITCHES, JUDGEMENT, MEMORIES, RESTS_ON
from .fit import PowerFit, PowerPoint, fit, fit_without

__all__ = ["coefficients", "other_lengths"]

_SPANS = ("span4", "span12")


def other_lengths() -> list[Mapping[str, float]]:
    """Return lengths of wires as different as can be: spans that cost nothing more, and alone."""
    alike = {kind: min(length, 1.0) for kind, length in LENGTHS.items()}
    alone = {kind: length if kind in _SPANS else 0.0 for kind, length in LENGTHS.items()}
    return [alike, alone]


def coefficients(
    points: Sequence[PowerPoint], factors: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Return what ``coefficients.json`` has of a target.

    Parameters
    ----------
    points : sequence of PowerPoint
        Those that are held out are not fitted.
    factors : mapping of str to sequence of float
        Of glitches, of placements of designs that were simulated; may be empty.
    """
    fitted = [point for point in points if not point.measured.held_out]
    whole = fit(fitted)
    without = [fit_without(fitted, point.measured.name)[0] for point in fitted]
    others = [fit(fitted, lengths) for lengths in other_lengths()]
    standing = [point.measured.milliwatts for point in fitted if not point.measured.mhz]
    wire = whole.values["wire"]
    found = {
        "static": _range(whole, "static", standing),
        "clock": _range(whole, "clock", [each.values["clock"] for each in without]),
        "register": _range(whole, "register", [each.values["register"] for each in without]),
        "wire": Ranged(wire, wire * (1 - JUDGEMENT), wire * (1 + JUDGEMENT)),
        "block": _range(whole, "block", [each.values["block"] for each in others]),
        "glitches": _all(factors) if factors else GLITCHES,
        **MEMORIES,
    }
    made = {name: {**_numbers(found[name]), "rests_on": RESTS_ON[name]} for name in found}
    made["wire"]["other_lengths"] = [
        {"lengths": dict(each.lengths), "value": float(f"{each.values['wire']:.4g}")}
        for each in others
    ]
    made["glitches"]["of"] = {name: _numbers(_mean(each)) for name, each in factors.items()}
    return made


def _range(whole: PowerFit, name: str, values: Sequence[float]) -> Ranged:
    value = whole.values[name]
    return Ranged(value, min([value, *values]), max([value, *values]))


def _all(factors: Mapping[str, Sequence[float]]) -> Ranged:
    """Return the mean of designs, and the range of all their placements."""
    values = [value for each in factors.values() for value in each]
    means = [_mean(each).value for each in factors.values()]
    return Ranged(_mean(means).value, min(values), max(values))


def _mean(values: Sequence[float]) -> Ranged:
    return Ranged(sum(values) / len(values), min(values), max(values))


def _numbers(figure: Ranged) -> dict[str, Any]:
    return {name: float(f"{getattr(figure, name):.4g}") for name in ("value", "low", "high")}
