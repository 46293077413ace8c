"""Training: recipes, schedules, checkpoints."""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .recipe import Recipe

__all__ = ["Recipe"]

__getattr__, __dir__ = face(__name__)
