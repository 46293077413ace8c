"""How good outputs are: the accuracy of classes, or the errors of values."""

from typing import NamedTuple

import numpy as np

from ...hw.network.network import Network
from ...model.exchange.output_values import OutputErrors, OutputValues

__all__ = ["Targets", "in_words", "scores", "targets_of"]


class Targets(NamedTuple):
    """Right results of an image: one of ``classes``, or values of a shape where there are none."""

    classes: int
    shape: tuple[int, ...] = ()


def targets_of(network: Network) -> Targets:
    """Return what labels of a network's images are."""
    classes = network.classes
    return Targets(classes, () if classes else tuple(OutputValues.of(network).shape))


def scores(
    network: Network,
    labels: np.ndarray | None,
    levels: np.ndarray | None,
    wanted: np.ndarray | None,
    *,
    name: str = "accuracy",
) -> dict[str, float]:
    """Return ``name``, or ``mean_error`` and ``largest_error``; nothing where nothing is wanted.

    Parameters
    ----------
    network : Network
    labels : int array of shape (images,)
        Classes that came out, where there are some.
    levels : int array of shape (images, outputs)
        Levels that came out, where there are none.
    wanted : array
        The right classes, or the values of the images in the order of the model.
    """
    if wanted is None:
        return {}
    if network.classes:
        assert labels is not None
        return {name: float((labels == wanted).mean())}
    assert levels is not None
    errors = OutputErrors.of(OutputValues.of(network).values(levels), wanted)
    return {"mean_error": errors.mean, "largest_error": errors.largest}


def in_words(found: dict[str, float], name: str = "accuracy") -> str:
    """Return what `scores` found, empty for nothing."""
    if name in found:
        return f"{100 * found[name]:.2f} % right"
    if "mean_error" in found:
        return str(OutputErrors(found["mean_error"], found["largest_error"]))
    return ""
