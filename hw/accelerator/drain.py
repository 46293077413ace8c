"""Which sums leave the array: the loops of a job as its sums see them."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..gates.counter import count_up
from ..gates.table import field
from ..numbers.arithmetic import address_width, bits_for
from ..program.layout import Program
from .job import LOOPS, Job, Tag

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Follow the sums through the loops of their job.

    Sums come rank by rank, so the parameters of a tile's channels are read once a rank. Which loops
    are at their last is known a cycle before, and addresses are walked, not added up.

    Members
    -------
    jobs : In(stream.Signature(Job))
        Jobs in the order of their sums, each at least three cycles before its first sum; one can
        wait while the sums of another leave.
    i_valid : In(1)
        Sums leave the array in this cycle.
    o_address : Out(address of their thresholds)
        Of the sums that leave now; a register.
    o_parameters : Out(address of bias and multiplier), o_read : Out(1)
        Read in this cycle what the sums of the next cycle need; with ``o_read`` low, they need
        what was read last.
    o : Out(Tag)
        Where the sums of this cycle belong; combinational, from registers.
    """

    jobs: stream.Interface
    i_valid: Signal
    o_address: Signal
    o_parameters: Signal
    o_read: Signal
    o: data.View

    def __init__(self, program: Program):
        self.program = program
        address = address_width(program.contents.parameter_rows)
        super().__init__(
            {
                "jobs": In(stream.Signature(Job(program.contexts, len(program.records)))),
                "i_valid": In(1),
                "o_address": Out(address),
                "o_parameters": Out(address),
                "o_read": Out(1),
                "o": Out(
                    Tag(
                        Job(program.contexts, len(program.records)),
                        chains=program.geometry.chains,
                        ranks=program.geometry.rows // program.geometry.chains,
                        channels=max(
                            record.place.groups * record.place.group_channels
                            for record in program.records
                        )
                        + program.geometry.columns,
                    )
                ),
            }
        )

    def _numbers(self, part: str, name: str) -> list[int]:
        return [getattr(getattr(record, part), name) for record in self.program.records]

    def _field(self, part: str, name: str, job):
        return field(self._numbers(part, name), job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        job, waiting = (
            Signal(Job(self.program.contexts, len(self.program.records))),
            Signal(Job(self.program.contexts, len(self.program.records))),
        )
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
            self.o.job.eq(job),
            self.o.rank.eq(counters["rank"]),
            self.o.last.eq(Cat(ends[name] for name in LOOPS)),
        ]
        moves = self._moves(m, ends)
        self._addresses(m, moves, ends, start, final, job, waiting)
        channel = self._channels(m, moves, ends, job)
        self._rows(m, moves, counters, ends, channel, job)
        return m

    def _limits(self, name: str) -> list[int]:
        """Return the rounds of a loop, for each layer."""
        geometry = self.program.geometry
        layers = len(self.program.records)
        match name:
            case "column":
                return [geometry.columns] * layers
            case "rank":
                return [geometry.rows // geometry.chains] * layers
            case "tile":
                numbers = self._numbers("tiles", "tiles")
            case _:
                numbers = self._numbers("place", f"{name}s")
        return [max(1, number) for number in numbers]

    def _count(self, m: Module, start, following) -> tuple[dict[str, Value], dict[str, Value]]:
        """Count all loops; return the counters, and which are at their last."""
        counters, ends, move = {}, {}, self.i_valid
        for name in LOOPS:
            counters[name], ends[name] = count_up(
                m, name, self._limits(name), move, layer=following.layer, start=start
            )
            move = move & ends[name]
        return counters, ends

    def _moves(self, m: Module, ends) -> dict[str, Value]:
        """Return whether a round of each loop ends in this cycle."""
        moves, go = {}, self.i_valid
        for name in LOOPS:
            moves[name] = go
            go = go & ends[name]
        return moves

    def _addresses(self, m: Module, moves, ends, start, final, job, waiting) -> None:
        """Walk through the addresses of parameters, channel by channel."""
        ranks = self.program.geometry.rows > self.program.geometry.chains
        address, tile, group = (
            Signal.like(self.o_address, name=n) for n in ("row", "tile", "group")
        )
        base = self._field("tiles", "parameter_base", waiting)
        further = address + 1
        # the tile begins anew with every rank, the group with every chunk and image
        again = ends["column"] & ~ends["rank"]
        own = field(
            [number > 0 for number in self._numbers("tiles", "group_parameters")], job.layer
        )
        whole = ends["column"] & ends["rank"] & ends["tile"]
        regroup = whole & ~(ends["chunk"] & ends["image"] & own)
        following = Signal.like(address)
        inner = Mux(again, tile, further) if ranks else further
        m.d.comb += following.eq(Mux(start | final, base, Mux(regroup, group, inner)))
        m.d.comb += [
            self.o_address.eq(address),
            self.o_parameters.eq(following),
            self.o_read.eq(self.i_valid | start),
        ]
        with m.If(self.o_read):
            m.d.sync += address.eq(following)
        with m.If(moves["tile"] | start):
            m.d.sync += tile.eq(following)
        with m.If(moves["group"] | start):
            m.d.sync += group.eq(following)

    def _channels(self, m: Module, moves, ends, job) -> Value:
        """Follow the channels; return the current one."""
        channels = max(self._numbers("place", "group_channels"))
        spare = self.program.geometry.columns
        ranks = self.program.geometry.rows > self.program.geometry.chains
        inside = Signal(range(channels + spare))  # channel in the group
        tile, group = Signal.like(inside, name="tile_channel"), Signal.like(self.o.channel)
        whole = ends["column"] & ends["rank"] & ends["tile"]
        again = ends["column"] & ~ends["rank"]
        further = inside + 1
        following = Signal.like(inside)
        m.d.comb += following.eq(Mux(whole, 0, Mux(again, tile, further) if ranks else further))
        with m.If(self.i_valid):
            m.d.sync += inside.eq(following)
        with m.If(moves["tile"]):
            m.d.sync += tile.eq(following)
        channel: Value = inside
        used = inside < self._field("place", "group_channels", job)
        if max(self._numbers("place", "groups")) > 1:
            step = self._field("place", "group_channels", job)
            with m.If(moves["group"]):
                m.d.sync += group.eq(Mux(ends["group"], 0, group + step))
            channel = (group + inside)[: len(group)]
            used = used & (channel < self._field("place", "channels", job))
        m.d.comb += [self.o.channel.eq(channel), self.o.used.eq(used)]
        return channel

    def _rows(self, m: Module, moves, counters, ends, channel, job) -> None:
        """Tell which rows hold positions: the last chunk of an image may have fewer."""
        geometry, records = self.program.geometry, self.program.records
        places = [record.place for record in records]
        rest = field(
            [place.positions - (place.chunks - 1) * geometry.rows for place in places], job.layer
        )
        first = (counters["rank"] * geometry.chains)[: bits_for(0, geometry.rows)]
        m.d.comb += self.o.rows.eq(
            Cat(~ends["chunk"] | (first + k < rest) for k in range(geometry.chains))
        )
        # for the trace alone; gone after synthesis
        passed = Signal(range(max(place.positions for place in places) + geometry.rows))
        with m.If(moves["chunk"]):
            m.d.sync += passed.eq(Mux(ends["chunk"], 0, passed + geometry.rows))
        single = field([record.mapped.patch.count == 1 for record in records], job.layer)
        position = passed + first
        channels = self._field("place", "channels", job)
        m.d.comb += [
            self.o.image.eq(Mux(single, position, counters["image"])),
            self.o.element.eq(Mux(single, 0, position * channels) + channel),
        ]
