"""The accelerator: one array, its memories, and the program that runs a network on them.

::

    i -> Loader -> activation memory -> Feeder -> SystolicArray -> Requantize -> Writer -.
                        ^                              ^               ^                 |
                        |        weight memory --------'               |                 |
                        |                        parameter memory -----'                 |
                        '---------------------------- hidden layers ---------------------|
    o <- Emitter <- output memory <------------------- last layer -----------------------'

The `Scoreboard` offers jobs, the `Sequencer` walks through their steps.
"""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Array, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .array import SystolicArray
from .dot import DotProduct
from .emitter import Emitter, result_layout
from .feeder import Feeder
from .loader import Loader, element_layout
from .memory import NO_COLLISIONS
from .program import Program
from .requantize import Requantize
from .scoreboard import IMAGE_WIDTH, Job, Scoreboard
from .sequencer import Sequencer
from .stream import Queue
from .writer import ParameterReader, Writer

__all__ = ["Accelerator", "trace_layout"]


def trace_layout(program: Program) -> data.StructLayout:
    """Return the layout of the trace: every sum and every level, as they pass.

    ``valid`` marks a sum of a real image and channel; ``image`` counts images from reset; ``level``
    is wide enough for every layer's output. ``step`` is high in each cycle in which the array
    computes.
    """
    levels = [mode.output.level_shape.width for mode in program.modes]
    return data.StructLayout(
        {
            "valid": 1,
            "layer": unsigned(ceil_log2(len(program.records))),
            "image": unsigned(IMAGE_WIDTH),
            "channel": unsigned(ceil_log2(max(record.outputs for record in program.records))),
            "sum": signed(program.network.accumulator.width),
            "overflow": 1,
            "level": signed(max(levels) + 1),
            "step": 1,
        }
    )


