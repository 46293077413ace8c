"""Convolutions, depthwise convolutions and dense layers."""

import numpy as np

from ....hw.network.window import Size, Window
from ....hw.numbers.formats import Fixed
from ...exact.ranges import reach, weight_format
from ...exact.unsolved import Accumulation
from .geometry import kernel_of, size_of, window_of
from .graph import TfliteOperation, refuse
from .moves import joined
from .rules import rescaling
from .state import StoredTensor, TfliteImport, check_sums

__all__ = ["convolution", "dense", "dilated", "weights_of"]

MOST_WEIGHTS = 1 << 23  # of a kernel that dilation filled with zeros


def convolution(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan a CONV_2D or a DEPTHWISE_CONV_2D."""
    stored = state.image(operation)
    weights = weights_of(state, operation)
    inputs, groups = stored.size.channels, 1
    if operation.kind == "DEPTHWISE_CONV_2D":
        weights, groups = weights.transpose(3, 1, 2, 0), inputs
    if len(weights) % groups or weights.shape[3] * groups != inputs:
        if operation.kind == "DEPTHWISE_CONV_2D" or inputs % weights.shape[3]:
            refuse(operation, f"weights for {weights.shape[3]} channels read {inputs}")
        groups = inputs // weights.shape[3]
        if len(weights) % groups:
            refuse(operation, f"{groups} groups do not divide {len(weights)} channels")
    multiple = operation.options.get("depth_multiplier", 0)
    if multiple and multiple * inputs != len(weights):
        refuse(operation, f"{len(weights)} channels are not {multiple} for each of {inputs}")
    weights = dilated(operation, weights, stored.padded_size)
    window = window_of(operation, stored.padded_size, weights.shape[1:3])
    stored, window = joined(state, operation, stored, window)
    _plan(state, operation, stored, weights, window, groups)


def dense(state: TfliteImport, operation: TfliteOperation) -> None:
    """Plan a FULLY_CONNECTED, which reads all elements of its input."""
    stored = state.tensor(operation)
    weights = weights_of(state, operation)
    if operation.options["weights_format"]:
        refuse(operation, "its weights are shuffled; only plain ones are supported")
    if any(stored.padding):
        stored, _ = joined(state, operation, stored, Window((1, 1)))
    if weights.shape[1] != stored.size.elements:
        refuse(operation, f"weights for {weights.shape[1]} inputs read {stored.size.elements}")
    _plan(state, operation, stored, weights, None, 1)


def weights_of(state: TfliteImport, operation: TfliteOperation) -> np.ndarray:
    """Return constant weights of INT8 as int64; refuse any other."""
    if len(operation.inputs) not in (2, 3) or operation.inputs[1] == -1:
        refuse(operation, "it has input, weights and perhaps a bias, and this one has not")
    facts = state.graph.tensors[operation.inputs[1]]
    axes = 2 if operation.kind == "FULLY_CONNECTED" else 4
    axis = 3 if operation.kind == "DEPTHWISE_CONV_2D" else 0
    if facts.dtype != "INT8" or facts.data is None or len(facts.shape) != axes:
        refuse(operation, f"its weights are no constant of INT8 with {axes} axes")
    if axis == 3 and facts.shape[0] != 1:
        refuse(operation, f"depthwise weights begin with an axis of 1, not {facts.shape[0]}")
    scales = len(facts.scale)
    if scales != 1 and (scales != facts.shape[axis] or facts.axis != axis):
        refuse(
            operation,
            f"its weights have {scales} scales along axis {facts.axis}; there is one for all, or "
            f"{facts.shape[axis]} along axis {axis}",
        )
    if facts.zero_point.any():
        refuse(operation, "its weights have a zero point; only symmetric ones are supported")
    return facts.data.astype(np.int64)


def dilated(operation: TfliteOperation, weights: np.ndarray, size: Size) -> np.ndarray:
    """Return weights of shape (outputs, height, width, inputs) with their dilation as zeros."""
    taps = weights.shape[1:3]
    kernel = kernel_of(operation, taps)
    if kernel == taps:
        return weights
    if kernel[0] > 2 * size.height or kernel[1] > 2 * size.width:
        refuse(operation, f"its dilated kernel, {kernel[0]}x{kernel[1]}, is larger than {size}")
    if len(weights) * kernel[0] * kernel[1] * weights.shape[3] > MOST_WEIGHTS:
        refuse(operation, f"dilated it has more than {MOST_WEIGHTS:,} weights")
    found = np.zeros((len(weights), *kernel, weights.shape[3]), np.int64)
    down, across = (operation.number(f"dilation_{side}_factor") for side in "hw")
    found[:, ::down, ::across] = weights
    return found


def _plan(
    state: TfliteImport,
    operation: TfliteOperation,
    stored: StoredTensor,
    weights: np.ndarray,
    window: Window | None,
    groups: int,
) -> None:
    """Plan a layer with weights; a channel that always gives one code gets weights of 0."""
    rule = rescaling(state.graph, operation)
    rows = weights.reshape(len(weights), -1)
    offset = (stored.base - stored.zero) * rows.sum(axis=1)
    low, high = reach(weights, *stored.ends)
    check_sums(operation, rule, low + offset, high + offset)
    ends = rule.codes(np.stack([low, high], axis=1) + offset[:, None])
    constant = ends[:, 0] == ends[:, 1]
    weights = np.where(constant.reshape(-1, *[1] * (weights.ndim - 1)), 0, weights)
    low, high = np.where(constant, 0, low), np.where(constant, 0, high)
    size = Size(1, 1, len(weights))
    if window is not None:
        size = Size(*window.positions(stored.size), len(weights))
        if size_of(operation, state.graph.tensors[operation.outputs[0]].shape) != size:
            refuse(operation, f"it gives {size}, which its output is not")
    sums = Accumulation(
        name=state.unique(operation.kind.lower()),
        sources=(stored.source,),
        inputs=(stored.format,),
        input_sizes=(stored.size,),
        size=size,
        low=low,
        high=high,
        weights=weights,
        weight=weight_format(Fixed(8), weights),
        window=window,
        groups=groups,
    )
    state.give(operation, state.planned(operation, sums, rule, offset))
