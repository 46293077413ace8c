"""From the output memory to the output stream."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .memory import ReadInterface, ReadSignature
from .program import Program
from .scoreboard import Batch

__all__ = ["Emitter", "result_layout"]


def result_layout(program: Program) -> data.StructLayout:
    """Return the layout of an output element.

    ``level`` is the next level of the last layer, in the order of its channels; with the last one
    of an image, ``last`` is set and ``label`` is the class: the first channel with the highest
    level.
    """
    return data.StructLayout(
        {
            "level": program.network.output,
            "label": unsigned(ceil_log2(program.network.outputs)),
            "last": 1,
        }
    )


class Emitter(wiring.Component):
    """Stream the levels and the class of every image, in the order in which the images came.

    A level takes two cycles when the receiver is ready.

    Members
    -------
    i_full : In(contexts), i_done : In(ArrayLayout(Batch, contexts))
        Output areas that hold a batch.
    o_emitted : Out(contexts)
        The area has been read.
    read : Out(ReadSignature(output_words, levels of all chains))
        The output memory.
    o : Out(stream.Signature(result_layout(program)))
    """

    i_full: Signal
    i_done: data.View
    o_emitted: Signal
    read: ReadInterface
    o: stream.Interface

    def __init__(self, program: Program):
        self.program = program
        word = program.geometry.chains * program.network.output.width
        super().__init__(
            {
                "i_full": In(program.contexts),
                "i_done": In(data.ArrayLayout(Batch(program), program.contexts)),
                "o_emitted": Out(program.contexts),
                "read": Out(ReadSignature(program.output_words, word)),
                "o": Out(stream.Signature(result_layout(program))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        program = self.program
        outputs, chains = program.network.outputs, program.geometry.chains
        fmt = program.network.output
        context = Signal(ceil_log2(program.contexts))
        image, channel = Signal(range(program.batch)), Signal(range(outputs))
        chain = Signal(range(chains))
        address = Signal(range(program.output_words))
        best = Signal(fmt.level_shape)
        best_channel = Signal(range(outputs))

        code = self.read.data.word_select(chain, fmt.width)
        level = fmt.level_of(code)
        better = (channel == 0) | (level > best)
        last_channel = channel == outputs - 1
        m.d.comb += [
            self.read.address.eq(address),
            self.o.payload.level.as_value().eq(code),
            self.o.payload.last.eq(last_channel),
            self.o.payload.label.eq(Mux(better, channel, best_channel)),
        ]
        with m.FSM():
            with m.State("Idle"):
                m.d.sync += address.eq(Mux(context, program.output_rows * outputs, 0))
                with m.If(self.i_full.bit_select(context, 1)):
                    m.next = "Read"
            with m.State("Read"):
                m.next = "Send"
            with m.State("Send"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "Read"
                    m.d.sync += [address.eq(address + 1), channel.eq(channel + 1)]
                    with m.If(better):
                        m.d.sync += [best.eq(level), best_channel.eq(channel)]
                    with m.If(last_channel):
                        # the chains' images lie side by side
                        m.d.sync += [channel.eq(0), image.eq(image + 1), chain.eq(chain + 1)]
                        with m.If(chain == chains - 1):
                            m.d.sync += chain.eq(0)
                        with m.Else():
                            m.d.sync += address.eq(address - (outputs - 1))
                        with m.If(image == self.i_done[context].count - 1):
                            m.d.sync += [image.eq(0), chain.eq(0)]
                            m.d.comb += self.o_emitted.bit_select(context, 1).eq(1)
                            if program.contexts == 2:
                                m.d.sync += context.eq(~context)
                            m.next = "Idle"
        return m
