"""Patches: the runs of codes that the array reads at one position of a layer.

A tensor lies in memory channels last, so a row of a kernel is one run of neighbouring codes. A
patch is ``outer`` times ``inner`` runs; its codes are packed into words of ``lanes`` codes, which
the array takes one a step::

    convolution          a run is a row of the kernel, all its channels    outer = kernel height
    grouped convolution  a run is one pixel, the channels of the group     x inner = kernel width
    dense                a run is the whole input
    pool                 a run is one pixel, ``lanes`` channels of it      outer x inner = kernel
    move                 a run is ``lanes`` codes of a block
    add                  a run is one pixel of either tensor               outer = 2 tensors

Runs follow each other without a gap, except in pools and sums, where each begins a word: there the
channels of a word stay apart.

A **strip** of neighbouring positions of a row can share a patch: its window is so much wider, and
it is read column by column, so that each position has what it needs in one piece, some words
further on than the one before.
"""

from dataclasses import dataclass

from ..network.layers import Add, AveragePool, Conv2d, Dense, Layer, MaxPool, Move, Size, Window

__all__ = ["Patch", "patch_of"]


@dataclass(frozen=True)
class Patch:
    """The runs of a position, all lengths and steps in codes.

    Attributes
    ----------
    size : Size
        The input tensor, or either one of two.
    window : Window
        Where the positions are; a dense layer's kernel is its whole input.
    positions : tuple of int
        Height and width of the output.
    outer, inner : int
        Runs: ``outer`` rows of the kernel, or tensors, of ``inner`` runs each.
    length : int
        Codes of a run.
    outer_step, inner_step : int
        From a run to the one in the next row, or next to it; 0 for ``outer`` where it changes the
        tensor.
    separate : bool
        Each run begins a word.
    groups, group_step : int
        Groups of channels that are read apart, and the distance between them.
    shifts : int
        Positions of a strip; `positions`, and what moves from one to the next, are those of strips.
    by_column : bool
        ``outer`` and ``inner`` are the columns and the rows of the window, instead of the other
        way round.
    apart : tuple of int or None
        From a row of positions to the next, and from a position to the next one of its row; None
        where the strides of the window say it.
    """

    size: Size
    window: Window
    positions: tuple[int, int]
    outer: int
    inner: int
    length: int
    outer_step: int
    inner_step: int
    separate: bool = False
    groups: int = 1
    group_step: int = 0
    shifts: int = 1
    by_column: bool = False
    apart: tuple[int, int] | None = None

    @property
    def position_steps(self) -> tuple[int, int]:
        """Distances from a row of positions to the next, and from a position to the next."""
        down, across = self.window.stride
        pixel = self.size.channels
        return self.apart or (down * self.size.width * pixel, across * pixel)

    @property
    def count(self) -> int:
        """Positions of an image, or strips of them."""
        return self.positions[0] * self.positions[1]

    @property
    def codes(self) -> int:
        """Codes that a position and group read, without gaps."""
        return self.outer * self.inner * self.length

    @property
    def padded(self) -> bool:
        """Whether some window reaches beyond the image."""
        return any(self.window.padding)

    @property
    def whole_rows(self) -> bool:
        """Whether a run holds a whole row of the kernel, not a pixel."""
        return self.inner == 1 and self.length > self.size.channels

    def steps(self, lanes: int) -> int:
        """Return the words of ``lanes`` codes that a position, or a strip, and group take."""
        if self.separate:
            return self.outer * self.inner
        return -(-self.codes // lanes)


def patch_of(layer: Layer, size: Size, lanes: int, repeats: int = 1) -> Patch:
    """Return the patch of ``layer`` over an input of ``size``.

    Parameters
    ----------
    layer : Layer
        Any layer.
    size : Size
        Its input.
    lanes : int
        Channels that a word of a pool or a sum holds.
    repeats : int
        How often a sum reads each tensor.
    """
    output = layer.output_size(*([size] * layer.source_count))
    if isinstance(layer, Move):
        block, length = Size(1, 1, layer.length), min(lanes, layer.length)
        groups = -(-layer.length // lanes)
        return Patch(
            block, Window((1, 1)), layer.blocks, 1, 1, length, 0, 0, True, groups, lanes,
            apart=layer.steps,
        )  # fmt: skip
    positions = (output.height, output.width)
    row, pixel = size.width * size.channels, size.channels
    if isinstance(layer, Dense):
        whole = Window((size.height, size.width))
        return Patch(size, whole, positions, 1, 1, size.elements, 0, 0)
    if isinstance(layer, Conv2d) and layer.groups == 1:
        height, width = layer.window.kernel
        return Patch(size, layer.window, positions, height, 1, width * pixel, row, 0)
    if isinstance(layer, Conv2d):
        height, width = layer.window.kernel
        each, groups = size.channels // layer.groups, layer.groups
        return Patch(
            size, layer.window, positions, height, width, each, row, pixel, False, groups, each
        )
    groups, length = -(-size.channels // lanes), min(lanes, size.channels)
    if isinstance(layer, Add):
        pixelwise = Window((1, 1))
        return Patch(size, pixelwise, positions, 2, repeats, length, 0, 0, True, groups, lanes)
    assert isinstance(layer, (MaxPool, AveragePool))
    window = layer.window or Window((size.height, size.width))
    height, width = window.kernel
    return Patch(size, window, positions, height, width, length, row, pixel, True, groups, lanes)
