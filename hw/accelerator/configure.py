"""Configures each component of the accelerator for a program.

Components know nothing of programs; this file does, and nothing else here but `top` and `traced`.
"""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from amaranth.lib import data

from ..array.systolic import drained
from ..gates.address import CodeAddress
from ..numbers.float_sum import FloatSum
from ..program.layout import Program
from ..program.records import Feed, Record
from .inputs.edge import Edges
from .inputs.feeder import FeederConfig
from .inputs.loader import LoaderConfig
from .inputs.max_pool import PoolOutput, PoolUnitConfig
from .inputs.packer import PackerConfig
from .inputs.walker import PatchLoops, WalkerConfig
from .job import Batch, ContextBatch, Job, Tag
from .memories import ActivationMemoryConfig, WeightMemoryConfig
from .outputs.drain import DrainConfig, DrainLayer
from .outputs.emitter import EmitterConfig, EmitterOutput
from .outputs.float_requantize import FloatRequantizeConfig
from .outputs.levels import LevelUnitConfig
from .outputs.requantize import RequantizeConfig
from .outputs.thresholds import ThresholdsConfig
from .outputs.writer import WriterConfig, WriterLayer, WriterOutput
from .probe import ProbeConfig, ProbeLayer
from .scoreboard import ScoreboardConfig
from .sequencer import SequencerConfig, SequencerLayer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "activation_memory_config",
    "drain_config",
    "emitter_config",
    "feeder_config",
    "job_of",
    "level_unit_config",
    "loader_config",
    "loops_of",
    "packer_config",
    "pool_unit_config",
    "probe_config",
    "scoreboard_config",
    "sequencer_config",
    "tag_of",
    "walker_config",
    "weight_memory_config",
    "writer_config",
]

T = TypeVar("T", bound="DataclassInstance")


def _taken(kind: type[T], source: object, **others: object) -> T:
    """Return a configuration of what ``source`` calls by the same names, and of ``others``."""
    names = [each.name for each in fields(kind) if each.name not in others]
    return kind(**{name: getattr(source, name) for name in names}, **others)


def job_of(program: Program) -> data.StructLayout:
    """Return the layout of the jobs of a program."""
    return Job(program.contexts, len(program.records))


def tag_of(program: Program) -> data.StructLayout:
    """Return the layout of the tag of its partial sums."""
    geometry = program.geometry
    channels = [record.place.groups * record.place.group_channels for record in program.records]
    return Tag(
        job_of(program),
        chains=geometry.chains,
        ranks=geometry.rows // geometry.chains,
        channels=max(channels) + geometry.columns,
        shifts=any(record.place.shifts > 1 for record in program.records),
    )


# --- the input side: from the stream to the array and the max pool -----------------------------


def loader_config(program: Program) -> LoaderConfig:
    """Return the configuration of the `Loader`."""
    return LoaderConfig(
        element=program.network.input,
        code=program.operands.activation,
        bitwise=any(mapped.bitwise for mapped in program.mapped),
        elements=program.network.inputs,
        lanes=program.geometry.lanes,
        segments=program.geometry.lanes // program.segment,
        image_words=program.image_words,
        images=program.batch,
        contexts=program.contexts,
    )


def activation_memory_config(
    program: Program, *, single_port: bool = False
) -> ActivationMemoryConfig:
    """Return the configuration of the `ActivationMemory`.

    Parameters
    ----------
    program : Program
        Whose activations it holds.
    single_port : bool
        Whether it has one port for reading and writing, instead of two.
    """
    width, words = program.memories["activations"]
    return ActivationMemoryConfig(
        width=width,
        words=words,
        segments=program.geometry.lanes // program.segment,
        pool=bool(program.pools),
        single_port=single_port,
    )


def weight_memory_config(
    program: Program, *, loaded: bool = False, single_port: bool = False
) -> WeightMemoryConfig:
    """Return the configuration of the `WeightMemory`.

    Parameters
    ----------
    program : Program
        Whose weights it holds.
    loaded : bool
        Whether they are loaded, in the order of `Contents.weights`; else these are its contents.
    single_port : bool
        Whether it has one port for reading and writing; then it is loaded, too.
    """
    width, words = program.memories["weights"]
    contents = None if loaded or single_port else tuple(program.contents.weights)
    return WeightMemoryConfig(width, words, contents, single_port)


def loops_of(feed: Feed) -> PatchLoops:
    """Return the loops over what a layer reads."""
    return _taken(PatchLoops, feed, edges=_taken(Edges, feed) if feed.padded else None)


