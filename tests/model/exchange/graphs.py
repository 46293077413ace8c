"""QONNX graphs that grow node by node, for tests.

::

    graph = Graph((1, 2, 6, 6))
    x = graph.quant(graph.input, bits=8, signed=False)
    x = graph.conv(x, graph.weights((3, 2, 3, 3)), pads=[1, 1, 1, 1])
    model = graph.model(graph.quant(x))

Every method that adds a node returns the name of what it gives. Wherever a tensor is wanted, an
array or a number becomes a constant.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["DOMAIN", "Graph", "convolutional", "dense"]

DOMAIN = "qonnx.custom_op.general"


class Graph:
    """A graph with one input; nodes are called after their operators, ``Conv_0`` and so on.

    Parameters
    ----------
    shape : sequence
        Of the input; a text or None is a dynamic size.
    opset, quantisers : int
        Versions of the standard operators and of QONNX's.

    Attributes
    ----------
    sizes : tuple of int
        Of the tensor that a test goes on from, without the batch; only where the test sets it.
    """

    sizes: tuple[int, ...]

    def __init__(self, shape=(1, 4), *, opset=17, quantisers=1, seed=0):
        self.input = "x"
        self.inputs = [declared("x", shape)]
        self.nodes, self.constants = [], []
        self.opsets = {"": opset, DOMAIN: quantisers}
        self.random = np.random.default_rng(seed)

    def constant(self, values, dtype: Any = np.float32):
        """A constant; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def integers(self, *values):
        """A constant such as a shape."""
        return self.constant(values, np.int64)

    def node(self, operator, *inputs, name=None, outputs=None, domain="", **attributes):
        """Any node; the name of its first output."""
        name = name or f"{operator}_{sum(each.op_type == operator for each in self.nodes)}"
        outputs = outputs or [f"{name}.out"]
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        self.nodes.append(
            helper.make_node(operator, names, outputs, name=name, domain=domain, **attributes)
        )
        return outputs[0]

    # --- quantisers

    def quant(
        self,
        x,
        bits: Any = 4,
        scale: Any = 0.25,
        zero: Any = 0.0,
        *,
        signed=True,
        narrow=False,
        rounding="ROUND",
        **more,
    ):
        flags = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": rounding}
        return self.node("Quant", x, scale, zero, bits, domain=DOMAIN, **flags, **more)

    def bipolar(self, x, scale: Any = 1.0, **more):
        return self.node("BipolarQuant", x, scale, domain=DOMAIN, **more)

    def trunc(self, x, scale, zero, bits, out_bits, rounding="FLOOR", **more):
        """Version 1: five inputs."""
        inputs = (scale, zero, bits, out_bits)
        return self.node("Trunc", x, *inputs, domain=DOMAIN, rounding_mode=rounding, **more)

    def trunc2(self, x, scale, zero, bits, out_scale, out_bits, rounding="FLOOR", **more):
        """Version 2: six inputs."""
        self.opsets[DOMAIN] = 2
        inputs = (scale, zero, bits, out_scale, out_bits)
        return self.node("Trunc", x, *inputs, domain=DOMAIN, rounding_mode=rounding, **more)

    def float_quant(
        self,
        x,
        scale: Any = 1.0,
        exponent: Any = 4,
        mantissa: Any = 3,
        bias: Any = 7,
        largest: Any = 240.0,
        **more,
    ):
        inputs = (scale, exponent, mantissa, bias, largest)
        flags = {"has_inf": 0, "has_nan": 0, "has_subnormal": 1, "saturation": 1} | more
        return self.node("FloatQuant", x, *inputs, domain=DOMAIN, **flags)

    def real(self, *shape):
        """Random numbers around 0."""
        return self.random.normal(size=shape).astype(np.float32)

    def weights(self, shape, bits=4, scale: Any = 0.125, **more):
        """Random quantised weights that use all their bits."""
        reach = np.max(scale) * 2 ** (bits - 1)
        values = self.random.uniform(-reach, reach, shape)
        return self.quant(values, bits, scale, **more)

    # --- layers

    def conv(self, x, weights, *bias, **attributes):
        return self.node("Conv", x, weights, *bias, **attributes)

    def matmul(self, x, weights, **attributes):
        return self.node("MatMul", x, weights, **attributes)

    def gemm(self, x, weights, *bias, **attributes):
        return self.node("Gemm", x, weights, *bias, **attributes)

    def norm(self, x, channels, **attributes):
        """A BatchNormalization with random statistics."""
        gain, variance = (self.random.uniform(0.5, 2, channels) for _ in range(2))
        shift, mean = self.real(channels), self.real(channels)
        return self.node("BatchNormalization", x, gain, shift, mean, variance, **attributes)

    def max_pool(self, x, size=2, **attributes):
        values: Any = {"kernel_shape": [size, size], "strides": [size, size]} | attributes
        return self.node("MaxPool", x, **values)

    def average_pool(self, x, size=2, **attributes):
        values: Any = {"kernel_shape": [size, size], "strides": [size, size]} | attributes
        return self.node("AveragePool", x, **values)

    def model(self, *outputs, **declarations):
        """The model that gives these tensors; ``declarations`` are shapes of tensors inside."""
        graph = helper.make_graph(
            self.nodes,
            "graph",
            self.inputs,
            [declared(each, None) for each in outputs],
            self.constants,
            value_info=[declared(name, shape) for name, shape in declarations.items()],
        )
        opsets = [helper.make_opsetid(*each) for each in self.opsets.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def declared(name, shape, dtype=TensorProto.FLOAT):
    """What a graph says of a tensor."""
    return helper.make_tensor_value_info(name, dtype, shape)


def dense(widths=(4, 3, 2), **given):
    """A graph of quantised dense layers, and its output, which nothing quantises."""
    graph = Graph((1, widths[0]), **given)
    x = graph.input
    for inputs, outputs in pairwise(widths):
        x = graph.matmul(graph.quant(x), graph.weights((inputs, outputs)))
    return graph, x


def convolutional(shape=(1, 2, 6, 6), channels=3, **attributes):
    """A graph of a quantised input and a convolution of 3x3, and its output."""
    graph = Graph(shape)
    x = graph.quant(graph.input, 8, 1 / 64, signed=False)
    values = {"kernel_shape": [3, 3]} | attributes
    return graph, graph.conv(x, graph.weights((channels, shape[1], 3, 3)), **values)


def attribute(model, node, name, value):
    """Set an attribute of a node, whatever it was."""
    (found,) = [each for each in model.graph.node if each.name == node]
    kept = [each for each in found.attribute if each.name != name]
    del found.attribute[:]
    found.attribute.extend([*kept, helper.make_attribute(name, value)])
    return model


def initializer(model: onnx.ModelProto, name):
    """A constant of a model."""
    (found,) = [each for each in model.graph.initializer if each.name == name]
    return found
