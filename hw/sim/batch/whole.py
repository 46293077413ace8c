"""Compares hardware with the reference over whole test sets, a pass at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...accelerator.top import Accelerator
from ..compare import (
    Comparison,
    Expected,
    describe,
    first_of,
    result_differences,
    wrong_images,
)
from ..run import Run, Stimulus
from .engine import BatchEngine, Session
from .simulate import Pass

__all__ = ["SUMS", "Whole", "simulate_whole"]

SUMS = 1 << 22
"""Sums that the reference keeps at a time."""
_STAGES = ("sum", "overflow", "level")


@dataclass(frozen=True, eq=False)
class Whole:
    """Results of the reference for all images.

    Attributes
    ----------
    levels : int64 array of shape (images, outputs)
    labels : int64 array of shape (images,), or (images, outputs of the network)
    overflows : tuple of int
        Sums of each layer of which at least one step overflowed.
    """

    levels: np.ndarray
    labels: np.ndarray
    overflows: tuple[int, ...]


@dataclass(eq=False)
class _Found:
    """The first images that differ in a stage of a layer, as far as they are computed together."""

    group: int
    places: list[tuple[int, int, int, int]] = field(default_factory=list)


def simulate_whole(
    engine: BatchEngine, stimulus: Stimulus, evaluate: Callable[[np.ndarray], Expected]
) -> tuple[Run, Comparison, Whole]:
    """Run images through hardware and reference; compare each traced sum, flag and level.

    Parameters
    ----------
    engine : BatchEngine
    stimulus : Stimulus
    evaluate : callable
        Returns what the reference says of some images, with all layers.
    """
    session = Session(engine, stimulus, whole=True)
    comparer = _Comparer(engine.accelerator, session)
    passes = []
    for each in session.passes():
        comparer.add(each, stimulus.images, evaluate)
        passes.append(each.without_trace())
    passes.sort(key=lambda each: each.share.start)
    run = session.result(passes)
    whole = Whole(comparer.levels, comparer.labels, tuple(comparer.overflows.tolist()))
    return run, comparer.comparison(run), whole


class _Comparer:
    """Compares passes as they come."""

    def __init__(self, accelerator: Accelerator, session: Session):
        self.session, self.program = session, accelerator.program
        self.observed = accelerator.observes_overflow
        images, network = session.images, accelerator.program.network
        self.levels = np.zeros((images, network.outputs), np.int64)
        self.labels = np.zeros(network.label_shape(images), np.int64)
        self.overflows = np.zeros(len(network.layers), np.int64)
        self.wrong = np.zeros(images, bool)
        self.found: dict[tuple[int, str], _Found] = {}

    def add(self, each: Pass, images: np.ndarray, evaluate) -> None:
        """Compare a pass: the images at each place of its lanes, some at a time."""
        share, step = each.share, max(1, SUMS // self.program.sums)
        traced = self.session.traced
        for place in range(share.length):
            first = share.start + place * share.lanes
            stop = min(first + share.lanes, share.stop)
            order = self._order(each, place) if first < traced else []
            for start in range(first, stop, step):
                part = range(start, min(start + step, stop))
                expected = evaluate(images[part.start : part.stop])
                self.levels[part.start : part.stop] = np.asarray(expected.levels)
                self.labels[part.start : part.stop] = np.asarray(expected.labels)
                self._count(expected)
                if start < traced:
                    self._compare(each, order, part, start - first, expected)

    def _count(self, expected: Expected) -> None:
        for index, layer in enumerate(expected.layers):
            if layer.overflowed is not None:
                self.overflows[index] += int(np.asarray(layer.overflowed).sum())

    def _order(self, each: Pass, place: int) -> list[np.ndarray]:
        """Return, for each layer, the sums of a place in the order of the layer's elements."""
        here = np.flatnonzero(each.events["image"] == place)
        events = each.events[here]
        order = []
        for index, record in enumerate(self.program.records):
            mine = np.flatnonzero(events["layer"] == index)
            elements = events["element"][mine]
            size = self.program.network.sizes[record.mapped.layer.name].elements
            wanted = np.arange(size if record.on_array else 0)
            arranged = mine[np.argsort(elements, kind="stable")]
            if not np.array_equal(np.sort(elements), wanted):
                raise self.session.incomplete(index)
            order.append(here[arranged])
        return order

    def _compare(self, each: Pass, order, part: range, lane: int, expected: Expected) -> None:
        count = min(len(part), self.session.traced - part.start)
        lanes = slice(lane, lane + count)
        for index, (events, wanted) in enumerate(zip(order, expected.layers, strict=True)):
            if wanted.accumulators is None:
                continue
            references = wanted.accumulators, wanted.overflowed, wanted.levels
            for stage, reference in zip(_STAGES, references, strict=True):
                if stage == "overflow" and not self.observed:
                    continue
                ours = each.stage(stage, events)[:, lanes].T
                theirs = np.asarray(reference)[:count].reshape(count, -1)
                different = ours != theirs
                if different.any():
                    self._note(index, stage, part.start, different, ours, theirs)

    def _note(self, index: int, stage: str, start: int, different, ours, theirs) -> None:
        """Keep what differs of the first images that are computed together."""
        rows = np.flatnonzero(different.any(axis=1))
        self.wrong[start + rows] = True
        batch = self.program.batch
        group = int(start + rows[0]) // batch
        found = self.found.setdefault((index, stage), _Found(group))
        if group < found.group:
            found.group, found.places = group, []
        elif group > found.group:
            return
        for row in rows[(start + rows) // batch == group]:
            for element in np.flatnonzero(different[row]):
                pair = int(ours[row, element]), int(theirs[row, element])
                found.places.append((int(start + row), int(element), *pair))

    def comparison(self, run: Run) -> Comparison:
        """Return what was found; the first difference is the first one of the single stream."""
        program, geometry = self.program, self.program.geometry
        network = program.network
        self.wrong |= wrong_images(run, self.levels, self.labels)
        differences = []
        for group in sorted({found.group for found in self.found.values()}):
            moments = self.session.moments(group)
            for (index, stage), found in sorted(self.found.items(), key=_by_stage):
                if found.group != group:
                    continue
                timed = [(moments[index, *each[:2]], each) for each in found.places]
                (_, cycle), (image, element, *pair) = min(timed)
                where = image, element
                differences.append(
                    describe(network, geometry, stage, index, where, cycle, (pair[0], pair[1]))
                )
        found = [
            *differences,
            *result_differences(run, self.levels, self.labels, network, geometry),
        ]
        wrong = int(self.wrong.sum())
        return Comparison(len(self.wrong), wrong, self.session.traced, first_of(found))


def _by_stage(item) -> tuple[int, int]:
    (index, stage), _ = item
    return index, _STAGES.index(stage)
