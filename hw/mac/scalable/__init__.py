"""Elements for weights of several widths, of every kind: what the array's slices are beside."""

from typing import TYPE_CHECKING

from ...lazy import face

if TYPE_CHECKING:
    from .apart import SumApart
    from .base import Beat, Rate, ScalableElement, Widths
    from .bits import BitSerial
    from .both import BothSliced
    from .kinds import KINDS, scalable
    from .serial import SerialSlices
    from .together import SumTogether
    from .whole import WholeWeights

__all__ = [
    "KINDS",
    "Beat",
    "BitSerial",
    "BothSliced",
    "Rate",
    "ScalableElement",
    "SerialSlices",
    "SumApart",
    "SumTogether",
    "WholeWeights",
    "Widths",
    "scalable",
]

__getattr__, __dir__ = face(__name__)
