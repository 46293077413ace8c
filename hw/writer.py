"""From the array's sums to the activation and output memories."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .memory import WriteInterface, WriteSignature, address_width
from .number import Bipolar, Format
from .program import Program
from .scoreboard import Job

__all__ = ["ParameterReader", "Writer"]


class ParameterReader(wiring.Component):
    """Put out the address of each drained sum's bias and multiplier.

    Sums come row by row, so the parameters of a tile's channels are read once a row.

    Members
    -------
    jobs : In(stream.Signature(Job))
        Jobs in the order of their sums; taken with the last sum.
    i_valid : In(1)
        A sum leaves the array in this cycle.
    o_address : Out(address of its parameters)
        Combinational.
    """

    jobs: stream.Interface
    i_valid: Signal
    o_address: Signal

    def __init__(self, program: Program):
        self.program = program
        super().__init__(
            {
                "jobs": In(stream.Signature(Job(program))),
                "i_valid": In(1),
                "o_address": Out(address_width(len(program.parameter_image))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        geometry, records = self.program.geometry, self.program.records
        layer = self.jobs.payload.layer
        base = Array(record.parameter_base for record in records)[layer]
        end = Array(record.tiles * geometry.columns for record in records)[layer]
        row, column = Signal(range(geometry.rows)), Signal(range(geometry.columns))
        tile = Signal(range(max(r.tiles for r in records) * geometry.columns + 1))
        m.d.comb += self.o_address.eq(base + tile + column)
        with m.If(self.i_valid):
            m.d.sync += column.eq(column + 1)
            with m.If(column == geometry.columns - 1):
                m.d.sync += [column.eq(0), row.eq(row + 1)]
                with m.If(row == geometry.rows - 1):
                    m.d.sync += [row.eq(0), tile.eq(tile + geometry.columns)]
                    with m.If(tile + geometry.columns == end):
                        m.d.sync += tile.eq(0)
                        m.d.comb += self.jobs.ready.eq(1)
        return m


class Writer(wiring.Component):
    """Collect requantised levels into segments of activation words; put the last layer's apart.

    A tile's row holds ``columns`` channels, an activation word ``lanes``; what both share, their
    greatest common divisor, is written at once. The first segment of a word clears the others, and
    channels beyond the layer's outputs are written as code 0, so that lanes without a channel
    always hold code 0.

    Members
    -------
    jobs : In(stream.Signature(Job))
        Jobs in the order of their levels; taken with the last level.
    i_valid : In(1)
        ``i_0``, ``i_1``, ... hold a level, one for each of `Program.modes`.
    activations : Out(WriteSignature(activation_words, word, segments))
    outputs : Out(WriteSignature(output_words, level))
    o_written : Out(1), o_written_job : Out(Job)
        All outputs of the job are in memory.
    o_row, o_channel : Out
        Where the level belongs, for the trace.
    o_used : Out(1)
        The channel is one of the layer's outputs.
    """

    jobs: stream.Interface
    i_valid: Signal
    activations: WriteInterface
    outputs: WriteInterface
    o_written: Signal
    o_written_job: data.View
    o_row: Signal
    o_channel: Signal
    o_used: Signal

    def __init__(self, program: Program):
        self.program = program
        geometry, records = program.geometry, program.records
        width = program.operands.activation.width
        segments = geometry.lanes // program.segment
        channels = max(record.tiles for record in records) * geometry.columns
        super().__init__(
            {
                "jobs": In(stream.Signature(Job(program))),
                "i_valid": In(1),
                "activations": Out(
                    WriteSignature(program.activation_words, geometry.lanes * width, segments)
                ),
                "outputs": Out(WriteSignature(program.output_words, program.network.output.width)),
                "o_written": Out(1),
                "o_written_job": Out(Job(program)),
                "o_row": Out(range(geometry.rows)),
                "o_channel": Out(range(channels)),
                "o_used": Out(1),
            }
            | {f"i_{k}": In(mode.output.level_shape) for k, mode in enumerate(program.modes)}
        )

    @property
    def levels(self) -> list[Signal]:
        """The inputs, one for each mode."""
        return [getattr(self, f"i_{k}") for k in range(len(self.program.modes))]

    def elaborate(self, platform) -> Module:
        m = Module()
        geometry, records = self.program.geometry, self.program.records
        job = self.jobs.payload
        last_layer = job.layer == len(records) - 1
        base = Array(record.output_base for record in records)[job.layer]
        count = Array(record.outputs for record in records)[job.layer]
        tiles = Array(record.tiles for record in records)[job.layer]
        column, tile = Signal(range(geometry.columns)), Signal(range(max(r.tiles for r in records)))
        first_channel = Signal.like(self.o_channel)  # of the tile

        last_column = column == geometry.columns - 1
        last_row = self.o_row == geometry.rows - 1
        last = last_column & last_row & (tile == tiles - 1)
        m.d.comb += [
            self.o_channel.eq(first_channel + column),
            self.o_used.eq(self.o_channel < count),
            self.jobs.ready.eq(self.i_valid & last),
        ]
        # memories are written one cycle later, from registers; jobs end at least two cycles apart
        written = Signal()
        m.d.sync += [written.eq(self.jobs.ready), self.o_written.eq(written)]
        with m.If(self.jobs.ready):
            m.d.sync += self.o_written_job.eq(job)
        with m.If(self.i_valid):
            m.d.sync += column.eq(column + 1)
            with m.If(last_column):
                m.d.sync += [column.eq(0), self.o_row.eq(self.o_row + 1)]
                with m.If(last_row):
                    m.d.sync += [self.o_row.eq(0), tile.eq(tile + 1)]
                    m.d.sync += first_channel.eq(first_channel + geometry.columns)
        with m.If(self.jobs.ready):
            m.d.sync += [tile.eq(0), first_channel.eq(0)]

        image = self._image(m, job.context, self.program.image_words)
        self._write_activations(m, image + base, last_column, last_row, last, ~last_layer)
        image = self._image(m, job.context, records[-1].outputs)
        m.d.sync += [
            self.outputs.address.eq(image + self.o_channel),
            self.outputs.data.eq(_encoded(self.program.network.output, self.levels[-1])),
            self.outputs.enable.eq(self.i_valid & last_layer & self.o_used),
        ]
        return m

    def _image(self, m: Module, context, words: int):
        """Return the first word of the current row's image, where an image has ``words``."""
        rows = self.program.geometry.rows
        starts = [row * words for row in range(rows)]
        offset = Array(starts)[self.o_row]
        return offset + Mux(context, rows * words, 0)

    def _write_activations(self, m: Module, base, last_column, last_row, last, hidden) -> None:
        geometry, segment = self.program.geometry, self.program.segment
        width = self.program.operands.activation.width
        segments = geometry.lanes // segment
        words = max(
            -(-record.tiles * geometry.columns // geometry.lanes) for record in self.program.records
        )
        # where the current segment goes, and where the tile's first one went
        word, part = Signal(range(words + 1)), Signal(range(segments))
        tile_word, tile_part = Signal.like(word), Signal.like(part)
        codes = Signal(segment * width, reset_less=True)
        filled = Signal(range(segment))
        collected = Cat(codes[width:], self._code(m))

        ends = self.i_valid & (filled == segment - 1)
        # a segment without a channel is not written: there may be no word for it
        used, used_before = Signal(), Signal()
        m.d.comb += used.eq(Mux(filled == 0, self.o_used, used_before))
        with m.If(self.i_valid):
            m.d.sync += used_before.eq(used)
        following_word, following_part = word, Const(0, 1)
        if segments > 1:
            following_part = Mux(part == segments - 1, 0, part + 1)
            following_word = word + (part == segments - 1)
        else:
            following_word = word + 1
        with m.If(self.i_valid):
            m.d.sync += [codes.eq(collected), filled.eq(filled + 1)]
        with m.If(ends):
            m.d.sync += [filled.eq(0), word.eq(following_word), part.eq(following_part)]
            with m.If(last_column & ~last_row):
                m.d.sync += [word.eq(tile_word), part.eq(tile_part)]
            with m.Elif(last_column):
                m.d.sync += [tile_word.eq(following_word), tile_part.eq(following_part)]
            with m.If(last):
                m.d.sync += [word.eq(0), part.eq(0), tile_word.eq(0), tile_part.eq(0)]

        fresh = part == 0
        m.d.sync += self.activations.address.eq(base + word)
        for index in range(segments):
            chosen = part == index
            content = collected if index == 0 else Mux(fresh, 0, collected)
            m.d.sync += [
                self.activations.data[index * segment * width :][: segment * width].eq(content),
                self.activations.enable[index].eq(ends & used & hidden & (fresh | chosen)),
            ]

    def _code(self, m: Module) -> Signal:
        """Return the activation code of the current level, code 0 for a channel that is not one."""
        program = self.program
        code = Signal(program.operands.activation.width)
        if len(program.modes) > 1:
            mode = Array(record.mode for record in program.records)[self.jobs.payload.layer]
            level = Array(self.levels[:-1])[mode]
            with m.If(self.o_used):
                m.d.comb += code.eq(_encoded(program.operands.activation, level))
        return code


def _encoded(fmt: Format, level) -> Value:
    """Return the code of a level that ``fmt`` holds; assigned to a wider signal it is extended."""
    return level > 0 if fmt == Bipolar() else level
