"""Loads the elements of the input stream into the activation memory."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ...errors import GeometryError
from ...gates.adder import extended
from ...gates.counter import count_down, count_up
from ...gates.ports import WriteInterface, WriteSignature
from ...numbers.format import Format
from ..job import IMAGE_WIDTH, Batch, ContextBatch, check_contexts
from ..streams import element_layout

__all__ = ["Loader", "LoaderConfig"]


@dataclass(frozen=True)
class LoaderConfig:
    """Formats and sizes of a `Loader`.

    Attributes
    ----------
    element, code : Format
        Format of an element of the stream, and of a code in memory, which holds its levels.
    bitwise : bool
        Elements are stored as bit planes, the most significant one first; codes have 1 bit.
    elements : int
        Elements of an image.
    lanes, segments : int
        Codes of a word, and segments of it that have an enable of their own.
    image_words, images, contexts : int
        Words of an image's region, images of a context, and contexts, 1 or 2.

    Raises
    ------
    GeometryError
        For a region that is too small for an image, or other than 1 or 2 contexts.
    """

    element: Format
    code: Format
    bitwise: bool
    elements: int
    lanes: int
    segments: int
    image_words: int
    images: int
    contexts: int

    def __post_init__(self) -> None:
        check_contexts(self.contexts)
        least = self.planes * self.plane_words
        if self.image_words < least:
            raise GeometryError(
                f"an image of {self.elements} elements takes {least} words of {self.lanes} codes: "
                f"image_words is at least that, not {self.image_words}"
            )

    @property
    def batch(self) -> data.StructLayout:
        """Layout of a `ContextBatch`."""
        return ContextBatch(self.contexts, Batch(self.images))

    @property
    def planes(self) -> int:
        """Bit planes of an image."""
        return self.element.width if self.bitwise else 1

    @property
    def plane_words(self) -> int:
        """Words of an image, or of one bit plane of it."""
        return -(-self.elements // self.lanes)

    @property
    def words(self) -> int:
        """Words of the memory."""
        return self.contexts * self.images * self.image_words


class Loader(wiring.Component):
    """Pack elements into activation words and fill the input areas of the contexts in turn.

    One element is accepted a cycle, but for ``planes - 1`` cycles a word of a layer that reads bit
    planes, and for the lanes that the last word of an image leaves empty. Images fill a context; a
    batch is reported when it is complete, or after an image whose last element is marked ``last``:
    in the cycle in which its last word is written. A word is offered in the cycle after its last
    element is taken.

    Parameters
    ----------
    config : LoaderConfig

    Members
    -------
    i : In(stream.Signature(element_layout(config.element)))
    i_loaded : In(contexts)
        Input areas that must not be written.
    write : Out(WriteSignature(words, lanes * code.width, segments, shared=True))
    loaded : Out(stream.Signature(ContextBatch, always_ready=True))
        A batch is complete.
    """

    i: stream.Interface
    i_loaded: Signal
    write: WriteInterface
    loaded: stream.Interface

    def __init__(self, config: LoaderConfig):
        self.config = config
        width = config.lanes * config.code.width
        super().__init__(
            {
                "i": In(stream.Signature(element_layout(config.element))),
                "i_loaded": In(config.contexts),
                "write": Out(WriteSignature(config.words, width, config.segments, shared=True)),
                "loaded": Out(stream.Signature(config.batch, always_ready=True)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        lanes, elements = config.lanes, config.elements
        # a word of the memory, or, where that holds one plane, the elements that make all of them
        width = (config.element if config.bitwise else config.code).width
        word = Signal(data.ArrayLayout(width, lanes), reset_less=True)
        pending = Signal()  # the word is complete and waits to be written
        padding = Signal()  # the image is complete, its last word is not
        final = Signal()  # the complete word is the image's last
        full = Signal()  # ... and the image is the batch's last
        free = Signal()  # the context's area may be written

        written, accept, shift = Signal(), Signal(), Signal()
        _, last_lane = count_down(m, "lane", [lanes], shift)
        _, last_element = count_down(m, "element", [elements], accept)
        plane, last_plane = count_up(m, "plane", [config.planes], written)
        word_done = written & last_plane
        m.d.comb += [
            written.eq(pending & self.write.granted),
            self.i.ready.eq(free & ~padding & (~pending | (word_done & ~final))),
            accept.eq(self.i.valid & self.i.ready),
            shift.eq(accept | (padding & ~pending)),
        ]
        last_image = Signal(init=config.images == 1)
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
            if elements % lanes:
                with m.If(last_element & ~last_lane):
                    m.d.sync += padding.eq(1)

        address = self._walk(m, word_done, written, final, full, last_image)
        loaded, context = self.i_loaded, self.loaded.payload.context
        others_free = Const(0)  # whether the context may be loaded whose turn comes next
        if config.contexts == 2:
            others_free = ~loaded.bit_select(~context, 1)
        m.d.sync += free.eq(Mux(self.loaded.valid, others_free, ~loaded.bit_select(context, 1)))
        m.d.comb += [
            self.write.enable.eq(pending.replicate(len(self.write.enable))),
            self.write.address.eq(address),
            self.write.data.eq(_plane(word, plane) if config.bitwise else word.as_value()),
        ]
        return m

    def _encoded(self) -> Value:
        """Return the arriving element as a code of the memory, or as it is for bit planes."""
        config, code = self.config, self.i.payload.code
        if config.element == config.code or config.bitwise:
            return code.as_value()
        return extended(code.level, config.code.width)

    def _walk(self, m: Module, word_done, written, final, full, last_image) -> Signal:
        """Count images and contexts, and walk through their words; return the address."""
        config = self.config
        images, words = config.images, config.image_words
        first, address = (Signal(range(config.words), name=n) for n in ("first", "word"))
        context = Signal(ceil_log2(config.contexts))
        following = Mux(context == config.contexts - 1, 0, context + 1)
        index = Signal(range(images))
        number = Signal(IMAGE_WIDTH)
        image_done = word_done & final
        m.d.comb += [
            self.loaded.valid.eq(word_done & full),
            self.loaded.payload.context.eq(context),
            self.loaded.payload.batch.count.eq(index + 1),
            self.loaded.payload.batch.image.eq(number),
        ]
        begin = Signal.like(first)  # of the next image
        m.d.comb += begin.eq(Mux(full, Mux(following == 0, 0, images * words), first + words))
        with m.If(image_done):
            m.d.sync += [
                first.eq(begin),
                index.eq(Mux(full, 0, index + 1)),
                last_image.eq(Mux(full, images == 1, index == images - 2)),
            ]
            with m.If(full):
                m.d.sync += [number.eq(number + index + 1), context.eq(following)]
        # the planes of a word lie as far apart as all of them are long
        word = address
        if config.planes > 1:
            word = Signal.like(address, name="first_plane")
            with m.If(written):
                m.d.sync += address.eq(address + config.plane_words)
        with m.If(word_done):
            following = Mux(final, begin, word + 1)
            m.d.sync += [word.eq(following), address.eq(following)]
        return address


def _plane(word, plane) -> Value:
    """Return one bit of every element of ``word``; plane 0 is the most significant bit."""
    return Cat(*(word[lane][::-1].bit_select(plane, 1) for lane in range(len(word))))
