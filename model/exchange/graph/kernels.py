"""Integer operators of onnxruntime as what they mean: dequantise, compute, quantise.

Each becomes float operators of the standard between a DequantizeLinear an operand and a
QuantizeLinear. Products are those of the integers themselves, at scale 1, and the scales are
multiplied behind them, so that nothing is rounded before. The operator itself is kept as a
`Kernel`: what runs the graph takes its codes from there.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .node import attributes, refuse

__all__ = ["INTEGER_OPERATORS", "MICROSOFT", "Kernel", "unfold"]

MICROSOFT = "com.microsoft"
"""Domain of onnxruntime's own operators."""
DOMAINS = ("", "ai.onnx", MICROSOFT)
DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
NOT_OF_STANDARD = ("channels_last", "opset", "alpha")

Arrays = dict[str, np.ndarray]
Given = Mapping[str, object]
PLAIN: Given = MappingProxyType({})  # no attributes


class Kernel(NamedTuple):
    """An integer operator, for running it.

    Attributes
    ----------
    node : NodeProto
        The operator; its constants are named after it.
    constants : dict of arrays
        Those.
    adds_zero_first : bool
        It adds the zero point before it rounds, which decides ties at odd ones.
    """

    node: NodeProto
    constants: Arrays
    adds_zero_first: bool


class _Operand(NamedTuple):
    """Places of an operand among the inputs: codes, scale and zero point; None for scale 1."""

    data: int
    scale: int | None
    zero: int


class _Result(NamedTuple):
    """Places of the result's scale and zero point."""

    scale: int
    zero: int


class _Unfolding:
    """The nodes that an integer operator becomes."""

    def __init__(self, node: NodeProto, constants: Arrays) -> None:
        self.node, self.constants = node, constants
        self.attributes = attributes(node)
        self.nodes: list[NodeProto] = []
        self.arrays: Arrays = {}
        if self.attributes.get("channels_last", 0):
            refuse(node, "has its channels last; only channels first is supported")

    @property
    def kept(self) -> Given:
        """Attributes that the float operator has, too."""
        return {k: v for k, v in self.attributes.items() if k not in NOT_OF_STANDARD}

    def has(self, place: int) -> bool:
        """Tell whether an input is given."""
        return place < len(self.node.input) and bool(self.node.input[place])

    def constant(self, place: int, what: str) -> np.ndarray:
        """Return a constant input."""
        name = self.node.input[place] if self.has(place) else ""
        if name not in self.constants:
            reason = "is computed while it runs" if name else "is left out"
            refuse(self.node, f"its {what} {reason}; only constants are supported")
        return self.constants[name]

    def array(self, part: str, values: np.ndarray) -> str:
        """Name a new constant."""
        name = f"{self.node.name}/{part}"
        self.arrays[name] = values
        return name

    def emit(
        self,
        operator: str,
        inputs: list[str],
        output: str = "",
        given: Given = PLAIN,
        name: str = "",
    ) -> str:
        """Append a node; return the tensor that it gives."""
        name = name or f"{self.node.name}/{operator.lower()}{len(self.nodes)}"
        output = output or f"{name}.out"
        node = helper.make_node(operator, inputs, [output], name=name)
        node.attribute.extend(helper.make_attribute(*each) for each in given.items())
        self.nodes.append(node)
        return output

    def compute(self, operator: str, inputs: list[str], given: Given = PLAIN) -> str:
        """Append the float operator, which has the name of the integer one."""
        return self.emit(operator, inputs, f"{self.node.name}/sum", given, self.node.name)

    def operand(self, code: _Operand, axis: int = 0) -> str:
        """Dequantise an operand."""
        what, place = f"operand{code.data}", code.data
        if not self.has(place):
            refuse(self.node, f"its input {place} is left out")
        zero = self.constant(code.zero, "zero point") if self.has(code.zero) else None
        scale = np.ones(1 if zero is None else zero.size, np.float32)
        if code.scale is not None:
            scale = self.constant(code.scale, "scale").ravel()
        if scale.size == 1:
            scale = scale.reshape(())
        if zero is not None:
            try:
                zero = np.broadcast_to(zero.ravel(), scale.shape or (1,)).reshape(scale.shape)
            except ValueError:
                refuse(self.node, f"{zero.size} zero points do not fit {scale.size} scales")
        inputs = [self.node.input[place], self.array(f"{what}/scale", scale)]
        if zero is not None:
            inputs.append(self.array(f"{what}/zero", zero))
        return self.emit("DequantizeLinear", inputs, given={"axis": axis} if scale.ndim else {})

    def quantise(self, tensor: str, result: _Result) -> None:
        """Quantise what the operator gives; its type is that of its zero point."""
        scale = self.constant(result.scale, "output scale")
        zero = np.zeros((), np.uint8)
        if self.has(result.zero):
            zero = self.constant(result.zero, "output zero point")
        if scale.size != 1 or zero.size != 1:
            refuse(self.node, "its output has several scales or zero points; one is supported")
        inputs = [tensor, self.array("scale", scale.reshape(()))]
        inputs.append(self.array("zero", zero.reshape(())))
        self.emit("QuantizeLinear", inputs, self.node.output[0])

    def kernel(self, adds_zero_first: bool) -> Kernel:
        """Return the operator itself, with constants of its own."""
        node = NodeProto()
        node.CopyFrom(self.node)
        own: Arrays = {}
        for place, name in enumerate(node.input):
            if name in self.constants:
                node.input[place] = f"{node.name}/kernel/{place}"
                own[node.input[place]] = self.constants[name]
        return Kernel(node, own, adds_zero_first)


