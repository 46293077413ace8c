"""Agreement of what a graph ends with: logits, and the classes that they make.

Logits that no quantiser rounds are real numbers, which the executor computes in float32; the
reference's levels stand for the same numbers, but for the rounding that the import reports. Where
the classes differ, logits in exact arithmetic tell why.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..exact.tensors import Sums
from .nodes.ending import Ending
from .output_values import OutputErrors
from .ties import EPSILON, ROUNDINGS, in_order, reads

__all__ = ["ClassAgreement", "compare_classes"]

FLOAT64 = 2.0**-44  # what sums in float64 may be wrong by, of the largest number on the way

REASONS = ("after_ties", "coded", "equal", "float32", "rounded")

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class ClassAgreement:
    """Agreement of the ends of a graph and of its import, on images.

    Attributes
    ----------
    logits : int
        Logits compared.
    different : int
        Images of another class.
    after_ties : int
        Of those, the ones in which a tie between two levels came before.
    coded : int
        The ones whose logits differ, but whose probabilities the graph rounds to the same code.
    equal : int
        The ones whose logits are exactly equal, which float32 makes differ.
    float32 : int
        The ones whose logits are nearer to each other than float32 rounds.
    rounded : int
        The ones whose logits are nearer to each other than the import rounds them.
    first : str
        The first logit or class that differs for none of these reasons; empty where there is none.
    errors : OutputErrors or None
        Of values, where there are no classes.
    """

    logits: int
    different: int
    after_ties: int
    coded: int
    equal: int
    float32: int
    rounded: int
    first: str
    errors: OutputErrors | None = None


@dataclass(frozen=True, eq=False)
class _Logits:
    """Logits of all images, of shape (images, classes): the executor's, and those of levels.

    ``reach`` is how large they can be in each class.
    """

    executed: np.ndarray
    stood_for: np.ndarray
    reach: np.ndarray


def compare_classes(
    end: Ending,
    computed: Arrays,
    given: Arrays,
    values: Arrays,
    labels: np.ndarray,
    same: np.ndarray,
) -> ClassAgreement:
    """Compare logits and classes.

    Parameters
    ----------
    end : Ending
        What the graph ends with.
    computed : dict of int arrays of shape (images, height, width, channels)
        Levels of all layers, each from the levels in ``given``.
    given : dict of int arrays of the same shapes
        The executor's levels, and the reference's where it has none.
    values : dict of float arrays
        Tensors of the executor.
    labels : int array of shape (images,)
        The reference's classes, from its own levels alone.
    same : bool array of shape (images,)
        Whether all levels of an image are the executor's.
    """
    assert end.meaning is not None
    count = len(labels)
    scale, offset = float(end.meaning.scale), float(end.meaning.offset)
    # levels that a quantiser gives are compared before: go on from the executor's
    levels = (computed if isinstance(end.tensor, Sums) else given)[end.layer].reshape(count, -1)
    stood_for = scale * (levels + offset)
    reach = abs(scale) * (abs(levels).max(axis=0) + abs(offset))
    if isinstance(end.tensor, Sums):
        of_channels = reads(end.tensor, _images(given, slice(1)))[1]
        reach = np.maximum(reach, np.tile(of_channels, end.tensor.size.positions))
    executed = in_order(end.tensor, values[end.logits]).reshape(count, -1)
    logits = _Logits(executed, stood_for, reach)
    found: dict[str, int] = dict.fromkeys(REASONS, 0)
    first = _far(end, logits, values[end.logits], levels)
    if not end.has_classes:
        errors = OutputErrors.of(stood_for, executed)
        return _agreement(levels.size, 0, found, first, errors)
    named = _labels(end, values)
    for image in np.flatnonzero(named != labels).tolist():
        of_given = int(np.argmax(levels[image]))
        if not same[image] and of_given == named[image]:
            reason = "after_ties"
        else:
            truth = _truth(end, given, levels, image)
            reason = _reason(end, logits, values, image, truth, (of_given, int(named[image])))
        if reason:
            found[reason] += 1
        elif not first:
            first = (
                f"image {image} is of class {labels[image]} in the reference, of class "
                f"{named[image]} in the executor's {end.output}"
            )
    different = int((named != labels).sum())
    return _agreement(levels.size, different, found, first)


def _agreement(
    logits: int,
    different: int,
    found: dict[str, int],
    first: str,
    errors: OutputErrors | None = None,
) -> ClassAgreement:
    """Return an agreement, with how many images differ for each of `REASONS`."""
    return ClassAgreement(
        logits=logits,
        different=different,
        after_ties=found["after_ties"],
        coded=found["coded"],
        equal=found["equal"],
        float32=found["float32"],
        rounded=found["rounded"],
        first=first,
        errors=errors,
    )


def _images(tensors: Arrays, images: slice) -> Arrays:
    return {name: each[images] for name, each in tensors.items()}


def _labels(end: Ending, values: Arrays) -> np.ndarray:
    """Return the executor's classes."""
    output = values[end.output].reshape(len(values[end.output]), -1)
    return (output[:, 0] if end.gives_places else output.argmax(axis=1)).astype(np.int64)


def _far(end: Ending, logits: _Logits, values: np.ndarray, levels: np.ndarray) -> str:
    """Name the first logit that is farther from what its level stands for than rounding takes."""
    assert end.meaning is not None
    allowed = (ROUNDINGS * EPSILON + FLOAT64) * logits.reach + float(end.meaning.error)
    what = "class" if end.has_classes else "element"
    for image, channel in np.argwhere(abs(logits.executed - logits.stood_for) > allowed)[:1]:
        return (
            f"layer {end.layer}, image {image}, {what} {channel}: level {levels[image, channel]} "
            f"stands for {logits.stood_for[image, channel]:.9g}, but the executor's {end.logits} "
            f"is {logits.executed[image, channel]:.9g}"
        )
    return ""


def _truth(end: Ending, given: Arrays, levels: np.ndarray, image: int) -> list[Fraction]:
    """Return the logits of an image, as Fractions."""
    if isinstance(end.tensor, Sums):
        of_image = _images(given, slice(image, image + 1))
        return [*reads(end.tensor, of_image, exact=True)[0].ravel()]
    assert end.meaning is not None
    return [end.meaning.scale * (int(each) + end.meaning.offset) for each in levels[image]]


def _reason(
    end: Ending,
    logits: _Logits,
    values: Arrays,
    image: int,
    truth: list[Fraction],
    classes: tuple[int, int],
) -> str:
    """Return why the reference and the executor name two ``classes``; empty for no reason."""
    assert end.meaning is not None
    own, other = classes
    error = end.meaning.error
    best = max(truth)
    if best - truth[own] > 2 * error or (not error and truth.index(best) != own):
        return ""  # the reference is wrong
    if truth[own] == truth[other]:
        return "equal"
    gap, reach = truth[own] - truth[other], float(logits.reach.max())
    scores = values[end.scores].reshape(len(logits.executed), -1)[image].astype(np.float64)
    if end.codes_scores and gap > 0:  # the first of equal codes; others keep the logits' order
        return "coded" if scores[own] == scores[other] else ""
    if abs(gap) <= 2 * error:
        return "rounded"
    if 0 < gap <= 2 * ROUNDINGS * EPSILON * reach:
        return "float32"
    near = ROUNDINGS * EPSILON * abs(scores).max()  # functions that saturate draw logits together
    return "float32" if gap > 0 and abs(scores[own] - scores[other]) <= near else ""
