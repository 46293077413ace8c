"""The large memories, for activations and weights, and who uses their ports when.

Both can be made of block RAM, with a port to read and one to write, or of single-port RAM (the
UP5K's SPRAM), which is larger, has one port for both and no contents to begin with.
"""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..gates.attributes import NO_COLLISIONS, SINGLE_PORT
from ..gates.ports import ReadInterface, ReadSignature, WriteInterface, WriteSignature
from ..numbers.arithmetic import address_width
from ..program.layout import Program

__all__ = ["ActivationMemory", "WeightMemory"]


class ActivationMemory(wiring.Component):
    """Words of ``lanes`` codes, written in segments; one writer a cycle.

    Sums cannot wait, so the writer of the array comes first, then the max pool, then arriving
    images. With a single port, reading waits for all of them.

    Parameters
    ----------
    program : Program
    single_port : bool
        Whether there is one port for reading and writing.

    Members
    -------
    i_writer, i_pool, i_loader : In(WriteSignature(activation_words, word, segments))
    o_pool_granted, o_loader_granted : Out(1)
        That write is made in this cycle.
    read : In(ReadSignature(activation_words, word))
    o_read_granted : Out(1)
        The address is read in this cycle.
    """

    i_writer: WriteInterface
    i_pool: WriteInterface
    i_loader: WriteInterface
    o_pool_granted: Signal
    o_loader_granted: Signal
    read: ReadInterface
    o_read_granted: Signal

    def __init__(self, program: Program, *, single_port: bool = False):
        self.program, self.single_port = program, single_port
        lanes, code = program.geometry.lanes, program.operands.activation.width
        self.parts = lanes // program.segment
        write = WriteSignature(program.activation_words, lanes * code, self.parts)
        super().__init__(
            {
                "i_writer": In(write),
                "i_pool": In(write),
                "i_loader": In(write),
                "o_pool_granted": Out(1),
                "o_loader_granted": Out(1),
                "read": In(ReadSignature(program.activation_words, lanes * code)),
                "o_read_granted": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        program = self.program
        segment = program.segment * program.operands.activation.width
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(segment, self.parts),
            depth=program.activation_words,
            init=[],
            attrs=SINGLE_PORT if self.single_port else NO_COLLISIONS,
        )
        write_port, read_port = memory.write_port(granularity=1), memory.read_port()
        address = Signal.like(self.read.address)  # of the write
        m.d.comb += [
            self.o_pool_granted.eq(~self.i_writer.enable.any()),
            self.o_loader_granted.eq(self.o_pool_granted & ~self.i_pool.enable.any()),
            self.read.data.eq(read_port.data),
        ]
        _connect_ports(m, write_port, read_port, address, self.read.address, self.single_port)
        m.d.comb += self.o_read_granted.eq(~write_port.en.any() if self.single_port else 1)
        with m.If(self.i_writer.enable.any()):
            self._put(m, write_port, address, self.i_writer)
        if program.pools:
            with m.Elif(self.i_pool.enable.any()):
                self._put(m, write_port, address, self.i_pool)
        with m.Else():
            self._put(m, write_port, address, self.i_loader)
        return m

    def _put(self, m: Module, port, address, request) -> None:
        m.d.comb += [
            address.eq(request.address),
            port.data.as_value().eq(request.data),
            port.en.eq(request.enable),
        ]


class WeightMemory(wiring.Component):
    """Words of ``columns * lanes`` weight codes: with contents, or loaded after each reset.

    Parameters
    ----------
    program : Program
    loaded : bool
        The memory has no contents; its words come, in the order of `Contents.weights`, over a
        stream. Jobs wait until the last one is there.
    single_port : bool
        There is one port for reading and writing; such memories are always loaded.

    Members
    -------
    i_address : In(address), o_word : Out(word)
        The word comes one cycle after its address.
    o_ready : Out(1)
        The weights are there.
    i : In(stream.Signature(word))
        Where it is loaded.
    """

    i_address: Signal
    o_word: Signal
    o_ready: Signal
    i: stream.Interface

    def __init__(self, program: Program, *, loaded: bool = False, single_port: bool = False):
        self.program, self.single_port = program, single_port
        self.loaded = loaded = loaded or single_port
        self.width = program.memories["weights"][0]
        members: dict[str, Any] = {
            "i_address": In(address_width(program.weight_words)),
            "o_word": Out(self.width),
            "o_ready": Out(1),
        }
        if loaded:
            members["i"] = In(stream.Signature(self.width))
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        words = self.program.weight_words
        m.submodules.memory = memory = Memory(
            shape=self.width,
            depth=words,
            init=[] if self.loaded else self.program.contents.weights,
            attrs=SINGLE_PORT if self.single_port else NO_COLLISIONS if self.loaded else {},
        )
        read_port = memory.read_port()
        m.d.comb += self.o_word.eq(read_port.data)
        if not self.loaded:
            m.d.comb += [read_port.addr.eq(self.i_address), self.o_ready.eq(1)]
            return m
        write_port = memory.write_port()
        ready, index = Signal(), Signal(range(words))
        _connect_ports(m, write_port, read_port, index, self.i_address, self.single_port)
        m.d.comb += [
            self.o_ready.eq(ready),
            self.i.ready.eq(~ready),
            write_port.data.eq(self.i.payload),
            write_port.en.eq(self.i.valid & ~ready),
        ]
        with m.If(write_port.en):
            m.d.sync += index.eq(index + 1)
            with m.If(index == words - 1):
                m.d.sync += ready.eq(1)
        return m


def _connect_ports(m: Module, write_port, read_port, write_address, read_address, single) -> None:
    """Give both ports their addresses; a single port has one, and reads where it does not write."""
    if not single:
        m.d.comb += [write_port.addr.eq(write_address), read_port.addr.eq(read_address)]
        return
    writing = write_port.en.any()
    address = Mux(writing, write_address, read_address)
    m.d.comb += [write_port.addr.eq(address), read_port.addr.eq(address), read_port.en.eq(~writing)]
