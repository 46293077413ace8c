"""Answers: from levels, and labels, to bytes."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...hw.accelerator.streams import result_layout
from ...hw.gates.counter import count_up
from ...hw.gates.table import field
from ...hw.program.layout import Program
from ..protocol.frame import packed_bytes

__all__ = ["Results", "answer_bytes", "image_bytes", "label_bytes", "level_bytes"]

OF = ("levels", "label", "output")


def image_bytes(program: Program) -> int:
    """Return the bytes of an image: its codes, side by side."""
    return packed_bytes(program.network.input.width, program.network.inputs)


def level_bytes(width: int) -> int:
    """Return the bytes of a level of ``width`` bits in an answer."""
    return packed_bytes(width, 1)


def label_bytes(classes: int) -> int:
    """Return the bytes of the class of a network with so many, which may be none."""
    return (1 if classes <= 256 else 2) if classes else 0


def answer_bytes(program: Program, *, levels: bool) -> int:
    """Return the bytes of an image's answer: its levels, if they are asked for, and its class.

    Without classes it is levels in any case; so are outputs without them, of several.
    """
    network = program.network
    label, level = label_bytes(network.classes), level_bytes(network.output.width)
    return sum(
        (label if end.classes else 0)
        + (end.size.elements * level if levels or not end.classes else 0)
        for end in network.ends
    )


class Results(wiring.Component):
    """Turn the levels and the class of an image into the payload of its answer.

    Each level is its code in whole bytes, the low one first; behind them comes the class, in one
    byte, or in two where there are more than 256. Without classes there are levels only. Several
    outputs follow one another, each with its class if it has some.

    Parameters
    ----------
    program : Program

    Members
    -------
    i : In(stream.Signature(result_layout(program.network.output, program.network.classes)))
    i_levels : In(1)
        Levels are wanted; without, they are passed over, unless there are no classes.
    o : Out(stream.Signature(8))
    o_end : Out(1)
        The last byte of an answer is on its way.
    """

    i: stream.Interface
    i_levels: Signal
    o: stream.Interface
    o_end: Signal

    def __init__(self, program: Program):
        self.program = program
        super().__init__(
            {
                "i": In(
                    stream.Signature(result_layout(program.network.output, program.network.classes))
                ),
                "i_levels": In(1),
                "o": Out(stream.Signature(8)),
                "o_end": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        network, result = self.program.network, self.i.payload
        if len(network.ends) > 1:
            return self._several(m)
        if not network.classes:
            return self._without_label(m, network.output.width)
        labels = Signal()  # the levels are over
        taken, over = Signal(), Signal()
        byte_of_level, last_of_level = count_up(
            m, "level", [level_bytes(network.output.width)], taken & ~labels
        )
        byte_of_label, last_of_label = count_up(
            m, "label", [label_bytes(network.classes)], taken & labels
        )
        level = result.level.as_value().word_select(byte_of_level, 8)
        label = result.label.word_select(byte_of_label, 8)
        # a byte on its way in a register: no path leads from the line into the accelerator
        m.d.comb += taken.eq(self.i.valid & (labels | self.i_levels) & ~self.o.valid)
        with m.If(taken):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Mux(labels, label, level))]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.comb += [
            over.eq(self.i.valid & ~labels & Mux(self.i_levels, taken & last_of_level, 1)),
            self.o_end.eq(taken & labels & last_of_label),
            self.i.ready.eq((over & ~result.last) | self.o_end),
        ]
        with m.If(over & result.last):
            m.d.sync += labels.eq(1)
        with m.If(self.o_end):
            m.d.sync += labels.eq(0)
        return m

    def _several(self, m: Module) -> Module:
        """Send output after output: its levels where they are wanted, and its class."""
        network, result = self.program.network, self.i.payload
        labels, taken = Signal(), Signal()
        ends_levels, ends_label, ends = (Signal(name=f"ends_{of}") for of in OF)
        which, last_output = count_up(m, "output", [len(network.ends)], ends)
        has_class = field([end.classes > 0 for end in network.ends], which)
        wanted = self.i_levels | ~has_class
        byte_of_level, last_of_level = count_up(
            m, "level", [level_bytes(network.output.width)], taken & ~labels
        )
        byte_of_label, last_of_label = count_up(
            m, "label", [label_bytes(network.classes) or 1], taken & labels
        )
        level = result.level.as_value().word_select(byte_of_level, 8)
        label = result.label.word_select(byte_of_label, 8)
        m.d.comb += taken.eq(self.i.valid & (labels | wanted) & ~self.o.valid)
        with m.If(taken):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Mux(labels, label, level))]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        over = self.i.valid & ~labels & Mux(wanted, taken & last_of_level, 1)
        m.d.comb += [
            ends_levels.eq(over & result.last),
            ends_label.eq(taken & labels & last_of_label),
            ends.eq(ends_label | (ends_levels & ~has_class)),
            self.i.ready.eq(ends | (over & ~result.last)),
            self.o_end.eq(ends & last_output),
        ]
        with m.If(ends_levels & has_class):
            m.d.sync += labels.eq(1)
        with m.If(ends_label):
            m.d.sync += labels.eq(0)
        return m

    def _without_label(self, m: Module, width: int) -> Module:
        """Send levels only."""
        taken, result = Signal(), self.i.payload
        byte, last_of_level = count_up(m, "level", [level_bytes(width)], taken)
        m.d.comb += taken.eq(self.i.valid & ~self.o.valid)
        with m.If(taken):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.eq(result.level.as_value().word_select(byte, 8)),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.comb += [
            self.i.ready.eq(taken & last_of_level),
            self.o_end.eq(self.i.ready & result.last),
        ]
        return m
