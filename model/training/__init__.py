"""Training: recipes, schedules, checkpoints.

A `Recipe` says what is trained and how; `train.train` follows it.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .recipe import Recipe

__all__ = ["Recipe"]

__getattr__, __dir__ = face(__name__)
