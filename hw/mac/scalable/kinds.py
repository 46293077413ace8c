"""Kinds of elements for weights of several widths, by name."""

from ...errors import GeometryError
from ...numbers.arithmetic import Accumulator
from ..fabric import ANY, Fabric
from .apart import SumApart
from .base import WORK, ScalableElement
from .bits import BitSerial
from .both import BothSliced
from .serial import SerialSlices
from .together import SumTogether
from .whole import WholeWeights

__all__ = ["KINDS", "scalable"]

KINDS: dict[str, type[ScalableElement]] = {
    "whole": WholeWeights,
    "serial": SerialSlices,
    "together": SumTogether,
    "apart": SumApart,
    "both": BothSliced,
    "bits": BitSerial,
}
"""Weights of one width; slices of weights in time, side by side and summed together, or apart;
slices of both operands side by side; and bits of both in time."""


def scalable(
    kind: str,
    slice: int,
    accumulator: Accumulator,
    *,
    work: int = WORK,
    fabric: Fabric = ANY,
) -> ScalableElement:
    """Return an element of a kind.

    Raises
    ------
    GeometryError
        For a kind that is not there, for slices or work that it has not, and for an
        accumulator that saturates.
    """
    if kind not in KINDS:
        raise GeometryError(f"there are {', '.join(KINDS)} elements, not {kind!r}")
    return KINDS[kind](slice, accumulator, work=work, fabric=fabric)
