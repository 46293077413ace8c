"""The accelerator between two streams of bytes: what came over the line, and what goes back."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...hw.accelerator.top import Accelerator
from ...hw.gates.counter import count_up
from ...hw.gates.stream import SkidBuffer
from ..protocol.frame import Type
from .results import Results, image_bytes
from .unpacker import Unpacker

__all__ = ["TAG", "Core"]

TAG = data.StructLayout({"sequence": 8, "levels": 1})
"""What is known of an image while it is computed: its number, and whether levels are wanted."""
MOST_TAGS = 16


class Core(wiring.Component):
    """An accelerator that takes frames and gives the payloads of answers.

    Frames come as type, sequence number and payload. Sequence numbers wait in a queue while their
    images are computed, which happens in order. An image behind which there is no other yet closes
    its batch. So images that come alone are computed at once, and batches fill where the
    accelerator is slower than the line.

    Parameters
    ----------
    accelerator : Accelerator

    Members
    -------
    i : In(stream.Signature(8))
    i_more : In(1)
        There is another frame behind the one whose last byte is offered.
    o : Out(stream.Signature(8))
        The answer to the image of ``tag``: see `Results`.
    tag : Out(TAG)
        Whose answer comes next.
    o_answer : Out(1)
        There is one, and it was not begun.
    i_take : In(1)
        Begin it: its bytes come, and then the next tag.
    o_ready : Out(1)
        The weights are there.
    o_busy : Out(1)
        There are images inside.
    o_working : Out(1)
        There are images inside, and no level waits for the line.
    """

    i: stream.Interface
    i_more: Signal
    o: stream.Interface
    tag: data.View
    o_answer: Signal
    i_take: Signal
    o_ready: Signal
    o_busy: Signal
    o_working: Signal

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "i_more": In(1),
                "o": Out(stream.Signature(8)),
                "tag": Out(TAG),
                "o_answer": Out(1),
                "i_take": In(1),
                "o_ready": Out(1),
                "o_busy": Out(1),
                "o_working": Out(1),
            }
        )

    @property
    def tags(self) -> int:
        """Images whose numbers can wait: twice as many as are in flight, within reason."""
        return min(2 * self.accelerator.program.images, MOST_TAGS)

    def elaborate(self, platform) -> Module:
        m = Module()
        program = self.accelerator.program
        # bound to a local name: members of an accelerator depend on its parameters
        m.submodules.accelerator = accelerator = self.accelerator
        m.submodules.results = results = Results(program)
        tags = self._tags(m)
        incoming = tags[0].i
        image = self._intake(m, incoming)
        m.d.comb += [
            accelerator.i.payload.as_value().eq(Cat(image.o.payload, image.o_last)),
            accelerator.i.valid.eq(image.o.valid),
            image.o.ready.eq(accelerator.i.ready),
            image.i_more.eq(self.i_more & incoming.ready),
        ]
        outgoing, begun = tags[-1].o, Signal()
        wiring.connect(m, results.o, wiring.flipped(self.o))
        m.d.comb += [
            results.i.payload.eq(accelerator.o.payload),
            results.i.valid.eq(accelerator.o.valid & begun),
            accelerator.o.ready.eq(results.i.ready),
            self.tag.eq(outgoing.payload),
            results.i_levels.eq(outgoing.payload["levels"]),
            outgoing.ready.eq(results.o_end),
            self.o_answer.eq(accelerator.o.valid & outgoing.valid & ~begun),
        ]
        with m.If(self.i_take):
            m.d.sync += begun.eq(1)
        with m.Elif(results.o_end):
            m.d.sync += begun.eq(0)
        m.d.sync += [
            self.o_busy.eq(outgoing.valid),
            self.o_working.eq(outgoing.valid & ~accelerator.o.valid),
        ]
        return m

    def _tags(self, m: Module) -> list[SkidBuffer]:
        """Return a queue of tags, of skid buffers in a row.

        It takes a logic cell a bit; block RAM is rarer than logic cells where it is rare.
        """
        queues = [SkidBuffer(TAG) for _ in range(-(-self.tags // 2))]
        for index, queue in enumerate(queues):
            m.submodules[f"tags_{index}"] = queue
            if index:
                wiring.connect(m, queues[index - 1].o, queue.i)
        return queues

    def _intake(self, m: Module, tags: stream.Interface) -> Unpacker:
        """Take frames apart; return what gives the codes of images."""
        network = self.accelerator.program.network
        m.submodules.image = image = Unpacker(network.input.width, network.inputs)
        levels, taken = Signal(), Signal()
        m.d.comb += [
            image.i.payload.eq(self.i.payload),
            tags.payload.eq(Cat(self.i.payload, levels)),
            taken.eq(self.i.valid & self.i.ready),
        ]
        loads = self.accelerator.loads_weights
        weights = Signal() if loads else Const(0)
        comes, accepted, last = self._load(m, taken) if loads else self._no_load(m)
        with m.FSM(name="part"):
            with m.State("Type"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += levels.eq(self.i.payload == Type.RUN)
                if loads:
                    m.d.sync += weights.eq(self.i.payload == Type.WEIGHTS)
                with m.If(taken):
                    m.next = "Sequence"
            with m.State("Sequence"):
                m.d.comb += [
                    tags.valid.eq(self.i.valid & ~weights),
                    self.i.ready.eq(tags.ready | weights),
                ]
                with m.If(taken):
                    m.next = "Image"
                    if loads:
                        with m.If(weights):
                            m.next = "Weights"
            with m.State("Image"):
                m.d.comb += [image.i.valid.eq(self.i.valid), self.i.ready.eq(image.i.ready)]
                with m.If(image.o_end):
                    m.next = "Type"
            if loads:
                with m.State("Weights"):
                    m.d.comb += [comes.eq(1), self.i.ready.eq(accepted)]
                    with m.If(taken & last):
                        m.next = "Type"
        return image

    def _no_load(self, m: Module) -> tuple[Signal, Value, Value]:
        m.d.comb += self.o_ready.eq(1)
        return Signal(), Const(0), Const(0)

    def _load(self, m: Module, taken: Signal) -> tuple[Signal, Value, Value]:
        """Pass chunks of weights on; what their last byte has left over is dropped.

        Returns what marks that a chunk comes, whether its byte is taken, and whether that is its
        last.
        """
        accelerator: Any = self.accelerator
        program = accelerator.program
        width = len(Value.cast(accelerator.weights.payload))
        m.submodules.words = words = Unpacker(width, program.weight_words)
        wiring.connect(m, words.o, accelerator.weights)
        comes, over = Signal(), Signal()
        with m.If(words.o_end):
            m.d.sync += over.eq(1)
        _, last = count_up(m, "byte", [image_bytes(program)], comes & taken)
        m.d.comb += [
            words.i.payload.eq(self.i.payload),
            words.i.valid.eq(self.i.valid & comes & ~over),
            self.o_ready.eq(~accelerator.weights.ready),
        ]
        return comes, words.i.ready | over, last
