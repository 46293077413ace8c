"""Layer records: what each part of the accelerator must know of a layer, as plain numbers.

Addresses and steps are in codes and count from the start of an image's region; parts turn them
into words with `gates.address.CodeAddress`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from .mapping import MappedLayer

__all__ = ["Feed", "OutputArea", "Place", "Record", "TileRun", "Tiles", "feed_of", "runs_of"]


@dataclass(frozen=True)
class Feed:
    """Loops of the feeder: those of `Patch` and of the positions.

    ``*_step`` is the distance from one start to the next in that loop; ``row_step`` and
    ``image_step`` lead from the last position of a row, or of an image, to the next one.

    Attributes
    ----------
    start : int
        First code of the first position, which may lie before the image.
    planes, outer, inner, length, last_length : int
        Passes, runs, codes of a run, and of a run of the last group.
    width, height, groups : int
        Positions of a row, rows, groups of channels.
    left, right, left_step : int
        Codes of the first run of a row that lie left of the image; where the image ends, counted
        from there; how far both move with a position. In pixels where runs are pixels.
    top, top_step, input_rows : int
        Rows of the first window above the image, rows from one window to the next, rows there are.
    pad : int
        Code outside the image.
    tail, last_tail : int
        Codes in the last word of a pass; the same for the last group.
    by_column : bool
        Runs go along the columns of a window: ``outer`` counts those, and ``inner`` rows.
    """

    start: int
    planes: int
    outer: int
    inner: int
    length: int
    last_length: int
    width: int
    height: int
    groups: int
    inner_step: int
    outer_step: int
    plane_step: int
    x_step: int
    row_step: int
    image_step: int
    group_step: int
    padded: bool
    whole_rows: bool
    left: int
    right: int
    left_step: int
    top: int
    top_step: int
    input_rows: int
    pad: int
    separate: bool
    tail: int
    last_tail: int
    by_column: bool

    @property
    def steps(self) -> tuple[int, ...]:
        """Every distance that an address moves by, and every run that another follows in a word."""
        packed = self.outer * self.inner > 1 and not self.separate
        return (
            self.start, self.inner_step, self.outer_step, self.plane_step, self.x_step,
            self.row_step, self.image_step, self.group_step, self.length if packed else 0,
        )  # fmt: skip


class TileRun(NamedTuple):
    """Tiles one after the other with equally many passes each.

    ``planes`` are bit planes, or passes with weights of their own: those of slices read the same
    words.
    """

    tiles: int
    planes: int


def runs_of(planes: Sequence[int]) -> tuple[TileRun, ...]:
    """Return the runs of tiles that have so many passes, one after the other."""
    return tuple(TileRun(len(list(same)), count) for count, same in groupby(planes))


@dataclass(frozen=True)
class Tiles:
    """Tiles of output channels that the array computes; bases are word addresses.

    ``parameter_base`` is one in the parameter memory, or in those of the thresholds.
    Every group of channels has the tiles of ``runs``; a max pool has none. The first one of several
    slices is ``signed`` where the weights are.
    ``group_weights`` and ``group_parameters`` lead from one group of channels to the next; both
    are 0 where groups share them. A bank has ``bank_words`` of a row, which serve ``shifts``
    positions of a strip, each of which begins ``shift_words`` after the one before.
    """

    runs: tuple[TileRun, ...]
    bitwise: bool
    steps: int
    weight_base: int
    group_weights: int
    parameter_base: int
    group_parameters: int
    shifts: int
    shift_words: int
    bank_words: int
    signed: bool = False

    @property
    def tiles(self) -> int:
        """Tiles of a group of channels; none of a max pool."""
        return sum(run.tiles for run in self.runs)

    @property
    def rounds(self) -> int:
        """Rounds of the loop over tiles: 1 where there are none, as of a max pool."""
        return max(1, self.tiles)

    @property
    def planes(self) -> int:
        """Passes of the tile that has most."""
        return max((run.planes for run in self.runs), default=1)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Steps of each tile."""
        return tuple(run.planes * self.steps for run in self.runs for _ in range(run.tiles))


