"""The output-stationary systolic array and its processing element."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .differences import Differences
    from .systolic import PE, SystolicArray, drained

__all__ = ["PE", "Differences", "SystolicArray", "drained"]

__getattr__, __dir__ = face(__name__)
