"""Boards and their clocks."""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .entries import BOARDS, Board

__all__ = ["BOARDS", "Board"]

__getattr__, __dir__ = face(__name__)
