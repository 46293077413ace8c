"""Ports between the accelerator's parts and its memories."""

from amaranth.hdl import Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..numbers.arithmetic import address_width

__all__ = ["ReadInterface", "ReadSignature", "WriteInterface", "WriteSignature"]


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