class Accelerator(wiring.Component):
    """A network on a systolic array, entirely from on-chip memory.

    Images stream in element by element and levels stream out, image after image without a reset;
    both sides may pause at any time. `trace` is for simulation: left unconnected, it costs nothing.

    Parameters
    ----------
    program : Program
        Network and geometry.
    dsp : bool
        Multiply in DSP blocks in the array, where its formats multiply.
    requantize_dsp : bool
        Multiply in a DSP block in the requantiser.
    make_dot : callable, optional
        Builds the dot product of one element instead of `dot.dot_product`.

    Members
    -------
    i : In(stream.Signature(element_layout(program)))
    o : Out(stream.Signature(result_layout(program)))
    trace : Out(trace_layout(program))
    """

    i: stream.Interface
    o: stream.Interface
    trace: data.View

    def __init__(
        self,
        program: Program,
        *,
        dsp: bool = False,
        requantize_dsp: bool = False,
        make_dot: Callable[[], DotProduct] | None = None,
    ):
        self.program, self.dsp, self.requantize_dsp = program, dsp, requantize_dsp
        self.make_dot = make_dot
        super().__init__(
            {
                "i": In(stream.Signature(element_layout(program))),
                "o": Out(stream.Signature(result_layout(program))),
                "trace": Out(trace_layout(program)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        program = self.program
        accumulator = program.network.accumulator
        m.submodules.scoreboard = scoreboard = Scoreboard(program)
        m.submodules.loader = loader = Loader(program)
        m.submodules.feeder = feeder = Feeder(program)
        m.submodules.array = array = SystolicArray(
            program.geometry,
            program.operands,
            accumulator,
            doubling=program.doubling,
            dsp=self.dsp,
            make_dot=self.make_dot,
        )
        m.submodules.sequencer = sequencer = Sequencer(program, array.interval)
        m.submodules.parameter_reader = parameter_reader = ParameterReader(program)
        m.submodules.requantize = requantize = Requantize(
            accumulator.width,
            bias_width=program.bias_width,
            multiplier_width=program.multiplier_width,
            modes=program.modes,
            dsp=self.requantize_dsp,
        )
        m.submodules.writer = writer = Writer(program)
        m.submodules.emitter = emitter = Emitter(program)
        self._connect_jobs(m, sequencer.jobs, parameter_reader.jobs, writer.jobs)
        self._connect_memories(m, loader, feeder, sequencer, array, writer, emitter)

        wiring.connect(m, wiring.flipped(self.i), loader.i)
        wiring.connect(m, emitter.o, wiring.flipped(self.o))
        m.d.comb += [
            loader.i_loaded.eq(scoreboard.o_loaded),
            scoreboard.i_loaded.eq(loader.o_loaded),
            scoreboard.i_loaded_context.eq(loader.o_context),
            scoreboard.i_batch.eq(loader.o_batch),
            feeder.i_offer.eq(scoreboard.o_offer),
            feeder.i_job.eq(scoreboard.o_job),
            scoreboard.i_take.eq(feeder.o_take),
            scoreboard.i_fetched.eq(feeder.o_fetched),
            scoreboard.i_fetched_job.eq(feeder.o_fetched_job),
            sequencer.i_full.eq(feeder.o_full),
            sequencer.i_job.eq(feeder.o_job),
            feeder.i_release.eq(sequencer.o_release),
            feeder.i_address.eq(sequencer.o_word_address),
            array.i_activations.eq(feeder.o_words),
            array.i_control.eq(sequencer.o_control),
            scoreboard.i_written.eq(writer.o_written),
            scoreboard.i_written_job.eq(writer.o_written_job),
            emitter.i_full.eq(scoreboard.o_full),
            emitter.i_done.eq(scoreboard.o_done),
            scoreboard.i_emitted.eq(emitter.o_emitted),
        ]
        drained_sum = self._connect_drain(m, array, parameter_reader, requantize, writer)
        self._trace(m, scoreboard, writer, drained_sum, sequencer)
        return m

    def _connect_jobs(self, m: Module, jobs, *followers) -> None:
        """Give each follower of the sums its own queue of the jobs that the sequencer starts."""
        queues = []
        for index, follower in enumerate(followers):
            m.submodules[f"jobs_{index}"] = queue = Queue(Job(self.program))
            queues.append(queue)
            m.d.comb += [
                queue.i.payload.eq(jobs.payload),
                queue.i.valid.eq(jobs.valid & jobs.ready),
            ]
            wiring.connect(m, queue.o, follower)
        # the first follower is always ahead of the second, so this queue is the fuller one
        m.d.comb += jobs.ready.eq(queues[-1].i.ready)

    def _connect_memories(
        self, m: Module, loader, feeder, sequencer, array, writer, emitter
    ) -> None:
        program = self.program
        width = program.geometry.lanes * program.operands.activation.width
        segment = program.segment * program.operands.activation.width
        m.submodules.activations = activations = Memory(
            shape=data.ArrayLayout(segment, width // segment),
            depth=program.activation_words,
            init=[],
            attrs=NO_COLLISIONS,
        )
        write_port = activations.write_port(granularity=1)
        read_port = activations.read_port()
        # sums cannot wait, elements can
        writing = writer.activations.enable.any()
        m.d.comb += loader.i_granted.eq(~writing)
        with m.If(writing):
            m.d.comb += [
                write_port.addr.eq(writer.activations.address),
                write_port.data.as_value().eq(writer.activations.data),
                write_port.en.eq(writer.activations.enable),
            ]
        with m.Else():
            m.d.comb += [
                write_port.addr.eq(loader.write.address),
                write_port.data.as_value().eq(loader.write.data),
                write_port.en.eq(loader.write.enable.replicate(width // segment)),
            ]
        m.d.comb += [
            read_port.addr.eq(feeder.read.address),
            feeder.read.data.eq(read_port.data),
        ]

        columns = array.i_weights.as_value()
        m.submodules.weights = weights = Memory(
            shape=len(columns), depth=program.weight_words, init=program.weight_image
        )
        weight_port = weights.read_port()
        m.d.comb += [
            weight_port.addr.eq(sequencer.o_weight_address),
            columns.eq(weight_port.data),
        ]

        m.submodules.outputs = outputs = Memory(
            shape=program.network.output.width,
            depth=program.output_words,
            init=[],
            attrs=NO_COLLISIONS,
        )
        output_write, output_read = outputs.write_port(), outputs.read_port()
        m.d.comb += [
            output_write.addr.eq(writer.outputs.address),
            output_write.data.eq(writer.outputs.data),
            output_write.en.eq(writer.outputs.enable),
            output_read.addr.eq(emitter.read.address),
            emitter.read.data.eq(output_read.data),
        ]

    def _connect_drain(self, m: Module, array, parameter_reader, requantize, writer) -> Signal:
        """Requantise sums on their way to the writer; return the sum that arrives there."""
        program = self.program
        m.submodules.parameters = memory = Memory(
            shape=program.parameter_layout.size,
            depth=len(program.parameter_image),
            init=program.parameter_image,
        )
        port = memory.read_port()
        parameters = program.parameter_layout(port.data)
        valid: Any = array.o_valid
        total: Any = array.o
        m.d.comb += [
            parameter_reader.i_valid.eq(array.o_valid),
            port.addr.eq(parameter_reader.o_address),
        ]
        # one cycle for the parameter memory, then the requantiser's
        for stage in range(1 + requantize.latency):
            later_valid = Signal(name=f"drain_valid_{stage}")
            later_total = Signal(total.shape(), name=f"drain_{stage}", reset_less=True)
            m.d.sync += [later_valid.eq(valid), later_total.eq(total)]
            valid, total = later_valid, later_total
            if stage == 0:
                m.d.comb += [
                    requantize.i.eq(total.sum),
                    requantize.i_bias.eq(parameters.bias),
                    requantize.i_multiplier.eq(parameters.multiplier),
                ]
        m.d.comb += writer.i_valid.eq(valid)
        for level, output in zip(writer.levels, requantize.outputs, strict=True):
            m.d.comb += level.eq(output)
        return total

    def _trace(self, m: Module, scoreboard, writer, total, sequencer) -> None:
        job = writer.jobs.payload
        batch = scoreboard.o_running[job.context]
        mode = Array(record.mode for record in self.program.records)[job.layer]
        m.d.comb += [
            self.trace.valid.eq(writer.i_valid & writer.o_used & (writer.o_row < batch.count)),
            self.trace.layer.eq(job.layer),
            self.trace.image.eq(batch.image + writer.o_row),
            self.trace.channel.eq(writer.o_channel),
            self.trace.sum.eq(total.sum),
            self.trace.overflow.eq(total.overflow),
            self.trace.level.eq(Array(writer.levels)[mode]),
            self.trace.step.eq(sequencer.o_control.enable),
        ]
