"""Programs: the layout of a network in an accelerator's memories, and its schedule; no gates."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .bounds import accumulator_bits
    from .contents import Contents, ThresholdTable
    from .cycles import CycleModel
    from .layout import Program
    from .mapping import MappedLayer, map_network, operands
    from .patch import Patch, patch_of
    from .records import Feed, Place, Record, TileRun, Tiles, feed_of

__all__ = [
    "Contents",
    "CycleModel",
    "Feed",
    "MappedLayer",
    "Patch",
    "Place",
    "Program",
    "Record",
    "ThresholdTable",
    "TileRun",
    "Tiles",
    "accumulator_bits",
    "feed_of",
    "map_network",
    "operands",
    "patch_of",
]

__getattr__, __dir__ = face(__name__)
