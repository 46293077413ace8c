"""Ports between the accelerator's parts and its memories."""

from amaranth.hdl import Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..numbers.arithmetic import address_width

__all__ = ["ReadInterface", "ReadSignature", "WriteInterface", "WriteSignature"]


class ReadInterface(wiring.PureInterface):
    """Interface of a `ReadSignature`."""

    address: Signal
    data: Signal
    granted: Signal


class WriteInterface(wiring.PureInterface):
    """Interface of a `WriteSignature`."""

    address: Signal
    data: Signal
    enable: Signal
    granted: Signal


class ReadSignature(wiring.Signature):
    """Read port as its user sees it: the word arrives one cycle after its address.

    Parameters
    ----------
    depth : int
        Words of the memory.
    shape : ShapeLike
        Shape of a word.
    shared : bool
        Others use the port, too.

    Members
    -------
    address : Out(address_width(depth))
    data : In(shape)
    granted : In(1)
        The address is read in this cycle; only of a shared port.
    """

    def __init__(self, depth: int, shape, *, shared: bool = False):
        members = {"address": Out(address_width(depth)), "data": In(shape)}
        super().__init__(members | ({"granted": In(1)} if shared else {}))

    def create(self, *, path=None, src_loc_at=0) -> ReadInterface:
        return ReadInterface(self, path=path, src_loc_at=1 + src_loc_at)


class WriteSignature(wiring.Signature):
    """Write port as its user sees it: ``enable`` has a bit for each of the word's ``segments``.

    Parameters
    ----------
    depth, width, segments : int
        Words of the memory, bits of a word, and its segments.
    shared : bool
        Others use the port, too, and come first: a request stays until it is granted.

    Members
    -------
    address : Out(address_width(depth))
    data : Out(width)
    enable : Out(segments)
    granted : In(1)
        What is enabled is written in this cycle; only of a shared port.
    """

    def __init__(self, depth: int, width: int, segments: int = 1, *, shared: bool = False):
        members = {
            "address": Out(address_width(depth)),
            "data": Out(Shape(width)),
            "enable": Out(segments),
        }
        super().__init__(members | ({"granted": In(1)} if shared else {}))

    def create(self, *, path=None, src_loc_at=0) -> WriteInterface:
        return WriteInterface(self, path=path, src_loc_at=1 + src_loc_at)
