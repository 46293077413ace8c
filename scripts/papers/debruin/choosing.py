"""Chooses formats for an accumulator on held-out images: rounded for it, or trained for an epoch.

Of narrow accumulators rounding loses too much to tell formats apart.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ....hw.errors import NetworkError
from ....hw.network.network import Network
from ....model.integers.guarantee import prove_sums
from ..answers import labelled_right
from ..floats import split
from .subjects import SUBJECTS
from .training import rounded_network, trained_network

__all__ = ["choose_rounded", "choose_trained"]

EPOCHS = 1


def choose_rounded(
    content: bytes, name: str, bits: int, formats: list[str], images: int
) -> dict[str, Any]:
    """Return how many held-out images each of the formats labels right, rounded and untrained.

    Returns
    -------
    mapping
        ``shares`` of so many ``images``, by formats, and why others are ``refused``: those of which
        some sum does not fit ``bits``.
    """

    def rounded(each: str) -> Network:
        return rounded_network(content, name, {"formats": each, "bits": bits, "seed": 0})

    return _shares(rounded, name, bits, formats, images)


def choose_trained(
    content: bytes, name: str, method: str, bits: int, formats: list[str], images: int
) -> dict[str, Any]:
    """Return the same of formats that are trained for an epoch by a method."""

    def trained(each: str) -> Network:
        given = {"formats": each, "method": method, "bits": bits, "seed": 0}
        return trained_network(content, name, given, epochs=EPOCHS)

    return _shares(trained, name, bits, formats, images)


def _shares(
    network_of: Callable[[str], Network], name: str, bits: int, formats: Sequence[str], images: int
) -> dict[str, Any]:
    subject, shares, refused = SUBJECTS[name], {}, {}
    for each in formats:
        try:
            network = network_of(each)
            prove_sums(network, subject.lanes, bits=bits)
        except NetworkError as error:
            refused[each] = str(error)
            continue
        right = labelled_right(network, split(subject.dataset)[1], images, subject.lanes)
        shares[each] = int(right.sum())
    return {
        "right": [max(shares.values(), default=0)],
        "images": images,
        "shares": shares,
        "refused": refused,
    }
