"""Cycle model: the cycles that an accelerator takes, predicted before it is built."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np

from ..geometry import Geometry
from ..numbers.arithmetic import Accumulator
from ..numbers.float_sum import FloatSum
from .fetching import bank_cycles, position_cycles
from .records import Record
from .timeline import Latencies, TimelineConfig, emissions

__all__ = ["CycleModel", "compute_cycles", "fetch_cycles", "usual_latencies"]

EQUAL, ROUNDS = 3, 24
"""Batches of each context in a row that take equally long where a stream is steady; how many of
them are looked at, at most."""


def fetch_cycles(record: Record, geometry: Geometry, *, whole: bool, batch: int) -> int:
    """Return the cycles that fetching a layer's input takes a context, without waiting.

    Parameters
    ----------
    record : Record
    geometry : Geometry
    whole : bool
        All layers read whole words (`aligned`).
    batch : int
        Images of a context.
    """
    cycles = position_cycles(record.feed, geometry.lanes, whole=whole)
    if not record.on_array:
        return 3 + batch * int(cycles.sum())
    banks = bank_cycles(record, cycles, geometry.rows)
    return sum(banks) + 3 * len(banks)


def compute_cycles(record: Record, interval: int, gap: int = 0) -> int:
    """Return the cycles that a layer keeps the array busy a context, without waiting.

    ``interval`` is the least number of cycles between two last steps, ``gap`` that from a last step
    to the first one of the next tile.
    """
    if not record.on_array:
        return 0
    tiles = sum(max(steps + gap, interval) for steps in record.tiles.lengths)
    return record.banks * (1 + record.tiles.shifts * tiles)


def usual_latencies(
    geometry: Geometry, accumulator: Accumulator | FloatSum, multiplier: int
) -> Latencies:
    """Return about the latencies that an accelerator has.

    Those of floats follow from the adder, which has a stage for each of the partial sums: so have
    products, and each level of a tree.

    Parameters
    ----------
    geometry : Geometry
    accumulator : Accumulator or FloatSum
    multiplier : int
        The largest one of all layers.
    """
    array = 3 + (geometry.lanes - 1).bit_length() + geometry.skew
    interval = geometry.drain_cycles + geometry.skew
    if isinstance(accumulator, Accumulator):
        return Latencies(array, interval, 2 + multiplier.bit_length().bit_length())
    turns = accumulator.partial_sums
    gap = turns * (turns - 1).bit_length()
    tree = (turns - 1) * (geometry.lanes - 1).bit_length()
    return Latencies(array + tree + gap + 2 * (turns - 1), interval, 2 * turns + 3, gap)


@dataclass(frozen=True)
class CycleModel:
    """Cycles of an accelerator whose streams never pause.

    Only `Latencies` and the ports of the activation memory depend on gates. With those of an
    accelerator (`Accelerator.cycles`) `run` is exact. Of a program alone latencies are usual ones,
    which a job waits for once, and memories have two ports.

    Parameters
    ----------
    config : TimelineConfig
        What the cycles follow from.
    """

    config: TimelineConfig

    def fetch(self, record: Record) -> int:
        """Return the cycles that fetching a layer's input takes a context."""
        config = self.config
        return fetch_cycles(record, config.geometry, whole=config.whole, batch=config.batch)

    def compute(self, record: Record) -> int:
        """Return the cycles that a layer keeps the array busy a context."""
        latencies = self.config.latencies
        return compute_cycles(record, latencies.interval, latencies.gap)

    @property
    def loading(self) -> int:
        """Cycles that an image takes to stream in."""
        lanes = self.config.geometry.lanes
        return -(-self.config.elements // lanes) * (lanes + self.config.planes - 1) + 1

    @property
    def emitting(self) -> float:
        """Cycles that the levels of an image take to stream out."""
        return 2 * self.config.levels + self.config.outputs + 2 / self.config.batch

    @cached_property
    def least(self) -> float:
        """Cycles that an image takes at least: those of the part that is busy longest."""
        fetching = sum(map(self.fetch, self.config.records)) / self.config.batch
        computing = sum(map(self.compute, self.config.records)) / self.config.batch
        return max(self.loading, fetching, computing, self.emitting)

    def run(self, images: int) -> int:
        """Return the cycles from the first element offered to the last level taken.

        Where weights are loaded the element is offered in the cycle after the last of them.
        """
        *_, last = emissions(self.config, images)
        return last + 1

    @cached_property
    def per_image(self) -> float:
        """Cycles that an image takes in steady state.

        Every job waits for its input, for the feeder, for a bank and for the array, so it is more
        than `least`; the cycles of a long stream are counted until they repeat.
        """
        ends: list[int] = []
        for end in islice(
            emissions(self.config), None, ROUNDS * self.config.contexts, self.config.contexts
        ):
            ends.append(end)
            if len(ends) > EQUAL and len(set(np.diff(ends[-EQUAL - 1 :]).tolist())) == 1:
                ends = ends[-2:]
                break
        rounds = len(ends) // 2
        return (ends[-1] - ends[-1 - rounds]) / (rounds * self.config.contexts * self.config.batch)

    @property
    def longest_job(self) -> int:
        """Cycles that the longest layer takes a context, as a bound for standing still."""
        return max(2 * self.fetch(each) + self.compute(each) for each in self.config.records)

    @property
    def all_jobs(self) -> int:
        """Cycles that all layers take a context, one after the other, as a bound for its images."""
        return sum(2 * self.fetch(each) + self.compute(each) for each in self.config.records)

    def built(
        self, latencies: Latencies, *, single_port: bool, loads_weights: bool
    ) -> "CycleModel":
        """Return the same model with what gates decide (`TimelineConfig`)."""
        config = replace(
            self.config,
            latencies=latencies,
            single_port=single_port,
            loads_weights=loads_weights,
        )
        return replace(self, config=config)
