"""The ends of a graph: how its input becomes levels, and what needs no hardware behind them."""

from math import prod

from ....hw.network.network import INPUT
from ....hw.network.window import Size
from .fixed_point import CODES
from .graph import TensorFacts, TfliteGraph, TfliteOperation, refuse
from .state import StoredTensor, TfliteImport

__all__ = ["begin", "dequantize", "quantize_input", "softmax"]

BEHIND = ("RESHAPE", "QUANTIZE", "DEQUANTIZE")
WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D")
SHIFT = 128  # codes of uint8 less those of int8


def begin(graph: TfliteGraph, tensor: int) -> StoredTensor:
    """Return the network's input, as the operators that read it want it.

    Codes are levels of uint8; where a window pads it with a zero point that is not the lowest code
    they are less that, and a bit wider.
    """
    facts, views = graph.tensors[tensor], _views(graph, tensor)
    readers = [
        (each.place, each, view)
        for view in views
        for each in graph.readers(view)
        if each.kind != "RESHAPE"
    ]
    shape = graph.tensors[min(readers)[2]].shape if readers else facts.shape
    size = Size(*shape[1:]) if len(shape) == 4 else Size(1, 1, prod(shape))
    is_padded = any(_pads(graph, each) for _, each, _ in readers)
    base = facts.zero if is_padded else CODES[0]
    return StoredTensor(INPUT, size, base, *CODES, facts.zero)


def _views(graph: TfliteGraph, tensor: int) -> list[int]:
    """Return a tensor and all that RESHAPEs make of it."""
    found = [tensor]
    for operation in graph.operations:
        if operation.kind == "RESHAPE" and operation.inputs and operation.inputs[0] in found:
            found += operation.outputs
    return found


def _pads(graph: TfliteGraph, operation: TfliteOperation) -> bool:
    """Tell whether an operator pads what it reads, or may."""
    is_same = operation.kind in WINDOWS and operation.options["padding"] == "SAME"
    return operation.kind == "PAD" or (is_same and _overlaps(graph, operation))


def _overlaps(graph: TfliteGraph, operation: TfliteOperation) -> bool:
    """Tell whether a kernel is larger than one pixel."""
    if len(operation.inputs) < 2 or operation.inputs[1] == -1:
        return False
    shape = graph.tensors[operation.inputs[1]].shape
    return len(shape) == 4 and shape[1:3] != (1, 1)


def quantize_input(state: TfliteImport, operation: TfliteOperation) -> bool:
    """Take a QUANTIZE of the graph's input for the input itself, if it is one."""
    graph = state.graph
    source, result = (graph.tensors[each[0]] for each in (operation.inputs, operation.outputs))
    if operation.inputs[0] != graph.input or source.dtype == "INT8":
        return False
    if source.dtype != "FLOAT32" and not _is_uint8(source, result):
        refuse(operation, f"makes {result.dtype} of an input of {source.dtype}; not supported")
    if result.dtype != "INT8" or len(result.scale) != 1 or len(result.zero_point) != 1:
        refuse(operation, f"gives {result.dtype}, and only int8 is supported")
    state.give(operation, begin(graph, operation.outputs[0]))
    return True


def softmax(state: TfliteImport, operation: TfliteOperation) -> None:
    """Drop a SOFTMAX at the end of the graph: the class is the largest level."""
    stored = state.tensor(operation)
    if not float(operation.options["beta"]) > 0:
        refuse(operation, f"its beta is {operation.options['beta']:g}, and not positive")
    shape = state.graph.tensors[operation.inputs[0]].shape
    if shape[-1] != stored.size.elements:
        refuse(operation, f"of a tensor of {'x'.join(map(str, shape))} is not one of all classes")
    _drop(state, operation)


def dequantize(state: TfliteImport, operation: TfliteOperation) -> None:
    """Drop a DEQUANTIZE, or a QUANTIZE to uint8, at the end of the graph."""
    if operation.inputs[0] not in state.ended:
        state.tensor(operation)
    _drop(state, operation)


def _drop(state: TfliteImport, operation: TfliteOperation) -> None:
    (result,) = operation.outputs
    if any(each.kind not in BEHIND for each in state.graph.readers(result)):
        refuse(operation, "is supported only at the very end of a network")
    if not state.ended:
        state.result = operation.inputs[0]
    state.ended.add(result)
    state.dropped.append(operation.label)


def _is_uint8(source: TensorFacts, result: TensorFacts) -> bool:
    """Tell whether two tensors are one, as UINT8 and as INT8."""
    return (
        (source.dtype, result.dtype) == ("UINT8", "INT8")
        and len(source.scale) == len(source.zero_point) == 1
        and len(result.scale) == len(result.zero_point) == 1
        and (source.unit, source.zero) == (result.unit, result.zero + SHIFT)
    )
