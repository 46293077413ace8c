"""Checks that a graph is one by ONNX's rules, before anything is computed."""

import math
import re
from collections.abc import Iterator

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from ....hw.errors import NetworkError
from .codes import takes_new_codes
from .node import CHANNELS_LAST, label, printable, refuse

__all__ = [
    "CODES",
    "check_arrays",
    "check_nodes",
    "check_sizes",
    "check_texts",
    "explained",
    "sort_nodes",
]

CODES = 21  # version of the standard from which on its quantisers have codes of 4 and 16 bits
OLDEST = 7  # version of the standard operators; onnxruntime runs none before
MOST = 1 << 27  # elements of a tensor
KINDS = {
    AttributeProto.INT: "an integer",
    AttributeProto.FLOAT: "a number",
    AttributeProto.STRING: "a text",
}
ATTRIBUTES = {
    "signed": AttributeProto.INT,
    "narrow": AttributeProto.INT,
    "rounding_mode": AttributeProto.STRING,
    "has_inf": AttributeProto.INT,
    "has_nan": AttributeProto.INT,
    "has_subnormal": AttributeProto.INT,
    "saturation": AttributeProto.INT,
    "out_scale": AttributeProto.FLOAT,
    "out_bias": AttributeProto.FLOAT,
    "data_layout": AttributeProto.STRING,
}
"""What QONNX's attributes are; the ``onnx`` package knows those of all other operators."""
INPUTS = {
    "Quant": (4, 4), "IntQuant": (4, 4), "BipolarQuant": (2, 2), "Trunc": (5, 6),
    "FloatQuant": (5, 6), "MultiThreshold": (2, 2),
}  # fmt: skip
FORMS = (
    r"op_type:\w+, node name: (.+?)\): (.*)",  # of the onnx package's inference of shapes
    r"Node \((.+?)\) Op \(\w+\) (.*)",  # of onnxruntime's
    r"running \w+ node\. Name:'(.+?)' Status Message: (.*)",
)
"""How packages name the node that they complain of."""
WRAPPED = ("Conv", "MaxPool", "BatchNormalization")  # operators that exist channels last
NUMBERS = "iufb"  # kinds of NumPy arrays


def check_texts(model: ModelProto) -> None:
    """Check that names and other texts are texts, which protobuf does not."""
    try:
        if all(isinstance(text, str) for text in _texts(model)):
            return
    except UnicodeDecodeError:
        pass
    raise NetworkError("a name in the graph is no text; the file is damaged")


def _texts(message: Message) -> Iterator[object]:
    for field, value in message.ListFields():
        is_text = field.type == field.TYPE_STRING
        if not is_text and field.message_type is None:
            continue
        for each in [value] if isinstance(value, str | bytes | Message) else value:
            if isinstance(each, Message):
                yield from _texts(each)
            else:
                yield each


def sort_nodes(graph: GraphProto) -> None:
    """Bring nodes into an order in which they can run; drop what no output depends on.

    Raises
    ------
    NetworkError
        Where there is none, or a tensor is defined twice or never.
    """
    constants = [each.name for each in graph.initializer]
    inputs = [each.name for each in graph.input if each.name not in constants]
    given = [*constants, *inputs, *(name for node in graph.node for name in node.output if name)]
    known: set[str] = set()
    for name in given:
        if name in known:
            raise NetworkError(
                f"tensor {printable(name)} is defined twice; each is given by one node only"
            )
        known.add(name)
    if graph.sparse_initializer:
        raise NetworkError("sparse constants are not supported, only dense ones")
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                refuse(node, f"its input {printable(name)} is computed by nothing in the graph")
    # cleaning a file of an old exporter leaves the names of scales that it also gave
    lost = [output for output in graph.output if output.name not in known]
    if len(lost) == len(graph.output):
        raise NetworkError(f"output {printable(lost[0].name)} is computed by nothing in the graph")
    for output in lost:
        graph.output.remove(output)
    for output in graph.output:
        if output.name in inputs:
            raise NetworkError(
                f"output {printable(output.name)} is the input itself; the graph has no layers"
            )
    nodes = _in_order(list(graph.node), {"", *constants, *inputs})
    needed = {each.name for each in graph.output}
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _in_order(nodes: list[NodeProto], ready: set[str]) -> list[NodeProto]:
    """Return nodes, each behind all that it reads, otherwise in the order given."""
    found: list[NodeProto] = []
    while nodes:
        waiting = []
        for node in nodes:
            if ready.issuperset(node.input):
                found.append(node)
                ready.update(node.output)
            else:
                waiting.append(node)
        if len(waiting) == len(nodes):
            refuse(waiting[0], "reads what is computed from its own output; there is no order")
        nodes = waiting
    return found


