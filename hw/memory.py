"""Ports between the accelerator's parts and its memories."""

from typing import Any

from amaranth.hdl import Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = [
    "NO_COLLISIONS",
    "SINGLE_PORT",
    "ReadInterface",
    "ReadSignature",
    "WriteInterface",
    "WriteSignature",
    "address_width",
]

NO_COLLISIONS: Any = {"no_rw_check": 1}
"""Attribute of memories in which a word is never read, to be used, in the cycle of its writing.

Contexts and banks keep readers and writers apart. Without it, synthesis adds registers and
comparators that give such a read the old word.
"""

SINGLE_PORT: Any = {**NO_COLLISIONS, "ram_style": "huge"}
"""Attributes of memories in RAM with a single port, which begins without contents."""


def address_width(depth: int) -> int:
    """Return the bits that address ``depth`` words; at least 1."""
    return max(1, ceil_log2(depth))


class ReadInterface(wiring.PureInterface):
    """What `ReadSignature` creates."""

    address: Signal
    data: Signal


class WriteInterface(wiring.PureInterface):
    """What `WriteSignature` creates."""

    address: Signal
    data: Signal
    enable: Signal


class ReadSignature(wiring.Signature):
    """Read port as its user sees it: the word arrives one cycle after its address.

    Members
    -------
    address : Out(address_width(depth))
    data : In(shape)
    """

    def __init__(self, depth: int, shape):
        super().__init__({"address": Out(address_width(depth)), "data": In(shape)})

    def create(self, *, path=None, src_loc_at=0) -> ReadInterface:
        return ReadInterface(self, path=path, src_loc_at=1 + src_loc_at)


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

    def create(self, *, path=None, src_loc_at=0) -> WriteInterface:
        return WriteInterface(self, path=path, src_loc_at=1 + src_loc_at)
