"""Import: a TFLite file of int8 becomes the `hw.network.network.Network` that hardware runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ....hw.errors import NarrowgaugeError, NetworkError, Refusal
from ....hw.network.layers import MaxPool, Move
from ....hw.network.network import INPUT, Network
from ...exact.solving import solve_all
from ...exact.tensors import Tensor
from ...exact.unsolved import UnsolvedLayer
from ..assembling import assemble
from ..output_values import result_order
from ..preparation import KEY, Preparation
from ..report import ImportedLayer
from . import elementwise, endings, enlarging, moves, pooling, products
from .graph import TfliteGraph, TfliteOperation, refuse
from .reading import read_tflite
from .rules import RELUS
from .state import Handler, StoredTensor, TfliteImport

__all__ = [
    "TFLITE_OPERATORS",
    "ImportedTflite",
    "import_graph",
    "import_tflite",
    "refused_operators",
]

HANDLERS: dict[str, Handler] = {
    "CONV_2D": products.convolution,
    "DEPTHWISE_CONV_2D": products.convolution,
    "FULLY_CONNECTED": products.dense,
    "MAX_POOL_2D": pooling.max_pool,
    "AVERAGE_POOL_2D": pooling.average_pool,
    "MEAN": pooling.mean,
    "ADD": elementwise.add,
    **dict.fromkeys((*RELUS, "QUANTIZE"), elementwise.rescale),
    "RESHAPE": moves.reshape,
    "PAD": moves.pad,
    "RESIZE_NEAREST_NEIGHBOR": enlarging.resize,
    "SOFTMAX": endings.softmax,
    "DEQUANTIZE": endings.dequantize,
}
TFLITE_OPERATORS = tuple(sorted(HANDLERS))
"""Operators that can be imported."""
ENDS = ("DEQUANTIZE", "QUANTIZE")

NEAREST: dict[str, str] = {
    **dict.fromkeys(("LOGISTIC", "TANH", "HARD_SWISH", "PRELU", "LEAKY_RELU", "ELU"), "RELU"),
    **dict.fromkeys(("SUB", "MUL", "CONCATENATION"), "ADD, or one layer that gives all channels"),
    **dict.fromkeys(("TRANSPOSE_CONV", "RESIZE_BILINEAR"), "RESIZE_NEAREST_NEIGHBOR and CONV_2D"),
    **dict.fromkeys(("SUM", "REDUCE_MAX"), "MEAN, or a pool"),
    **dict.fromkeys(("SQUEEZE", "EXPAND_DIMS", "PACK"), "RESHAPE"),
    **dict.fromkeys(("PADV2", "MIRROR_PAD"), "PAD"),
}
"""For operators that cannot be imported, what is near them and can."""


@dataclass(frozen=True, eq=False)
class ImportedTflite:
    """A network, and what importing it found.

    Attributes
    ----------
    network : Network
        The integers.
    report : tuple of ImportedLayer
        One a layer.
    dropped : tuple of str
        Operators at the end that need no hardware.
    graph : TfliteGraph
        The file.
    watched : dict of int to StoredTensor
        Tensors of the graph that are levels of the network.
    start : int
        The one that is its input.
    """

    network: Network
    report: tuple[ImportedLayer, ...]
    dropped: tuple[str, ...]
    graph: TfliteGraph
    watched: dict[int, StoredTensor]
    start: int

    def as_values(self) -> "ImportedTflite":
        """Return it with outputs that are values, and no logits of classes."""
        return replace(self, network=replace(self.network, values=True))


def import_tflite(
    path: Path | str,
    *,
    name: str | None = None,
    lanes: int = 4,
    progress: Callable[[str], None] = lambda _: None,
) -> ImportedTflite:
    """Import a TFLite file whose tensors are int8.

    Parameters
    ----------
    path : path
        The file.
    name : str, optional
        Name of the network; None takes that of the file.
    lanes : int
        Lanes of the array that the accumulator is sized for.
    progress : callable
        Is told what is done next.

    Raises
    ------
    NetworkError
        For what is no such file or cannot be run exactly; the text names the operator.
    """
    path = Path(path)
    graph = read_tflite(path)
    try:
        return import_graph(graph, name=name or path.stem, lanes=lanes, progress=progress)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def import_graph(
    graph: TfliteGraph,
    *,
    name: str,
    lanes: int = 4,
    progress: Callable[[str], None] = lambda _: None,
) -> ImportedTflite:
    """Import a graph that is in memory; see `import_tflite`."""
    state = _translated(graph, progress)
    start, result = _ends(state)
    unsolved = [each for each in state.layers if isinstance(each, UnsolvedLayer)]
    solutions = solve_all(unsolved, progress=progress)
    about: dict[str, object] = {"imported": "TFLite", KEY: _preparation(graph, start).plain()}
    unit = graph.tensors[_result_of(state)].unit
    meaning = {"scale": float(unit), "offset": float(result.base - result.zero)}
    if state.result_order is not None:  # of what the host enlarges
        meaning |= result_order(Tensor(result.size, state.result_order))
    about["result"] = meaning
    network, report = assemble(
        name, state.layers, solutions, input_size=start.size, about=about, lanes=lanes
    )
    place = min(each for each, stored in state.watched.items() if stored is start)
    return ImportedTflite(network, report, tuple(state.dropped), graph, state.watched, place)


def refused_operators(path: Path | str) -> tuple[Refusal, ...]:
    """Return the operators of a file that are not supported: all, and not only the first.

    Where each one is supported it is the first that cannot be run exactly as it stands; none where
    the file can be imported.

    Raises
    ------
    NetworkError
        For what is no TFLite file.
    """
    graph = read_tflite(Path(path))
    found = tuple(
        Refusal(each.label, "not supported", NEAREST.get(each.kind, ""))
        for each in graph.operations
        if each.kind not in HANDLERS
    )
    if found:
        return found
    try:
        import_graph(graph, name=Path(path).stem)
    except NetworkError as error:
        return (Refusal.of(error),)
    return ()


def _translated(graph: TfliteGraph, progress: Callable[[str], None]) -> TfliteImport:
    """Run all operators of a graph."""
    state = TfliteImport(graph)
    facts = graph.tensors[graph.input]
    if facts.dtype == "INT8":
        if len(facts.scale) != 1 or len(facts.zero_point) != 1 or facts.data is not None:
            raise NetworkError(f"the input, {facts.name}, is not quantised with one scale")
        _check_zero(facts.zero, f"the input, {facts.name}")
        state.stored[graph.input] = state.watched[graph.input] = endings.begin(graph, graph.input)
    given = {graph.input}
    for operation in graph.operations:
        progress(operation.label)
        if operation.kind not in HANDLERS:
            refuse(operation, f"not supported; supported are {', '.join(TFLITE_OPERATORS)}")
        if len(operation.outputs) != 1 or not operation.inputs or operation.outputs[0] in given:
            refuse(operation, "has no input, or gives what it may not")
        given.add(operation.outputs[0])
        _run(state, operation)
    return state


def _run(state: TfliteImport, operation: TfliteOperation) -> None:
    """Run an operator; whatever its constants make go wrong is an error of the file."""
    try:
        if operation.kind == "QUANTIZE" and endings.quantize_input(state, operation):
            return
        if operation.kind in ENDS and _is_end(state, operation):
            endings.dequantize(state, operation)
            return
        _check_types(state, operation)
        HANDLERS[operation.kind](state, operation)
    except NarrowgaugeError as error:
        if str(error).startswith("operator "):
            raise
        refuse(operation, str(error))
    except (ArithmeticError, LookupError, ValueError) as error:
        refuse(operation, f"its constants or options cannot be used ({error})")


def _is_end(state: TfliteImport, operation: TfliteOperation) -> bool:
    """Tell whether an operator only turns the result, or probabilities, into another type."""
    is_ended = operation.inputs[0] in state.ended
    result = state.graph.tensors[operation.outputs[0]]
    return is_ended or operation.kind == "DEQUANTIZE" or result.dtype == "UINT8"


def _check_types(state: TfliteImport, operation: TfliteOperation) -> None:
    """Refuse tensors that are not int8 with one scale."""
    places = {*operation.outputs, operation.inputs[0]}
    if operation.kind == "ADD":
        places |= {*operation.inputs}
    for place in sorted(places - {-1}):
        facts = state.graph.tensors[place]
        if facts.dtype != "INT8":
            refuse(
                operation,
                f"{facts.name} is {facts.dtype}, and only int8 is supported: quantise the model "
                "to full integers",
            )
        if len(facts.scale) != 1 or len(facts.zero_point) != 1:
            refuse(operation, f"{facts.name} has {len(facts.scale)} scales, and an activation one")
        _check_zero(facts.zero, f"{operation.label}: {facts.name}")


def _check_zero(zero: int, what: str) -> None:
    if not -128 <= zero <= 127:
        raise NetworkError(f"{what} has the zero point {zero}, which is no code of int8")


def _result_of(state: TfliteImport) -> int:
    """Return the tensor that the last layer gives."""
    return state.graph.output if state.result == -1 else state.result


def _ends(state: TfliteImport) -> tuple[StoredTensor, StoredTensor]:
    """Return the input and the result; refuse graphs that do not lead from one to the other."""
    graph, result = state.graph, state.stored.get(_result_of(state))
    starts = [each for each in state.stored.values() if each.source == INPUT]
    if state.result != -1 and graph.output not in state.ended:
        raise NetworkError("the graph's output is not what its last operators give")
    if result is None or not state.layers:
        raise NetworkError("the graph's output is not computed from its input by any layer")
    last = state.layers[-1]
    if result.source != last.name or any(result.padding) or isinstance(last, MaxPool | Move):
        raise NetworkError(
            f"the result is {result.source}'s, and the network ends with {last.name}; it must end "
            "with a convolution, a dense layer, an average or a sum, enlarged or not"
        )
    return starts[0], result


def _preparation(graph: TfliteGraph, start: StoredTensor) -> Preparation:
    """Return how real images become levels: nearest codes, halves away from zero."""
    tensor = graph.input
    facts = graph.tensors[tensor]
    if facts.dtype != "INT8":  # a QUANTIZE reads it
        facts = graph.tensors[graph.readers(tensor)[0].outputs[0]]
    shape = graph.tensors[tensor].shape
    low, high = np.array([start.low, start.high]) - start.zero
    reads_bytes = facts.unit == 1 and (low, high) == (0, 255)  # pixels as files have them
    return Preparation(
        shape=tuple(shape[1:]),
        size=tuple(start.size),
        scale=float(facts.unit),
        zero_point=0.0,
        low=int(low),
        high=int(high),
        zero=start.base - start.zero,
        rounding="HALF_UP",
        deviation=(1 / 255,) if reads_bytes else (1.0,),
        int8_zero=start.base if graph.tensors[tensor].dtype == "INT8" else None,
    )
