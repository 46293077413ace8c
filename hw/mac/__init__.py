"""Multiply-accumulates of any two formats, in logic or in DSP blocks."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .accumulator import Accumulate
    from .base import MAC, DotMAC
    from .choice import (
        COMPUTES,
        Elements,
        computing,
        dot_product,
        in_blocks,
        mac,
        macs,
        multiplied,
    )
    from .control import CONTROL
    from .dot import (
        DOT_PRODUCTS,
        AddSubtract,
        DotProduct,
        MiniFloatMultiply,
        Multiply,
        ShiftAdd,
        XnorPopcount,
    )
    from .dsp import BlockMAC, Mac16
    from .fabric import ANY, Blocks, Fabric
    from .ieee import FloatMAC

__all__ = [
    "ANY",
    "COMPUTES",
    "CONTROL",
    "DOT_PRODUCTS",
    "MAC",
    "Accumulate",
    "AddSubtract",
    "BlockMAC",
    "Blocks",
    "DotMAC",
    "DotProduct",
    "Elements",
    "Fabric",
    "FloatMAC",
    "Mac16",
    "MiniFloatMultiply",
    "Multiply",
    "ShiftAdd",
    "XnorPopcount",
    "computing",
    "dot_product",
    "in_blocks",
    "mac",
    "macs",
    "multiplied",
]

__getattr__, __dir__ = face(__name__)
