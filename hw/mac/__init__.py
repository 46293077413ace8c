"""Multiply-accumulates of any two formats, in logic or in multiplier blocks."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .accumulator import Accumulate
    from .base import MAC, DotMAC
    from .choice import mac
    from .control import CONTROL
    from .dot import (
        AddSubtract,
        DotProduct,
        MiniFloatMultiply,
        Multiply,
        ShiftAdd,
        XnorPopcount,
        dot_product,
    )
    from .dsp import BlockMAC, Blocks, Mac16, block_macs
    from .ieee import FloatMAC

__all__ = [
    "CONTROL",
    "MAC",
    "Accumulate",
    "AddSubtract",
    "BlockMAC",
    "Blocks",
    "DotMAC",
    "DotProduct",
    "FloatMAC",
    "Mac16",
    "MiniFloatMultiply",
    "Multiply",
    "ShiftAdd",
    "XnorPopcount",
    "block_macs",
    "dot_product",
    "mac",
]

__getattr__, __dir__ = face(__name__)
