"""From a program to the configuration of each of the accelerator's components.

Components know nothing of programs; this file does, and nothing else here but `top` and the trace.
"""

from amaranth.lib import data

from ..program.layout import Program
from .emitter import EmitterConfig
from .job import Batch, Job, Tag

__all__ = ["emitter_config", "job_of", "tag_of"]


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
