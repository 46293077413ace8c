"""Ports between the accelerator's parts and its memories."""

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["NO_COLLISIONS", "ReadSignature", "WriteSignature", "address_width"]

NO_COLLISIONS = {"no_rw_check": 1}
"""Attribute of memories in which a word is never read, to be used, in the cycle of its writing.

Contexts and banks keep readers and writers apart. Without it, synthesis adds registers and
comparators that give such a read the old word.
"""


def address_width(depth: int) -> int:
    """Return the bits that address ``depth`` words; at least 1."""
    return max(1, ceil_log2(depth))


class ReadSignature(wiring.Signature):
    """Read port as its user sees it: the word arrives one cycle after its address.

    Members
    -------
    address : Out(address_width(depth))
    data : In(shape)
    """

    def __init__(self, depth: int, shape):
        super().__init__({"address": Out(address_width(depth)), "data": In(shape)})


class WriteSignature(wiring.Signature):
    """Write port as its user sees it: ``enable`` has a bit for each of the word's ``segments``.

    Members
    -------
    address : Out(address_width(depth))
    data : Out(width)
    enable : Out(segments)
    """

    def __init__(self, depth: int, width: int, segments: int = 1):
        members = {
            "address": Out(address_width(depth)),
            "data": Out(Shape(width)),
            "enable": Out(segments),
        }
        super().__init__(members)
