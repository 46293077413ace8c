"""Simulation: an accelerator runs images, and its levels are compared with a reference."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .compare import Comparison
    from .engine import ENGINES, Engine, make_engine
    from .run import EVENT, CycleWindow, Run, Stimulus

__all__ = [
    "ENGINES",
    "EVENT",
    "Comparison",
    "CycleWindow",
    "Engine",
    "Run",
    "Stimulus",
    "make_engine",
]

__getattr__, __dir__ = face(__name__)
