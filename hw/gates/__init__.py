"""Adders, multipliers, counters, ports of memories, and small stream components."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .adder import Term, adder_tree, extended, partial_products, shape_for, tree_latency
    from .address import CodeAddress
    from .attributes import MAP_ALONE, NO_COLLISIONS, SINGLE_PORT
    from .counter import count_down, count_up
    from .multiplier import recoded_latency, recoded_product
    from .pipeline import delay, delays
    from .popcount import Structure
    from .ports import ReadInterface, ReadSignature, WriteInterface, WriteSignature
    from .stream import SkidBuffer
    from .table import field

__all__ = [
    "MAP_ALONE",
    "NO_COLLISIONS",
    "SINGLE_PORT",
    "CodeAddress",
    "ReadInterface",
    "ReadSignature",
    "SkidBuffer",
    "Structure",
    "Term",
    "WriteInterface",
    "WriteSignature",
    "adder_tree",
    "count_down",
    "count_up",
    "delay",
    "delays",
    "extended",
    "field",
    "partial_products",
    "recoded_latency",
    "recoded_product",
    "shape_for",
    "tree_latency",
]

__getattr__, __dir__ = face(__name__)
