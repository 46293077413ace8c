"""Tags the partial sums that leave the array, by the loops of their job."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...gates.counter import count_up
from ...gates.table import field
from ...numbers.arithmetic import address_width, bits_for
from ..job import loops_of

__all__ = ["Drain", "DrainConfig", "DrainLayer"]


@dataclass(frozen=True)
class DrainLayer:
    """Loop bounds and channels of a layer, for a `Drain`.

    Attributes
    ----------
    tiles, chunks, images, groups : int
        Rounds of these loops of `job.LOOPS`, at least 1 each.
    positions : int
        Positions of an image, over all its chunks.
    channels, group_channels : int
        Output channels, and those of a group.
    parameter_base : int
        Row of the first channel's parameters, or thresholds.
    own_parameters : bool
        Each group has parameters of its own; groups share them otherwise.
    shifts : int
        Rounds of that loop: positions of a strip, of which `positions` counts strips.
    """

    tiles: int
    chunks: int
    images: int
    groups: int
    positions: int
    channels: int
    group_channels: int
    parameter_base: int
    own_parameters: bool
    shifts: int = 1


@dataclass(frozen=True)
class DrainConfig:
    """Sizes of a `Drain`.

    Attributes
    ----------
    tag : StructLayout
        Layout of a `Tag`.
    columns, ranks, chains : int
        Columns of the array, rows of each chain, chains.
    parameter_rows : int
        Rows that channels can have parameters, or thresholds, in.
    layers : sequence of DrainLayer
    """

    tag: data.StructLayout
    columns: int
    ranks: int
    chains: int
    parameter_rows: int
    layers: Sequence[DrainLayer]

    @property
    def rows(self) -> int:
        """Rows of the array."""
        return self.ranks * self.chains


class Drain(wiring.Component):
    """Tag the partial sums that leave the array, walking through the loops of their job.

    They come rank by rank, one row of each chain, so the parameters of a tile's channels are read
    once a rank. Which loops are at their last is known a cycle before, and addresses are walked,
    not added up.

    Parameters
    ----------
    config : DrainConfig

    Members
    -------
    jobs : In(stream.Signature(Job))
        Jobs in the order of their sums, each at least three cycles before its first sum; one can
        wait while the sums of another leave.
    i_valid : In(1)
        Partial sums leave the array in this cycle.
    tags : Out(stream.Signature(Tag, always_ready=True))
        The tag of the sums that leave in this cycle; the payload comes from registers.
    o_row : Out(row of their thresholds)
        Of the sums that leave in this cycle; a register.
    parameters : Out(stream.Signature(row of bias and multiplier, always_ready=True))
        Read in this cycle what the sums of the next cycle need; where nothing is read, they need
        what was read last.
    """

    jobs: stream.Interface
    i_valid: Signal
    tags: stream.Interface
    o_row: Signal
    parameters: stream.Interface

    def __init__(self, config: DrainConfig):
        self.config = config
        row = address_width(config.parameter_rows)
        super().__init__(
            {
                "jobs": In(stream.Signature(config.tag["job"].shape)),
                "i_valid": In(1),
                "tags": Out(stream.Signature(config.tag, always_ready=True)),
                "o_row": Out(row),
                "parameters": Out(stream.Signature(row, always_ready=True)),
            }
        )

    def _numbers(self, name: str) -> list[int]:
        return [getattr(layer, name) for layer in self.config.layers]

    def _field(self, name: str, job: data.View) -> Value:
        return field(self._numbers(name), job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        job = Signal(self.config.tag["job"].shape)
        waiting = Signal.like(job, name="waiting")
        occupied, queued = Signal(), Signal()  # there is a job; there is one behind it
        final = Signal()  # its last sums are next
        take, start, following = Signal(), Signal(), Signal.like(job)
        m.d.comb += [
            # loops wait at their beginning until there is a job, and then have its numbers
            start.eq(~occupied),
            following.eq(Mux(start | final, waiting, job)),
            take.eq(start | (self.i_valid & final)),
            self.jobs.ready.eq(~queued),
        ]
        with m.If(take):
            m.d.sync += [job.eq(waiting), occupied.eq(queued)]
        with m.If(~queued):
            m.d.sync += waiting.eq(self.jobs.payload)
        m.d.sync += queued.eq(Mux(queued, ~take, self.jobs.valid))
        counters, ends = self._count(m, start, following)
        m.d.comb += [
            final.eq(Cat(ends.values()).all()),
            self.tags.valid.eq(self.i_valid),
            self.tags.payload.job.eq(job),
            self.tags.payload.rank.eq(counters["rank"]),
            self.tags.payload.last.eq(Cat(ends.values())),
        ]
        moves = self._moves(m, ends)
        self._addresses(m, moves, ends, start, final, job, waiting)
        self._channels(m, moves, ends, job)
        self._rows(m, counters, ends, job)
        return m

    def _limits(self, name: str) -> list[int]:
        """Return the rounds of a loop, for each layer."""
        match name:
            case "column":
                return [self.config.columns] * len(self.config.layers)
            case "rank":
                return [self.config.ranks] * len(self.config.layers)
            case _:
                return self._numbers(f"{name}s")

    def _count(self, m: Module, start, following) -> tuple[dict[str, Value], dict[str, Value]]:
        """Count all loops; return the counters, and which are at their last."""
        counters, ends, move = {}, {}, self.i_valid
        for name in loops_of(self.config.tag):
            counters[name], ends[name] = count_up(
                m, name, self._limits(name), move, layer=following.layer, start=start
            )
            move = move & ends[name]
        return counters, ends

    def _moves(self, m: Module, ends) -> dict[str, Value]:
        """Return whether a round of each loop ends in this cycle."""
        moves, go = {}, self.i_valid
        for name, last in ends.items():
            moves[name] = go
            go = go & last
        return moves

    def _addresses(self, m: Module, moves, ends, start, final, job, waiting) -> None:
        """Walk through the addresses of parameters, channel by channel."""
        address, tile, group = (Signal.like(self.o_row, name=n) for n in ("row", "tile", "group"))
        base = self._field("parameter_base", waiting)
        further = address + 1
        # the tile begins anew with every rank, the group with every shift, chunk and image
        again = ends["column"] & ~ends["rank"]
        own = self._field("own_parameters", job)
        whole = ends["column"] & ends["rank"] & ends["tile"]
        onward = ends["chunk"] & ends["image"] & own
        if "shift" in ends:
            onward = onward & ends["shift"]
        regroup = whole & ~onward
        following = Signal.like(address)
        inner = Mux(again, tile, further) if self.config.ranks > 1 else further
        m.d.comb += following.eq(Mux(start | final, base, Mux(regroup, group, inner)))
        m.d.comb += [
            self.o_row.eq(address),
            self.parameters.payload.eq(following),
            self.parameters.valid.eq(self.i_valid | start),
        ]
        with m.If(self.parameters.valid):
            m.d.sync += address.eq(following)
        with m.If(moves["tile"] | start):
            m.d.sync += tile.eq(following)
        with m.If(moves["group"] | start):
            m.d.sync += group.eq(following)

    def _channels(self, m: Module, moves, ends, job) -> None:
        """Follow the channels."""
        # a tile may be filled up with channels that the group has not
        channels = max(self._numbers("group_channels")) + self.config.columns
        inside = Signal(range(channels))  # channel in the group
        tile, group = (
            Signal.like(inside, name="tile_channel"),
            Signal.like(self.tags.payload.channel),
        )
        whole = ends["column"] & ends["rank"] & ends["tile"]
        again = ends["column"] & ~ends["rank"]
        further = inside + 1
        following = Signal.like(inside)
        inner = Mux(again, tile, further) if self.config.ranks > 1 else further
        m.d.comb += following.eq(Mux(whole, 0, inner))
        with m.If(self.i_valid):
            m.d.sync += inside.eq(following)
        with m.If(moves["tile"]):
            m.d.sync += tile.eq(following)
        channel: Value = inside
        used = inside < self._field("group_channels", job)
        if max(self._numbers("groups")) > 1:
            step = self._field("group_channels", job)
            with m.If(moves["group"]):
                m.d.sync += group.eq(Mux(ends["group"], 0, group + step))
            channel = (group + inside)[: len(group)]
            used = used & (channel < self._field("channels", job))
        m.d.comb += [self.tags.payload.channel.eq(channel), self.tags.payload.used.eq(used)]

    def _rows(self, m: Module, counters, ends, job) -> None:
        """Tell which rows hold positions: the last chunk of an image may have fewer."""
        chains, rows = self.config.chains, self.config.rows
        rest = field(
            [layer.positions - (layer.chunks - 1) * rows for layer in self.config.layers], job.layer
        )
        first = (counters["rank"] * chains)[: bits_for(0, rows)]
        m.d.comb += self.tags.payload.rows.eq(
            Cat(~ends["chunk"] | (first + k < rest) for k in range(chains))
        )
