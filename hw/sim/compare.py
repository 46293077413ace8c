"""Hardware against reference, by equality, and the place of the first difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..geometry import Geometry
from ..network.ends import End
from ..network.layers import Conv2d, Layer
from ..network.network import Network
from .run import Run

__all__ = [
    "Comparison",
    "Difference",
    "Expected",
    "ExpectedLayer",
    "compare",
    "describe",
    "first_of",
    "result_differences",
    "with_overflows",
    "wrong_images",
]


class ExpectedLayer(Protocol):
    """Reference results of one layer; integer arrays of shape (images, elements).

    A max pool has no sums: accumulators and overflows are None.
    """

    @property
    def accumulators(self) -> Any:
        """The register after the last step."""
        ...

    @property
    def overflowed(self) -> Any:
        """Whether any step left the register's range."""
        ...

    @property
    def levels(self) -> Any:
        """The output levels."""
        ...


class Expected(Protocol):
    """Reference results of a network."""

    @property
    def levels(self) -> Any:
        """Output levels, of shape (images, outputs)."""
        ...

    @property
    def labels(self) -> Any:
        """Classes, of shape (images,), or (images, outputs of the network)."""
        ...

    @property
    def layers(self) -> Sequence[ExpectedLayer]:
        """The layers, where they were traced."""
        ...


@dataclass(frozen=True)
class Difference:
    """The first place, in the order of time, where hardware and reference differ.

    Attributes
    ----------
    stage : str
        ``sum`` (array or weight memory), ``overflow`` (its flag), ``level`` (requantiser or
        parameter memory), ``result`` (on the way out) or ``overflows`` (how many sums of a layer
        had one, over all images: image and element are 0).
    layer, image, element, cycle
        Where and when; the element counts in the layer's output, channels last; the cycle is None
        where the trace does not reach.
    hardware, reference : int
        What the two say.
    codes : tuple of int or None
        Their codes, where the stage has levels.
    place : str
        The element in words: row, column and channel, and, but of a convolution in groups, the
        processing element that summed it.
    """

    stage: str
    layer: str
    image: int
    element: int
    cycle: int | None
    hardware: int
    reference: int
    codes: tuple[int, int] | None
    place: str

    def __str__(self) -> str:
        what = f"{self.hardware} in hardware, {self.reference} in the reference"
        if self.codes:
            what += f" (codes {self.codes[0]:#x} and {self.codes[1]:#x})"
        when = "" if self.cycle is None else f", cycle {self.cycle}"
        where = self.place if self.stage == "overflows" else f"image {self.image}, {self.place}"
        return f"first difference: {self.stage} of layer {self.layer}, {where}{when}: {what}"


@dataclass(frozen=True)
class Comparison:
    """Images, how many of them differ anywhere, how many were traced, and the first difference."""

    images: int
    mismatches: int
    traced: int
    first: Difference | None

    def __bool__(self) -> bool:
        """Tell whether everything compared is equal."""
        return self.first is None


def compare(run: Run, expected: Expected, network: Network, geometry: Geometry) -> Comparison:
    """Compare levels and labels of all images, and every traced partial sum and level, by equality.

    Parameters
    ----------
    run : Run
        What the accelerator gave.
    expected : object with levels, labels and layers
        What the reference gives for the same images; with a trace, at least of the traced ones.
    network, geometry
        Name the places.
    """
    levels, labels = np.asarray(expected.levels), np.asarray(expected.labels)
    wrong = wrong_images(run, levels, labels)
    traced = len(np.unique(run.events["image"])) if expected.layers else 0
    found = [
        *_trace_differences(run, expected, network, geometry, wrong),
        *result_differences(run, levels, labels, network, geometry),
    ]
    return Comparison(len(wrong), int(wrong.sum()), traced, first_of(found))


def with_overflows(
    comparison: Comparison, run: Run, overflows: Sequence[int], network: Network
) -> Comparison:
    """Return a comparison in which the layers' numbers of overflows are compared, too.

    Parameters
    ----------
    comparison : Comparison
    run : Run
        Its numbers of overflows are empty where the accelerator does not observe them.
    overflows : sequence of int
        What the reference counts in each layer, over all images.
    network : Network
    """
    if comparison.first or not run.overflows:
        return comparison
    pairs = zip(network.layers, run.overflows, overflows, strict=True)
    found = [
        Difference("overflows", layer.name, 0, 0, None, ours, theirs, None, "all images")
        for layer, ours, theirs in pairs
        if ours != theirs
    ]
    return replace(comparison, first=first_of(found))


def first_of(found: Sequence[Difference]) -> Difference | None:
    """Return the first one in time; those without a cycle come last."""
    timed = [difference for difference in found if difference.cycle is not None]
    return min(timed, key=_time) if timed else next(iter(found), None)


