"""From a program to the configuration of each of the accelerator's components.

Components know nothing of programs; this file does, and nothing else here but `top` and the trace.
"""

from dataclasses import fields
from typing import TypeVar

from amaranth.lib import data

from ..gates.address import CodeAddress
from ..program.layout import Program
from ..program.records import Feed, Record
from .edge import Edges
from .emitter import EmitterConfig
from .feeder import FeederConfig
from .job import Batch, Job, Tag
from .loader import LoaderConfig
from .max_pool import PoolOutput, PoolUnitConfig
from .memories import ActivationMemoryConfig, WeightMemoryConfig
from .packer import PackerConfig
from .walker import PatchLoops, WalkerConfig

__all__ = [
    "activation_memory_config",
    "emitter_config",
    "feeder_config",
    "job_of",
    "loader_config",
    "loops_of",
    "packer_config",
    "pool_unit_config",
    "tag_of",
    "walker_config",
    "weight_memory_config",
]


_Kind = TypeVar("_Kind", Edges, PatchLoops, PoolOutput)


def job_of(program: Program) -> data.StructLayout:
    """Return the layout of the program's jobs."""
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
    )


# --- the input side: from the stream to the array and the max pool -----------------------------


def loader_config(program: Program) -> LoaderConfig:
    """Return what the loader needs."""
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
    """Return what the activation memory needs, with a port for reading and writing or two."""
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
    """Return what the weight memory needs.

    Its contents are `Contents.weights`, unless it is ``loaded`` in that order, as all with a
    single port are.
    """
    width, words = program.memories["weights"]
    contents = None if loaded or single_port else tuple(program.contents.weights)
    return WeightMemoryConfig(width, words, contents, single_port)


def loops_of(feed: Feed) -> PatchLoops:
    """Return what a layer reads, for the walker."""
    edges = _fields(Edges, feed) if feed.padded else None
    return _fields(PatchLoops, feed, edges=edges)


def walker_config(program: Program) -> WalkerConfig:
    """Return what the walker needs."""
    return WalkerConfig(
        layers=tuple(loops_of(record.feed) for record in program.records),
        form=_patch_form(program),
        contexts=program.contexts,
        context_words=program.batch * program.image_words,
        images=program.batch,
        rows=program.geometry.rows,
        words=max(record.tiles.words for record in program.records),
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
    # they meet weights of 0, where there is a 0
    return not program.operands.weight.holds(0) and any(
        min(feed.tail, feed.last_tail) < lanes for feed in feeds
    )


def packer_config(program: Program) -> PackerConfig:
    """Return what the packer needs."""
    walker = walker_config(program)
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
    """Return what the feeder needs."""
    return FeederConfig(
        walker=walker_config(program),
        packer=packer_config(program),
        code=program.operands.activation,
        row_words=program.row_buffer_words,
        to_pool=tuple(not record.on_array for record in program.records),
        one_bank=all(record.banks == 1 for record in program.records),
    )


def pool_unit_config(program: Program) -> PoolUnitConfig:
    """Return what the max pool needs."""
    return PoolUnitConfig(
        layers=tuple(_pool_output(record) for record in program.records),
        form=CodeAddress(program.activation_words, program.geometry.lanes, program.segment),
        code=program.operands.activation,
        contexts=program.contexts,
        context_words=program.batch * program.image_words,
    )


def _pool_output(record: Record) -> PoolOutput | None:
    if record.on_array:
        return None
    lengths = {"length": record.feed.length, "last_length": record.feed.last_length}
    return _fields(PoolOutput, record.place, **lengths)


def _fields(kind: type[_Kind], source: object, **others: object) -> _Kind:
    """Return a record of ``kind`` whose fields are those of ``source``, but for ``others``."""
    names = [each.name for each in fields(kind) if each.name not in others]
    return kind(**{name: getattr(source, name) for name in names} | others)


# --- the output side ---------------------------------------------------------------------------


def emitter_config(program: Program) -> EmitterConfig:
    """Return what the emitter needs."""
    return EmitterConfig(
        level=program.network.output,
        outputs=program.network.outputs,
        chains=program.geometry.chains,
        contexts=program.contexts,
        batch=Batch(program.batch),
        context_words=program.output_rows * program.network.outputs,
        words=program.output_words,
    )
