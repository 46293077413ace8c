"""Verifies the accuracy on a network's card, on the whole test set."""

from ...hw.errors import MismatchError
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.bounds import accumulator_bits
from ..data import load
from ..integers.reference import accuracy, evaluate
from . import networks as zoo

__all__ = ["verify"]

LANES = 4  # any number: no sum overflows


def verify(network: Network) -> float:
    """Return the accuracy of a network's integers, evaluated on all test images.

    Raises
    ------
    NetworkError
        Where its card lacks something.
    MismatchError
        Where the card says another accuracy, with both.
    """
    stated = zoo.entry(network).accuracy_integer
    data = load(str(network.about["dataset"]))
    safe = network.with_accumulator(Accumulator(accumulator_bits(network, LANES)))
    levels = data.levels(data.test_images, network.input).reshape(len(data.test_images), -1)
    found = accuracy(evaluate(safe, levels, LANES), data.test_labels)
    count = len(data.test_labels)
    if round(found * count, 6) != round(stated * count, 6):  # of images
        raise MismatchError(
            f"network {network.name} labels {found * count:.0f} of {count} test images of "
            f"{data.name} right, but its card says {stated * count:.2f}; evaluate it again"
        )
    return found
