"""The end of a graph: what makes labels of logits needs no hardware."""

from typing import Any

from ..graph.node import attributes, refuse
from .ahead import is_end
from .elementwise import bent
from .walk import Walk

__all__ = ["end", "end_or_bent"]

RANKING = ("Softmax", "LogSoftmax", "TopK", "ArgMax")


def end(walk: Walk, node: Any) -> None:
    """Drop a node that only turns logits into probabilities, ranks or labels."""
    if not any(is_end(walk, each) for each in node.output):
        refuse(node, "is supported only at the very end of a network")
    tensor = walk.tensor(node)
    if tensor.size.positions != 1:
        refuse(node, f"ends a network at {tensor.size.positions} positions; only one is supported")
    _check_axis(node, tensor.index.shape)
    walk.dropped.append(f"{node.name} ({node.op_type})")
    for output in node.output:
        walk.values[output] = tensor


def _check_axis(node: Any, shape: tuple[int, ...]) -> None:
    """Refuse what ranks anything but the logits, the largest first."""
    values = attributes(node)
    axis = values.get("axis", 0 if node.op_type == "ArgMax" else len(shape) - 1)
    if node.op_type in RANKING and shape[axis] != max(shape):
        refuse(node, f"of axis {axis} of a tensor of {shape} is not one of all logits")
    if not values.get("largest", 1) or values.get("select_last_index", 0):
        refuse(node, "ranks the smallest or the last first; only the largest, the first of equals")


def end_or_bent(walk: Walk, node: Any) -> None:
    """Drop a monotone function at the end of the graph, run it elsewhere."""
    (end if is_end(walk, node.output[0]) else bent)(walk, node)
