"""The proof, link by link, that a bitstream computes what it should; boards in simulation."""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .virtual import VirtualBoard

__all__ = ["VirtualBoard"]

__getattr__, __dir__ = face(__name__)
