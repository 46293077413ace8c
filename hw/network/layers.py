"""The layers that an accelerator runs, as plain integers.

Tensors are **channels last**: a `Size` of height, width and channels, its elements in that order.
Every layer maps the levels of its inputs to the levels of its output. All but `MaxPool` and `Move`
sum products in the accelerator's accumulator and then requantise: with ``acc`` the sum, the output
level of channel ``c`` is ``clamp(round_shift(acc * multiplier[c] + bias[c], shift))``, from ``low``
to ``high``, which are the ends of ``output`` unless they are given. Halves go up, or with the
rounding ``half_even`` to the even level. For a `Bipolar` output the level is
``+1 if acc * multiplier[c] + bias[c] >= 0 else -1``. A layer with thresholds counts instead: its
level is the lowest of ``output`` and one more for each of ``thresholds[c]`` with
``acc >= threshold``.

Outside the image a window reads level 0, or -1 where the layer's input is bipolar.

Layers of floats are in `requantised`: their levels, biases and multipliers are ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FormatError, NetworkError
from ..numbers.formats import Bipolar, Fixed, Float, Format
from .requantised import MAX_SHIFT, Layer, Requantised, check_summands, check_weights
from .window import Size, Window

__all__ = [
    "LAYERS",
    "MAX_SHIFT",
    "MAX_SUMMAND",
    "Add",
    "AveragePool",
    "Conv2d",
    "Dense",
    "Layer",
    "MaxPool",
    "Move",
    "Requantised",
    "Size",
    "Weighted",
    "Window",
]

MAX_SUMMAND = 16383  # the largest multiplier of a summand of `Add`


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(Requantised):
    """A layer with weights: an integer array ``weights`` of levels of the format ``weight``.

    Parameters
    ----------
    weight : Format
        Format of all weights.
    weights : int array
        Their levels, output channels first.
    widths : tuple of int, optional
        Bits of each output channel's integer weights, the sign included: at most those of
        ``weight``, which may be more than the widest needs. None means that all channels are as
        wide as ``weight``, and is what such widths become.

    Raises
    ------
    NetworkError
        For weights of another shape, that are no levels of their format, or that do not meet the
        format of the input; for widths that are not one a channel, of weights that are no integers,
        or that do not hold their weights.
    """

    weight: Format
    weights: np.ndarray
    widths: tuple[int, ...] | None = None

    axes: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weights", np.asarray(self.weights, np.int64))
        if self.weights.ndim != len(self.axes) or 0 in self.weights.shape:
            raise NetworkError(
                f"layer {self.name}: weights have shape ({', '.join(self.axes)}), "
                f"not {self.weights.shape}"
            )
        self._check_channels(self.channels)
        try:
            self.weight.to_code(self.weights)
        except FormatError as error:
            raise NetworkError(f"layer {self.name}: {error}") from error
        if self.widths is not None:
            object.__setattr__(self, "widths", self._checked_widths(self.widths))
        check_weights(self.name, self.input, self.weight, self.weights, self.widths)

    def _checked_widths(self, widths: Sequence[int]) -> tuple[int, ...] | None:
        """Return the widths of channels, or None where all are those of ``weight``."""
        fmt, name = self.weight, f"layer {self.name}"
        if not isinstance(fmt, Fixed):
            raise NetworkError(f"{name}: widths of channels are of integer weights, not of {fmt}")
        if len(widths) != self.channels:
            raise NetworkError(f"{name}: {len(widths)} widths for {self.channels} output channels")
        least = min(2, fmt.width) if fmt.signed else 1
        for channel, (width, row) in enumerate(zip(widths, self.weights, strict=True)):
            integer = isinstance(width, int | np.integer) and not isinstance(width, bool)
            if not integer or not least <= width <= fmt.width:
                raise NetworkError(
                    f"{name}: the width of channel {channel} of {fmt} weights is {least} to "
                    f"{fmt.width}, not {width!r}"
                )
            try:
                Fixed(int(width), signed=fmt.signed).to_code(row)
            except FormatError as error:
                raise NetworkError(f"{name}: channel {channel}: {error}") from error
        given = tuple(map(int, widths))
        return None if set(given) == {fmt.width} else given

    @property
    def channels(self) -> int:
        """Channels of its output."""
        return self.weights.shape[0]

    @property
    def channel_widths(self) -> tuple[int, ...]:
        """Bits of the weights of each output channel."""
        return self.widths or (self.weight.width,) * self.channels

    @property
    def weight_bits(self) -> int:
        """Bits that its weight codes take."""
        return self.weights[0].size * sum(self.channel_widths)

    @property
    def mean_bits(self) -> float:
        """Bits of a weight, in the mean."""
        return self.weight_bits / self.weights.size

    @property
    def sparsity(self) -> float:
        """Share of weights that are 0."""
        return float((self.weights == 0).mean())


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Weighted):
    """A fully connected layer: weights of shape (outputs, inputs).

    It reads all elements of its input, channels last, so flattening needs no layer.
    """

    kind = "dense"
    axes = ("outputs", "inputs")

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of its output, given those of its inputs; raises `NetworkError`."""
        (size,) = sizes
        if size.elements != self.weights.shape[1]:
            raise NetworkError(
                f"layer {self.name} takes {self.weights.shape[1]} inputs, "
                f"but gets {size.elements} ({size})"
            )
        return Size(1, 1, self.channels)

    def macs(self, *sizes: Size) -> int:
        """Return its multiply-accumulates an image."""
        return self.weights.size


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2d(Weighted):
    """A convolution: weights of shape (outputs, kernel height, kernel width, inputs a group).

    Parameters
    ----------
    window : Window
        Kernel, stride and padding.
    groups : int
        Output channels ``g * outputs / groups`` on read input channels ``g * inputs / groups`` on.

    Raises
    ------
    NetworkError
        For weights of another kernel than the window's, or groups that do not divide the outputs.
    """

    window: Window
    groups: int = 1

    kind = "conv2d"
    axes = ("outputs", "kernel height", "kernel width", "inputs a group")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights.shape[1:3] != self.window.kernel:
            raise NetworkError(
                f"layer {self.name}: weights of {self.weights.shape[1:3]} are not of the kernel "
                f"{self.window.kernel}"
            )
        if self.groups < 1 or self.channels % self.groups:
            raise NetworkError(
                f"layer {self.name}: {self.groups} groups do not divide {self.channels} outputs"
            )

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of its output, given those of its inputs; raises `NetworkError`."""
        (size,) = sizes
        wanted = self.groups * self.weights.shape[3]
        if size.channels != wanted:
            raise NetworkError(
                f"layer {self.name} takes {wanted} channels, but gets {size.channels} ({size})"
            )
        return Size(*_positions(self.name, self.window, size), self.channels)

    def macs(self, *sizes: Size) -> int:
        """Return its multiply-accumulates an image."""
        return self.output_size(*sizes).positions * self.weights.size


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(Requantised):
    """The sum over a window in each channel, requantised with one multiplier and bias.

    Padding counts as level 0 (-1 for bipolar), so a window at the edge has the same divisor.

    Parameters
    ----------
    window : Window or None
        Kernel, stride and padding; None is the whole image.
    """

    window: Window | None = None

    kind = "average_pool"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_channels(1)

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of its output, given those of its inputs; raises `NetworkError`."""
        (size,) = sizes
        if self.window is None:
            return Size(1, 1, size.channels)
        return Size(*_positions(self.name, self.window, size), size.channels)


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Requantised):
    """The weighted sum of two tensors of one size, requantised with one multiplier and bias.

    ``acc = summands[0] * x + summands[1] * y``: two tensors at different scales meet in a ratio of
    integers.

    Parameters
    ----------
    other : Format
        Format of the second source.
    summands : tuple of int
        Their multipliers, 1 to 16,383.

    Raises
    ------
    NetworkError
        For other summands, a second source that is neither integer nor float, floats that are not
        two of one format, each once, or other than two sources.
    """

    other: Format
    summands: tuple[int, int] = (1, 1)

    kind = "add"
    source_count = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_channels(1)
        object.__setattr__(self, "summands", tuple(int(each) for each in self.summands))
        if len(self.summands) != 2 or not all(1 <= each <= MAX_SUMMAND for each in self.summands):
            raise NetworkError(
                f"layer {self.name}: summands are two integers from 1 to {MAX_SUMMAND}, "
                f"not {self.summands}"
            )
        if not isinstance(self.other, (Bipolar, Fixed, Float)):
            raise NetworkError(
                f"layer {self.name}: an input is bipolar, intN, uintN or a float, not {self.other}"
            )
        check_summands(self.name, self.input, self.other, self.summands)
        if len(self.sources) != 2:
            raise NetworkError(f"layer {self.name}: name the two sources of a sum")

    @property
    def inputs(self) -> tuple[Format, ...]:
        """Formats of both tensors that it reads."""
        return (self.input, self.other)

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of its output, given those of its inputs; raises `NetworkError`."""
        one, two = sizes
        if one != two:
            raise NetworkError(f"layer {self.name} adds tensors of one size, not {one} and {two}")
        return one


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Layer):
    """The largest level in a window, in each channel; its formats are equal.

    Padding is never the largest: it counts as the lowest level.

    Parameters
    ----------
    window : Window
        Kernel, stride and padding.

    Raises
    ------
    NetworkError
        Where input and output differ in format.
    """

    window: Window

    kind = "max_pool"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input != self.output:
            raise NetworkError(
                f"layer {self.name}: a max pool keeps its format, "
                f"it does not turn {self.input} into {self.output}"
            )

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of its output, given those of its inputs; raises `NetworkError`."""
        (size,) = sizes
        return Size(*_positions(self.name, self.window, size), size.channels)


