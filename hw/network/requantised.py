"""Bases of the layers, and requantisation, with which all but the max pool end.

The kinds of layers are in `layers`, with the formula.

What floats may do in a network; their levels are ranks (`numbers.ieee`).

The activations of such a network have one format; only what comes out may have another, such as the
accumulator's. Weights are floats, too, or ("dequantised") integers, minifloats, powers of two or
bipolar: these enter products as the numbers that their levels are, and the multiplier of their
channel has the scale. ``bias`` and ``multiplier`` of a layer are ranks of the accumulator's format:
of ``acc * multiplier[c] + bias[c]`` each operation is rounded to that, the result to ``output``,
and the clamp compares ranks: a ``low`` of 0 is a ReLU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeGuard

import numpy as np

from ..errors import NetworkError
from ..numbers.formats import Bipolar, Fixed, Float, Format, MiniFloat, PowerOfTwo
from ..numbers.mode import ROUNDINGS
from .window import Size

__all__ = [
    "MAX_SHIFT",
    "MAX_THRESHOLD_BITS",
    "Layer",
    "Requantised",
    "check_summands",
    "check_weights",
    "is_float",
]

MAX_SHIFT = 40
MAX_THRESHOLD_BITS = 8
MAX_INTEGER = 24  # bits: as many as a significand can have, so that all products are exact


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """Base of all layers: a name, sources and formats.

    Parameters
    ----------
    name : str
        Names the layer in reports and errors, and as a source of others.
    sources : tuple of str
        Names of the layers that it reads, or ``input``; empty is the layer before.
    input, output : Format
        Formats of the levels that it reads and gives.

    Raises
    ------
    NetworkError
        For formats that are neither bipolar, integers nor floats, floats that do not give floats,
        or another number of sources.
    """

    name: str
    input: Format
    output: Format
    sources: tuple[str, ...] = ()

    kind: ClassVar[str]
    """Name of the kind in network files."""
    source_count: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        for end in ("input", "output"):
            if not isinstance(getattr(self, end), (Bipolar, Fixed, Float)):
                raise NetworkError(
                    f"layer {self.name}: an {end} is bipolar, intN, uintN or a float, "
                    f"not {getattr(self, end)}"
                )
        _check_ends(self.name, self.input, self.output)
        if self.sources and len(self.sources) != self.source_count:
            raise NetworkError(
                f"layer {self.name}: {self.kind} reads {self.source_count} tensors, "
                f"not {', '.join(self.sources)}"
            )

    @property
    def inputs(self) -> tuple[Format, ...]:
        """Formats of all tensors that it reads."""
        return (self.input,)

    @property
    def weight_bits(self) -> int:
        """Bits that its weight codes take."""
        return 0

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of its output, given those of its inputs; raises `NetworkError`."""
        raise NotImplementedError

    def macs(self, *sizes: Size) -> int:
        """Return its multiply-accumulates an image: those of its weights, none for pools."""
        return 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Requantised(Layer):
    """A layer whose sums are requantised; the parameters are those of the formula in `layers`.

    Parameters
    ----------
    bias, multiplier : int arrays of shape (channels,), or (1,) for one pair in all channels
        Added to the scaled accumulator; its positive scale. Of floats they are ranks of the
        accumulator's format, and scales of any sign.
    shift : int
        Rounding shift, 0 to 40.
    low, high : int, optional
        Ends of the clamp, inside the range of ``output``; None is the format's own end. Of floats
        they are ranks.
    rounding : str
        ``half_up``, or ``half_even`` for halves that go to the even level.
    thresholds : int array of shape (channels or 1, levels of ``output`` less one), optional
        Where each level above the lowest begins, ascending in each channel; equal ones skip levels.
        With them nothing is scaled: multipliers are 1, biases and shift 0, and ``output`` is
        an integer format of at most 8 bits.

    Raises
    ------
    NetworkError
        For parameters outside what is said here, and for a shift, a rounding or thresholds of
        floats.
    """

    bias: np.ndarray
    multiplier: np.ndarray
    shift: int = 0
    low: int | None = None
    high: int | None = None
    rounding: str = "half_up"
    thresholds: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for array in ("bias", "multiplier"):
            object.__setattr__(self, array, np.asarray(getattr(self, array), np.int64))
        if not 0 <= self.shift <= MAX_SHIFT:
            raise NetworkError(f"layer {self.name}: shift is 0 to {MAX_SHIFT}, not {self.shift}")
        if not is_float(self.output) and (self.multiplier < 1).any():
            raise NetworkError(f"layer {self.name}: multipliers are positive integers")
        self._check_clamp()
        if is_float(self.output):
            _check_scaling(self.name, self.shift, self.rounding, self.thresholds)
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", np.asarray(self.thresholds, np.int64))
            self._check_thresholds(self.thresholds)

    @property
    def uses_thresholds(self) -> bool:
        """Whether its sums are compared with thresholds, instead of scaled."""
        return self.thresholds is not None

    @property
    def clamp(self) -> tuple[int, int]:
        """The ends of its clamp."""
        low = self.output.min_level if self.low is None else self.low
        return low, self.output.max_level if self.high is None else self.high

    def _check_clamp(self) -> None:
        if self.rounding not in ROUNDINGS:
            raise NetworkError(
                f"layer {self.name}: rounding is {' or '.join(ROUNDINGS)}, not {self.rounding!r}"
            )
        ends = {end: getattr(self, end) for end in ("low", "high")}
        given = {end: level for end, level in ends.items() if level is not None}
        if self.output == Bipolar() and (given or self.rounding != "half_up"):
            raise NetworkError(
                f"layer {self.name}: a bipolar output is a sign, without low, high and rounding"
            )
        for end, level in given.items():
            if not isinstance(level, int | np.integer):
                raise NetworkError(f"layer {self.name}: {end} is an integer, not {level!r}")
            object.__setattr__(self, end, int(level))
        low, high = self.clamp
        if not self.output.min_level <= low <= high <= self.output.max_level:
            raise NetworkError(
                f"layer {self.name}: a clamp lies in {self.output.min_level} to "
                f"{self.output.max_level} of {self.output}, not from {low} to {high}"
            )

    def _check_thresholds(self, thresholds: np.ndarray) -> None:
        if not isinstance(self.output, Fixed) or self.output.width > MAX_THRESHOLD_BITS:
            raise NetworkError(
                f"layer {self.name}: thresholds give intN or uintN of at most "
                f"{MAX_THRESHOLD_BITS} bits, not {self.output}"
            )
        if self.shift or (self.multiplier != 1).any() or self.bias.any():
            raise NetworkError(
                f"layer {self.name}: with thresholds multipliers are 1, biases and shift 0"
            )
        if (self.low, self.high, self.rounding) != (None, None, "half_up"):
            raise NetworkError(
                f"layer {self.name}: with thresholds there is no low, high or rounding"
            )
        if thresholds.ndim == 2 and (thresholds[:, 1:] < thresholds[:, :-1]).any():
            raise NetworkError(f"layer {self.name}: thresholds of a channel ascend")

    def _check_channels(self, channels: int) -> None:
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("bias", "multiplier"), (channels,))
        if self.thresholds is not None:
            shapes["thresholds"] = (channels, self.output.max_level - self.output.min_level)
        for array, shape in shapes.items():
            if getattr(self, array).shape != shape:
                raise NetworkError(
                    f"layer {self.name}: {array} has shape {shape}, "
                    f"not {getattr(self, array).shape}"
                )


