"""Memories for activations and weights, and who uses their ports when.

Both can be made of block RAM, with a port to read and one to write, or of single-port RAM (the
UP5K's SPRAM), which is larger, has one port for both and no contents to begin with.
"""

from dataclasses import dataclass, field

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..errors import GeometryError
from ..gates.attributes import NO_COLLISIONS, SINGLE_PORT
from ..gates.ports import ReadInterface, ReadSignature, WriteInterface, WriteSignature
from ..numbers.arithmetic import address_width

__all__ = ["ActivationMemory", "ActivationMemoryConfig", "WeightMemory", "WeightMemoryConfig"]


_ATTRIBUTES = {False: NO_COLLISIONS, True: SINGLE_PORT}  # with two ports, and with one


@dataclass(frozen=True)
class ActivationMemoryConfig:
    """Sizes of an `ActivationMemory`.

    Attributes
    ----------
    width, words : int
        Bits of a word, and words.
    segments : int
        Parts of a word that are written alone; divides ``width``.
    pool : bool
        The max pool writes.
    single_port : bool
        There is one port for reading and writing.
    """

    width: int
    words: int
    segments: int = 1
    pool: bool = True
    single_port: bool = False


@dataclass(frozen=True)
class WeightMemoryConfig:
    """Sizes and contents of a `WeightMemory`.

    Attributes
    ----------
    width, words : int
        Bits of a word, and words.
    contents : tuple of int, optional
        The words, as initial contents. None where they come over a stream after each reset.
    single_port : bool
        There is one port for reading and writing; such memories have no contents.

    Raises
    ------
    GeometryError
        For contents of another length, or in a memory with a single port.
    """

    width: int
    words: int
    contents: tuple[int, ...] | None = field(default=None, repr=False)
    single_port: bool = False

    def __post_init__(self) -> None:
        if self.contents is None:
            return
        if self.single_port:
            raise GeometryError("a memory with a single port has no contents: load it")
        if len(self.contents) != self.words:
            raise GeometryError(f"contents are {self.words} words, not {len(self.contents)}")


class ActivationMemory(wiring.Component):
    """Memory of activation words, written in segments; one writer a cycle.

    Sums cannot wait, so the writer of the array comes first, then the max pool, then arriving
    images. With a single port, reading waits for all of them. A word that is written can be read in
    the next cycle; one that is written while it is read is undefined.

    Parameters
    ----------
    config : ActivationMemoryConfig

    Members
    -------
    writer : In(WriteSignature(words, width, segments))
    pool, loader : In(WriteSignature(words, width, segments, shared=True))
    read : In(ReadSignature(words, width, shared=True))
        The word comes one cycle after its address. What is granted is combinational.
    """

    writer: WriteInterface
    pool: WriteInterface
    loader: WriteInterface
    read: ReadInterface

    def __init__(self, config: ActivationMemoryConfig):
        self.config = config
        sizes = config.words, config.width, config.segments
        super().__init__(
            {
                "writer": In(WriteSignature(*sizes)),
                "pool": In(WriteSignature(*sizes, shared=True)),
                "loader": In(WriteSignature(*sizes, shared=True)),
                "read": In(ReadSignature(config.words, config.width, shared=True)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(config.width // config.segments, config.segments),
            depth=config.words,
            init=[],
            attrs=_ATTRIBUTES[config.single_port],
        )
        write_port, read_port = memory.write_port(granularity=1), memory.read_port()
        address = Signal.like(self.read.address)  # of the write
        m.d.comb += [
            self.pool.granted.eq(~self.writer.enable.any()),
            self.loader.granted.eq(self.pool.granted & ~self.pool.enable.any()),
            self.read.data.eq(read_port.data),
        ]
        _connect_ports(m, write_port, read_port, address, self.read.address, config.single_port)
        m.d.comb += self.read.granted.eq(~write_port.en.any() if config.single_port else 1)
        with m.If(self.writer.enable.any()):
            self._put(m, write_port, address, self.writer)
        if config.pool:
            with m.Elif(self.pool.enable.any()):
                self._put(m, write_port, address, self.pool)
        with m.Else():
            self._put(m, write_port, address, self.loader)
        return m

    def _put(self, m: Module, port, address, request) -> None:
        m.d.comb += [
            address.eq(request.address),
            port.data.as_value().eq(request.data),
            port.en.eq(request.enable),
        ]


class WeightMemory(wiring.Component):
    """Memory of weight words: with contents, or loaded after each reset.

    Parameters
    ----------
    config : WeightMemoryConfig

    Members
    -------
    i_address : In(address_width(words)), o_word : Out(width)
        The word comes one cycle after its address, from when ``o_ready`` is high.
    o_ready : Out(1)
        The weights are there: from the beginning, or the cycle after the last one was taken.
    i : In(stream.Signature(width))
        Where it is loaded, the first word first; a memory with contents has none.
    """

    i_address: Signal
    o_word: Signal
    o_ready: Signal
    i: stream.Interface

    def __init__(self, config: WeightMemoryConfig):
        self.config = config
        load = {} if config.contents is not None else {"i": In(stream.Signature(config.width))}
        super().__init__(
            {
                "i_address": In(address_width(config.words)),
                "o_word": Out(config.width),
                "o_ready": Out(1),
            }
            | load
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, contents = self.config, self.config.contents
        m.submodules.memory = memory = Memory(
            shape=config.width,
            depth=config.words,
            init=contents or [],
            attrs=_ATTRIBUTES[config.single_port] if contents is None else {},
        )
        read_port = memory.read_port()
        m.d.comb += self.o_word.eq(read_port.data)
        if contents is not None:
            m.d.comb += [read_port.addr.eq(self.i_address), self.o_ready.eq(1)]
            return m
        write_port = memory.write_port()
        ready, index = Signal(), Signal(range(config.words))
        _connect_ports(m, write_port, read_port, index, self.i_address, config.single_port)
        m.d.comb += [
            self.o_ready.eq(ready),
            self.i.ready.eq(~ready),
            write_port.data.eq(self.i.payload),
            write_port.en.eq(self.i.valid & ~ready),
        ]
        with m.If(write_port.en):
            m.d.sync += index.eq(index + 1)
            with m.If(index == config.words - 1):
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
