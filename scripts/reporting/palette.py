"""Order and colours of formats, the same in every figure of every report.

The hue is the kind of arithmetic, from the palette of Okabe and Ito (Color Universal Design, 2008),
which people who do not see red and green apart can read; the lightness is the width. No figure
needs the colour to be read: the format's name stands beside it.
"""

import re
from colorsys import hls_to_rgb
from math import log2

from ...hw.errors import FormatError
from ...hw.numbers.formats import parse

__all__ = ["bits", "colour", "order"]

_HUES = {  # kind: pattern of names, hue, saturation, lightness of 1 bit and of 32
    "bipolar": (r"bipolar", 0.0, 0.0, 0.13, 0.13),
    "power of two": (r"pow2_", 0.111, 1.0, 0.52, 0.30),  # orange
    "integer": (r"u?int", 0.561, 0.85, 0.72, 0.14),  # blue
    "minifloat": (r"e\d+m\d+", 0.456, 0.85, 0.56, 0.10),  # bluish green
    "bfloat": (r"bf", 0.908, 0.48, 0.70, 0.45),  # reddish purple
    "float": (r"fp", 0.073, 1.0, 0.56, 0.33),  # vermilion
}
_GREY = "#767676"


def bits(name: str) -> int | None:
    """Return the bits of a number; None for what has none, such as ``float``.

    >>> bits("e3m2"), bits("bipolar"), bits("float")
    (6, 1, None)
    """
    try:
        return parse(name).width
    except FormatError:
        return None


def order(name: str) -> tuple[int, int, str]:
    """Return what formats are sorted by: narrow ones first, then by kind.

    >>> sorted(["int8", "float", "int4", "pow2_4", "bipolar"], key=order)
    ['bipolar', 'pow2_4', 'int4', 'int8', 'float']
    """
    return bits(name) or 1000, list(_HUES).index(_kind(name)) if _kind(name) else 99, name


def colour(name: str) -> str:
    """Return the format's colour, as ``#rrggbb``; grey for what is no format.

    >>> colour("bipolar"), colour("float")
    ('#212121', '#767676')
    """
    kind, width = _kind(name), bits(name)
    if not kind:
        return _GREY
    _, hue, saturation, lightest, darkest = _HUES[kind]
    share = log2(width or 16) / 5
    lightness = lightest + share * (darkest - lightest)
    channels = hls_to_rgb(hue, lightness, saturation)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def _kind(name: str) -> str:
    return next((kind for kind, entry in _HUES.items() if re.match(entry[0], name)), "")