def walker_config(program: Program) -> WalkerConfig:
    """Return the configuration of the `Walker`."""
    return WalkerConfig(
        layers=tuple(loops_of(record.feed) for record in program.records),
        form=_patch_form(program),
        contexts=program.contexts,
        context_words=program.batch * program.image_words,
        images=program.batch,
        rows=program.geometry.rows,
        words=max(record.tiles.bank_words for record in program.records),
    )


def _patch_form(program: Program) -> CodeAddress:
    """Return the form of addresses of patches."""
    words, lanes = program.activation_words, program.geometry.lanes
    feeds = [record.feed for record in program.records]
    steps = [step for feed in feeds for step in feed.steps]
    form = CodeAddress.for_steps(words, lanes, steps)
    if form.parts == 1 or not _cuts_tails(program):
        return form
    # a last word that is cut must not pass for a full one: its codes end where a unit does
    ends = [
        feed.length for feed in feeds if not feed.separate and lanes - form.unit < feed.tail < lanes
    ]
    return CodeAddress.for_steps(words, lanes, [*steps, *ends])


def _cuts_tails(program: Program) -> bool:
    """Return whether it matters what lanes behind the last code of a pass carry."""
    feeds, lanes = [record.feed for record in program.array_records], program.geometry.lanes
    # they meet weights of 0, where there is a 0; but 0 times an infinity is NaN
    matter = not program.operands.weight.holds(0) or program.network.is_float
    return matter and any(min(feed.tail, feed.last_tail) < lanes for feed in feeds)


def packer_config(program: Program, walker: WalkerConfig) -> PackerConfig:
    """Return the configuration of the `Packer` behind a walker."""
    feeds = [record.feed for record in program.records]
    tails = tuple((feed.tail, feed.last_tail) for feed in feeds)
    return PackerConfig(
        form=walker.form,
        code_width=program.operands.activation.width,
        job=walker.job,
        step=walker.step,
        masked=walker.padded,
        pads=tuple(feed.pad for feed in feeds),
        tails=tails if _cuts_tails(program) else None,
    )


def feeder_config(program: Program) -> FeederConfig:
    """Return the configuration of the `Feeder`."""
    walker = walker_config(program)
    return FeederConfig(
        walker=walker,
        packer=packer_config(program, walker),
        code=program.operands.activation,
        row_words=program.row_buffer_words,
        to_pool=tuple(not record.on_array for record in program.records),
        one_bank=all(record.banks == 1 for record in program.records),
    )


def pool_unit_config(program: Program) -> PoolUnitConfig:
    """Return the configuration of the `PoolUnit`."""
    return PoolUnitConfig(
        layers=tuple(_pool_output(record) for record in program.records),
        form=CodeAddress(program.activation_words, program.geometry.lanes, program.segment),
        code=program.operands.activation,
        contexts=program.contexts,
        context_words=program.batch * program.image_words,
    )


def _pool_output(record: Record) -> PoolOutput | None:
    feed = record.feed
    if record.on_array:
        return None
    return _taken(PoolOutput, record.place, length=feed.length, last_length=feed.last_length)


# --- from the array to the output stream --------------------------------------------------------


def scoreboard_config(program: Program) -> ScoreboardConfig:
    """Return the configuration of the `Scoreboard`."""
    return ScoreboardConfig(
        contexts=program.contexts,
        layers=len(program.records),
        last_input_layer=program.last_input_layer,
        batch=Batch(program.batch),
        first_output_layer=min(area.layer for area in program.output_areas),
    )


def sequencer_config(program: Program, interval: int, gap: int | None = None) -> SequencerConfig:
    """Return the configuration of the `Sequencer`.

    Parameters
    ----------
    program : Program
        Whose loops it walks through.
    interval : int
        Least cycles between two last steps (`SystolicArray.interval`).
    gap : int, optional
        Cycles behind a last step in which no tile begins (`SystolicArray.gap`).
    """

    def layer(record: Record) -> SequencerLayer:
        return _taken(SequencerLayer, record.tiles, runs=record.tiles.runs or ((1, 1),))

    return SequencerConfig(
        job=job_of(program),
        interval=interval,
        weight_words=program.weight_words,
        bank_words=program.row_buffer_words,
        layers=tuple(map(layer, program.records)),
        sliced=program.geometry.slice is not None,
        gap=gap,
    )


