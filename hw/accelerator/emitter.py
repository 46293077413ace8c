"""From the output memory to the output stream."""

from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..gates.counter import count_up
from ..gates.ports import ReadInterface, ReadSignature
from ..numbers.formats import Format
from .streams import result_layout

__all__ = ["Emitter", "EmitterConfig"]


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
    contexts : int
        Output areas, 1 or 2.
    batch : StructLayout
        Layout of a `Batch`, an area's images.
    context_words, words : int
        Words of an area, and of the output memory.
    """

    level: Format
    outputs: int
    chains: int
    contexts: int
    batch: data.StructLayout
    context_words: int
    words: int


class Emitter(wiring.Component):
    """Stream the levels and the class of every image, in the order in which the images came.

    A level takes two cycles when the receiver is ready, and the last one of an image, which goes
    out with the label, three.

    Parameters
    ----------
    config : EmitterConfig

    Members
    -------
    i_full : In(contexts), i_done : In(ArrayLayout(Batch, contexts))
        Output areas that hold a batch.
    o_emitted : Out(contexts)
        The area has been read.
    read : Out(ReadSignature(output_words, levels of all chains))
        The output memory.
    o : Out(stream.Signature(result_layout(config.level, config.outputs)))
    """

    i_full: Signal
    i_done: data.View
    o_emitted: Signal
    read: ReadInterface
    o: stream.Interface

    def __init__(self, config: EmitterConfig):
        self.config = config
        word = config.chains * config.level.width
        super().__init__(
            {
                "i_full": In(config.contexts),
                "i_done": In(data.ArrayLayout(config.batch, config.contexts)),
                "o_emitted": Out(config.contexts),
                "read": Out(ReadSignature(config.words, word)),
                "o": Out(stream.Signature(result_layout(config.level, config.outputs))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        contexts = self.config.contexts
        context = Signal(ceil_log2(contexts))
        # the states, a register each: nothing goes on, an address is read, a level arrives, the
        # last one of an image is compared, a level goes out
        idle, read, take, compare = Signal(init=1), Signal(), Signal(), Signal()
        send = self.o.valid
        chain = Signal(range(self.config.chains))
        ends_image = self._compare(m, take, chain)
        ends_batch = self._walk(m, idle, take, ends_image, context, chain)
        sent, over = send & self.o.ready, Signal()
        full = self.i_full.bit_select(context, 1)
        m.d.comb += over.eq(sent & ends_batch)
        m.d.sync += [
            idle.eq((idle & ~full) | over),
            read.eq(idle & full),
            take.eq(read | (sent & ~ends_batch)),
            compare.eq(take & ends_image),
            send.eq((take & ~ends_image) | compare | (send & ~self.o.ready)),
        ]
        with m.If(over):
            m.d.comb += self.o_emitted.bit_select(context, 1).eq(1)
            if contexts == 2:
                m.d.sync += context.eq(~context)
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

    def _walk(self, m: Module, idle, take, ends_image, context, chain) -> Signal:
        """Walk through the levels of a batch; return whether the current one is its last."""
        config = self.config
        outputs, chains = config.outputs, config.chains
        address = Signal(range(config.words))
        left, ends_batch = Signal(self.i_done[0].count.shape()), Signal()
        m.d.comb += self.read.address.eq(address)
        # the chains' images lie side by side
        back = ends_image & (chain != chains - 1)
        with m.If(idle):
            m.d.sync += [
                address.eq(Mux(context, config.context_words, 0)),
                left.eq(self.i_done[context].count),
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
