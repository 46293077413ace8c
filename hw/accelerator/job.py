"""What travels with the work: jobs, batches, filled banks, and the place of a sum."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Mux, Value, unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from ..gates.address import CodeAddress
from ..gates.table import field
from ..program.layout import Program

__all__ = [
    "FIRST",
    "IMAGE_WIDTH",
    "LOOPS",
    "Bank",
    "Batch",
    "Job",
    "Whereabouts",
    "start_address",
]

IMAGE_WIDTH = 32

FIRST: Any = {"first": 1}  # what a bank begins with: where jobs have a single bank, it stays

LOOPS = ("column", "rank", "tile", "chunk", "image", "group")
"""The loops over sums, from the inside; a rank is one row of each chain."""


def Job(program: Program) -> data.StructLayout:
    """Return the layout of a job: one layer of one context."""
    return data.StructLayout(
        {
            "context": unsigned(ceil_log2(program.contexts)),
            "layer": unsigned(ceil_log2(len(program.records))),
        }
    )


def Batch(program: Program) -> data.StructLayout:
    """Return the layout of a batch: how many images it has, and the first one's number.

    Numbers count from reset; they serve the trace only, and vanish in synthesis with it.
    """
    return data.StructLayout({"count": range(program.batch + 1), "image": unsigned(IMAGE_WIDTH)})


def Bank(program: Program) -> data.StructLayout:
    """Return what goes with a filled bank: its job, and where in the job it stands."""
    return data.StructLayout({"job": Job(program), "first": 1, "next_group": 1})


def Whereabouts(program: Program) -> data.StructLayout:
    """Return what goes with the sums that leave in one cycle, one a chain, of one channel.

    Attributes
    ----------
    job : Job
    last : bits
        The loops of `LOOPS` that are at their last.
    used : bit
        The channel is one of the layer's.
    rows : bits
        The chains whose row holds a position.
    rank, channel : int
        Row of the first chain, over ``chains``; output channel.
    image, element : int
        For the trace: image in the context, and element of the layer's output, of the first chain.
    """
    records = program.records
    channels = [record.place.groups * record.place.group_channels for record in records]
    spare = program.geometry.columns
    return data.StructLayout(
        {
            "job": Job(program),
            "last": data.StructLayout({name: 1 for name in LOOPS}),
            "used": 1,
            "rows": program.geometry.chains,
            "rank": ceil_log2(program.geometry.rows // program.geometry.chains),
            "channel": ceil_log2(max(channels) + spare),
            "image": unsigned(32),
            "element": unsigned(32),
        }
    )


def start_address(program: Program, form: CodeAddress, starts: Sequence[int], job) -> Value:
    """Return where the data of ``job`` begin: a table of contexts and layers costs no adder.

    Parameters
    ----------
    program : Program
    form : CodeAddress
        Form of the address.
    starts : sequence of int
        The first code of each layer's data in an image's region.
    job : Job
    """
    region = program.batch * program.image_words * form.lanes
    tables = [
        field([form.const(context * region + start) for start in starts], job.layer)
        for context in range(program.contexts)
    ]
    return Mux(job.context, tables[-1], tables[0])
