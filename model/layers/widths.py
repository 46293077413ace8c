"""Widths of channels: the bits that the integer weights of each output channel have."""

from collections.abc import Mapping, Sequence

from ...hw.errors import FormatError
from ...hw.numbers.formats import Fixed, Format

__all__ = ["Channels", "check_widths", "named_widths"]

LEAST, MOST = 2, 16  # one bit has no level above 0

Channels = Mapping[str, Sequence[int]] | Sequence[tuple[str, Sequence[int]]]
"""Names of layers, and the widths of their output channels."""


def named_widths(given: Channels) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return layers and the widths of their channels, as pairs.

    Raises
    ------
    FormatError
        For widths that are no list of integers from 1 to 16, or a layer that is named twice.
    """
    pairs = tuple(given.items() if isinstance(given, Mapping) else given)
    names = [name for name, _ in pairs]
    for name, widths in pairs:
        if names.count(name) > 1:
            raise FormatError(f"layer {name}: widths of its channels are given twice")
        if not isinstance(widths, list | tuple) or not all(type(each) is int for each in widths):
            raise FormatError(
                f"layer {name}: widths of channels are a list of integers, one for each output "
                f"channel, not {_short(widths)}"
            )
        for channel, width in enumerate(widths):
            if not 1 <= width <= MOST:
                raise FormatError(
                    f"layer {name}: a channel has 1 to {MOST} bits, not {width} (channel {channel})"
                )
    return tuple((name, tuple(widths)) for name, widths in pairs)


def check_widths(fmt: Format, widths: Sequence[int], channels: int) -> tuple[int, ...]:
    """Return widths that the channels of weights of a format can have.

    Raises
    ------
    FormatError
        For a format of other than signed integers, more or fewer widths than channels, and widths
        that have no level above 0 or are beyond the format.
    """
    if not isinstance(fmt, Fixed) or not fmt.signed:
        raise FormatError(
            f"channels of their own widths have integer weights, and these are {fmt}: "
            "give the layer intN"
        )
    if len(widths) != channels:
        raise FormatError(
            f"{len(widths)} widths for {channels} output channels; there is one for each"
        )
    most = min(fmt.width, MOST)
    for channel, width in enumerate(widths):
        if width < LEAST:
            raise FormatError(
                f"channel {channel} has {width} bit, without a level above 0: give it {LEAST} to "
                f"{most}"
            )
        if width > most:
            wider = f", or the layer int{width}" if width <= MOST else ""
            raise FormatError(
                f"channel {channel} has {width} bits, and the layer {fmt}: give it {LEAST} to "
                f"{most}{wider}"
            )
    return tuple(widths)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
