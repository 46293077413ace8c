"""Accuracy of the study's networks on registers of given widths, and their overflows."""

from typing import Any

from ....hw.network.file import from_bytes
from ....hw.network.layers import Weighted
from ....hw.numbers.arithmetic import Accumulator
from ....hw.program.bounds import accumulator_bits
from ....model.integers.partial_sums import seen_sums
from ..answers import answer_columns, labelled_right, labelled_right_in_float
from ..floats import split
from .subjects import SUBJECTS

__all__ = ["measure_float", "measure_network"]


def measure_network(
    content: bytes, name: str, bits: int | None, overflow: str, counts: list[int]
) -> dict[str, Any]:
    """Return how a network labels images on a register of so many bits.

    Parameters
    ----------
    bits : int or None
        None for the register that its sums need.
    counts : list of int
        The first so many validation images, test images, and test images whose sums are looked at.

    Returns
    -------
    mapping
        Columns of `answer_columns`; ``needed`` bits by the exact bound; ``beyond``, sums that the
        register does not hold, and ``watched``, on how many images; ``sparsity`` of the weights.
    """
    subject, found = SUBJECTS[name], from_bytes(content, origin="the store")
    needed = accumulator_bits(found, subject.lanes)
    network = found.with_accumulator(Accumulator(bits or needed, overflow))
    (reported, chosen), (validation, tests, watched) = split(subject.dataset), counts
    images = reported.levels(reported.test_images[:watched], network.input)
    seen = seen_sums(network, images, subject.lanes) if watched else {}
    return answer_columns(
        labelled_right(network, reported, tests, subject.lanes),
        labelled_right(network, chosen, validation, subject.lanes),
    ) | {
        "register": network.accumulator.width,
        "needed": needed,
        "beyond": sum(each.beyond for each in seen.values()),
        "watched": watched,
        "sparsity": round(network.sparsity, 4),
        "mean_bits": round(network.mean_weight_bits, 4),
        "layers": {
            each.name: [each.input.width, each.weight.width, round(each.sparsity, 4)]
            for each in network
            if isinstance(each, Weighted)
        },
    }


def measure_float(
    content: bytes, name: str, seed: int, validation: int, tests: int
) -> dict[str, Any]:
    """Return the same of the float network, which has no register."""
    subject = SUBJECTS[name]
    model, (reported, chosen) = subject.exact(content, seed).eval(), split(subject.dataset)
    return answer_columns(
        labelled_right_in_float(model, reported, tests),
        labelled_right_in_float(model, chosen, validation),
    ) | {"mean_bits": 32}