@dataclass(frozen=True)
class Place:
    """Destination of a layer's output; ``chunks`` of at most ``rows`` positions each.

    Attributes
    ----------
    start : int
        First code of the output.
    stored : bool
        Whether a layer reads it: what only comes out of the network is not in the activation
        memory.
    mode : int
        Index of its `Mode`.
    channels, group_channels, groups : int
        Output channels, those of a group, and groups.
    images, chunks, positions : int
        Images that are walked through, chunks of each, and positions of each: where an image has a
        single position, all images of a context are the positions of one chunk.
    shifts : int
        Positions of a strip; where that is more than 1, `positions` are strips.
    row_step, chunk_step, image_step, group_step, shift_step : int
        From one position, chunk, image, group or position of a strip to the next, each from its own
        start.
    """

    start: int
    stored: bool
    mode: int
    channels: int
    group_channels: int
    groups: int
    images: int
    chunks: int
    positions: int
    shifts: int
    row_step: int
    chunk_step: int
    image_step: int
    group_step: int
    shift_step: int


@dataclass(frozen=True)
class OutputArea:
    """Place of an output of the network in a context's area of the output memory.

    Attributes
    ----------
    layer : int
        Index of the layer that gives it.
    start : int
        Its first word.
    channels, positions : int
        Levels of a position, and positions of an image.
    classes : int
        Classes of its label; 0 where it is values.
    rows : int
        Rows of partial sums, one a chain, that it has for a context: a word for each channel. The
        chains of a row have images side by side, or positions where an image has several.
    image_rows : int
        Those rows of an image, where it has several positions; 0 where images are the rows.
    """

    layer: int
    start: int
    channels: int
    positions: int
    classes: int
    rows: int
    image_rows: int

    @property
    def words(self) -> int:
        """Words that it has for a context."""
        return self.rows * self.channels


@dataclass(frozen=True)
class Record:
    """One layer of the program."""

    mapped: MappedLayer
    feed: Feed
    tiles: Tiles
    place: Place

    @property
    def on_array(self) -> bool:
        """Whether the array runs it; the unit of max pools runs those and moves."""
        return self.mapped.on_array

    @property
    def banks(self) -> int:
        """Fillings of the row buffers that a context takes."""
        return self.place.groups * self.place.images * self.place.chunks


def feed_of(
    mapped: MappedLayer,
    *,
    base: int,
    other: int | None,
    image: int,
    plane: int,
    lanes: int,
    pad: int,
) -> Feed:
    """Return the feed of a layer.

    Parameters
    ----------
    mapped : MappedLayer
        The layer.
    base, other : int
        Start of its input, and of the second one of two, in an image's region, in codes.
    image, plane : int
        Codes of an image's region, and of a bit plane of the input.
    lanes : int
        Codes of a word.
    pad : int
        Code outside the image.
    """
    patch = mapped.patch
    channels, (row_step, x_step) = patch.size.channels, patch.position_steps
    (top, left, _, _), (down, across) = patch.window.padding, patch.window.stride
    height, width = patch.positions
    back = (width - 1) * x_step
    unit = channels if patch.whole_rows else 1
    last_length = patch.size.channels - (patch.groups - 1) * patch.group_step
    if not patch.separate:
        last_length = patch.length
    return Feed(
        start=base - (top * patch.size.width + left) * channels,
        planes=mapped.planes,
        outer=patch.outer,
        inner=patch.inner,
        length=patch.length,
        last_length=last_length,
        width=width,
        height=height,
        groups=patch.groups,
        inner_step=patch.inner_step,
        outer_step=patch.outer_step if other is None else other - base,
        plane_step=plane if mapped.bitwise else 0,
        x_step=x_step,
        row_step=row_step - back,
        image_step=image - (height - 1) * row_step - back,
        group_step=patch.group_step,
        padded=patch.padded,
        whole_rows=patch.whole_rows,
        left=left * unit,
        right=patch.size.width * unit,
        left_step=across * unit,
        top=top,
        top_step=down,
        input_rows=patch.size.height,
        pad=pad,
        separate=patch.separate,
        tail=patch.length if patch.separate else (patch.codes - 1) % lanes + 1,
        last_tail=last_length if patch.separate else (patch.codes - 1) % lanes + 1,
        by_column=patch.by_column,
    )
