"""Keeps the last layer's levels, and emits them."""

from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...gates.attributes import NO_COLLISIONS
from ...gates.counter import count_up
from ...gates.ports import ReadInterface, ReadSignature, WriteInterface, WriteSignature
from ...numbers.formats import Format
from ..streams import result_layout

__all__ = ["Emitter", "EmitterConfig", "OutputMemory"]


@dataclass(frozen=True)
class EmitterConfig:
    """Sizes of an `Emitter`.

    Attributes
    ----------
    level : Format
        Format of a level.
    outputs, positions : int
        Levels of a position, and positions of an image.
    classes : int
        Classes of the label: the outputs, or 0 where levels are values and there is no label.
    chains : int
        Levels of a word: those of as many images, which lie side by side; where an image has
        several positions, those of as many of these.
    batch : StructLayout
        Layout of a `ContextBatch`: an output area and how many images it holds.
    context_words, words : int
        Words of an area, and of the output memory.
    """

    level: Format
    outputs: int
    chains: int
    batch: data.StructLayout
    context_words: int
    words: int
    positions: int = 1
    classes: int = 0


class OutputMemory(wiring.Component):
    """Words of ``width`` bits with a port to write and one to read, which never meet in a word.

    Parameters
    ----------
    words, width : int

    Members
    -------
    write : In(WriteSignature(words, width))
    read : In(ReadSignature(words, width))
        The word comes one cycle after its address.
    """

    write: WriteInterface
    read: ReadInterface

    def __init__(self, words: int, width: int):
        self.words, self.width = words, width
        super().__init__(
            {"write": In(WriteSignature(words, width)), "read": In(ReadSignature(words, width))}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=self.width, depth=self.words, init=[], attrs=NO_COLLISIONS
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.write.address),
            write.data.eq(self.write.data),
            write.en.eq(self.write.enable),
            read.addr.eq(self.read.address),
            self.read.data.eq(read.data),
        ]
        return m


class Emitter(wiring.Component):
    """Stream the levels, and the class, of every image, in the order in which the images came.

    A level takes two cycles when the receiver is ready, and the last one of an image, which goes
    out with the label, three; a batch takes two more to begin.

    Parameters
    ----------
    config : EmitterConfig

    Members
    -------
    batches : In(stream.Signature(ContextBatch))
        A batch in an output area; taken with its last level, when the area has been read.
    read : Out(ReadSignature(words, levels of all chains))
        The output memory.
    o : Out(stream.Signature(result_layout(config.level, config.classes)))
    """

    batches: stream.Interface
    read: ReadInterface
    o: stream.Interface

    def __init__(self, config: EmitterConfig):
        self.config = config
        word = config.chains * config.level.width
        super().__init__(
            {
                "batches": In(stream.Signature(config.batch)),
                "read": Out(ReadSignature(config.words, word)),
                "o": Out(stream.Signature(result_layout(config.level, config.classes))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # the states, a register each: nothing goes on, an address is read, a level arrives, the
        # last one of an image is compared, a level goes out
        idle, read, take, compare = Signal(init=1), Signal(), Signal(), Signal()
        send = self.o.valid
        chain = Signal(range(self.config.chains))
        ends_position, ends_image = self._send(m, take, chain)
        ends_batch = self._walk(m, idle, take, ends_position, ends_image, chain)
        sent, over, full = send & self.o.ready, Signal(), self.batches.valid
        m.d.comb += [over.eq(sent & ends_batch), self.batches.ready.eq(over)]
        m.d.sync += [
            idle.eq((idle & ~full) | over),
            read.eq(idle & full),
            take.eq(read | (sent & ~ends_batch)),
            compare.eq(take & ends_image),
            send.eq((take & ~ends_image) | compare | (send & ~self.o.ready)),
        ]
        return m

    def _send(self, m: Module, take, chain) -> tuple[Value, Value]:
        """Send levels; return whether the next is its position's last, and its image's last."""
        fmt, config = self.config.level, self.config
        sent = Signal(fmt.width)
        channel, ends_position = count_up(m, "arriving", [config.outputs], take)
        ends_image = ends_position
        if config.positions > 1:
            moves = take & ends_position
            _, last_position = count_up(m, "position", [config.positions], moves)
            ends_image = ends_position & last_position
        last = Signal(init=1)
        code = self.read.data.word_select(chain, fmt.width)
        with m.If(take):
            m.d.sync += [sent.eq(code), last.eq(ends_image)]
        m.d.comb += [self.o.payload.level.as_value().eq(sent), self.o.payload.last.eq(last)]
        if config.classes:
            self._compare(m, take, fmt.level_of(sent), channel, last)
        return ends_position, ends_image

    def _compare(self, m: Module, take, level, arriving, last) -> None:
        """Remember the best level of an image, and give its channel.

        A level is compared while it is sent, and put aside when the next one arrives; ``below`` is
        -1 less the best, so that one adder compares.
        """
        width = self.config.level.level_shape.width + 1
        below = Signal(signed(width), reset_less=True)
        channel, best_channel = (Signal(range(self.config.classes)) for _ in range(2))
        first, better = Signal(), Signal()
        m.d.sync += better.eq(first | (level + below >= 0))
        with m.If(take):
            m.d.sync += [channel.eq(arriving), first.eq(last)]
            with m.If(better):
                m.d.sync += [below.eq(~(level | Const(0, below.shape()))), best_channel.eq(channel)]
        m.d.comb += self.o.payload.label.eq(Mux(better, channel, best_channel))

    def _walk(self, m: Module, idle, take, ends_position, ends_image, chain) -> Signal:
        """Walk through the levels of a batch; return whether the current one is its last."""
        config = self.config
        outputs, chains = config.outputs, config.chains
        address = Signal(range(config.words))
        batch = self.batches.payload
        left, ends_batch = Signal(batch.batch.count.shape()), Signal()
        m.d.comb += self.read.address.eq(address)
        # the chains' images lie side by side, or their positions; each image begins with the first
        last_chain = chain == chains - 1
        if config.positions > 1:
            last_chain = last_chain | ends_image
        back = ends_position & ~last_chain
        with m.If(idle):
            m.d.sync += [
                address.eq(Mux(batch.context, config.context_words, 0)),
                left.eq(batch.batch.count),
                chain.eq(0),
            ]
        with m.Elif(take):
            m.d.sync += [
                address.eq(address + Mux(back, 1 - outputs, 1)),
                ends_batch.eq(ends_image & (left == 1)),
            ]
            with m.If(ends_position):
                m.d.sync += chain.eq(Mux(last_chain, 0, chain + 1))
            with m.If(ends_image):
                m.d.sync += left.eq(left - 1)
        return ends_batch
