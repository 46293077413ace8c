"""Which format holds which levels."""

import numpy as np

from ...hw.numbers.formats import Fixed, Format
from ...hw.numbers.operands import narrowest

__all__ = ["narrowest", "weight_format"]


def weight_format(stated: Format, levels: np.ndarray) -> Format:
    """Return ``stated`` if it holds all levels, else the narrowest that does."""
    if stated != Fixed(1) and bool(np.all(stated.holds(levels))):
        return stated
    found = narrowest(int(levels.min()), int(levels.max()))
    return Fixed(2) if found == Fixed(1) else found  # -1 and 0: nothing could be passed on
