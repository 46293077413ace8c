"""The host's side of the link.

`Driver` classifies images on a board that is attached, or on a simulated one.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["Driver"]

__getattr__, __dir__ = face(__name__)
