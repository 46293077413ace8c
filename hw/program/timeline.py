"""Timeline of an accelerator: in which cycle each of its parts does what, without its gates.

The parts are those of the accelerator, and what one of them tells another is an event of a cycle
that both know: a batch is loaded, a job is taken, a bank is full, or free again, a tile ends, a job
is written, a batch is emitted. What happens between two events is counted, not simulated.

Nothing in it depends on data, so a stream that never pauses takes exactly these cycles. The memory
of activations has a port to write and one to read, or a single one, on which reading waits for all
that is written. Then a job is followed as it is read: what is written meanwhile is known no sooner.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import TypeAlias, TypeVar

from ..geometry import Geometry
from .fetching import aligned, bank_cycles, position_cycles
from .records import Record

__all__ = ["Latencies", "TimelineConfig", "emissions"]


FOREVER = 1 << 62

T = TypeVar("T")
Reads: TypeAlias = Generator[tuple[int, int] | None, int, T]
"""Reading of a job: asks for words from a cycle on, and is told in which the last of them was read;
or for none of them, to go on where the pool has written the last window of another job."""


@dataclass(frozen=True)
class Latencies:
    """Cycles that depend on how gates are built, not on what runs on them.

    Attributes
    ----------
    array : int
        From the operands of a tile's last step to its first partial sums.
    interval : int
        Between two last steps, at least.
    levels : int
        From a partial sum to its level.
    gap : int
        Between a last step and the first one of the next tile, at least.
    """

    array: int
    interval: int
    levels: int
    gap: int = 0


@dataclass(frozen=True)
class TimelineConfig:
    """All that the timeline of a program follows from.

    Attributes
    ----------
    geometry : Geometry
    records : tuple of Record
    latencies : Latencies
    contexts, batch : int
        Contexts, 1 or 2, and images of each.
    segment : int
        Codes that are written at once.
    elements, planes : int
        Elements of an image, and bit planes in which they are stored.
    levels, outputs : int
        Levels of an image that are emitted, and tensors that they are of.
    last_input_layer : int
        Index of the last layer that reads the input.
    first_output_layer : int
        Index of the first layer that writes to the output area.
    single_port : bool
        The activation memory has one port, and reads where it does not write.
    loads_weights : bool
        Images wait until the weights are loaded, so the first element is taken when it is offered;
        else a cycle after the reset.
    """

    geometry: Geometry
    records: tuple[Record, ...]
    latencies: Latencies
    contexts: int
    batch: int
    segment: int
    elements: int
    planes: int
    levels: int
    outputs: int
    last_input_layer: int
    first_output_layer: int
    single_port: bool = False
    loads_weights: bool = False

    @cached_property
    def whole(self) -> bool:
        """Whether all layers read whole words."""
        return aligned(self.records, self.geometry.lanes)

    @cached_property
    def packing(self) -> int:
        """Cycles from the address of a word to the packed one."""
        return 1 if self.whole and not any(record.feed.padded for record in self.records) else 2

    @cached_property
    def positions(self) -> list[list[list[int]]]:
        """Cycles in which each layer's positions are read, group by group."""
        lanes = self.geometry.lanes
        return [
            position_cycles(record.feed, lanes, whole=self.whole).tolist()
            for record in self.records
        ]

    @cached_property
    def banks(self) -> list[list[int]]:
        """Cycles in which each bank of a job of each layer is read; none of a max pool."""
        rows, lanes = self.geometry.rows, self.geometry.lanes
        return [
            bank_cycles(record, position_cycles(record.feed, lanes, whole=self.whole), rows)
            if record.on_array
            else []
            for record in self.records
        ]


def emissions(config: TimelineConfig, images: int | None = None) -> Iterator[int]:
    """Yield, batch by batch, the cycle in which the last level of it is taken.

    Cycle 0 is the one in which the first element is offered. Images are as many as there are, or a
    stream without end.
    """
    return _Timeline(config, images).run()


class _Timeline:
    """The parts, and the events still to come, in the order of their cycles."""

    def __init__(self, config: TimelineConfig, images: int | None):
        self.config = config
        self._events: list[tuple[int, int, int, Callable[[int], None]]] = []
        self._count = 0
        self.emitted: list[int] = []
        # which cycles the activation memory's first two writers take; with a single port also the
        # third, the loader, for which nobody else waits
        self.writes = bytearray()
        self.scoreboard = _Scoreboard(self)
        self.sequencer = _Sequencer(self)
        self.feeder = _Feeder(self)
        self.pool = _Pool(self)
        self.emitter = _Emitter(self)
        self.loader = _Loader(self, images)

    def at(self, cycle: int, event: Callable[[int], None], *, late: int = 0) -> None:
        """Let an event happen in a cycle; a ``late`` one behind those that are less late."""
        self._count += 1
        heappush(self._events, (cycle, late, self._count, event))

    def run(self) -> Iterator[int]:
        """Yield when each batch has been emitted."""
        done = 0
        while self._events:
            cycle, _, _, event = heappop(self._events)
            event(cycle)
            while done < len(self.emitted):
                yield self.emitted[done]
                done += 1

    def write(self, cycle: int, pattern: bytes) -> None:
        """Write, from this cycle on, in cycles of a pattern."""
        end = cycle + len(pattern)
        if len(self.writes) < end:
            self.writes.extend(bytes(end))
        self.writes[cycle:end] = pattern

    def granted(self, cycle: int) -> int:
        """Return the first cycle, from this one on, in which nobody writes."""
        free = self.writes.find(0, cycle)
        return free if free >= 0 else max(cycle, len(self.writes))


