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

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..array.systolic import SystolicArray
from ..gates.attributes import NO_COLLISIONS
from ..gates.table import field
from ..program.contents import ThresholdTable
from ..program.layout import Program
from .configure import (
    activation_memory_config,
    emitter_config,
    feeder_config,
    loader_config,
    pool_unit_config,
    weight_memory_config,
)
from .drain import Drain
from .emitter import Emitter
from .feeder import Feeder
from .implementation import Implementation
from .job import IMAGE_WIDTH
from .loader import Loader
from .max_pool import PoolUnit
from .memories import ActivationMemory, WeightMemory
from .requantize import Requantize
from .scoreboard import Scoreboard
from .sequencer import Sequencer
from .streams import element_layout, result_layout
from .thresholds import Thresholds
from .writer import Writer

__all__ = ["Accelerator", "trace_layout"]

_PLAIN = Implementation()


def trace_layout(program: Program) -> data.StructLayout:
    """Return the layout of the trace: every sum and every level, as they pass.

    ``sums`` has an entry a chain: ``valid`` marks a sum of a real image, position and channel;
    ``image`` counts images from reset, ``element`` is the place in the layer's output, channels
    last; ``level`` is wide enough for every layer's output. ``step`` is high in each cycle in which
    the array computes. ``running`` is high while layer ``current`` has the array, or the max pool.
    """
    levels = [mode.output.level_shape.width for mode in program.modes]
    layer = unsigned(ceil_log2(len(program.records)))
    entry = data.StructLayout(
        {
            "valid": 1,
            "image": unsigned(IMAGE_WIDTH),
            "element": unsigned(32),
            "sum": signed(program.network.accumulator.width),
            "overflow": 1,
            "level": signed(max(levels) + 1),
        }
    )
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(entry, program.geometry.chains),
            "layer": layer,
            "step": 1,
            "running": 1,
            "current": layer,
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
    implementation : Implementation
        What of a device it is built of.

    Members
    -------
    i : In(stream.Signature(element_layout(program.network.input)))
    o : Out(stream.Signature(result_layout(program.network.output, program.network.outputs)))
    weights : In(stream.Signature(word of the weight memory))
        Where weights have a single port, and where the program is for any weights: they are loaded,
        in the order of `Contents.weights`, after every reset, and images wait for them.
    trace : Out(trace_layout(program))
    """

    i: stream.Interface
    o: stream.Interface
    weights: stream.Interface
    trace: data.View

    def __init__(self, program: Program, implementation: Implementation = _PLAIN):
        self.program, self.implementation = program, implementation
        members: dict[str, Any] = {
            "i": In(stream.Signature(element_layout(program.network.input))),
            "o": Out(
                stream.Signature(result_layout(program.network.output, program.network.outputs))
            ),
            "trace": Out(trace_layout(program)),
        }
        if self.loads_weights:
            members["weights"] = In(stream.Signature(program.memories["weights"][0]))
        super().__init__(members)

    @property
    def observes_overflow(self) -> bool:
        """Whether sums come with their flags; accumulators in multiplier blocks have none."""
        return not self.implementation.blocks_accumulate

    @property
    def loads_weights(self) -> bool:
        """Whether the weights come over a stream after every reset."""
        return self.program.any_weights or "weights" in self.implementation.single_port

    def elaborate(self, platform) -> Module:
        m = Module()
        program, single_port = self.program, self.implementation.single_port
        m.submodules.scoreboard = scoreboard = Scoreboard(program)
        m.submodules.loader = loader = Loader(loader_config(program))
        m.submodules.feeder = feeder = Feeder(feeder_config(program))
        m.submodules.array = array = SystolicArray(
            program.geometry,
            program.operands,
            program.network.accumulator,
            doubling=program.doubling,
            fabric=self.implementation.fabric,
        )
        m.submodules.sequencer = sequencer = Sequencer(program, array.interval)
        m.submodules.drain = drain = Drain(program)
        m.submodules.writer = writer = Writer(program)
        m.submodules.emitter = emitter = Emitter(emitter_config(program))
        m.submodules.activations = activations = ActivationMemory(
            activation_memory_config(program, single_port="activations" in single_port)
        )
        m.submodules.weights = weights = WeightMemory(
            weight_memory_config(
                program, loaded=self.loads_weights, single_port="weights" in single_port
            )
        )

        wiring.connect(m, wiring.flipped(self.i), loader.i)
        wiring.connect(m, sequencer.jobs, drain.jobs)
        wiring.connect(m, emitter.o, wiring.flipped(self.o))
        wiring.connect(m, loader.write, activations.loader)
        wiring.connect(m, loader.loaded, scoreboard.loaded)
        wiring.connect(m, scoreboard.jobs, feeder.jobs)
        wiring.connect(m, feeder.read, activations.read)
        wiring.connect(m, feeder.fetched, scoreboard.fetched)
        wiring.connect(m, feeder.banks, sequencer.banks)
        wiring.connect(m, writer.activations, activations.writer)
        m.d.comb += [
            loader.i_loaded.eq(scoreboard.o_loaded),
            scoreboard.i_enable.eq(weights.o_ready),
            feeder.i_address.eq(sequencer.o_word_address),
            array.i_activations.eq(feeder.o_words),
            array.i_control.eq(sequencer.o_control),
            scoreboard.i_written.eq(writer.o_written),
            scoreboard.i_written_job.eq(writer.o_written_job),
            emitter.i_full.eq(scoreboard.o_full),
            emitter.i_done.eq(scoreboard.o_done),
            scoreboard.i_emitted.eq(emitter.o_emitted),
        ]
        if program.pools:
            self._connect_pool(m, feeder, activations, scoreboard)
        m.d.comb += [
            weights.i_address.eq(sequencer.o_weight_address),
            array.i_weights.as_value().eq(weights.o_word),
        ]
        if self.loads_weights:
            wiring.connect(m, wiring.flipped(self.weights), weights.i)
        self._connect_outputs(m, writer, emitter)
        arriving = self._connect_drain(m, array, drain, writer)
        self._trace(m, scoreboard, writer, arriving, sequencer, feeder)
        return m

    def _connect_pool(self, m: Module, feeder, activations, scoreboard) -> None:
        m.submodules.pool = pool = PoolUnit(pool_unit_config(self.program))
        wiring.connect(m, feeder.taps, pool.taps)
        wiring.connect(m, pool.write, activations.pool)
        wiring.connect(m, pool.written, scoreboard.pooled)
        m.d.comb += feeder.i_pool_ready.eq(pool.o_ready)

    def _connect_outputs(self, m: Module, writer, emitter) -> None:
        program = self.program
        m.submodules.outputs = outputs = Memory(
            shape=program.geometry.chains * program.network.output.width,
            depth=program.output_words,
            init=[],
            attrs=NO_COLLISIONS,
        )
        write, read = outputs.write_port(), outputs.read_port()
        m.d.comb += [
            write.addr.eq(writer.outputs.address),
            write.data.eq(writer.outputs.data),
            write.en.eq(writer.outputs.enable),
            read.addr.eq(emitter.read.address),
            emitter.read.data.eq(read.data),
        ]

    def _connect_drain(self, m: Module, array, drain, writer) -> tuple[Any, Any, Any]:
        """Requantise sums on their way to the writer.

        Returns whether there are sums whose levels arrive there, these sums, and where they belong.
        """
        program = self.program
        m.submodules.parameters = memory = Memory(
            shape=program.contents.parameter_layout.size,
            depth=len(program.contents.parameter_words),
            init=program.contents.parameter_words,
        )
        port = memory.read_port()
        parameters = program.contents.parameter_layout(port.data)
        chains = [self._requantize(program) for _ in range(program.geometry.chains)]
        stages = chains[0].latency
        late = 0  # where thresholds take longer, requantisers begin later
        if program.contents.thresholds:
            late = max(0, Thresholds.least_latency(program.contents.thresholds) - stages)
            stages += late
        address, read = drain.o_parameters, drain.o_read
        for cycle in range(late):
            later = Signal.like(address, name=f"parameter_address_{cycle}", reset_less=True)
            enable = Signal(name=f"parameter_read_{cycle}")
            m.d.sync += [later.eq(address), enable.eq(read)]
            address, read = later, enable
        m.d.comb += [drain.i_valid.eq(array.o_valid), port.addr.eq(address), port.en.eq(read)]
        sums, where = _delayed(m, array.o, stages), _delayed(m, drain.o, stages)
        arrivals: list[Any] = [array.o_valid]
        for stage in range(stages):
            later = Signal(name=f"drain_valid_{stage}")
            m.d.sync += later.eq(arrivals[-1])
            arrivals.append(later)
        for index, requantize in enumerate(chains):
            m.submodules[f"requantize_{index}"] = requantize
            m.d.comb += [
                requantize.i.eq(sums[late][index].sum),
                requantize.i_bias.eq(parameters.bias),
                requantize.i_multiplier.eq(parameters.multiplier),
            ]
            scaled, counted = iter(requantize.outputs), iter(())
            if program.contents.thresholds:
                search = self._search(program, program.contents.thresholds, stages)
                m.submodules[f"thresholds_{index}"] = search
                m.d.comb += [search.i.eq(array.o[index].sum), search.i_row.eq(drain.o_address)]
                counted = iter(search.levels)
            for mode, levels in zip(program.modes, writer.levels, strict=True):
                m.d.comb += levels[index].eq(next(counted if mode.thresholds else scaled))
        m.d.comb += [writer.i_valid.eq(arrivals[-3]), writer.i_where.eq(where[-3])]
        return arrivals[-1], sums[-1], where[-1]

    def _requantize(self, program: Program) -> Requantize:
        modes = [mode for mode in program.modes if not mode.thresholds]
        return Requantize(
            program.network.accumulator.width,
            bias_width=program.contents.bias_width,
            multiplier_width=program.contents.multiplier_width,
            modes=modes,
            dsp=self.implementation.requantize_dsp,
            totals=[program.contents.total_width(mode) for mode in modes],
        )

    def _search(self, program: Program, table: ThresholdTable, latency: int) -> Thresholds:
        outputs = [mode.output for mode in program.modes if mode.thresholds]
        width = program.network.accumulator.width
        return Thresholds(width, table, outputs, latency=latency)

    def _trace(self, m: Module, scoreboard, writer, arriving, sequencer, feeder) -> None:
        program = self.program
        valid, sums, where = arriving
        batch = scoreboard.o_running[where.job.context]
        records = program.records
        layer = where.job.layer
        mode = field([record.place.mode for record in records], layer)
        single = field([record.mapped.patch.count == 1 for record in records], layer)
        step = field([record.place.channels for record in records], layer)
        for index, entry in enumerate(self.trace.sums):
            image = where.image + Mux(single, index, 0)
            levels = Array(levels[index] for levels in writer.levels)
            m.d.comb += [
                entry.valid.eq(valid & where.used & where.rows[index] & (image < batch.count)),
                entry.image.eq(batch.image + image),
                entry.element.eq(where.element + Mux(single, 0, index * step)),
                entry.sum.eq(sums[index].sum),
                entry.overflow.eq(sums[index].overflow),
                entry.level.eq(levels[mode]),
            ]
        m.d.comb += [
            self.trace.layer.eq(layer),
            self.trace.step.eq(sequencer.o_control.enable),
            self.trace.running.eq(sequencer.o_running | feeder.o_pooling),
            self.trace.current.eq(
                Mux(sequencer.o_running, sequencer.o_layer, feeder.fetched.payload.layer)
            ),
        ]


def _delayed(m: Module, source: Any, cycles: int) -> list[Any]:
    """Return ``source`` delayed by 0, 1, ... ``cycles`` cycles.

    Bits begin as 1: flags that a program never clears, such as the last round of a loop of one,
    then take no registers.
    """
    shape, stages = source.shape(), [source]
    for _ in range(cycles):
        stage = Signal(shape.size, reset_less=True, init=(1 << shape.size) - 1)
        m.d.sync += stage.eq(Value.cast(stages[-1]))
        stages.append(shape(stage))
    return stages