@dataclass(frozen=True, eq=False, kw_only=True)
class Move(Layer):
    """Blocks of its input in another order, each as often as it is wanted; its formats are equal.

    The output is ``blocks[0] * blocks[1]`` blocks of ``length`` levels, one behind the other; block
    ``(i, j)`` is the one that begins at element ``i * steps[0] + j * steps[1]`` of the input, both
    channels last. A step of 0 repeats, as nearest upsampling does; others transpose.

    Parameters
    ----------
    blocks, steps : tuple of int
        How many blocks there are, and how far apart they begin.
    length : int
        Elements of a block.
    size : Size
        What the output is as an image.

    Raises
    ------
    NetworkError
        Where input and output differ in format, or the size is not that of all blocks.
    """

    blocks: tuple[int, int]
    steps: tuple[int, int]
    length: int
    size: Size

    kind = "move"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("blocks", 1), ("steps", 0), ("size", 1)):
            given = tuple(int(each) for each in getattr(self, name))
            count = 3 if name == "size" else 2
            if len(given) != count or min(given) < least:
                raise NetworkError(
                    f"layer {self.name}: {name} is {count} numbers of at least {least}, not {given}"
                )
            object.__setattr__(self, name, Size(*given) if name == "size" else given)
        if self.input != self.output:
            raise NetworkError(
                f"layer {self.name}: a move keeps its format, "
                f"it does not turn {self.input} into {self.output}"
            )
        elements = self.blocks[0] * self.blocks[1] * self.length
        if self.length < 1 or elements != self.size.elements:
            raise NetworkError(
                f"layer {self.name}: {self.blocks[0]}x{self.blocks[1]} blocks of {self.length} "
                f"elements are not {self.size}"
            )

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of its output, given those of its inputs; raises `NetworkError`."""
        (size,) = sizes
        pairs = zip(self.blocks, self.steps, strict=True)
        end = sum((count - 1) * step for count, step in pairs) + self.length
        if end > size.elements:
            raise NetworkError(
                f"layer {self.name} reads {end} elements, but gets {size.elements} ({size})"
            )
        return self.size


def _positions(name: str, window: Window, size: Size) -> tuple[int, int]:
    try:
        return window.positions(size)
    except NetworkError as error:
        raise NetworkError(f"layer {name}: {error}") from error


LAYERS: tuple[type[Layer], ...] = (Dense, Conv2d, MaxPool, AveragePool, Add, Move)
"""Every kind of layer; a new one joins here."""
