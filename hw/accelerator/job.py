"""Layouts of what travels with the work: jobs, batches, filled banks, and tags of partial sums."""

from collections.abc import Sequence

from amaranth.hdl import Mux, Shape, Value, unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from ..errors import GeometryError
from ..gates.address import CodeAddress
from ..gates.table import field

__all__ = [
    "FIRST",
    "IMAGE_WIDTH",
    "LOOPS",
    "Bank",
    "Batch",
    "ContextBatch",
    "Job",
    "Tag",
    "check_contexts",
    "loops_of",
    "start_address",
]

IMAGE_WIDTH = 32

FIRST = {"first": 1}  # what a bank begins with: where jobs have a single bank, it stays

LOOPS = ("column", "rank", "tile", "shift", "chunk", "image", "group")
"""The loops over partial sums, from the inside; a rank is one row of each chain, and a shift a
position of a strip."""


def check_contexts(contexts: int) -> None:
    """Refuse other numbers of contexts than 1 and 2, which take turns.

    Raises
    ------
    GeometryError
        For another number.
    """
    if contexts not in (1, 2):
        raise GeometryError(f"contexts is 1 or 2, not {contexts}")


def _context(contexts: int) -> Shape:
    """Return the shape of the number of a context."""
    check_contexts(contexts)
    return unsigned(ceil_log2(contexts))


def Job(contexts: int, layers: int) -> data.StructLayout:
    """Return the layout of a job: one of ``layers`` layers, of one of ``contexts`` contexts.

    Raises
    ------
    GeometryError
        For other than 1 or 2 contexts.
    """
    return data.StructLayout(
        {
            "context": _context(contexts),
            "layer": unsigned(ceil_log2(layers)),
        }
    )


def Batch(images: int) -> data.StructLayout:
    """Return the layout of a batch: how many images it has, at most ``images``, and its first.

    Numbers count from reset; they serve the `Probe` only, and vanish in synthesis.
    """
    return data.StructLayout({"count": range(images + 1), "image": unsigned(IMAGE_WIDTH)})


def ContextBatch(contexts: int, batch: data.StructLayout) -> data.StructLayout:
    """Return the layout of a `Batch` in an area of one of ``contexts`` contexts.

    Raises
    ------
    GeometryError
        For other than 1 or 2 contexts.
    """
    return data.StructLayout({"context": _context(contexts), "batch": batch})


def Bank(job: data.StructLayout) -> data.StructLayout:
    """Return the layout of what goes with a filled bank: its `Job`, and its place in it."""
    return data.StructLayout({"job": job, "first": 1, "next_group": 1})


def Tag(
    job: data.StructLayout, *, chains: int, ranks: int, channels: int, shifts: bool = False
) -> data.StructLayout:
    """Return the layout of the tag of the partial sums that leave the array in one cycle.

    They are of one channel, one a chain.

    Parameters
    ----------
    job : StructLayout
        The layout of a `Job`.
    chains, ranks : int
        Chains of the array, and rows of each.
    channels : int
        One more than the highest number of a channel, those that fill up a tile included.
    shifts : bool
        A layer has strips of positions.

    Attributes
    ----------
    job : Job
    last : bits
        The loops of `LOOPS` that are at their last; without strips there is no ``shift``.
    used : bit
        The channel is one of the layer's.
    rows : bits
        The chains whose row holds a position.
    rank, channel : int
        Row of the first chain, over ``chains``; output channel.
    """
    return data.StructLayout(
        {
            "job": job,
            "last": data.StructLayout({name: 1 for name in LOOPS if shifts or name != "shift"}),
            "used": 1,
            "rows": chains,
            "rank": ceil_log2(ranks),
            "channel": ceil_log2(channels),
        }
    )


def loops_of(tag: data.StructLayout) -> tuple[str, ...]:
    """Return the loops of `LOOPS` that a `Tag` follows."""
    last = tag["last"].shape
    assert isinstance(last, data.StructLayout)
    return tuple(name for name, _ in last)


def start_address(
    form: CodeAddress, starts: Sequence[int], job: data.View, *, contexts: int, region: int
) -> Value:
    """Return where the data of ``job`` begin: a table of contexts and layers costs no adder.

    Parameters
    ----------
    form : CodeAddress
        Form of the address.
    starts : sequence of int
        The first code of each layer's data in an image's region.
    job : Job
    contexts : int
        Contexts, 1 or 2.
    region : int
        Words of a context's region.
    """
    tables = [
        field([form.const(context * region * form.lanes + start) for start in starts], job.layer)
        for context in range(contexts)
    ]
    return Mux(job.context, tables[-1], tables[0])
