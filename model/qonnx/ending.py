"""The end of a graph: what makes labels of logits needs no hardware."""

from typing import Any

from .elementwise import bent
from .node import refuse
from .walk import Walk, is_end

__all__ = ["end", "end_or_bent"]


def end(walk: Walk, node: Any) -> None:
    """Drop a node that only turns logits into probabilities, ranks or labels."""
    if not any(is_end(walk, each) for each in node.output):
        refuse(node, "is supported only at the very end of a network")
    tensor = walk.tensor(node)
    if tensor.size.positions != 1:
        refuse(node, f"ends a network at {tensor.size.positions} positions; only one is supported")
    walk.dropped.append(f"{node.name} ({node.op_type})")
    for output in node.output:
        walk.values[output] = tensor


def end_or_bent(walk: Walk, node: Any) -> None:
    """Drop a monotone function at the end of the graph, run it elsewhere."""
    (end if is_end(walk, node.output[0]) else bent)(walk, node)
