"""Operators that only move elements: Flatten, DepthToSpace, Resize and their like, and Pad."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from onnx import NodeProto

from ....hw.errors import NetworkError
from ...exact.tensors import Levels, Sums, Weights
from ...exact.transfer import Number
from ..graph.nearest import enlarging
from ..graph.node import Attributes, attributes, refuse
from .consumers import returns_to_batch
from .context import ImportContext, NetworkTensor, Raw, Value
from .levels import levels_of
from .placing import CHANNELS, HEIGHT, WIDTH, Ends, roles_of, settled, shifted, with_roles

__all__ = ["MOVES", "moved", "pad"]

Move = Callable[[np.ndarray], np.ndarray]


def moved(context: ImportContext, node: NodeProto) -> None:
    """Move the elements of a tensor, or of constant weights."""
    value = context.value(node, 0)
    move = MOVES[node.op_type](context, node)
    try:
        if isinstance(value, Weights):
            scale = np.broadcast_to(value.scale, value.levels.shape)
            bits = None if value.bits is None else move(value.bits)
            found: Value = Weights(move(value.levels), move(scale), value.format, bits)
        elif isinstance(value, np.ndarray):
            found = move(value)
        else:
            tensor = context.tensor(node)
            if any(tensor.padding) and node.op_type not in ("Transpose", "Unsqueeze"):
                tensor = settled(context, node, tensor)
            found = replace(tensor, index=move(tensor.index))
            if any(tensor.padding) and roles_of(found) is None:  # such as in five axes
                tensor = settled(context, node, tensor)
                found = replace(tensor, index=move(tensor.index))
            if len(np.unique(found.index)) != found.size.elements:
                refuse(
                    node,
                    "leaves out elements of its input, which only negative pads of a Pad do",
                )
            may_mix = node.op_type == "Reshape" and returns_to_batch(context, node.output[0])
            if len(found.index) != 1 and not may_mix:
                refuse(node, "mixes images: the first axis must stay the batch")
    except NetworkError:
        raise
    except (ValueError, IndexError) as error:
        refuse(node, f"does not fit its input ({error})")
    context.values[node.output[0]] = found


def _flatten(context: ImportContext, node: NodeProto) -> Move:
    axis = attributes(node).get("axis", 1)

    def move(array: np.ndarray) -> np.ndarray:
        split = axis % array.ndim if axis < 0 else axis
        return array.reshape(int(np.prod(array.shape[:split])), -1)

    return move


def _reshape(context: ImportContext, node: NodeProto) -> Move:
    shape = context.constant(node, 1, "shape")
    if shape is None:
        refuse(node, "has no shape")
    if shape.ndim != 1:
        refuse(node, f"its shape is no list of sizes, but of {shape.ndim} dimensions")
    zero_is_zero = attributes(node).get("allowzero", 0)
    wanted = [int(each) for each in shape]

    def move(array: np.ndarray) -> np.ndarray:
        sizes = [
            array.shape[axis] if each == 0 and not zero_is_zero else each
            for axis, each in enumerate(wanted)
        ]
        return array.reshape(sizes)

    return move


def _transpose(context: ImportContext, node: NodeProto) -> Move:
    order = attributes(node).get("perm")
    return lambda array: array.transpose(order)


def _axes(context: ImportContext, node: NodeProto) -> list[int] | None:
    axes = attributes(node).get("axes")
    if axes is None:
        axes = context.constant(node, 1, "axes")
    return None if axes is None else [int(each) for each in axes]


def _squeeze(context: ImportContext, node: NodeProto) -> Move:
    axes = _axes(context, node)
    if axes is None:
        return lambda array: array.reshape(array.shape[0], *(n for n in array.shape[1:] if n > 1))
    return lambda array: np.squeeze(array, tuple(axes))


def _unsqueeze(context: ImportContext, node: NodeProto) -> Move:
    axes = tuple(_axes(context, node) or ())
    return lambda array: np.expand_dims(array, axes)


def _depth_to_space(context: ImportContext, node: NodeProto) -> Move:
    block, mode = int(attributes(node).get("blocksize", 0)), attributes(node).get("mode", "DCR")
    if mode not in ("DCR", "CRD") or block < 1:
        refuse(node, f"of blocksize {block} and mode {mode} is none of ONNX")

    def move(array: np.ndarray) -> np.ndarray:
        images, channels, height, width = array.shape
        rest = channels // block**2
        split = (block, block, rest) if mode == "DCR" else (rest, block, block)
        order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
        spread = array.reshape(images, *split, height, width).transpose(order)
        return spread.reshape(images, rest, height * block, width * block)

    return move


def _resize(context: ImportContext, node: NodeProto) -> Move:
    place = 2 if node.op_type == "Resize" and len(node.input) > 2 else 1
    scales, sizes = context.constant(node, place, "scales"), context.constant(node, 3, "sizes")
    return enlarging(node, scales, sizes)


def _gather(context: ImportContext, node: NodeProto) -> Move:
    axis, picks = attributes(node).get("axis", 0), context.constant(node, 1, "picks")
    if picks is None:
        refuse(node, "has no picks")

    return lambda array: array.take(picks.astype(np.int64), axis)


MOVES: dict[str, Callable[[ImportContext, NodeProto], Move]] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "DepthToSpace": _depth_to_space,
    "Gather": _gather,
    "Resize": _resize,
    "Upsample": _resize,
}
"""Makers of functions that move the elements of an array with a batch axis."""


def pad(context: ImportContext, node: NodeProto) -> None:
    """Note a constant Pad around an image, for the window that reads it; plan a layer for others.

    What it pads before a quantiser is padded behind it, with what the quantiser makes of the value.
    """
    values = attributes(node)
    if values.get("mode", "constant") != "constant":
        refuse(
            node,
            f"mode {values['mode']} repeats elements of its input at the edges, which no layer "
            "does; only a constant is supported",
        )
    tensor = context.tensor(node)
    pads, fill = _pads(context, node, values, tensor.index.ndim)
    if not any(pads):
        context.values[node.output[0]] = tensor
        return
    tensor, roles = with_roles(context, node, tensor, what="pads")
    batch, ends = _by_role(roles, pads)
    if any(batch):
        refuse(node, f"pads {pads} add images to the batch, or take them away")
    value = np.full(tensor.size.channels, fill, object)
    around = (ends.rows[0], ends.columns[0], ends.rows[1], ends.columns[1])
    again = any(tensor.padding)
    if min(around) >= 0 and not any(ends.channels) and not (again and _differs(tensor, fill)):
        found: NetworkTensor = _padded(tensor, around, value)
    else:
        if isinstance(tensor, Sums | Raw) and (again or context.stated_input is None):
            refuse(
                node,
                "crops, adds channels or pads again before anything is quantised; put a Quant "
                "node before it",
            )
        levels = settled(context, node, levels_of(context, node, tensor))
        found = shifted(context, node, levels, ends, np.full(levels.size.channels, fill, object))
    context.values[node.output[0]] = found


def _differs(tensor: NetworkTensor, fill: Number) -> bool:
    """Tell whether there is another value around a tensor already."""
    values = tensor.pad_value if isinstance(tensor, Levels) else tensor.border_values[:, 0]
    assert values is not None
    return any(each != fill for each in values)


def _padded(
    tensor: NetworkTensor, around: tuple[int, int, int, int], value: np.ndarray
) -> NetworkTensor:
    """Return a tensor with more rows and columns of a value around it."""
    padding = tuple(one + other for one, other in zip(tensor.padding, around, strict=True))
    if isinstance(tensor, Levels):
        return replace(tensor, padding=padding, pad_value=value)
    return replace(tensor, padding=padding, border=tensor.border_of(value))


def _by_role(roles: tuple[int, ...], pads: list[int]) -> tuple[tuple[int, int], Ends]:
    """Return what is put around the batch, and around height, width and channels."""
    pairs = list(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True))
    found = {role: pair for role, pair in zip(roles, pairs[1:], strict=True)}
    return pairs[0], Ends(*(found.get(role, (0, 0)) for role in (HEIGHT, WIDTH, CHANNELS)))


def _pads(
    context: ImportContext, node: NodeProto, values: Attributes, axes: int
) -> tuple[list[int], Number]:
    """Return begins and ends of every axis, and the value that is put there."""
    given, fill = values.get("pads"), float(values.get("value", 0.0))
    if given is None:
        given = context.constant(node, 1, "pads")
        constant = context.constant(node, 2, "value")
        if constant is not None and constant.size:
            fill = float(np.asarray(constant, np.float64).ravel()[0])
    picked = context.constant(node, 3, "axes")
    if given is None:
        refuse(node, "has no pads")
    pads, value = [int(each) for each in given], fill if np.isinf(fill) else Fraction(fill)
    each = axes if picked is None else len(picked)
    if len(pads) != 2 * each:
        refuse(node, f"{len(pads)} pads do not fit {each} axes, a begin and an end for each")
    if picked is None:
        return pads, value
    found = [0] * (2 * axes)
    for place, axis in enumerate(int(each) % axes for each in picked):
        found[axis], found[axis + axes] = pads[place], pads[place + len(picked)]
    return found, value
