"""Chooses formats of narrow accumulators by one epoch of training: untrained, all lose too much."""

from dataclasses import replace
from typing import Any

from ....hw.program.bounds import accumulator_bits
from ....model.integers.export import export_model
from ..answers import labelled_right
from ..fine_tuning import fine_tuned
from ..floats import split
from .subjects import SUBJECTS

__all__ = ["choose_trained"]

EPOCHS = 1


def choose_trained(
    content: bytes, name: str, method: str, bits: int, formats: list[str], images: int
) -> dict[str, Any]:
    """Return how many held-out images each of the formats labels right, trained for an epoch.

    Formats of which some sum does not fit ``bits`` afterwards are left out, with the bits that they
    take.
    """
    subject, shares, refused = SUBJECTS[name], {}, {}
    for each in formats:
        recipe = subject.recipe({"formats": each, "method": method, "bits": bits, "seed": 0})
        exact = subject.exact(content, 0)
        found = fine_tuned(replace(recipe, epochs=EPOCHS), exact, frozen=False)
        network = export_model(found.model, name=name, lanes=subject.lanes)[0]
        needed = accumulator_bits(network, subject.lanes)
        if needed > bits:
            refused[each] = f"sums take {needed} bits"
            continue
        right = labelled_right(network, split(subject.dataset)[1], images, subject.lanes)
        shares[each] = int(right.sum())
    return {
        "right": [max(shares.values(), default=0)],
        "images": images,
        "shares": shares,
        "refused": refused,
    }
