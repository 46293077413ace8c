"""From the input stream to the activation memory."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .memory import WriteInterface, WriteSignature
from .program import Program
from .scoreboard import Batch

__all__ = ["Loader", "element_layout"]


def element_layout(program: Program) -> data.StructLayout:
    """Return the layout of an input element: its code, and whether it ends the last image.

    ``last``, on the last element of an image, closes a batch that is not full, so that a stream may
    end after any number of images.
    """
    return data.StructLayout({"code": program.network.input, "last": 1})


class Loader(wiring.Component):
    """Pack elements into activation words and fill the input areas of the contexts in turn.

    One element is accepted a cycle, but for ``planes - 1`` cycles a word of a layer that reads bit
    planes, and for the lanes that the last word of an image leaves empty. Images fill a context; a
    batch is reported when it is complete, or after an image whose last element is marked ``last``.

    Members
    -------
    i : In(stream.Signature(element_layout(program)))
    i_loaded : In(contexts)
        Input areas that must not be written.
    write : Out(WriteSignature(activation_words, lanes * width, segments))
    i_granted : In(1)
        The write port is free in this cycle.
    o_loaded : Out(1), o_context, o_batch
        A batch is complete.
    """

    i: stream.Interface
    i_loaded: Signal
    write: WriteInterface
    i_granted: Signal
    o_loaded: Signal
    o_context: Signal
    o_batch: data.View

    def __init__(self, program: Program):
        self.program = program
        width = program.geometry.lanes * program.operands.activation.width
        segments = program.geometry.lanes // program.segment
        super().__init__(
            {
                "i": In(stream.Signature(element_layout(program))),
                "i_loaded": In(program.contexts),
                "write": Out(WriteSignature(program.activation_words, width, segments)),
                "i_granted": In(1),
                "o_loaded": Out(1),
                "o_context": Out(ceil_log2(program.contexts)),
                "o_batch": Out(Batch(program)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        program, planes = self.program, self.program.input_planes
        lanes, inputs = program.geometry.lanes, program.network.inputs
        bitwise = self._bitwise
        # a word of the memory, or, where that holds one plane, the elements that make all of them
        width = (program.network.input if bitwise else program.operands.activation).width
        word = Signal(data.ArrayLayout(width, lanes), reset_less=True)
        lane = Signal(range(lanes))
        element = Signal(range(inputs))
        pending = Signal()  # the word is complete and waits to be written
        padding = Signal()  # the image is complete, its last word is not
        final = Signal()  # the complete word is the image's last
        closing = Signal()  # ... and the image is the batch's last
        plane = Signal(range(planes))
        offset = Signal(range(program.plane_words))

        written = pending & self.i_granted
        word_done = written & (plane == planes - 1)
        free = ~self.i_loaded.bit_select(self.o_context, 1)
        accept = self.i.valid & self.i.ready
        shift = accept | (padding & ~pending)
        m.d.comb += self.i.ready.eq(free & ~padding & (~pending | (word_done & ~final)))

        with m.If(shift):
            incoming = Mux(padding, 0, self._encoded())[:width]
            m.d.sync += word.eq(Cat(word.as_value()[width:], incoming))
            m.d.sync += lane.eq(Mux(lane == lanes - 1, 0, lane + 1))
        with m.If(word_done):
            m.d.sync += pending.eq(0)
        with m.If(shift & (lane == lanes - 1)):
            m.d.sync += [pending.eq(1), padding.eq(0)]
        with m.If(accept):
            m.d.sync += [element.eq(element + 1), final.eq(0)]
            with m.If(element == inputs - 1):
                m.d.sync += [element.eq(0), final.eq(1), closing.eq(self.i.payload.last)]
                with m.If(lane != lanes - 1):
                    m.d.sync += padding.eq(1)
        with m.If(written):
            m.d.sync += plane.eq(Mux(plane == planes - 1, 0, plane + 1))
        with m.If(word_done):
            m.d.sync += offset.eq(Mux(final, 0, offset + 1))

        base = self._walk_images(m, word_done & final, closing)
        m.d.comb += [
            self.write.enable.eq(pending.replicate(len(self.write.enable))),
            self.write.address.eq(base + offset + plane * program.plane_words),
            self.write.data.eq(_plane(word, plane) if bitwise else word.as_value()),
        ]
        return m

    @property
    def _bitwise(self) -> bool:
        return any(mapped.bitwise for mapped in self.program.mapped)

    def _encoded(self) -> Value:
        """Return the arriving element as an operand of the array, or as it is for bit planes."""
        source, target = self.program.network.input, self.program.operands.activation
        code = self.i.payload.code
        if source == target or self._bitwise:
            return code.as_value()
        return _extended(code.level, target.width)

    def _walk_images(self, m: Module, image_done, closing) -> Signal:
        """Count images and contexts; return the first word of the current image's area."""
        program = self.program
        batch, words = program.batch, program.image_words
        index = Signal(range(batch))
        base = Signal(range(program.activation_words))
        context = Signal(ceil_log2(program.contexts))
        image = Signal.like(self.o_batch.image)
        full = closing | (index == batch - 1)
        m.d.comb += [
            self.o_context.eq(context),
            self.o_loaded.eq(image_done & full),
            self.o_batch.count.eq(index + 1),
            self.o_batch.image.eq(image),
        ]
        with m.If(image_done):
            m.d.sync += [index.eq(index + 1), base.eq(base + words)]
            with m.If(full):
                following = Mux(context == program.contexts - 1, 0, context + 1)
                m.d.sync += [
                    index.eq(0),
                    image.eq(image + index + 1),
                    context.eq(following),
                    base.eq(Mux(following == 0, 0, batch * words)),
                ]
        return base


def _plane(word, plane) -> Value:
    """Return one bit of every element of ``word``; plane 0 is the most significant bit."""
    return Cat(*(word[lane][::-1].bit_select(plane, 1) for lane in range(len(word))))


def _extended(level: Value, width: int) -> Value:
    """Return the bits of ``level`` in ``width`` bits, which hold it."""
    sign = level[-1] if level.shape().signed else Const(0, 1)
    return Cat(level, sign.replicate(width))[:width]