# --- products --------------------------------------------------------------------------------


def _linear_conv(of: _Unfolding) -> None:
    axes = of.constant(3, "weight tensor").ndim - 2
    total = _product(of, "Conv", _Operand(0, None, 2), _Operand(3, None, 5), 8)
    _requantise(of, total, (1, 4), _Result(6, 7), axes)


def _linear_matmul(of: _Unfolding) -> None:
    last = max(of.constant(3, "weight tensor").ndim - 1, 0)
    total = _product(of, "MatMul", _Operand(0, None, 2), _Operand(3, None, 5), axis=last)
    _requantise(of, total, (1, 4), _Result(6, 7), 0)


def _gemm(of: _Unfolding) -> None:
    axis = 0 if of.attributes.get("transB", 0) else 1
    codes = _Operand(0, None, 2), _Operand(3, None, 5)
    total = _product(of, "Gemm", *codes, 6, axis=axis)
    alpha = np.array(of.attributes.get("alpha", 1.0), np.float32)
    if alpha != 1:
        total = of.emit("Mul", [total, of.array("alpha", alpha)])
    result = _Result(7, 8) if of.has(7) else None
    _requantise(of, total, (1, 4), result, 0)


def _product(
    of: _Unfolding,
    operator: str,
    x: _Operand,
    w: _Operand,
    bias: int = -1,
    axis: int = 0,
) -> str:
    """Multiply the integers."""
    inputs = [of.operand(x), of.operand(w, axis)]
    if bias > 0 and of.has(bias):
        one = of.array("one", np.ones((), np.float32))
        inputs.append(of.emit("DequantizeLinear", [of.node.input[bias], one]))
    return of.compute(operator, inputs, of.kept)


def _requantise(
    of: _Unfolding, total: str, scales: tuple[int, int], result: _Result | None, axes: int
) -> None:
    """Multiply by the scales of both operands, and quantise; ``axes`` lie behind the channels."""
    own, weight = (of.constant(each, "scale") for each in scales)
    if own.size != 1:
        refuse(of.node, "its first operand has several scales; only one is supported")
    total = of.emit("Mul", [total, of.array("own", own.reshape(()))])
    shaped = weight.reshape(() if weight.size == 1 else (-1, *[1] * axes))
    output = "" if result else of.node.output[0]
    total = of.emit("Mul", [total, of.array("weight", shaped)], output)
    if result:
        of.quantise(total, result)


def _conv_integer(of: _Unfolding) -> None:
    _whole(of, _product(of, "Conv", _Operand(0, None, 2), _Operand(1, None, 3)))


