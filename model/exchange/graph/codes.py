"""Types of QuantizeLinear's codes, as the importer and onnxruntime's single nodes take them.

Codes of 2 and 4 bits become codes of 8 bits that are clipped to the same range, and quantisers of
onnxruntime's own domain those of the standard.
"""

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .kernels import INTEGER_OPERATORS, MICROSOFT
from .node import attributes

__all__ = ["LINEAR", "standardise", "takes_new_codes"]

LINEAR = ("QuantizeLinear", "DequantizeLinear")
"""Quantisers of the standard."""
NARROW: dict[int, tuple[int, int, int]] = {  # the type instead, and the ends
    getattr(TensorProto, f"{sign}INT{bits}"): (
        TensorProto.UINT8 if sign else TensorProto.INT8,
        0 if sign else -(1 << (bits - 1)),
        (1 << bits) - 1 if sign else (1 << (bits - 1)) - 1,
    )
    for sign in ("", "U")
    for bits in (2, 4)
    if hasattr(TensorProto, f"{sign}INT{bits}")
}
VALUES = ("value", "value_float", "value_floats", "value_int", "value_ints")


def takes_new_codes(node: NodeProto) -> bool:
    """Tell whether an operator means the same in all versions, but for the types that it takes."""
    return node.op_type in LINEAR or (node.op_type == "Clip" and len(node.input) > 1)


def standardise(model: ModelProto) -> None:
    """Give a graph with quantisers of the standard constants that are initialisers, and bytes."""
    graph = model.graph
    kinds = (*LINEAR, *INTEGER_OPERATORS)
    if not any(node.op_type in kinds for node in graph.node):
        return
    _lift(graph)
    narrow = {each.name: each.data_type for each in graph.initializer if each.data_type in NARROW}
    for tensor in graph.initializer:
        if tensor.data_type in NARROW:
            dtype = helper.tensor_dtype_to_np_dtype(NARROW[tensor.data_type][0])
            tensor.CopyFrom(numpy_helper.from_array(_whole(tensor).astype(dtype), tensor.name))
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type in LINEAR and node.domain == MICROSOFT:
            node.domain = ""
        nodes.append(node)
        given = _result(node, narrow)
        if given in NARROW:
            nodes.append(_clip(graph, node, *NARROW[given]))
    del graph.node[:]
    graph.node.extend(nodes)
    for output in graph.output:
        kind = output.type.tensor_type
        if kind.elem_type in NARROW:
            kind.elem_type = NARROW[kind.elem_type][0]


def _lift(graph: GraphProto) -> None:
    """Make initialisers of Constant nodes."""
    kept = []
    for node in graph.node:
        given = attributes(node) if node.op_type == "Constant" else {}
        if len(given) != 1 or not set(given) <= set(VALUES):
            kept.append(node)
            continue
        ((name, value),) = given.items()
        if name == "value":
            tensor = onnx.TensorProto()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
        else:
            dtype = np.float32 if "float" in name else np.int64
            tensor = numpy_helper.from_array(np.asarray(value, dtype), node.output[0])
        graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)


def _whole(tensor: TensorProto) -> np.ndarray:
    return numpy_helper.to_array(tensor).astype(np.int64)


def _result(node: NodeProto, narrow: dict[str, int]) -> int | None:
    """Return the narrow type that a QuantizeLinear gives; None for others."""
    if node.op_type != "QuantizeLinear":
        return None
    if len(node.input) > 2 and node.input[2]:
        return narrow.get(node.input[2])
    return attributes(node).get("output_dtype")


def _clip(graph: GraphProto, node: NodeProto, kind: int, low: int, high: int) -> NodeProto:
    """Let a quantiser give bytes; return the node that clips them."""
    for each in node.attribute:
        if each.name == "output_dtype" and each.i:
            each.i = kind
    output, node.output[0] = node.output[0], f"{node.name}/bytes"
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    ends = [f"{node.name}/low", f"{node.name}/high"]
    graph.initializer.extend(
        numpy_helper.from_array(np.array(end, dtype), name)
        for name, end in zip(ends, (low, high), strict=True)
    )
    return helper.make_node("Clip", [node.output[0], *ends], [output], name=f"{node.name}/clip")