def check_nodes(model: ModelProto, domains: tuple[str, ...], quantisers: tuple[str, ...]) -> None:
    """Check operators' versions, and the attributes and inputs of every node.

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    domains, quantisers : tuple of str
        Where QONNX's operators are defined, and their names.
    """
    versions = {each.domain.replace("ai.onnx", ""): each.version for each in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST <= versions.get("", 0) <= newest:
        raise NetworkError(
            f"its operators are of opset {versions.get('', 'none')}; opsets {OLDEST} to {newest} "
            "are supported; export or convert the model to one of those"
        )
    context = onnx.checker.C.CheckerContext()
    context.ir_version = max(model.ir_version, 3)
    context.opset_imports = {"": versions[""]}
    linear = onnx.checker.C.CheckerContext()  # onnxruntime gives new types to those of old versions
    linear.ir_version = context.ir_version
    linear.opset_imports = {"": max(versions[""], CODES)}
    for node in model.graph.node:
        if any(each.type == AttributeProto.GRAPH for each in node.attribute):
            refuse(node, "control flow is not supported; export the model without")
        if node.op_type in quantisers:
            _check_quantiser(node, domains)
            continue
        if node.domain == CHANNELS_LAST and node.op_type in WRAPPED:
            continue
        if node.domain not in ("", "ai.onnx"):
            refuse(node, f"operators of the domain {printable(node.domain)} are not supported")
        node.domain = ""
        try:
            onnx.checker.check_node(node, linear if takes_new_codes(node) else context)
        except onnx.checker.ValidationError as error:
            refuse(node, _first_line(error))


def _check_quantiser(node: NodeProto, domains: tuple[str, ...]) -> None:
    """Check a node of QONNX, which the ``onnx`` package does not know."""
    if node.domain not in domains:
        refuse(node, f"is of the domain {printable(node.domain)!r}, not of {domains[0]}")
    least, most = INPUTS[node.op_type]
    if not least <= len(node.input) <= most or not all(node.input):
        count = f"{least}" if least == most else f"{least} or {most}"
        refuse(node, f"takes {count} inputs, tensor and scale first, not {len(node.input)}")
    for each in node.attribute:
        wanted = ATTRIBUTES.get(each.name)
        if wanted is not None and each.type != wanted:
            refuse(node, f"its attribute {each.name} is not {KINDS[wanted]}")


def _arrays(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    for tensor in graph.initializer:
        yield printable(f"constant {tensor.name}"), tensor
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield label(node), attribute.t


def check_arrays(graph: GraphProto) -> None:
    """Check that every constant is as large as it says, and numbers."""
    for name, tensor in _arrays(graph):
        shape = tuple(tensor.dims)
        if tensor.data_location == TensorProto.EXTERNAL:
            raise NetworkError(f"{name}: its data is in another file, which was not read")
        if any(size < 0 for size in shape):
            raise NetworkError(f"{name}: has the shape {shape}, with a negative size")
        try:
            values = numpy_helper.to_array(tensor)
        except Exception as error:  # onnx and NumPy raise many kinds
            raise NetworkError(
                f"{name}: its data is not of the shape {shape} and the type {tensor.data_type} "
                f"that it states ({_first_line(error)})"
            ) from error
        if values.dtype.kind not in NUMBERS and not _is_small_float(values.dtype):
            raise NetworkError(f"{name}: holds texts or other things that are no real numbers")
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise NetworkError(f"{name}: holds what is not a number")


def _is_small_float(dtype: np.dtype) -> bool:
    """Tell whether an array is of one of the narrow types that NumPy itself does not have."""
    return dtype.kind == "V" and dtype.fields is None


def check_sizes(graph: GraphProto) -> None:
    """Check that no tensor that is declared or inferred is larger than can be meant."""
    makers = {name: label(node) for node in graph.node for name in node.output}
    for kind, values in (("input", graph.input), ("", graph.value_info), ("", graph.output)):
        for value in values:
            shape = [each.dim_value for each in value.type.tensor_type.shape.dim]
            if min(shape, default=0) < 0:
                name = makers.get(value.name, f"{kind or 'tensor'} {printable(value.name)}")
                raise NetworkError(f"{name}: its shape {tuple(shape)} has a negative size")
            if math.prod(max(size, 1) for size in shape) > MOST:
                name = makers.get(value.name, f"{kind or 'tensor'} {printable(value.name)}")
                raise NetworkError(
                    f"{name}: its shape {tuple(shape)} is too large; up to {MOST} elements are "
                    "supported"
                )


def explained(error: Exception, graph: GraphProto) -> str:
    """Return what a package complains of, in one line that names the node where it is known."""
    text = " ".join(str(error).split())[:400]
    found = next((each for each in (re.search(form, text) for form in FORMS) if each), None)
    if found is None:
        return f"the graph is inconsistent: {_first_line(error)}"
    labels = [label(node) for node in graph.node if node.name == found[1]]
    reason = printable(re.sub(r"^(\[\w+\] *)+", "", found[2]), 200)
    return f"{labels[0] if labels else f'node {found[1]}'}: {reason}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    return "".join(each if each.isprintable() else "?" for each in first)[:200]
