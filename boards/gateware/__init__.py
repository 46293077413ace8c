"""The device around the accelerator: its link, its buffers, its top level.

`Device` is everything between two pins of a serial line, in one clock domain; `Top` puts it on a
board.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .board_top import Top
    from .device import Device

__all__ = ["Device", "Top"]

__getattr__, __dir__ = face(__name__)
