"""Keeps the levels that come out of the network, and emits them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...gates.attributes import NO_COLLISIONS
from ...gates.counter import count_up
from ...gates.ports import ReadInterface, ReadSignature, WriteInterface, WriteSignature
from ...gates.table import field
from ...numbers.formats import Format
from ..streams import result_layout

__all__ = ["Emitter", "EmitterConfig", "EmitterOutput", "OutputMemory"]

LOOPS = ("channels", "positions")


@dataclass(frozen=True)
class EmitterOutput:
    """A tensor that an `Emitter` emits.

    Attributes
    ----------
    channels, positions : int
        Levels of a position, and positions of an image.
    classes : int
        Classes of the label: the channels, or 0 where levels are values and there is no label.
    start : int
        Its first word in an area.
    """

    channels: int
    positions: int = 1
    classes: int = 0
    start: int = 0


@dataclass(frozen=True)
class EmitterConfig:
    """Sizes of an `Emitter`.

    Attributes
    ----------
    level : Format
        Format of a level.
    outputs : sequence of EmitterOutput
        The tensors of an image, in their order.
    chains : int
        Levels of a word: those of as many images, which lie side by side; where an image has
        several positions, those of as many of these.
    batch : StructLayout
        Layout of a `ContextBatch`: an output area and how many images it holds.
    context_words, words : int
        Words of an area, and of the output memory.
    """

    level: Format
    outputs: Sequence[EmitterOutput]
    chains: int
    batch: data.StructLayout
    context_words: int
    words: int

    @property
    def classes(self) -> int:
        """Most classes that an output has; 0 where all are values."""
        return max(output.classes for output in self.outputs)


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
    """Stream the levels, and the classes, of every image, in the order in which the images came.

    The outputs of an image follow one another. A level takes two cycles when the receiver is ready,
    and the last one of an output, which goes out with the label, three; a batch takes two more to
    begin.

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
        # last one of an output is compared, a level goes out
        idle, read, take, compare = Signal(init=1), Signal(), Signal(), Signal()
        send = self.o.valid
        loops = self._loops(m, take)
        chains = [Signal(range(self.config.chains), name=name) for name in self._names("chain")]
        self._send(m, take, loops.choose(chains), loops)
        ends_batch = self._walk(m, idle, take, loops, chains)
        sent, over, full = send & self.o.ready, Signal(), self.batches.valid
        m.d.comb += [over.eq(sent & ends_batch), self.batches.ready.eq(over)]
        m.d.sync += [
            idle.eq((idle & ~full) | over),
            read.eq(idle & full),
            take.eq(read | (sent & ~ends_batch)),
            compare.eq(take & loops.ends_output),
            send.eq((take & ~loops.ends_output) | compare | (send & ~self.o.ready)),
        ]
        return m

    def _names(self, name: str) -> list[str]:
        """Return a name for each output."""
        count = len(self.config.outputs)
        return [name] if count == 1 else [f"{name}_{index}" for index in range(count)]

    def _loops(self, m: Module, take) -> "_Loops":
        """Count the levels that arrive: channels, positions, outputs."""
        outputs = self.config.outputs
        channels, positions = ([getattr(each, name) for each in outputs] for name in LOOPS)
        if len(outputs) == 1:
            channel, ends_position = count_up(m, "arriving", channels, take)
            ends_image = self._positions(m, positions, take, ends_position)
            return _Loops(channel, ends_position, ends_image, ends_image, Const(0))
        ends = Signal(name="ends_output")
        which, last = count_up(m, "output", [len(outputs)], take & ends)
        # where a loop ends with its output, the next one is that of the next output
        layer = Mux(ends, Mux(last, 0, which + 1), which)[: len(which)]
        channel, ends_position = count_up(m, "arriving", channels, take, layer=layer)
        m.d.comb += ends.eq(self._positions(m, positions, take, ends_position, layer))
        return _Loops(channel, ends_position, ends, ends & last, which)

    @staticmethod
    def _positions(m: Module, positions, take, ends_position, layer=None) -> Value:
        """Return whether the next level is its output's last."""
        if max(positions) == 1:
            return ends_position
        moves = take & ends_position
        _, last_position = count_up(m, "position", positions, moves, layer=layer)
        return ends_position & last_position

    def _send(self, m: Module, take, chain, loops: "_Loops") -> None:
        """Send levels."""
        fmt, config = self.config.level, self.config
        sent = Signal(fmt.width)
        last = Signal(init=1)
        code = self.read.data.word_select(chain, fmt.width)
        with m.If(take):
            m.d.sync += [sent.eq(code), last.eq(loops.ends_output)]
        m.d.comb += [self.o.payload.level.as_value().eq(sent), self.o.payload.last.eq(last)]
        if not config.classes:
            return
        label = self._compare(m, take, fmt.level_of(sent), loops.channel, last)
        labelled = [bool(output.classes) for output in config.outputs]
        if not all(labelled):
            has_label = Signal()
            with m.If(take):
                m.d.sync += has_label.eq(field(labelled, loops.which))
            label = Mux(has_label, label, 0)
        m.d.comb += self.o.payload.label.eq(label)

    def _compare(self, m: Module, take, level, arriving, last) -> Value:
        """Remember the best level of an output, and return its channel.

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
        return Mux(better, channel, best_channel)

    def _walk(self, m: Module, idle, take, loops: "_Loops", chains: list[Signal]) -> Signal:
        """Walk through the levels of a batch; return whether the current one is its last.

        Each output has an address of its own.
        """
        config, batch = self.config, self.batches.payload
        addresses = [Signal(range(config.words), name=name) for name in self._names("address")]
        left, ends_batch = Signal(batch.batch.count.shape()), Signal()
        m.d.comb += self.read.address.eq(loops.choose(addresses))
        begins = [
            address.eq(Mux(batch.context, config.context_words + output.start, output.start))
            for address, output in zip(addresses, config.outputs, strict=True)
        ]
        with m.If(idle):
            m.d.sync += [*begins, left.eq(batch.batch.count), *(chain.eq(0) for chain in chains)]
        with m.Elif(take):
            for index, output in enumerate(config.outputs):
                with self._of(m, loops, index):
                    back = loops.ends_position & ~self._last_chain(index, chains, loops)
                    step = Mux(back, 1 - output.channels, 1)
                    m.d.sync += addresses[index].eq(addresses[index] + step)
            m.d.sync += ends_batch.eq(loops.ends_image & (left == 1))
            with m.If(loops.ends_position):
                for index, chain in enumerate(chains):
                    with self._of(m, loops, index):
                        last_chain = self._last_chain(index, chains, loops)
                        m.d.sync += chain.eq(Mux(last_chain, 0, chain + 1))
            with m.If(loops.ends_image):
                m.d.sync += left.eq(left - 1)
        return ends_batch

    def _of(self, m: Module, loops: "_Loops", index: int) -> AbstractContextManager[None]:
        """Return the condition that an output is the current one; the only one always is."""
        several = len(self.config.outputs) > 1
        return m.If(loops.which == index) if several else nullcontext()

    def _last_chain(self, index: int, chains: list[Signal], loops: "_Loops") -> Value:
        """Return whether the next level of an output is in the first chain."""
        # the chains' images lie side by side, or their positions; each image begins with the first
        last_chain = chains[index] == self.config.chains - 1
        if self.config.outputs[index].positions > 1:
            last_chain = last_chain | loops.ends_output
        return last_chain


@dataclass(frozen=True)
class _Loops:
    """Where the level that arrives next is: its channel and output, and what it ends."""

    channel: Value
    ends_position: Value
    ends_output: Value
    ends_image: Value
    which: Value

    def choose(self, values: list[Signal]) -> Value:
        """Return that of the current output."""
        return values[0] if len(values) == 1 else Array(values)[self.which]
