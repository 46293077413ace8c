"""Which format holds which levels."""

import numpy as np

from ...hw.numbers.formats import Fixed, Format

__all__ = ["narrowest", "weight_format"]


def narrowest(low: int, high: int) -> Format:
    """Return the narrowest `Fixed` format that holds ``low`` to ``high``."""
    if low >= 0:
        return Fixed(max(high.bit_length(), 1), signed=False)
    return Fixed(max(high.bit_length(), (-low - 1).bit_length()) + 1)


def weight_format(stated: Format, levels: np.ndarray) -> Format:
    """Return ``stated`` if it holds all levels, else the narrowest that does."""
    if stated != Fixed(1) and bool(np.all(stated.holds(levels))):
        return stated
    found = narrowest(int(levels.min()), int(levels.max()))
    return Fixed(2) if found == Fixed(1) else found  # -1 and 0: nothing could be passed on
