"""TFLite's reference kernels for int8, as integer arithmetic on whole batches.

Values are codes, int64 arrays of shape (images, ...) whose other axes are those of the file.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.nn import functional

from ....hw.network.window import Window
from .enlarging import nearest
from .geometry import kernel_of, size_of, window_of
from .graph import TfliteGraph, TfliteOperation
from .rules import RELUS, Rescaling, addition, averaging, rescaling

__all__ = ["run_kernels"]

Codes = dict[int, np.ndarray]
ENDS = ("SOFTMAX", "DEQUANTIZE")


def run_kernels(graph: TfliteGraph, start: int, codes: np.ndarray) -> Codes:
    """Return the codes of all tensors that a graph computes, but probabilities.

    Parameters
    ----------
    graph : TfliteGraph
        One that can be imported.
    start : int
        The tensor of the input's codes.
    codes : int64 array of shape (images, ...)
        The input.
    """
    found = {start: codes.reshape(len(codes), *graph.tensors[start].shape[1:])}
    for operation in graph.operations:
        (result,) = operation.outputs
        if result == start or operation.kind in ENDS or operation.inputs[0] not in found:
            continue
        if graph.tensors[result].dtype == "INT8":
            found[result] = KERNELS[operation.kind](graph, operation, found)
    return found


def _convolution(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    image = _centred(graph, operation, codes)
    facts = graph.tensors[operation.inputs[1]]
    assert facts.data is not None
    weights = facts.data.astype(np.float64)
    if operation.kind == "DEPTHWISE_CONV_2D":
        weights = weights.transpose(3, 1, 2, 0)
    window = _window(graph, operation, kernel_of(operation, weights.shape[1:3]))
    top, left, bottom, right = window.padding
    channels_first = torch.from_numpy(image).double().permute(0, 3, 1, 2)
    sums = functional.conv2d(
        functional.pad(channels_first, (left, right, top, bottom)),
        torch.from_numpy(weights).permute(0, 3, 1, 2).contiguous(),
        stride=window.stride,
        dilation=(operation.number("dilation_h_factor"), operation.number("dilation_w_factor")),
        groups=image.shape[3] // weights.shape[3],
    )
    return _rescaled(rescaling(graph, operation), sums.permute(0, 2, 3, 1).numpy())


def _dense(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    image = _centred(graph, operation, codes)
    facts = graph.tensors[operation.inputs[1]]
    assert facts.data is not None
    sums = image.reshape(len(image), -1).astype(np.float64) @ facts.data.T.astype(np.float64)
    found = _rescaled(rescaling(graph, operation), sums)
    return found.reshape(len(found), *_shape(graph, operation))


def _max_pool(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    windows = _windows(graph, operation, codes[operation.inputs[0]], -(1 << 20))
    return windows.max(axis=(-2, -1)).clip(*averaging(graph, operation, 1).ends)


def _average_pool(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    image = codes[operation.inputs[0]]
    sums, counts = (
        _windows(graph, operation, each, 0).sum(axis=(-2, -1))
        for each in (image, np.ones_like(image[:1]))
    )
    rows = np.moveaxis(sums, 0, -1)  # each place has its own count
    found = averaging(graph, operation, *counts.ravel()).codes(rows.reshape(-1, len(image)))
    return np.moveaxis(found.reshape(rows.shape), -1, 0)


def _mean(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    sums = _centred(graph, operation, codes).sum(axis=(1, 2))
    found = _each(rescaling(graph, operation), sums)
    return found.reshape(len(found), *_shape(graph, operation))


def _add(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    one, two = (codes[each] for each in operation.inputs)
    return addition(graph, operation).codes(one, two)


def _rescale(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    return _each(rescaling(graph, operation), _centred(graph, operation, codes))


def _reshape(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    found = codes[operation.inputs[0]]
    return found.reshape(len(found), *_shape(graph, operation))


def _resize(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    image = codes[operation.inputs[0]]
    for axis, size in enumerate(_shape(graph, operation)[:2], 1):
        image = image.take(nearest(operation, image.shape[axis], size), axis)
    return image


def _pad(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    amounts = graph.tensors[operation.inputs[1]].data
    assert amounts is not None
    zero = graph.tensors[operation.outputs[0]].zero
    return np.pad(codes[operation.inputs[0]], amounts.tolist(), constant_values=zero)


KERNELS: Mapping[str, Callable[[TfliteGraph, TfliteOperation, Codes], np.ndarray]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _max_pool,
    "AVERAGE_POOL_2D": _average_pool,
    "MEAN": _mean,
    "ADD": _add,
    **dict.fromkeys((*RELUS, "QUANTIZE"), _rescale),
    "RESHAPE": _reshape,
    "PAD": _pad,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
}


def _centred(graph: TfliteGraph, operation: TfliteOperation, codes: Codes) -> np.ndarray:
    """Return codes less their zero point."""
    return codes[operation.inputs[0]] - graph.tensors[operation.inputs[0]].zero


def _rescaled(rule: Rescaling, sums: np.ndarray) -> np.ndarray:
    """Return the codes of sums whose last axis is channels, and whose values are whole."""
    rows = np.moveaxis(np.rint(sums).astype(np.int64), -1, 0)
    found = rule.codes(rows.reshape(len(rows), -1))
    return np.moveaxis(found.reshape(rows.shape), 0, -1)


def _each(rule: Rescaling, sums: np.ndarray) -> np.ndarray:
    """Return the codes of sums that all have one factor."""
    return rule.codes(sums.reshape(1, -1)).reshape(sums.shape)


def _shape(graph: TfliteGraph, operation: TfliteOperation) -> tuple[int, ...]:
    return graph.tensors[operation.outputs[0]].shape[1:]


def _window(graph: TfliteGraph, operation: TfliteOperation, kernel: tuple[int, int]) -> Window:
    shape = graph.tensors[operation.inputs[0]].shape
    return window_of(operation, size_of(operation, shape), kernel)


def _windows(
    graph: TfliteGraph, operation: TfliteOperation, image: np.ndarray, outside: int
) -> np.ndarray:
    """Return what each window of a pool holds, in two more axes."""
    kernel = operation.number("filter_height"), operation.number("filter_width")
    window = _window(graph, operation, kernel)
    top, left, bottom, right = window.padding
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(image, around, constant_values=outside)
    down, across = window.stride
    return sliding_window_view(padded, kernel, axis=(1, 2))[:, ::down, ::across]
