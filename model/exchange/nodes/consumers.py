"""Looks ahead to the consumers of a tensor in the graph."""

import numpy as np

from ..graph.codes import LINEAR
from ..graph.node import attributes
from .context import ImportContext

__all__ = [
    "CODING",
    "LAYOUT",
    "SCORES",
    "is_end",
    "padded_ahead",
    "returns_to_batch",
    "scores_behind",
]

PASSING = (
    "MaxPool", "Identity", "Transpose", "Reshape", "Mul", "Div", "Dropout", "Squeeze", "Unsqueeze",
    "QuantizeLinear", "DequantizeLinear", "Clip", "Relu", "Concat",
)  # fmt: skip
BESIDE_BATCH = ("BatchNormalization", "Mul", "Add", "Sub", "Div", "Relu", "Reshape")
ENDINGS = ("Softmax", "LogSoftmax", "TopK", "ArgMax", "Sigmoid", "Tanh")
SCORES = ("Softmax", "LogSoftmax")
CODING = (*LINEAR, "Clip")
LAYOUT = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Transpose")


def padded_ahead(context: ImportContext, tensor: str, *, any_value: bool = False) -> bool:
    """Tell whether a convolution or an average pool reads zeros around this tensor.

    With ``any_value``, whatever a Pad puts there counts as zeros: what they are in codes.
    """
    for node in context.model.find_consumers(tensor) or []:
        values = attributes(node)
        if node.op_type in ("Conv", "AveragePool"):
            same = values.get("auto_pad", "NOTSET").startswith("SAME")
            if same or any(values.get("pads", [0])):
                return True
        elif node.op_type == "Pad":
            value = context.values.get(node.input[2]) if len(node.input) > 2 else None
            is_zero = value is None or (isinstance(value, np.ndarray) and not value.any())
            if any_value or is_zero:
                return True
        elif node.op_type in PASSING and any(
            padded_ahead(context, each, any_value=any_value) for each in node.output
        ):
            return True
    return False


def returns_to_batch(context: ImportContext, tensor: str) -> bool:
    """Tell whether a tensor whose first axis is not the batch is shaped back before it matters.

    Brevitas' TensorNorm makes one column of a tensor, scales that, and shapes it back.
    """
    readers = context.model.find_consumers(tensor) or []
    return bool(readers) and all(
        node.op_type in BESIDE_BATCH
        and (node.op_type == "Reshape" or returns_to_batch(context, node.output[0]))
        for node in readers
    )


def scores_behind(context: ImportContext, tensor: str) -> bool:
    """Tell whether a tensor is what a softmax made of the logits, moved or quantised since."""
    while (node := context.model.find_producer(tensor)) is not None:
        if node.op_type in SCORES:
            return True
        if node.op_type not in (*LAYOUT, *CODING):
            return False
        tensor = node.input[0]
    return False


def is_end(context: ImportContext, tensor: str, passing: tuple[str, ...] = ()) -> bool:
    """Tell whether nothing but endings lies between a tensor and the outputs of the graph.

    ``passing`` are other operators that may.
    """
    outputs = {each.name for each in context.model.graph.output}
    readers = [node for node in context.model.graph.node if tensor in node.input]
    if not readers:
        return tensor in outputs
    return all(
        node.op_type in ENDINGS + LAYOUT + passing
        and any(is_end(context, each, passing) for each in node.output)
        for node in readers
    )
