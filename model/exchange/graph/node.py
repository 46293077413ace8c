"""Nodes of a graph: their attributes, and what is said when one cannot be run."""

from typing import Any, NoReturn

import onnx.helper
from onnx import NodeProto

from ....hw.errors import NetworkError
from ....hw.network.window import Window

Attributes = dict[str, Any]
"""Attributes of a node: numbers, texts, arrays and lists, by name."""
Sides = tuple[int, ...] | list[int]

__all__ = [
    "CHANNELS_LAST",
    "FARTHEST",
    "PADDINGS",
    "Attributes",
    "attributes",
    "label",
    "printable",
    "refuse",
    "window_of",
]

CHANNELS_LAST = "qonnx.custom_op.channels_last"
"""Domain of operators of QONNX that read images of (batch, height, width, channels)."""
LONGEST = 100  # characters of a name
FARTHEST = 1 << 15  # of a kernel and its strides
PADDINGS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def label(node: NodeProto) -> str:
    """Return how errors name a node."""
    return printable(f"node {node.name or node.output[0]} ({node.op_type})")


def printable(text: str, longest: int = LONGEST) -> str:
    """Return a text from a file as one line, not too long, that a terminal can show."""
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown if len(shown) <= longest else f"{shown[: longest // 2]}...{shown[-longest // 2 :]}"


def refuse(node: NodeProto, text: str) -> NoReturn:
    """Raise a `NetworkError` that names the node."""
    raise NetworkError(f"{label(node)}: {text}")


def attributes(node: NodeProto) -> Attributes:
    """Return a node's attributes; texts are decoded."""
    found = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        found[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return found


def window_of(
    node: NodeProto,
    kernel: tuple[int, ...],
    image: tuple[int, int],
    *,
    ceil: bool = True,
    dilated: bool = False,
) -> Window:
    """Return the window of a convolution or pool over an image of height and width.

    A ``ceil_mode`` that adds a position becomes padding at the end, which only a max pool may
    have; without ``ceil`` it is not looked at. A ``dilated`` kernel has its dilations already.
    """
    values = attributes(node)
    if not dilated and any(each != 1 for each in values.get("dilations", [])):
        refuse(
            node,
            f"dilations {values['dilations']} of a pool are not supported, only 1; a dilated "
            "convolution is",
        )
    stride = tuple(values.get("strides", [1] * len(kernel)))
    pads = list(values.get("pads", [0] * 2 * len(kernel)))
    if len(kernel) == 1:
        kernel, stride, pads = (1, *kernel), (1, *stride), [0, pads[0], 0, pads[1]]
    if len(kernel) != 2:
        refuse(node, f"a kernel of {len(kernel)} dimensions is not supported, only 1 or 2")
    mode = values.get("auto_pad", "NOTSET")
    if mode not in PADDINGS:
        refuse(node, f"auto_pad {mode} is not supported; there are {', '.join(PADDINGS)}")
    if mode == "VALID":
        pads = [0] * 4
    if mode.startswith("SAME"):
        pads = _same(kernel, stride, image, mode == "SAME_LOWER")
    if min(pads) < 0:
        refuse(node, f"negative padding {pads} is not supported")
    if ceil and values.get("ceil_mode", 0):
        pads = _ceil(kernel, stride, image, pads)
    if max(*kernel, *stride) > FARTHEST:
        refuse(node, f"a kernel {kernel} or strides {stride} beyond {FARTHEST} are not supported")
    try:
        return Window((kernel[0], kernel[1]), (stride[0], stride[1]), tuple(pads))  # type: ignore[arg-type]
    except NetworkError as error:
        refuse(node, str(error))


def _same(kernel: Sides, stride: Sides, image: Sides, at_start: bool) -> list[int]:
    """Return the padding of ``auto_pad`` SAME."""
    need = [
        max((-(-size // step) - 1) * step + taps - size, 0)
        for size, step, taps in zip(image, stride, kernel, strict=True)
    ]
    first = [(each + at_start) // 2 for each in need]
    return [*first, *(each - one for each, one in zip(need, first, strict=True))]


def _ceil(kernel: Sides, stride: Sides, image: Sides, pads: list[int]) -> list[int]:
    """Return the padding that gives the positions of ``ceil_mode``."""
    room = [size + pads[axis] + pads[axis + 2] for axis, size in enumerate(image)]
    extra = [-(each - taps) % step for each, taps, step in zip(room, kernel, stride, strict=True)]
    # a window that would start in the padding at the end is left out
    starts = [each - taps + more for each, taps, more in zip(room, kernel, extra, strict=True)]
    keep = [
        more if start < size + pads[axis] else 0
        for axis, (more, start, size) in enumerate(zip(extra, starts, image, strict=True))
    ]
    return [pads[0], pads[1], pads[2] + keep[0], pads[3] + keep[1]]
