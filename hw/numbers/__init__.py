"""Number formats, their levels and codes, and exact arithmetic on them.

Nothing here is a gate but the shape of a format's code.
"""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .arithmetic import (
        OVERFLOWS,
        Accumulator,
        address_width,
        bits_for,
        count_thresholds,
        requantize,
        round_shift,
    )
    from .format import Format
    from .formats import (
        FORMATS,
        Bipolar,
        Code,
        Fixed,
        Float,
        MiniFloat,
        PowerOfTwo,
        default_activation,
        parse,
    )
    from .mode import ROUNDINGS, Mode
    from .operands import Operands, common, narrowest, widest

__all__ = [
    "FORMATS",
    "OVERFLOWS",
    "ROUNDINGS",
    "Accumulator",
    "Bipolar",
    "Code",
    "Fixed",
    "Float",
    "Format",
    "MiniFloat",
    "Mode",
    "Operands",
    "PowerOfTwo",
    "address_width",
    "bits_for",
    "common",
    "count_thresholds",
    "default_activation",
    "narrowest",
    "parse",
    "requantize",
    "round_shift",
    "widest",
]

__getattr__, __dir__ = face(__name__)
