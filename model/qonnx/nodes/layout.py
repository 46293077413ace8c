"""What only moves elements: Flatten, Reshape, Transpose and their like, and Pad."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ....hw.errors import NetworkError
from ..exact.curve import fractions
from ..exact.tensors import Levels, Weights
from ..graph.node import attributes, refuse
from .ahead import returns_to_batch
from .levels import levels_of
from .walk import Walk

__all__ = ["MOVES", "moved", "pad"]

Move = Callable[[np.ndarray], np.ndarray]


def moved(walk: Walk, node: Any) -> None:
    """Move the elements of a tensor, or of constant weights."""
    value = walk.value(node, 0)
    move = MOVES[node.op_type](walk, node)
    try:
        if isinstance(value, Weights):
            scale = np.broadcast_to(value.scale, value.levels.shape)
            found: Any = Weights(move(value.levels), move(scale), value.format)
        elif isinstance(value, np.ndarray):
            found = move(value)
        else:
            tensor = walk.tensor(node)
            if isinstance(tensor, Levels) and any(tensor.padding):
                refuse(node, "reads a padded tensor; only convolutions can")
            found = replace(tensor, index=move(tensor.index))
            may_mix = node.op_type == "Reshape" and returns_to_batch(walk, node.output[0])
            if len(found.index) != 1 and not may_mix:
                refuse(node, "mixes images: the first axis must stay the batch")
    except NetworkError:
        raise
    except (ValueError, IndexError) as error:
        refuse(node, f"does not fit its input ({error})")
    walk.values[node.output[0]] = found


def _flatten(walk: Walk, node: Any) -> Move:
    axis = attributes(node).get("axis", 1)

    def move(array: np.ndarray) -> np.ndarray:
        split = axis % array.ndim if axis < 0 else axis
        return array.reshape(int(np.prod(array.shape[:split])), -1)

    return move


def _reshape(walk: Walk, node: Any) -> Move:
    shape = walk.constant(node, 1, "shape")
    if shape is None:
        refuse(node, "has no shape")
    zero_is_zero = attributes(node).get("allowzero", 0)
    wanted = [int(each) for each in shape]

    def move(array: np.ndarray) -> np.ndarray:
        sizes = [
            array.shape[axis] if each == 0 and not zero_is_zero else each
            for axis, each in enumerate(wanted)
        ]
        return array.reshape(sizes)

    return move


def _transpose(walk: Walk, node: Any) -> Move:
    order = attributes(node).get("perm")
    return lambda array: array.transpose(order)


def _axes(walk: Walk, node: Any) -> list[int] | None:
    axes = attributes(node).get("axes")
    if axes is None:
        axes = walk.constant(node, 1, "axes")
    return None if axes is None else [int(each) for each in axes]


def _squeeze(walk: Walk, node: Any) -> Move:
    axes = _axes(walk, node)
    if axes is None:
        return lambda array: array.reshape(array.shape[0], *(n for n in array.shape[1:] if n > 1))
    return lambda array: np.squeeze(array, tuple(axes))


def _unsqueeze(walk: Walk, node: Any) -> Move:
    axes = tuple(_axes(walk, node) or ())
    return lambda array: np.expand_dims(array, axes)


MOVES: dict[str, Callable[[Walk, Any], Move]] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}
"""Makers of functions that move the elements of an array with a batch axis."""


def pad(walk: Walk, node: Any) -> None:
    """Note a constant Pad around an image, for the convolution that reads it."""
    values = attributes(node)
    if values.get("mode", "constant") != "constant":
        refuse(node, f"mode {values['mode']} is not supported, only constant")
    levels = levels_of(walk, node, walk.tensor(node))
    pads, fill = _pads(walk, node, values, levels.index.ndim)
    if levels.index.ndim != 4 or any(pads[:2]) or any(pads[4:6]) or min(pads) < 0:
        refuse(node, f"pads {pads} are not around the height and width of an image")
    around = (pads[2], pads[3], pads[6], pads[7])
    if not any(around):
        walk.values[node.output[0]] = levels
        return
    if any(levels.padding):
        refuse(node, "two Pad nodes in a row are not supported")
    if len({*levels.scale.tolist()}) > 1 or len({*levels.offset.tolist()}) > 1:
        refuse(node, "pads a tensor whose channels have different scales")
    walk.values[node.output[0]] = replace(levels, padding=around, pad_value=fill)


def _pads(walk: Walk, node: Any, values: dict[str, Any], axes: int) -> tuple[list[int], Fraction]:
    """Return begins and ends of every axis, and the value that is put there."""
    given, fill = values.get("pads"), Fraction(float(values.get("value", 0.0)))
    if given is None:
        given = walk.constant(node, 1, "pads")
        constant = walk.constant(node, 2, "value")
        if constant is not None and constant.size:
            fill = fractions(constant).ravel()[0]
    picked = walk.constant(node, 3, "axes")
    if given is None:
        refuse(node, "has no pads")
    pads = [int(each) for each in given]
    if picked is None:
        if len(pads) != 2 * axes:
            refuse(node, f"{len(pads)} pads do not fit a tensor of {axes} axes")
        return pads, fill
    found = [0] * (2 * axes)
    for place, axis in enumerate(int(each) % axes for each in picked):
        found[axis], found[axis + axes] = pads[place], pads[place + len(picked)]
    return found, fill
