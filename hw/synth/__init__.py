"""Synthesis, placement and routing on every family of devices, with open tools."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .build import MULTIPLIERS, accelerator_for, cost, infers_blocks
    from .family import Family
    from .measure import Measurement
    from .shell import Shell
    from .targets import TARGETS, Target

__all__ = [
    "MULTIPLIERS",
    "TARGETS",
    "Family",
    "Measurement",
    "Shell",
    "Target",
    "accelerator_for",
    "cost",
    "infers_blocks",
]

__getattr__, __dir__ = face(__name__)
