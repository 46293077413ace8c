"""The memories for activations, and who writes them when."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .memory import NO_COLLISIONS, ReadSignature, WriteInterface, WriteSignature
from .program import Program

__all__ = ["ActivationMemory"]


class ActivationMemory(wiring.Component):
    """Words of ``lanes`` codes, written in segments; one writer a cycle.

    Sums cannot wait, so the writer of the array comes first, then the max pool, then arriving
    images.

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

    def __init__(self, program: Program):
        self.program = program
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
            attrs=NO_COLLISIONS,
        )
        write_port = memory.write_port(granularity=1)
        read_port = memory.read_port()
        m.d.comb += [
            self.o_pool_granted.eq(~self.i_writer.enable.any()),
            self.o_loader_granted.eq(self.o_pool_granted & ~self.i_pool.enable.any()),
            self.o_read_granted.eq(1),
            read_port.addr.eq(self.read.address),
            self.read.data.eq(read_port.data),
        ]
        with m.If(self.i_writer.enable.any()):
            self._put(m, write_port, self.i_writer)
        if program.pools:
            with m.Elif(self.i_pool.enable.any()):
                self._put(m, write_port, self.i_pool)
        with m.Else():
            self._put(m, write_port, self.i_loader)
        return m

    def _put(self, m: Module, port, request) -> None:
        m.d.comb += [
            port.addr.eq(request.address),
            port.data.as_value().eq(request.data),
            port.en.eq(request.enable),
        ]
