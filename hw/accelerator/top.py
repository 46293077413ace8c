"""The accelerator: one array, its memories, and the program that runs a network on them.

::

    i -> Loader -> activation memory -> Feeder -> SystolicArray -> LevelUnit -> Writer -.
                        ^                              ^               ^                 |
                        |        weight memory --------'               |                 |
                        |                        parameter memory -----'                 |
                        '---------------------------- hidden layers ---------------------|
    o <- Emitter <- output memory <------------------- last layer -----------------------'

The `Scoreboard` offers jobs, the `Sequencer` walks through their steps, and the `Drain` follows
their sums.
"""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..array.systolic import SystolicArray
from ..program.cycles import CycleModel
from ..program.layout import Program
from ..program.timeline import Latencies
from .configure import (
    activation_memory_config,
    drain_config,
    emitter_config,
    feeder_config,
    level_unit_config,
    loader_config,
    pool_unit_config,
    scoreboard_config,
    sequencer_config,
    weight_memory_config,
    writer_config,
)
from .implementation import Implementation
from .inputs.feeder import Feeder
from .inputs.loader import Loader
from .inputs.max_pool import PoolUnit
from .memories import ActivationMemory, WeightMemory
from .outputs.drain import Drain
from .outputs.emitter import Emitter, OutputMemory
from .outputs.levels import LevelUnit
from .outputs.writer import Writer
from .scoreboard import Scoreboard
from .sequencer import Sequencer
from .streams import element_layout, result_layout

__all__ = ["Accelerator"]

_PLAIN = Implementation()


