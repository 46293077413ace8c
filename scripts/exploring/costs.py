"""Costs of a layer on an array: the cycles and the words of weights that its choices add.

A layer of one width is taken from the program in which all have this one. Of a layer that is cut
into groups words are added up, and so are steps; the cycles of so many steps follow from those of
widths that the whole layer may have, as far as that is certain, and else from the cycle model.
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf, isclose

import numpy as np

from ...hw.program.cycles import CycleModel
from ...hw.program.layout import Program
from ...hw.program.records import Record, runs_of
from .groups import Groups

__all__ = ["Convex", "LayerCosts", "words_of"]


class Convex:
    """Cycles as a convex function of steps that never falls, known at some points.

    All times of one context are the largest of some sums of earlier ones, of which the steps are a
    part; so three points in a line have no other one between them, and two at one height neither.
    """

    def __init__(self, points: dict[int, float], *, exact: bool):
        self._points, self._exact = dict(points), exact

    def at(self, steps: int, measure: Callable[[], float]) -> float:
        """Return the cycles at so many steps; where no line is certain, those that are measured.

        Without ``exact`` every line is, between the points that are known.
        """
        points = sorted(self._points.items())
        if steps in self._points:
            return self._points[steps]
        index = bisect(points, (steps,))
        if 0 < index < len(points) and self._is_line(points, index):
            (start, low), (end, high) = points[index - 1 : index + 1]
            return low + (high - low) * (steps - start) / (end - start)
        self._points[steps] = found = measure()
        return found

    def _is_line(self, points: Sequence[tuple[int, float]], index: int) -> bool:
        """Tell whether all between a point and the one before it is on their line."""
        slopes = {
            at: _slope(points[at - 1], points[at])
            for at in (index - 1, index, index + 1)
            if 0 < at < len(points)
        }
        own = slopes.pop(index)
        near = any(isclose(own, each, rel_tol=1e-9) for each in slopes.values())
        return not self._exact or own == 0 or near


def _slope(one: tuple[int, float], other: tuple[int, float]) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


def words_of(program: Program, index: int) -> int:
    """Return the words of weights of a layer."""
    starts = [record.tiles.weight_base for record in program.records] + [program.weight_words]
    return starts[index + 1] - starts[index]


@dataclass(frozen=True, eq=False)
class LayerCosts:
    """What a layer adds on an array, choice by choice.

    Parameters
    ----------
    programs : sequence of Program
        Of the network at each width that the array takes, the narrowest first.
    index : int
        The layer's place in them.
    count : callable
        Gives the cycles that count.
    """

    programs: Sequence[Program]
    index: int
    count: Callable[[CycleModel], float]

    @property
    def base(self) -> Program:
        """The program of the narrowest weights."""
        return self.programs[0]

    def of_widths(self) -> tuple[list[float], list[int]]:
        """Return the cycles beyond those of the narrowest, and the words, of each width."""
        known = {self.base.records[self.index].tiles.planes: 0.0}
        for program in self.programs:
            record = program.records[self.index]
            if record.tiles.planes not in known:
                known[record.tiles.planes] = self._beyond(record)
        cycles = [known[each.records[self.index].tiles.planes] for each in self.programs]
        return cycles, [words_of(each, self.index) for each in self.programs]

    def of(self, groups: Groups, at: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the cycles and the words of each choice; infinite where it cannot be.

        Parameters
        ----------
        groups : Groups
        at : sequence of int
            The index in ``groups.widths`` of the width of each program.
        """
        cycles, words = (np.full(len(groups.widths), inf) for _ in range(2))
        cycles[at], words[at] = self.of_widths()
        if len(groups.choices) == len(cycles):
            return cycles, words
        tiles = np.array([ceil(size / self.base.geometry.columns) for size in groups.sizes])
        share = np.outer(tiles, words / tiles.sum())
        more = self._of_mixed(groups, tiles, cycles)
        return np.concatenate([cycles, more]), groups.picked(share).sum(axis=1)

    def _of_mixed(self, groups: Groups, tiles: np.ndarray, cycles: np.ndarray) -> np.ndarray:
        """Return the cycles of the choices behind those of one width."""
        mixed = groups.choices[len(groups.widths) :]
        records = [program.records[self.index] for program in self.programs]
        used = np.unique(mixed).tolist()
        first = records[used[0]]
        if any(_way(records[index]) != _way(first) for index in used):  # theirs is not known
            return np.full(len(mixed), inf)
        interval = self.base.cycles.config.latencies.interval
        passes = np.array([record.tiles.planes for record in records])
        steps = passes * first.tiles.steps
        known = {
            int(tiles.sum() * steps[index]): float(cycles[index])
            for index in used
            if steps[index] >= interval
        }
        line = Convex(known, exact=self.base.contexts == 1)
        found = []
        for choice in mixed:
            if steps[choice[0]] <= interval:  # all tiles take as long: the first one decides
                found.append(cycles[choice[0]])
                continue
            total = int((np.maximum(steps, interval)[choice] * tiles).sum())
            found.append(line.at(total, partial(self._of_tiles, first, passes[choice], tiles)))
        return np.array(found)

    def _of_tiles(self, record: Record, passes: np.ndarray, tiles: np.ndarray) -> float:
        """Return the cycles beyond those of the narrowest, where tiles have so many passes."""
        runs = runs_of(np.repeat(passes, tiles).tolist())
        return self._beyond(replace(record, tiles=replace(record.tiles, runs=runs)))

    def _beyond(self, record: Record) -> float:
        """Return the cycles beyond those of the narrowest, where the layer is this one."""
        model, before = self.base.cycles, self.base.records
        records = (*before[: self.index], record, *before[self.index + 1 :])
        changed = CycleModel(replace(model.config, records=records))
        return self.count(changed) - self.count(model)


def _way(record: Record) -> tuple[object, ...]:
    """Return what a layer has to have in common with itself at another width."""
    tiles = record.tiles
    return record.mapped.patch, tiles.steps, tiles.tiles, tiles.shifts
