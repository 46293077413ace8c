"""RESIZE_NEAREST_NEIGHBOR, which repeats the pixels of an image."""

import numpy as np

from ....hw.network.window import Size
from .graph import TfliteOperation, refuse
from .moves import settled
from .state import TfliteImport

__all__ = ["nearest", "resize"]


def resize(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan a RESIZE_NEAREST_NEIGHBOR by whole numbers; at the end of the graph it is the host's."""
    stored = settled(state, operation, state.image(operation))
    source, result = (
        state.graph.tensors[each[0]] for each in (operation.inputs, operation.outputs)
    )
    if (source.unit, source.zero) != (result.unit, result.zero):
        refuse(operation, "its output is quantised otherwise than its input")
    if len(result.shape) != 4 or result.shape[0] != 1 or result.shape[3] != stored.size.channels:
        refuse(operation, f"makes {'x'.join(map(str, result.shape))} of {stored.size}")
    size = Size(*result.shape[1:])
    _check(operation, stored.size, size)
    order = np.arange(stored.size.elements).reshape(stored.size)
    for axis in (0, 1):
        order = order.repeat(size[axis] // stored.size[axis], axis)
    readers = state.graph.readers(operation.outputs[0])
    is_end = stored.size.positions > 1 and all(each.kind == "DEQUANTIZE" for each in readers)
    if is_end:
        state.result_order = order[None]
        state.give(operation, stored, watch=False)
    else:
        state.give(operation, state.reordered(stored, order, size))


def nearest(operation: TfliteOperation, size: int, wide: int) -> list[int]:
    """Return which of ``size`` pixels each of ``wide`` is, as TFLite's reference kernels do."""
    corners = bool(operation.options["align_corners"]) and wide > 1
    half = bool(operation.options["half_pixel_centers"])
    scale = np.float32(size - 1) / np.float32(wide - 1) if corners else np.float32(size / wide)
    places = (np.arange(wide).astype(np.float32) + np.float32(0.5 if half else 0)) * scale
    found = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
    return found.astype(np.int64).clip(0, size - 1).tolist()


def _check(operation: TfliteOperation, small: Size, large: Size) -> None:
    for axis in (0, 1):
        size, wide = small[axis], large[axis]
        if wide % size:
            refuse(
                operation,
                f"makes {large} of {small}; only whole multiples of rows and columns are supported",
            )
        if nearest(operation, size, wide) != [place * size // wide for place in range(wide)]:
            refuse(
                operation,
                f"repeats some pixels more often than others when it makes {wide} of {size}; leave "
                "out align_corners",
            )
