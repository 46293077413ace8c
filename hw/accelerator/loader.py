"""From the input stream to the activation memory."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..gates.counter import count_down, count_up
from ..gates.ports import WriteInterface, WriteSignature
from ..program.layout import Program
from .job import Batch
from .streams import element_layout

__all__ = ["Loader"]


class Loader(wiring.Component):
    """Pack elements into activation words and fill the input areas of the contexts in turn.

    One element is accepted a cycle, but for ``planes - 1`` cycles a word of a layer that reads bit
    planes, and for the lanes that the last word of an image leaves empty. Images fill a context; a
    batch is reported when it is complete, or after an image whose last element is marked ``last``.

    Members
    -------
    i : In(stream.Signature(element_layout(program.network.input)))
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
                "i": In(stream.Signature(element_layout(program.network.input))),
                "i_loaded": In(program.contexts),
                "write": Out(WriteSignature(program.activation_words, width, segments)),
                "i_granted": In(1),
                "o_loaded": Out(1),
                "o_context": Out(ceil_log2(program.contexts)),
                "o_batch": Out(Batch(program.batch)),
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
        pending = Signal()  # the word is complete and waits to be written
        padding = Signal()  # the image is complete, its last word is not
        final = Signal()  # the complete word is the image's last
        full = Signal()  # ... and the image is the batch's last
        free = Signal()  # the context's area may be written

        written, accept, shift = Signal(), Signal(), Signal()
        _, last_lane = count_down(m, "lane", [lanes], shift)
        _, last_element = count_down(m, "element", [inputs], accept)
        plane, last_plane = count_up(m, "plane", [planes], written)
        word_done = written & last_plane
        m.d.comb += [
            written.eq(pending & self.i_granted),
            self.i.ready.eq(free & ~padding & (~pending | (word_done & ~final))),
            accept.eq(self.i.valid & self.i.ready),
            shift.eq(accept | (padding & ~pending)),
        ]
        last_image = Signal(init=program.batch == 1)
        with m.If(shift):
            incoming = Mux(padding, 0, self._encoded())[:width]
            m.d.sync += word.eq(Cat(word.as_value()[width:], incoming))
        with m.If(word_done):
            m.d.sync += pending.eq(0)
        with m.If(shift & last_lane):
            m.d.sync += [pending.eq(1), padding.eq(0)]
        with m.If(accept):
            closes = last_element & (self.i.payload.last | last_image)
            m.d.sync += [final.eq(last_element), full.eq(closes)]
            if inputs % lanes:
                with m.If(last_element & ~last_lane):
                    m.d.sync += padding.eq(1)

        address = self._walk(m, word_done, written, final, full, last_image)
        loaded = self.i_loaded
        others_free = Const(0)  # whether the context may be loaded whose turn comes next
        if program.contexts == 2:
            others_free = ~loaded.bit_select(~self.o_context, 1)
        m.d.sync += free.eq(Mux(self.o_loaded, others_free, ~loaded.bit_select(self.o_context, 1)))
        m.d.comb += [
            self.write.enable.eq(pending.replicate(len(self.write.enable))),
            self.write.address.eq(address),
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

    def _walk(self, m: Module, word_done, written, final, full, last_image) -> Signal:
        """Count images and contexts, and walk through their words; return the address."""
        program = self.program
        batch, words = program.batch, program.image_words
        first, address = (
            Signal(range(program.activation_words), name=n) for n in ("first", "word")
        )
        context = Signal(ceil_log2(program.contexts))
        following = Mux(context == program.contexts - 1, 0, context + 1)
        index = Signal(range(batch))
        number = Signal.like(self.o_batch.image)
        image_done = word_done & final
        m.d.comb += [
            self.o_context.eq(context),
            self.o_loaded.eq(word_done & full),
            self.o_batch.count.eq(index + 1),
            self.o_batch.image.eq(number),
        ]
        begin = Signal.like(first)  # of the next image
        m.d.comb += begin.eq(Mux(full, Mux(following == 0, 0, batch * words), first + words))
        with m.If(image_done):
            m.d.sync += [
                first.eq(begin),
                index.eq(Mux(full, 0, index + 1)),
                last_image.eq(Mux(full, batch == 1, index == batch - 2)),
            ]
            with m.If(full):
                m.d.sync += [number.eq(number + index + 1), context.eq(following)]
        # the planes of a word lie as far apart as all of them are long
        word = address
        if program.input_planes > 1:
            word = Signal.like(address, name="first_plane")
            with m.If(written):
                m.d.sync += address.eq(address + program.plane_words)
        with m.If(word_done):
            following = Mux(final, begin, word + 1)
            m.d.sync += [word.eq(following), address.eq(following)]
        return address


def _plane(word, plane) -> Value:
    """Return one bit of every element of ``word``; plane 0 is the most significant bit."""
    return Cat(*(word[lane][::-1].bit_select(plane, 1) for lane in range(len(word))))


def _extended(level: Value, width: int) -> Value:
    """Return the bits of ``level`` in ``width`` bits, which hold it."""
    sign = level[-1] if level.shape().signed else Const(0, 1)
    return Cat(level, sign.replicate(width))[:width]