def is_float(fmt: Format) -> TypeGuard[Float]:
    """Tell whether a format is a float."""
    return isinstance(fmt, Float)


def _check_ends(name: str, read: Format, given: Format) -> None:
    """Raise `NetworkError` where layer ``name`` turns floats into other formats, or the reverse."""
    if is_float(read) != is_float(given):
        raise NetworkError(
            f"layer {name}: floats give floats; it does not turn {read} into {given}"
        )


def check_weights(
    name: str, read: Format, weight: Format, levels: np.ndarray, widths: Sequence[int] | None
) -> None:
    """Raise `NetworkError` for weights of layer ``name`` that do not meet what it reads."""
    if not is_float(read):
        if is_float(weight):
            raise NetworkError(f"layer {name}: {weight} weights read floats, not {read}")
        return
    integer = isinstance(weight, Fixed) and weight.signed and weight.width <= MAX_INTEGER
    if not integer and not isinstance(weight, (Bipolar, Float, MiniFloat, PowerOfTwo)):
        raise NetworkError(
            f"layer {name}: {read} meets weights that are floats, bipolar, pow2_N, eEmM or intN "
            f"of at most {MAX_INTEGER} bits, not {weight}"
        )
    if widths is not None:
        raise NetworkError(f"layer {name}: widths of channels are of layers of integers")
    if is_float(weight) and (abs(levels) > weight.max_finite).any():
        raise NetworkError(f"layer {name}: weights are finite")


def _check_scaling(name: str, shift: int, rounding: str, thresholds: np.ndarray | None) -> None:
    """Raise `NetworkError` for what the requantisation of floats, in layer ``name``, has not."""
    if shift or thresholds is not None or rounding != "half_up":
        raise NetworkError(
            f"layer {name}: floats are scaled by a multiplier, rounded to nearest even, and "
            "clamped; they have no shift, no rounding and no thresholds"
        )


def check_summands(name: str, one: Format, other: Format, summands: tuple[int, ...]) -> None:
    """Raise `NetworkError` where layer ``name`` adds floats to others, or multiples of them."""
    if not is_float(one):
        return
    if other != one:
        raise NetworkError(
            f"layer {name}: a sum of floats has two of one format, not {one} and {other}"
        )
    if summands != (1, 1):
        raise NetworkError(
            f"layer {name}: floats are added as they are, with summands (1, 1), not {summands}"
        )
