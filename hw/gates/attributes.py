"""Attributes that tell synthesis what it cannot see."""

from typing import Any

__all__ = ["MAP_ALONE", "NO_COLLISIONS", "SINGLE_PORT"]

MAP_ALONE = "map_alone"
"""Attribute of a signal in a module that is mapped to cells alone, as it is (`keep_shared`)."""

NO_COLLISIONS: Any = {"no_rw_check": 1}
"""Attribute of memories in which a word is never read, to be used, in the cycle of its writing.

Contexts and banks keep readers and writers apart. Without it, synthesis adds registers and
comparators that give such a read the old word.
"""

SINGLE_PORT: Any = {**NO_COLLISIONS, "ram_style": "huge"}
"""Attributes of memories in RAM with a single port, which begins without contents."""