class Accelerator(wiring.Component):
    """A network on a systolic array, entirely from on-chip memory.

    Images stream in element by element and levels stream out, image after image without a reset;
    both sides may pause at any time. `Program.cycles` predicts the cycles of an image. The
    components are attributes, for a `Probe`.

    Parameters
    ----------
    program : Program
        Network and geometry.
    implementation : Implementation
        What of a device it is built of.

    Members
    -------
    i : In(stream.Signature(element_layout(program.network.input)))
    o : Out(stream.Signature(result_layout(program.network.output, program.network.classes)))
    weights : In(stream.Signature(word of the weight memory))
        Where weights have a single port, and where the program is for any weights: they are loaded,
        in the order of `Contents.weights`, after every reset, and images wait for them.

    Raises
    ------
    GeometryError
        Where the DSP blocks of the fabric cannot be used as the program needs (`mac.macs`).
    """

    i: stream.Interface
    o: stream.Interface
    weights: stream.Interface

    def __init__(self, program: Program, implementation: Implementation = _PLAIN):
        self.program, self.implementation = program, implementation
        result = result_layout(program.network.output, program.network.classes)
        members = {
            "i": In(stream.Signature(element_layout(program.network.input))),
            "o": Out(stream.Signature(result)),
        }
        if self.loads_weights:
            members["weights"] = In(stream.Signature(program.memories["weights"][0]))
        super().__init__(members)
        self._build()

    def _build(self) -> None:
        """Make the components."""
        program, single_port = self.program, self.implementation.single_port
        self.scoreboard = Scoreboard(scoreboard_config(program))
        self.loader = Loader(loader_config(program))
        self.activation_memory = ActivationMemory(
            activation_memory_config(program, single_port="activations" in single_port)
        )
        self.feeder = Feeder(feeder_config(program))
        self.pool = PoolUnit(pool_unit_config(program)) if program.pools else None
        self.weight_memory = WeightMemory(
            weight_memory_config(
                program, loaded=self.loads_weights, single_port="weights" in single_port
            )
        )
        self.array = SystolicArray(
            program.geometry,
            program.operands,
            program.accumulator,
            doubling=program.doubling,
            fabric=self.implementation.fabric,
        )
        self.sequencer = Sequencer(sequencer_config(program, self.array.interval, self.array.gap))
        self.drain = Drain(drain_config(program))
        self.levels = LevelUnit(level_unit_config(program, dsp=self.implementation.requantize_dsp))
        self.writer = Writer(writer_config(program))
        self.output_memory = OutputMemory(*program.memories["outputs"][::-1])
        self.emitter = Emitter(emitter_config(program))

    @property
    def observes_overflow(self) -> bool:
        """Whether partial sums come with their flags; in DSP blocks, and of slices, they do not."""
        return self.array.observes_overflow

    @property
    def cycles(self) -> CycleModel:
        """The cycles that it takes."""
        array, levels = self.array, self.levels.config
        return self.program.cycles.built(
            Latencies(array.latency, array.interval, levels.latency, array.gap or 0),
            single_port=self.activation_memory.config.single_port,
            loads_weights=self.loads_weights,
        )

    @property
    def loads_weights(self) -> bool:
        """Whether the weights come over a stream after every reset."""
        return self.program.any_weights or "weights" in self.implementation.single_port

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.scoreboard = self.scoreboard
        self._connect_inputs(m)
        self._connect_array(m)
        self._connect_levels(m)
        self._connect_outputs(m)
        if self.pool:
            self._connect_pool(m, self.pool)
        return m

    def _connect_inputs(self, m: Module) -> None:
        """Lead images to the activation memory, and from there to the row buffers."""
        loader, memory, feeder = self.loader, self.activation_memory, self.feeder
        m.submodules.loader, m.submodules.activations, m.submodules.feeder = loader, memory, feeder
        wiring.connect(m, wiring.flipped(self.i), loader.i)
        wiring.connect(m, loader.write, memory.loader)
        wiring.connect(m, loader.loaded, self.scoreboard.loaded)
        wiring.connect(m, self.scoreboard.jobs, feeder.jobs)
        wiring.connect(m, feeder.read, memory.read)
        wiring.connect(m, feeder.fetched, self.scoreboard.fetched)
        m.d.comb += loader.i_loaded.eq(self.scoreboard.o_loaded)

    def _connect_array(self, m: Module) -> None:
        """Let words of the feeder meet words of the weight memory, step by step."""
        weights, array, sequencer = self.weight_memory, self.array, self.sequencer
        m.submodules.weights, m.submodules.array = weights, array
        m.submodules.sequencer = sequencer
        if self.loads_weights:
            wiring.connect(m, wiring.flipped(self.weights), weights.i)
        wiring.connect(m, self.feeder.banks, sequencer.banks)
        m.d.comb += [
            self.scoreboard.i_enable.eq(weights.o_ready),
            self.feeder.i_address.eq(sequencer.o_word_address),
            weights.i_address.eq(sequencer.o_weight_address),
            array.i_activations.eq(self.feeder.o_words),
            array.i_weights.as_value().eq(weights.o_word),
            array.i_control.eq(sequencer.o_control),
        ]
        if self.program.geometry.slice:
            m.d.comb += array.i_signed.eq(sequencer.o_signed)

    def _connect_levels(self, m: Module) -> None:
        """Lead partial sums with their tags to the requantisers, and levels into memory."""
        drain, levels, writer = self.drain, self.levels, self.writer
        m.submodules.drain, m.submodules.levels, m.submodules.writer = drain, levels, writer
        wiring.connect(m, self.sequencer.jobs, drain.jobs)
        wiring.connect(m, drain.tags, levels.tags)
        wiring.connect(m, drain.parameters, levels.parameters)
        wiring.connect(m, levels.ahead, writer.tags)
        wiring.connect(m, writer.activations, self.activation_memory.writer)
        wiring.connect(m, writer.written, self.scoreboard.written)
        m.d.comb += [drain.i_valid.eq(self.array.o_valid), levels.i_row.eq(drain.o_row)]
        for chain in range(self.program.geometry.chains):
            m.d.comb += levels.i[chain].eq(self.array.o[chain].sum)
        m.d.comb += [i.eq(o) for i, o in zip(writer.levels, levels.levels, strict=True)]

    def _connect_outputs(self, m: Module) -> None:
        """Lead the last layer's levels to the output stream."""
        m.submodules.outputs, m.submodules.emitter = self.output_memory, self.emitter
        wiring.connect(m, self.writer.outputs, self.output_memory.write)
        wiring.connect(m, self.scoreboard.batches, self.emitter.batches)
        wiring.connect(m, self.emitter.read, self.output_memory.read)
        wiring.connect(m, self.emitter.o, wiring.flipped(self.o))

    def _connect_pool(self, m: Module, pool: PoolUnit) -> None:
        """Lead windows from the feeder to the max pool, and its levels into memory."""
        m.submodules.pool = pool
        wiring.connect(m, self.feeder.taps, pool.taps)
        wiring.connect(m, pool.write, self.activation_memory.pool)
        wiring.connect(m, pool.written, self.scoreboard.pooled)
        m.d.comb += self.feeder.i_pool_ready.eq(pool.o_ready)
