"""Which sums leave the array: the loops of a job as its sums see them."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .memory import address_width
from .program import Program
from .record import field
from .scoreboard import Job

__all__ = ["LOOPS", "Drain", "Whereabouts"]

LOOPS = ("column", "rank", "tile", "chunk", "image", "group")
"""The loops over sums, from the inside; a rank is one row of each chain."""


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


class Drain(wiring.Component):
    """Follow the sums through the loops of their job.

    Sums come rank by rank, so the parameters of a tile's channels are read once a rank.

    Members
    -------
    jobs : In(stream.Signature(Job))
        Jobs in the order of their sums; taken with the last sum.
    i_valid : In(1)
        Sums leave the array in this cycle.
    o_address : Out(address of their bias and multiplier, or of their thresholds)
    o : Out(Whereabouts)
        Both are combinational.
    """

    jobs: stream.Interface
    i_valid: Signal
    o_address: Signal
    o: data.View

    def __init__(self, program: Program):
        self.program = program
        super().__init__(
            {
                "jobs": In(stream.Signature(Job(program))),
                "i_valid": In(1),
                "o_address": Out(address_width(program.parameter_rows)),
                "o": Out(Whereabouts(program)),
            }
        )

    def _field(self, part: str, name: str):
        values = [getattr(getattr(record, part), name) for record in self.program.records]
        return field(values, self.jobs.payload.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        geometry = self.program.geometry
        ranks = geometry.rows // geometry.chains
        limits = {
            "column": geometry.columns,
            "rank": ranks,
            "tile": self._field("tiles", "tiles"),
            "chunk": self._field("place", "chunks"),
            "image": self._field("place", "images"),
            "group": self._field("place", "groups"),
        }
        counters, ends = self._count(m, limits)
        m.d.comb += [self.o.job.eq(self.jobs.payload), self.o.rank.eq(counters["rank"])]
        channel = self._channels(m, counters, ends)
        self._rows(m, counters, ends, channel)
        return m

    def _count(self, m: Module, limits) -> tuple[dict[str, Signal], dict[str, Signal]]:
        """Count all loops; return the counters, and which are at their last."""
        records = self.program.records
        most = {
            "column": self.program.geometry.columns,
            "rank": limits["rank"],
            "tile": max(record.tiles.tiles for record in records),
            "chunk": max(record.place.chunks for record in records),
            "image": self.program.batch,
            "group": max(record.place.groups for record in records),
        }
        counters, ends, go = {}, {}, self.i_valid
        for name in LOOPS:
            counter, last = Signal(range(most[name]), name=name), Signal(name=f"last_{name}")
            m.d.comb += [last.eq(counter == limits[name] - 1), self.o.last[name].eq(last)]
            with m.If(go):
                m.d.sync += counter.eq(Mux(last, 0, counter + 1))
            go = go & last
            counters[name], ends[name] = counter, last
        m.d.comb += self.jobs.ready.eq(go)
        return counters, ends

    def _channels(self, m: Module, counters, ends) -> Signal:
        """Follow channels and the addresses of their parameters; return the channel."""
        columns, records = self.program.geometry.columns, self.program.records
        channel = Signal.like(self.o.channel)
        ends_rank = self.i_valid & ends["column"] & ends["rank"]
        tile = Signal(range(max(record.tiles.tiles for record in records) * columns + 1))
        with m.If(ends_rank):
            m.d.sync += tile.eq(Mux(ends["tile"], 0, tile + columns))
        group, group_address = Signal.like(self.o.channel), Signal.like(self.o_address)
        with m.If(ends_rank & ends["tile"] & ends["chunk"] & ends["image"]):
            m.d.sync += [
                group.eq(Mux(ends["group"], 0, group + self._field("place", "group_channels"))),
                group_address.eq(
                    Mux(ends["group"], 0, group_address + self._field("tiles", "group_parameters"))
                ),
            ]
        inside = tile + counters["column"]  # channel in the group
        m.d.comb += [
            channel.eq(group + inside),
            self.o.channel.eq(channel),
            self.o.used.eq(
                (inside < self._field("place", "group_channels"))
                & (channel < self._field("place", "channels"))
            ),
            self.o_address.eq(self._field("tiles", "parameter_base") + group_address + inside),
        ]
        return channel

    def _rows(self, m: Module, counters, ends, channel) -> None:
        """Tell which rows hold positions: the last chunk of an image may have fewer."""
        geometry, records = self.program.geometry, self.program.records
        positions = max(record.place.positions for record in records)
        passed = Signal(range(positions + geometry.rows))  # positions of the image before the chunk
        with m.If(self.i_valid & ends["column"] & ends["rank"] & ends["tile"]):
            m.d.sync += passed.eq(Mux(ends["chunk"], 0, passed + geometry.rows))
        left = (self._field("place", "positions") - passed).as_unsigned()
        first = counters["rank"] * geometry.chains
        m.d.comb += self.o.rows.eq(Cat(left > first + k for k in range(geometry.chains)))
        # for the trace alone; gone after synthesis
        counts = [record.mapped.patch.count for record in records]
        single = field([count == 1 for count in counts], self.jobs.payload.layer)
        position = passed + first
        m.d.comb += [
            self.o.image.eq(Mux(single, position, counters["image"])),
            self.o.element.eq(
                Mux(single, 0, position * self._field("place", "channels")) + channel
            ),
        ]