def _time(difference: Difference) -> tuple[int, int]:
    stages = ("sum", "overflow", "level", "result")
    return difference.cycle or 0, stages.index(difference.stage)


def _trace_differences(
    run: Run, expected: Expected, network: Network, geometry: Geometry, wrong: np.ndarray
):
    """Yield the first difference of each stage of each layer; mark all images that differ."""
    for index, wanted in enumerate(expected.layers):
        if wanted.accumulators is None:
            continue
        events = run.events[run.events["layer"] == index]
        places = events["image"].astype(np.int64), events["element"].astype(np.int64)
        for stage, field, reference in (
            ("sum", "sum", wanted.accumulators),
            ("overflow", "overflow", wanted.overflowed),
            ("level", "level", wanted.levels),
        ):
            if stage == "overflow" and not run.overflows:  # not observed
                continue
            reference = np.asarray(reference).astype(np.int64)[places]
            hardware = events[field].astype(np.int64)
            different = np.flatnonzero(hardware != reference)
            wrong[places[0][different]] = True
            if different.size:
                at = different[0]
                yield describe(
                    network,
                    geometry,
                    stage,
                    index,
                    (int(places[0][at]), int(places[1][at])),
                    int(events["cycle"][at]),
                    (int(hardware[at]), int(reference[at])),
                )


def describe(
    network: Network,
    geometry: Geometry,
    stage: str,
    index: int,
    where: tuple[int, int],
    cycle: int | None,
    pair: tuple[int, int],
) -> Difference:
    """Return a difference in words.

    Parameters
    ----------
    network, geometry
        Name the places.
    stage : str
        As in `Difference`.
    index : int
        Of the layer.
    where : pair of int
        Image and element.
    cycle : int or None
    pair : pair of int
        What hardware and reference say.
    """
    layer, (image, element) = network.layers[index], where
    return Difference(
        stage=stage,
        layer=layer.name,
        image=image,
        element=element,
        cycle=cycle,
        hardware=pair[0],
        reference=pair[1],
        codes=_codes(layer.output, *pair) if stage == "level" else None,
        place=_place(network, layer, image, element, geometry),
    )


def wrong_images(run: Run, levels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return of which images a level or a label differs, of shape (images,)."""
    different = (run.labels != labels).reshape(len(levels), -1).any(axis=1)
    return (run.levels != levels).any(axis=1) | different


def result_differences(
    run: Run, levels: np.ndarray, labels: np.ndarray, network: Network, geometry: Geometry
) -> Iterator[Difference]:
    """Yield the first difference of the streamed levels, or else of the labels."""
    for image, element in np.argwhere(run.levels != levels)[:1].tolist():
        end = next(end for end in network.ends if element < end.levels.stop)
        pair = int(run.levels[image, element]), int(levels[image, element])
        where = image, element - end.start
        yield _result(network, geometry, end, where, pair, _codes(end.format, *pair))
        return
    ours, theirs = (each.reshape(len(levels), -1) for each in (run.labels, labels))
    for image, which in np.argwhere(ours != theirs)[:1].tolist():
        pair = int(ours[image, which]), int(theirs[image, which])
        yield _result(network, geometry, network.ends[which], (image, pair[0]), pair, None)


def _result(
    network: Network,
    geometry: Geometry,
    end: End,
    where: tuple[int, int],
    pair: tuple[int, int],
    codes: tuple[int, int] | None,
) -> Difference:
    """Return a difference of what came out, at an image and an element of an output."""
    layer = next(layer for layer in network if layer.name == end.name)
    return Difference(
        stage="result",
        layer=layer.name,
        image=where[0],
        element=where[1],
        cycle=None,
        hardware=pair[0],
        reference=pair[1],
        codes=codes,
        place=_place(network, layer, *where, geometry),
    )


def _place(network: Network, layer: Layer, image: int, element: int, geometry: Geometry) -> str:
    """Return where an element of a layer's output is, and which processing element summed it.

    A program may regroup a convolution in groups; which element sums it is not known here.
    """
    size = network.sizes[layer.name]
    position, channel = divmod(element, size.channels)
    row = (position if size.positions > 1 else image) % geometry.rows
    where = f"channel {channel}"
    if size.positions > 1:
        where = f"position ({position // size.width}, {position % size.width}), {where}"
    if isinstance(layer, Conv2d) and layer.groups > 1:
        return where
    return f"{where}, processing element ({row}, {channel % geometry.columns})"


def _codes(fmt, hardware: int, reference: int) -> tuple[int, int] | None:
    """Return the codes of two levels, where both are levels of the format."""
    if not (fmt.holds(hardware) and fmt.holds(reference)):
        return None
    return fmt.to_code(hardware), fmt.to_code(reference)