def _matmul_integer(of: _Unfolding) -> None:
    last = max(of.constant(1, "weights").ndim - 1, 0)
    _whole(of, _product(of, "MatMul", _Operand(0, None, 2), _Operand(1, None, 3), axis=last))


def _whole(of: _Unfolding, total: str) -> None:
    of.emit("Cast", [total], of.node.output[0], {"to": TensorProto.INT32})


# --- others ----------------------------------------------------------------------------------


def _pair(operator: str) -> Callable[[_Unfolding], None]:
    def unfolded(of: _Unfolding) -> None:
        operands = [of.operand(_Operand(0, 1, 2)), of.operand(_Operand(3, 4, 5))]
        of.quantise(of.compute(operator, operands), _Result(6, 7))

    return unfolded


def _single(operator: str, *own: str) -> Callable[[_Unfolding], None]:
    """Unfold an operator of one operand; ``own`` are attributes that the others do not have."""

    def unfolded(of: _Unfolding) -> None:
        more = {name: of.attributes[name] for name in own if name in of.attributes}
        total = of.compute(operator, [of.operand(_Operand(0, 1, 2))], {**of.kept, **more})
        of.quantise(total, _Result(3, 4))

    return unfolded


def _concat(of: _Unfolding) -> None:
    places = range(2, len(of.node.input), 3)
    operands = [of.operand(_Operand(each, each + 1, each + 2)) for each in places]
    of.quantise(of.compute("Concat", operands, of.kept), _Result(0, 1))


INTEGER_OPERATORS: dict[str, tuple[Callable[[_Unfolding], None], int, int]] = {
    "QLinearConv": (_linear_conv, 8, 9),
    "QLinearMatMul": (_linear_matmul, 8, 8),
    "QGemm": (_gemm, 6, 9),
    "ConvInteger": (_conv_integer, 2, 4),
    "MatMulInteger": (_matmul_integer, 2, 4),
    "QLinearAdd": (_pair("Add"), 7, 8),
    "QLinearMul": (_pair("Mul"), 7, 8),
    "QLinearGlobalAveragePool": (_single("GlobalAveragePool"), 5, 5),
    "QLinearAveragePool": (_single("AveragePool"), 4, 5),
    "QLinearReduceMean": (_single("ReduceMean"), 4, 5),
    "QLinearLeakyRelu": (_single("LeakyRelu", "alpha"), 4, 5),
    "QLinearSigmoid": (_single("Sigmoid"), 4, 5),
    "QLinearSoftmax": (_single("Softmax"), 5, 5),
    "QLinearConcat": (_concat, 5, 2 + 3 * 64),
}
"""How each is unfolded, and how many inputs it takes."""
ZERO_FIRST = ("QLinearAdd", "QLinearMul")


def unfold(model: ModelProto) -> dict[str, Kernel]:
    """Replace integer operators in a graph; return them by the tensors that they give.

    Raises
    ------
    NetworkError
        For parameters that are not constant, and for scales that are computed from the data.
    """
    graph, found = model.graph, {}
    constants = _Constants(graph)
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type in DYNAMIC:
            refuse(
                node,
                "computes a scale from the data that it reads (dynamic quantisation); hardware has "
                "fixed ones: quantise the network statically",
            )
        if node.op_type not in INTEGER_OPERATORS or node.domain not in DOMAINS:
            nodes.append(node)
            continue
        unfolded, least, most = INTEGER_OPERATORS[node.op_type]
        if not least <= len(node.input) <= most or len(node.output) != 1:
            refuse(node, f"takes {least} to {most} inputs and gives one, not {len(node.input)}")
        of = _Unfolding(node, constants)
        unfolded(of)
        nodes += of.nodes
        graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in of.arrays.items())
        found[node.output[0]] = of.kernel(node.op_type in ZERO_FIRST)
    if found:
        del graph.node[:]
        graph.node.extend(nodes)
    return found


class _Constants(dict[str, np.ndarray]):
    """A graph's constants, read when they are asked for."""

    def __init__(self, graph: GraphProto) -> None:
        super().__init__()
        self._given = {each.name: each for each in graph.initializer}

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def __missing__(self, name: str) -> np.ndarray:
        self[name] = numpy_helper.to_array(self._given[name])
        return self[name]
