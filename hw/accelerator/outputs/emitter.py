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
    outputs : int
        Levels of an image.
    chains : int
        Levels of a word: those of as many images, which lie side by side.
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
    """Stream the levels and the class of every image, in the order in which the images came.

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
    o : Out(stream.Signature(result_layout(config.level, config.outputs)))
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
                "o": Out(stream.Signature(result_layout(config.level, config.outputs))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # the states, a register each: nothing goes on, an address is read, a level arrives, the
        # last one of an image is compared, a level goes out
        idle, read, take, compare = Signal(init=1), Signal(), Signal(), Signal()
        send = self.o.valid
        chain = Signal(range(self.config.chains))
        ends_image = self._compare(m, take, chain)
        ends_batch = self._walk(m, idle, take, ends_image, chain)
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

    def _compare(self, m: Module, take, chain) -> Value:
        """Send levels and remember the best one; return whether the next is its image's last.

        A level is compared while it is sent, and put aside when the next one arrives.
        """
        fmt, outputs = self.config.level, self.config.outputs
        sent = Signal(fmt.width)
        level = fmt.level_of(sent)
        # -1 less the best: compared in one adder
        below = Signal(signed(fmt.level_shape.width + 1), reset_less=True)
        arriving, ends_image = count_up(m, "arriving", [outputs], take)
        channel, best_channel = Signal(range(outputs)), Signal(range(outputs))
        first, last, better = Signal(), Signal(init=1), Signal()
        code = self.read.data.word_select(chain, fmt.width)
        m.d.sync += better.eq(first | (level + below >= 0))
        with m.If(take):
            m.d.sync += [
                sent.eq(code),
                channel.eq(arriving),
                first.eq(last),
                last.eq(ends_image),
            ]
            with m.If(better):
                m.d.sync += [below.eq(~(level | Const(0, below.shape()))), best_channel.eq(channel)]
        m.d.comb += [
            self.o.payload.level.as_value().eq(sent),
            self.o.payload.last.eq(last),
            self.o.payload.label.eq(Mux(better, channel, best_channel)),
        ]
        return ends_image

    def _walk(self, m: Module, idle, take, ends_image, chain) -> Signal:
        """Walk through the levels of a batch; return whether the current one is its last."""
        config = self.config
        outputs, chains = config.outputs, config.chains
        address = Signal(range(config.words))
        batch = self.batches.payload
        left, ends_batch = Signal(batch.batch.count.shape()), Signal()
        m.d.comb += self.read.address.eq(address)
        # the chains' images lie side by side
        back = ends_image & (chain != chains - 1)
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
            with m.If(ends_image):
                m.d.sync += [
                    left.eq(left - 1),
                    chain.eq(Mux(chain == chains - 1, 0, chain + 1)),
                ]
        return ends_batch
