"""Dispatches received frames and schedules replies."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...hw.numbers.arithmetic import bits_for
from ..protocol.frame import ANSWER, ERROR, Error, Type
from .core import TAG

__all__ = ["Controller"]

STATUS_BYTES = 4
CYCLE_BYTES = 4
ERROR_BYTES = 2


class Controller(wiring.Component):
    """Decide about each frame, and send answers one at a time.

    An image is handed on (`o_commit`) and answered when the accelerator has its levels. All other
    requests, and errors, are answered from one place; while an answer is there, another such
    request is passed over, and who sent it sends it again. A reset waits until no answer is sent.

    Parameters
    ----------
    info : bytes
        The answer to `Type.INFO`.
    lengths : tuple of int
        Bytes of the answers to `Type.RUN` and `Type.CLASSIFY`.
    loads_weights : bool
        Whether there is `Type.WEIGHTS`.

    Members
    -------
    i_done, i_damaged, i_empty, i_full : In(1); i_type, i_sequence : In(8)
        Of the `FrameReceiver`. Nothing but the first two changes while a frame ends.
    i_overrun : In(1)
        The frame did not fit into the buffer.
    o_commit : Out(1)
        The frame in the buffer is right and to be handed on.
    o_reset : Out(1)
        Forget all images and weights.
    i_ready, i_busy, i_working, i_answer : In(1); tag : In(TAG)
        Of the `Core`.
    o_take : Out(1)
        The answer of the core begins.
    i : In(stream.Signature(8))
        That answer.
    o_start : Out(1); o_type, o_sequence : Out(8); o_length : Out(length); o : Out(stream of bytes)
        To the `FrameTransmitter`, and i_left : In(length), i_idle : In(1) of it.
    """

    i_done: Signal
    i_damaged: Signal
    i_empty: Signal
    i_full: Signal
    i_type: Signal
    i_sequence: Signal
    i_overrun: Signal
    o_commit: Signal
    o_reset: Signal
    i_ready: Signal
    i_busy: Signal
    i_working: Signal
    i_answer: Signal
    tag: data.View
    o_take: Signal
    i: stream.Interface
    o_start: Signal
    o_type: Signal
    o_sequence: Signal
    o_length: Signal
    i_left: Signal
    i_idle: Signal
    o: stream.Interface

    def __init__(self, info: bytes, lengths: tuple[int, int], *, loads_weights: bool):
        self.info, self.lengths, self.loads_weights = info, lengths, loads_weights
        self.limit = max(len(info), *lengths)
        width = bits_for(0, self.limit) - 1
        inputs = ("done", "damaged", "empty", "full", "overrun", "ready", "busy", "working")
        super().__init__(
            {
                **{f"i_{name}": In(1) for name in (*inputs, "answer", "idle")},
                "i_type": In(8),
                "i_sequence": In(8),
                "o_commit": Out(1),
                "o_reset": Out(1),
                "tag": In(TAG),
                "o_take": Out(1),
                "i": In(stream.Signature(8)),
                "o_start": Out(1),
                "o_type": Out(8),
                "o_sequence": Out(8),
                "o_length": Out(width),
                "i_left": In(width),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        error, image, chunks = self._verdict(m)
        last_error = Signal(4)
        # the one place for an answer: it waits, then it is sent
        waits, sends = Signal(), Signal()
        kind, sequence = Signal(8), Signal(8)
        reason, detail = Signal(4), Signal(8)
        right, free = Signal(), Signal()
        m.d.comb += [
            right.eq(error == Error.NONE),
            free.eq(~waits & ~sends),
            self.o_commit.eq(self.i_done & right & ~self.i_empty & (image | free)),
        ]
        with m.If(self.i_done & ~self.i_type[7]):
            with m.If(~right):
                m.d.sync += last_error.eq(error)
            with m.If(free & ~(right & image)):
                m.d.sync += [
                    waits.eq(1),
                    kind.eq(Mux(right, self.i_type | ANSWER, ERROR)),
                    sequence.eq(self.i_sequence),
                    reason.eq(error),
                    detail.eq(chunks),
                ]
                with m.If(right & (self.i_type == Type.WEIGHTS)):
                    m.d.sync += chunks.eq(chunks + 1)
        with m.If(self.o_reset):
            m.d.sync += [chunks.eq(0), last_error.eq(Error.NONE)]
        flags = Cat(self.i_ready, self.i_busy)  # in the order of `Flag`
        cycles, damaged = self._counters(m)
        status = Cat(flags, Const(0, 8 - len(flags)), last_error, Const(0, 4), damaged, chunks)
        snapshot = Signal(32)  # of what may move while it is sent
        with m.If(self.o_start):
            m.d.sync += snapshot.eq(Mux(kind == Type.CYCLES | ANSWER, cycles, status))
        of_core = self._send(m, waits, sends, kind, sequence)
        content = self._content(m, kind, Cat(reason, Const(0, 4), detail), snapshot)
        m.d.comb += [
            self.o.payload.eq(Mux(of_core, self.i.payload, content)),
            self.o.valid.eq(~of_core | self.i.valid),
            self.i.ready.eq(of_core & self.o.ready),
        ]
        return m

    def _verdict(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Return what is wrong with the current frame, and whether it is an image; in registers.

        Both follow from what is known long before a frame ends. The third is the number of the
        chunk of weights that is next.
        """
        kind, chunks = self.i_type, Signal(8)
        error, image = Signal(4), Signal()
        is_image = (kind == Type.RUN) | (kind == Type.CLASSIFY)
        is_weights = (kind == Type.WEIGHTS) if self.loads_weights else Const(0)
        empty = [Type.INFO, Type.STATUS, Type.CYCLES, Type.RESET]
        is_other = Cat(*(kind == each for each in empty)).any()
        m.d.sync += image.eq(is_image)
        with m.If(is_other):
            m.d.sync += error.eq(Mux(self.i_empty, Error.NONE, Error.LENGTH))
        with m.Elif(~(is_image | is_weights)):
            m.d.sync += error.eq(Error.TYPE)
        with m.Elif(~self.i_full):
            m.d.sync += error.eq(Error.LENGTH)
        with m.Elif(self.i_overrun):
            m.d.sync += error.eq(Error.BUSY)
        with m.Elif(is_image):
            m.d.sync += error.eq(Mux(self.i_ready, Error.NONE, Error.UNREADY))
        with m.Elif(self.i_ready):
            m.d.sync += error.eq(Error.LOADED)
        with m.Else():
            right = self.i_sequence == chunks
            m.d.sync += error.eq(Mux(right, Error.NONE, Error.ORDER))
        return error, image, chunks

    def _counters(self, m: Module) -> tuple[Signal, Signal]:
        """Return the cycles in which the core worked, and the frames that came damaged."""
        cycles, damaged = Signal(8 * CYCLE_BYTES), Signal(8)
        with m.If(self.o_reset):
            m.d.sync += cycles.eq(0)
        with m.Elif(self.i_working):
            m.d.sync += cycles.eq(cycles + 1)
        with m.If(self.i_damaged):
            m.d.sync += damaged.eq(damaged + 1)
        return cycles, damaged

    def _send(self, m: Module, waits, sends, kind, sequence) -> Signal:
        """Send what waits, or else the next answer of the core; return which of both is sent."""
        lengths = {
            Type.INFO | ANSWER: len(self.info),
            Type.STATUS | ANSWER: STATUS_BYTES,
            Type.CYCLES | ANSWER: CYCLE_BYTES,
            ERROR: ERROR_BYTES,
        }
        length = Signal.like(self.o_length)
        with m.Switch(kind):
            for each, size in lengths.items():
                with m.Case(each):
                    m.d.sync += length.eq(size)
            with m.Default():
                m.d.sync += length.eq(0)
        of_core = Signal()  # the answer that is sent
        known = Signal()  # `length` is that of `kind`
        m.d.comb += [
            self.o_type.eq(
                Mux(waits, kind, Mux(self.tag.levels, Type.RUN | ANSWER, Type.CLASSIFY | ANSWER))
            ),
            self.o_sequence.eq(Mux(waits, sequence, self.tag.sequence)),
            self.o_length.eq(Mux(waits, length, Mux(self.tag.levels, *self.lengths))),
        ]
        m.d.sync += [known.eq(waits), self.o_reset.eq(0)]
        with m.If(self.i_idle):
            m.d.sync += sends.eq(0)
            with m.If(waits):
                with m.If(known):
                    m.d.comb += self.o_start.eq(1)
                    m.d.sync += [waits.eq(0), sends.eq(1), of_core.eq(0)]
                    m.d.sync += self.o_reset.eq(kind == Type.RESET | ANSWER)
            with m.Elif(self.i_answer & ~self.o_reset):
                m.d.comb += [self.o_start.eq(1), self.o_take.eq(1)]
                m.d.sync += of_core.eq(1)
        return of_core

    def _content(self, m: Module, kind, error, snapshot) -> Signal:
        """Return the next byte of what is not of the core, a cycle after `i_left`.

        Bytes are counted down, so the first one is that with the highest number.
        """
        content, left = Signal(8), self.i_left
        with m.Switch(kind):
            with m.Case(Type.INFO | ANSWER):
                m.d.sync += content.eq(Array([0, *reversed(self.info)])[left])
            with m.Case(ERROR):
                m.d.sync += content.eq(error.word_select(left[0], 8))
            with m.Default():
                m.d.sync += content.eq(snapshot.word_select((~left + 1)[:2], 8))
        return content
