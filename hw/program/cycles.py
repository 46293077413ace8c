"""Cycle model: the cycles that an accelerator takes, predicted before it is built."""

from dataclasses import dataclass
from math import gcd

from ..geometry import Geometry
from .records import Record

__all__ = ["CycleModel"]


@dataclass(frozen=True)
class CycleModel:
    """Cycles of the parts of an accelerator, at least.

    Parameters
    ----------
    geometry : Geometry
        Of the array.
    records : tuple of Record
        The layers.
    batch : int
        Images of a context.
    loading, emitting : float
        Cycles that an image takes to stream in, and its result to stream out.
    """

    geometry: Geometry
    records: tuple[Record, ...]
    batch: int
    loading: int
    emitting: float

    def fetch(self, record: Record) -> int:
        """Return the cycles that fetching a layer's input takes a context."""
        feed, lanes = record.feed, self.geometry.lanes
        unit = gcd(lanes, *feed.steps)
        # words that a run touches, on average over the places where it can begin
        touched = (feed.length + lanes - unit) / lanes
        positions = feed.groups * self.batch * feed.width * feed.height
        runs = feed.planes * feed.outer * feed.inner
        overhead = 3 * record.banks if record.on_array else 3
        return int(positions * max(runs * touched, record.tiles.bank_words)) + overhead

    def compute(self, record: Record) -> int:
        """Return the cycles that a layer keeps the array busy a context."""
        if not record.on_array:
            return 0
        interval = self.geometry.drain_cycles + self.geometry.skew
        tiles = record.tiles.shifts * record.tiles.tiles
        return record.banks * (1 + tiles * max(record.tiles.words, interval))

    @property
    def per_image(self) -> float:
        """Cycles that an image takes in steady state.

        The slowest of loading, fetching, computing and emitting a batch, which two contexts let
        overlap; a tile takes its steps, or as long as the drain of the tile before it. Jobs that
        wait for each other add a few per cent in small layers, and a single context adds more.
        """
        fetching = sum(map(self.fetch, self.records)) / self.batch
        computing = sum(map(self.compute, self.records)) / self.batch
        return max(self.loading, fetching, computing, self.emitting)

    @property
    def longest_job(self) -> int:
        """Cycles that the longest layer takes a context, as a bound for standing still."""
        return max(2 * self.fetch(each) + self.compute(each) for each in self.records)