class _Loader:
    """Elements fill words, which are written where neither the array nor a max pool writes."""

    def __init__(self, timeline: _Timeline, images: int | None):
        self.timeline, self.images = timeline, images
        self.lanes, self.planes = timeline.config.geometry.lanes, timeline.config.planes
        self.words = -(-timeline.config.elements // self.lanes)
        self.context = 0
        self.waits = False  # for the area of a context
        self._begin(0 if timeline.config.loads_weights else 1)

    def _begin(self, cycle: int) -> None:
        """Take the first element of a batch in this cycle, if there is one."""
        count = self.timeline.config.batch
        if self.images is not None:
            count = min(count, self.images)
            self.images -= count
        if count:
            self.count, self.left = count, count * self.words  # words of the batch
            self.pending, self.missing = cycle + self.lanes, self.planes  # of this one
            self._expect()

    def _expect(self) -> None:
        """Look again when the batch can be complete."""
        others = self.left - 1
        soonest = others * (self.lanes + self.planes - 1) + others // self.words
        self.timeline.at(self.pending + soonest + self.missing - 1, self._load, late=2)

    def _load(self, now: int) -> None:
        """Write the words up to this cycle, and look whether the batch is complete."""
        self.write(now)
        if self.left:
            self._expect()
        else:
            self._complete(now)

    def write(self, now: int) -> None:
        """Write the words up to this cycle."""
        cycle = self.pending
        while self.left and (cycle := self.timeline.granted(self.pending)) <= now:
            if self.timeline.config.single_port:
                self.timeline.write(cycle, b"\1")
            self.missing -= 1
            self.pending = cycle + 1
            if self.missing:
                continue
            self.left -= 1
            self.missing = self.planes
            self.pending = cycle + self.lanes + (self.left % self.words == 0)
        if self.left:
            self.pending = cycle

    def _complete(self, cycle: int) -> None:
        loaded, filled = self.timeline.scoreboard.loaded, self.context
        self.context = (filled + 1) % len(loaded)
        self.timeline.scoreboard.load(cycle + 1, filled, self.count)
        if self.context == filled or loaded[self.context]:
            self.waits = True
        else:
            self._begin(cycle + 1)

    def freed(self, cycle: int, context: int) -> None:
        """Go on, a cycle after the area that was waited for is free."""
        if self.waits and context == self.context:
            self.waits = False
            self._begin(cycle + 1)


class _Scoreboard:
    """Contexts, and which job is next."""

    def __init__(self, timeline: _Timeline):
        self.timeline = timeline
        contexts = timeline.config.contexts
        self.loaded, self.busy, self.full = ([False] * contexts for _ in range(3))
        self.layer, self.waiting, self.running, self.done = ([0] * contexts for _ in range(4))
        self.latest = 0

    def load(self, cycle: int, context: int, count: int) -> None:
        """Let a batch be in an input area from this cycle on."""

        def change(now: int) -> None:
            self.loaded[context], self.waiting[context] = True, count
            self.timeline.at(now, self.offer, late=1)

        self.timeline.at(cycle, change)

    def fetched(self, cycle: int, context: int, layer: int) -> None:
        """Free the input area that a layer has read, if it is the last one to, in this cycle."""

        def change(now: int) -> None:
            self.loaded[context] = False
            self.timeline.loader.freed(now, context)

        if layer == self.timeline.config.last_input_layer:
            self.timeline.at(cycle, change)

    def written(self, cycle: int, context: int) -> None:
        """Go on with a context, whose job is written, in this cycle."""

        def change(now: int) -> None:
            self.busy[context] = False
            self.layer[context] += 1
            if self.layer[context] == len(self.timeline.config.records):
                self.layer[context], self.full[context] = 0, True
                self.done[context] = self.running[context]
                self.timeline.emitter.look(now)
            self.timeline.at(now, self.offer, late=1)

        self.timeline.at(cycle, change)

    def emptied(self, cycle: int, context: int) -> None:
        """Free an output area in this cycle."""

        def change(now: int) -> None:
            self.full[context] = False
            self.timeline.emitter.look(now)
            self.timeline.at(now, self.offer, late=1)

        self.timeline.at(cycle, change)

    def _ready(self, context: int) -> bool:
        layer = self.layer[context]
        output = layer == self.timeline.config.first_output_layer
        return (
            not self.busy[context]
            and (layer != 0 or self.loaded[context])
            and not (output and self.full[context])
        )

    def offer(self, now: int) -> None:
        """Offer in the next cycle what is ready now, if the feeder takes it then."""
        if self.timeline.feeder.idle > now + 1:
            return
        context = 0
        if len(self.busy) == 2:
            context = int(not self._ready(0)) if self.latest else int(self._ready(1))
        if self._ready(context):
            self.busy[context], self.latest = True, context
            if self.layer[context] == 0:
                self.running[context] = self.waiting[context]
            self.timeline.feeder.take(now + 1, context, self.layer[context])


class _Feeder:
    """Jobs one after the other: banks of patches, or windows."""

    def __init__(self, timeline: _Timeline):
        self.timeline = timeline
        self.idle = 0  # the cycle from which on it takes a job
        self.free = [0, 0]  # the cycles from which on banks may be filled
        self.filling = 0
        self.held: Reads[None] | None = None  # a job, by the last window of another

    def take(self, cycle: int, context: int, layer: int) -> None:
        """Take a job in this cycle, and no other one before it is read."""
        self.idle = FOREVER
        on_array = self.timeline.config.records[layer].on_array
        job = self._banks if on_array else self.timeline.pool.windows
        self._follow(job(cycle + 2, context, layer))

    def resume(self) -> None:
        """Go on with a job that was held."""
        held, self.held = self.held, None
        if held:
            self._follow(held)

    def _follow(self, job: Reads[None], last: int | None = None) -> None:
        """Read what a job asks for: at once, or with a single port as the cycles pass."""
        try:
            while request := next(job) if last is None else job.send(last):
                first, words = request
                if self.timeline.config.single_port:
                    return self._expect(first, words, job)
                last = first + words - 1
            self.held = job
        except StopIteration:
            pass

    def _expect(self, first: int, words: int, job: Reads[None]) -> None:
        """Look when words can be read whose first one may be in this cycle."""
        self.timeline.at(first + words - 1, lambda now: self._look(now, first, job), late=3)

    def _look(self, now: int, first: int, job: Reads[None]) -> None:
        """Read in cycles in which nobody writes, and as many more as somebody did."""
        self.timeline.loader.write(now)
        missing = self.timeline.writes.count(1, first, now + 1)
        if missing:
            self._expect(now + 1, missing, job)
        else:
            self._follow(job, now)

    def _banks(self, cycle: int, context: int, layer: int) -> Reads[None]:
        """Fill the banks of a job; what becomes of one depends on nothing later."""
        sequencer = self.timeline.sequencer
        ready = last = cycle
        for index, words in enumerate(self.timeline.config.banks[layer]):
            last = yield max(ready, self.free[self.filling]) + 1, words
            ready = last + 3
            self.free[self.filling] = sequencer.compute(ready, layer, index) + 1
            self.filling = 1 - self.filling
        self.timeline.scoreboard.written(sequencer.written, context)
        self.end(last, context, layer)

    def end(self, last: int, context: int, layer: int) -> None:
        """End a job whose last word is read in this cycle."""
        self.idle = last + 3
        self.timeline.scoreboard.fetched(last + 3, context, layer)
        self.timeline.at(last + 2, self.timeline.scoreboard.offer, late=1)


class _Sequencer:
    """Banks one after the other, tile by tile, and where the drain and the writer are then."""

    def __init__(self, timeline: _Timeline):
        self.timeline = timeline
        self.released = self.tile_end = -(1 << 20)  # the last steps of a bank, and of a tile
        self.queue = 0  # the cycle from which on the drain's queue takes a job
        self.drained = 0  # the last sum
        self.patterns: dict[tuple[int, int], bytes] = {}

    @property
    def written(self) -> int:
        """The cycle from which on the context of the last job may go on."""
        config = self.timeline.config
        return self.drained + config.latencies.levels + config.geometry.chains + 2

    def compute(self, full: int, layer: int, index: int) -> int:
        """Compute from a bank that is full from this cycle on; return when its last step is."""
        config, record = self.timeline.config, self.timeline.config.records[layer]
        start = max(full, self.released) + 1
        if index == 0:
            start = max(start, self.queue)
            self.queue = max(start + 2, self.drained + 1)
        tiles, latencies = record.tiles, config.latencies
        delay = 1 + latencies.array + latencies.levels + config.segment
        end = start
        pairs = list(zip(tiles.lengths, self._patterns(layer, index), strict=True))
        for steps, pattern in pairs * tiles.shifts:
            least = max(steps + latencies.gap, latencies.interval)
            end = self.tile_end = max(end + steps, self.tile_end + least)
            self.timeline.write(end + delay, pattern)
        self.released = end
        self.drained = end + latencies.array + config.geometry.drain_cycles
        return end

    def _patterns(self, layer: int, index: int) -> list[bytes]:
        """Return for each tile of a bank in which cycles its segments are written.

        They count from the one behind the tile's first complete segment.
        """
        config, place = self.timeline.config, self.timeline.config.records[layer].place
        tiles = config.records[layer].tiles.tiles
        if not place.stored:
            return [b""] * tiles
        group, chunk = index // (place.images * place.chunks), index % place.chunks
        rows = min(config.geometry.rows, place.positions - chunk * config.geometry.rows)
        channels = min(place.group_channels, place.channels - group * place.group_channels)
        columns = config.geometry.columns
        return [
            self._pattern(min(columns, channels - tile * columns), rows) for tile in range(tiles)
        ]

    def _pattern(self, used: int, rows: int) -> bytes:
        if (used, rows) not in self.patterns:
            config, geometry = self.timeline.config, self.timeline.config.geometry
            pattern = bytearray(geometry.drain_cycles - config.segment + geometry.chains)
            for first in range(0, rows, geometry.chains):
                count = min(geometry.chains, rows - first)
                for column in range(0, used, config.segment):
                    at = first // geometry.chains * geometry.columns + column
                    pattern[at : at + count] = b"\1" * count
            self.patterns[used, rows] = bytes(pattern)
        return self.patterns[used, rows]


class _Pool:
    """Windows of max pools: a cycle a tap; one ends where those before it are written."""

    def __init__(self, timeline: _Timeline):
        self.timeline = timeline
        self.free = 0  # the cycle from which on a window may end
        self.writing = False

    def windows(self, cycle: int, context: int, layer: int) -> Reads[None]:
        """Read the windows of a job, its first tap in the next cycle.

        While they are read no other job is taken, so that all writes of the array are known; those
        of the last window happen when it is time for them.
        """
        packing = self.timeline.config.packing
        *windows, (taps, left) = self._windows(layer)
        for count, segments in windows:
            cycle = yield from self._window(cycle, count)
            self.free = cycle + packing + 1
            for _ in range(segments):
                written = self.timeline.granted(self.free)
                self.timeline.write(written, b"\1")
                self.free = written + 1
        last = yield from self._window(cycle, taps)
        self.writing = True
        self.timeline.at(last + packing + 1, lambda now: self._finish(now, context, left))
        self.timeline.feeder.end(last, context, layer)

    def _window(self, cycle: int, taps: int) -> Reads[int]:
        """Read a window from the next cycle on; return when its last tap is read."""
        last = yield cycle + 1, taps
        if self.writing:
            yield None
        if last < self.free:
            last = yield self.free, 1
        return last

    def _windows(self, layer: int) -> list[tuple[int, int]]:
        """Return the taps and the segments of each window of a job."""
        config, record = self.timeline.config, self.timeline.config.records[layer]
        windows = []
        for group, positions in enumerate(config.positions[layer]):
            last = group == record.place.groups - 1
            length = record.feed.last_length if last else record.feed.length
            segments = -(-length // config.segment)
            windows += [(taps, segments) for taps in positions] * record.place.images
        return windows

    def _finish(self, now: int, context: int, left: int) -> None:
        """Write a segment of the last window in this cycle, or the next one."""
        if self.timeline.granted(now) > now:
            self.timeline.at(now + 1, lambda then: self._finish(then, context, left))
            return
        self.timeline.write(now, b"\1")
        if left > 1:
            self.timeline.at(now + 1, lambda then: self._finish(then, context, left - 1))
            return
        self.free, self.writing = now + 1, False
        self.timeline.scoreboard.written(now + 2, context)
        self.timeline.feeder.resume()


class _Emitter:
    """Batches, of either context in turn."""

    def __init__(self, timeline: _Timeline):
        self.timeline = timeline
        self.context = 0
        self.idle = 0  # the cycle from which on it looks for a batch

    def look(self, now: int) -> None:
        """Emit the batch of the context whose turn it is, if it is there."""
        config, scoreboard = self.timeline.config, self.timeline.scoreboard
        if self.idle > now or not scoreboard.full[self.context]:
            return
        end = now + 1 + scoreboard.done[self.context] * (2 * config.levels + config.outputs)
        self.idle = end + 1
        self.timeline.emitted.append(end)
        scoreboard.emptied(end + 1, self.context)
        self.context = (self.context + 1) % config.contexts
