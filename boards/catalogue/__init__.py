"""Boards and their clocks.

`BOARDS` has every `Board` by its name: device, clock, pins of the line, programmers. `pll` finds
the settings of the cells that make other clocks.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .entries import BOARDS, Board

__all__ = ["BOARDS", "Board"]

__getattr__, __dir__ = face(__name__)
