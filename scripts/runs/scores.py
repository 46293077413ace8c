"""How good outputs are: the accuracy of classes, or the errors of values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...hw.network.network import Network
from ...model.exchange.output_values import OutputErrors, OutputValues

__all__ = ["Scores", "Targets", "in_words", "scores", "targets_of"]


Scores = dict[str, float | dict[str, float]]
"""Accuracy or errors; of several outputs the accuracy of each that is classes, by its name."""


class Targets(NamedTuple):
    """Right results of an image: one of ``classes``, or values of a shape where there are none."""

    classes: int
    shape: tuple[int, ...] = ()


def targets_of(network: Network) -> Targets:
    """Return what labels of a network's images are; several outputs share the classes."""
    classes = network.classes
    if classes or len(network.ends) > 1:
        return Targets(classes, () if classes else (network.outputs,))
    return Targets(classes, tuple(OutputValues.of(network).shape))


def scores(
    network: Network,
    labels: np.ndarray | None,
    levels: np.ndarray | None,
    wanted: np.ndarray | None,
    *,
    name: str = "accuracy",
) -> Scores:
    """Return ``name``, or ``mean_error`` and ``largest_error``; nothing where nothing is wanted.

    Parameters
    ----------
    network : Network
    labels : int array of shape (images,), or (images, outputs of the network)
        Classes that came out, where there are some.
    levels : int array of shape (images, outputs)
        Levels that came out, where there are none.
    wanted : array
        The right classes, or the values of the images in the order of the model; of several
        outputs, one after the other.
    """
    if wanted is None:
        return {}
    if network.classes:
        assert labels is not None
        if len(network.ends) == 1:
            return {name: float((labels == wanted).mean())}
        shares = (labels == wanted[:, None]).mean(axis=0)
        ends = zip(network.ends, shares.tolist(), strict=True)
        return {name: {end.name: share for end, share in ends if end.classes}}
    assert levels is not None
    values = [
        OutputValues.of(network, end).values(levels[:, end.levels]).reshape(len(levels), -1)
        for end in network.ends
    ]
    found = np.concatenate(values, axis=1)
    errors = OutputErrors.of(found, wanted.reshape(found.shape))
    return {"mean_error": errors.mean, "largest_error": errors.largest}


def in_words(found: Mapping[str, Any], name: str = "accuracy") -> str:
    """Return what `scores` found, empty for nothing."""
    share = found.get(name)
    if isinstance(share, dict):
        return ", ".join(f"{end} {100 * each:.2f} % right" for end, each in share.items())
    if share is not None:
        return f"{100 * share:.2f} % right"
    if "mean_error" in found:
        return str(OutputErrors(found["mean_error"], found["largest_error"]))
    return ""