def drain_config(program: Program) -> DrainConfig:
    """Return the configuration of the `Drain`."""

    def layer(record: Record) -> DrainLayer:
        tiles = record.tiles
        return _taken(
            DrainLayer,
            record.place,
            tiles=tiles.rounds,
            parameter_base=tiles.parameter_base,
            own_parameters=tiles.group_parameters > 0,
        )

    geometry = program.geometry
    return DrainConfig(
        tag=tag_of(program),
        columns=geometry.columns,
        ranks=geometry.rows // geometry.chains,
        chains=geometry.chains,
        parameter_rows=program.contents.parameter_rows,
        layers=tuple(map(layer, program.records)),
    )


def level_unit_config(program: Program, *, dsp: bool) -> LevelUnitConfig:
    """Return the configuration of the `LevelUnit`.

    Parameters
    ----------
    program : Program
        Whose partial sums become levels.
    dsp : bool
        Whether requantisers multiply in DSP blocks.
    """
    return LevelUnitConfig(
        tag=tag_of(program),
        chains=program.geometry.chains,
        requantize=_requantize_config(program, dsp),
        thresholds=_thresholds_config(program),
        by_thresholds=tuple(mode.thresholds for mode in program.modes),
        rows=program.contents.parameter_rows,
        parameters=program.contents.parameter_words,
    )


def _requantize_config(program: Program, dsp: bool) -> RequantizeConfig | FloatRequantizeConfig:
    modes = [mode for mode in program.modes if not mode.thresholds]
    total = program.network.accumulator
    if isinstance(total, FloatSum):
        multiplies = program.contents.multiplier_width > 0
        return FloatRequantizeConfig(total, multiplies, tuple(modes), dsp)
    return RequantizeConfig(
        width=program.network.accumulator.width,
        bias_width=program.contents.bias_width,
        multiplier_width=program.contents.multiplier_width,
        modes=tuple(modes),
        dsp=dsp,
        totals=tuple(map(program.contents.total_width, modes)),
    )


def _thresholds_config(program: Program) -> ThresholdsConfig | None:
    table = program.contents.thresholds
    return table and ThresholdsConfig(
        width=program.network.accumulator.width,
        threshold_width=table.width,
        images=table.images,
        outputs=tuple(mode.output for mode in program.modes if mode.thresholds),
    )


def writer_config(program: Program) -> WriterConfig:
    """Return the configuration of the `Writer`."""
    geometry = program.geometry

    def layer(record: Record) -> WriterLayer:
        here = _taken(WriterLayer, record.place, tiles=record.tiles.rounds)
        if record.place.stored:
            return here
        steps = {f"{name}_step": 0 for name in ("row", "chunk", "image", "group", "shift")}
        return replace(here, **steps)

    return WriterConfig(
        tag=tag_of(program),
        columns=geometry.columns,
        ranks=geometry.rows // geometry.chains,
        chains=geometry.chains,
        code=program.operands.activation,
        levels=tuple(mode.output for mode in program.modes),
        form=CodeAddress(program.activation_words, geometry.lanes, program.segment),
        contexts=program.contexts,
        context_words=program.batch * program.image_words,
        output=program.network.output,
        outputs=tuple(_taken(WriterOutput, area) for area in program.output_areas),
        output_context_words=program.output_context_words,
        output_words=program.output_words,
        layers=tuple(map(layer, program.records)),
    )


def emitter_config(program: Program) -> EmitterConfig:
    """Return the configuration of the `Emitter`."""
    return EmitterConfig(
        level=program.network.output,
        outputs=tuple(_taken(EmitterOutput, area) for area in program.output_areas),
        chains=program.geometry.chains,
        batch=ContextBatch(program.contexts, Batch(program.batch)),
        context_words=program.output_context_words,
        words=program.output_words,
    )


# --- beside them, for simulators ----------------------------------------------------------------


def probe_config(program: Program, *, latency: int = 0) -> ProbeConfig:
    """Return the configuration of a `Probe`.

    Parameters
    ----------
    program : Program
        Whose partial sums it names.
    latency : int
        Cycles from a partial sum to its levels (`LevelUnitConfig.latency`).
    """

    def layer(record: Record) -> ProbeLayer:
        place, single = record.place, record.mapped.patch.count == 1
        return _taken(ProbeLayer, place, single=single)

    total = program.network.accumulator
    return ProbeConfig(
        tag=tag_of(program),
        batch=Batch(program.batch),
        contexts=program.contexts,
        rows=program.geometry.rows,
        sum=drained(total),
        chains=program.geometry.chains,
        latency=latency,
        levels=tuple(mode.output for mode in program.modes),
        layers=tuple(map(layer, program.records)),
        total=total.format if isinstance(total, FloatSum) else None,
    )
