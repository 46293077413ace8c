"""The end of a graph: what makes labels of logits needs no hardware."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from ...exact.tensors import Ranks, Tensor
from ..graph.node import attributes, refuse
from .ahead import LAYOUT, is_end
from .elementwise import bent
from .walk import Walk

__all__ = ["behind", "end", "end_or_bent"]

RANKS = ("TopK", "ArgMax")
SCORES = ("Softmax", "LogSoftmax")
FLATTENS = 13  # the version of the operators before which a softmax runs over all later axes


def end(walk: Walk, node: Any) -> None:
    """Drop a node that only turns logits into probabilities, ranks or labels."""
    if not any(is_end(walk, each) for each in node.output):
        refuse(node, "is supported only at the very end of a network")
    tensor = walk.tensor(node)
    if tensor.size.positions != 1:
        refuse(node, f"ends a network at {tensor.size.positions} positions; only one is supported")
    if node.op_type in RANKS + SCORES:
        _check_axis(walk, node, tensor.index.shape)
    if node.op_type in RANKS:
        _check_order(walk, node)
    walk.drop(node)
    if node.op_type in RANKS:
        walk.scores = walk.scores or node.input[0]
    for place, output in enumerate(node.output):
        found: Tensor | Ranks = tensor
        if node.op_type in RANKS:
            found = Ranks(tensor, are_places=node.op_type == "ArgMax" or place == 1)
        walk.values[output] = found


def _check_axis(walk: Walk, node: Any, shape: tuple[int, ...]) -> None:
    """Refuse what runs over anything but all logits of an image."""
    (version,) = [each.version for each in walk.model.model.opset_import if not each.domain] or [1]
    flattens = node.op_type in SCORES and version < FLATTENS
    default = 0 if node.op_type == "ArgMax" else 1 if flattens else -1
    axis = attributes(node).get("axis", default)
    if not -len(shape) <= axis < len(shape):
        refuse(node, f"has no axis {axis} in a tensor of {shape}")
    first = axis % len(shape)
    over = int(np.prod(shape[first:])) if flattens else shape[first]
    if not first or over != int(np.prod(shape)):
        refuse(node, f"of axis {axis} of a tensor of {shape} is not one of all logits")


def _check_order(walk: Walk, node: Any) -> None:
    """Refuse what ranks anything but the largest first."""
    values = attributes(node)
    if not values.get("largest", 1) or values.get("select_last_index", 0):
        refuse(node, "ranks the smallest or the last first; only the largest, the first of equals")
    if node.op_type == "TopK" and not values.get("sorted", 1):
        count = walk.constant(node, 1, "count")
        if count is None or int(np.ravel(count)[0]) != 1:
            refuse(node, "gives the largest logits in no order; only sorted ones have a first")


def behind(walk: Walk, node: Any) -> None:
    """Pass on the ranks that a node reads, if it only moves them or gives them another type."""
    found = next(each for each in map(walk.values.get, node.input) if isinstance(each, Ranks))
    if node.op_type not in LAYOUT:
        refuse(node, "reads the ranks of logits; only a change of shape or type may follow those")
    if node.op_type == "Cast":
        dtype = helper.tensor_dtype_to_np_dtype(attributes(node)["to"])
        places = np.arange(found.logits.index.size)
        is_text = attributes(node)["to"] == TensorProto.STRING
        if is_text or not np.array_equal(places.astype(dtype).astype(np.int64), places):
            refuse(node, f"to {dtype} does not hold the places of {len(places)} logits")
    walk.values[node.output[0]] = found


def end_or_bent(walk: Walk, node: Any) -> None:
    """Drop a monotone function at the end of the graph, run it elsewhere."""
    (end if is_end(walk, node.output[0]) else bent)(walk, node)
