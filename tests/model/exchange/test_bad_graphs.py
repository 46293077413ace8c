"""Graphs that are not what they say are refused by name."""

from typing import Any

import numpy as np

from narrowgauge.model.exchange.extra import require

require()

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from .graphs import dense, initializer  # noqa: E402
from .refusals import Cases, vectors  # noqa: E402

cases = Cases()
refused, accepted = cases.refused, cases.accepted


@refused("node MatMul_0 (MatMul)", "c99")
def a_constant_that_is_missing():
    graph, x = vectors()
    return graph, graph.matmul(x, "c99")


@refused("node Quant_1 (Quant)", "ghost")
def a_tensor_that_is_missing():
    graph, _ = vectors()
    return graph, graph.quant("ghost")


@refused("node Add_0 (Add)", "its own output")
def a_cycle():
    graph, x = vectors()
    x = graph.node("Add", x, "MatMul_0.out")
    return graph, graph.matmul(graph.quant(x), graph.weights((4, 4)))


@refused("node Add_0 (Add)", "its own output")
def a_node_that_reads_itself():
    graph, x = vectors()
    return graph, graph.quant(graph.node("Add", x, "Add_0.out"))


@accepted
def nodes_in_another_order():
    graph, x = dense()
    x = graph.quant(x)
    graph.nodes.reverse()
    return graph, x


@accepted
def nodes_of_one_name():
    graph, x = dense()
    for node in graph.nodes:
        node.name = "same"
    return graph, x


@accepted
def nodes_without_names():
    graph, x = dense()
    for node in graph.nodes:
        node.name = ""
    return graph, x


@accepted
def nodes_called_input():
    graph, x = dense()
    for node in graph.nodes:
        node.name = "input"
    return graph, x


@refused("tensor y", "twice")
def a_tensor_that_is_computed_twice():
    graph, x = vectors()
    graph.matmul(x, graph.weights((4, 2)), outputs=["y"])
    graph.matmul(x, graph.weights((4, 2)), outputs=["y"])
    return graph, graph.quant("y")


@refused("tensor c0", "twice")
def two_constants_of_one_name():
    graph, x = dense()
    graph.constants.append(numpy_helper.from_array(np.array(0.5, np.float32), "c0"))
    return graph, x


@refused("tensor x", "twice")
def a_node_that_gives_the_input():
    graph, x = dense()
    graph.matmul(x, graph.weights((2, 4)), outputs=["x"])
    return graph, x


@accepted
def wrong_shapes_inside():
    graph, x = dense()
    return graph.model(x, **{"MatMul_0.out": (1, 77), x: (5, 5, 5)})


def with_constant(change):
    """A model one of whose constants, weights of 3 x 2, was changed."""
    graph, x = dense((3, 2))
    name = next(each.name for each in graph.constants if list(each.dims) == [3, 2])
    model = graph.model(x)
    change(initializer(model, name))
    return model, name


@refused("constant c", "(300, 2)", "its data")
def a_constant_smaller_than_it_says():
    return with_constant(lambda tensor: tensor.dims.__setitem__(0, 300))[0]


@refused("constant c", "(1152921504606846976, 2)")
def a_constant_of_a_huge_size():
    return with_constant(lambda tensor: tensor.dims.__setitem__(0, 1 << 60))[0]


@refused("constant c", "(-3, 2)")
def a_constant_of_a_negative_size():
    return with_constant(lambda tensor: tensor.dims.__setitem__(0, -3))[0]


@refused("constant c", "its data")
def a_constant_with_half_its_bytes():
    def cut(tensor):
        tensor.raw_data = tensor.raw_data[:-4]

    return with_constant(cut)[0]


@refused("constant c", "type 99")
def a_constant_of_an_unknown_type():
    return with_constant(lambda tensor: setattr(tensor, "data_type", 99))[0]


@refused("constant c", "texts")
def a_constant_of_texts():
    def text(tensor):
        texts: Any = ["a"] * 6  # which the signature of make_tensor leaves out
        tensor.CopyFrom(helper.make_tensor(tensor.name, TensorProto.STRING, [3, 2], texts))

    return with_constant(text)[0]


@refused("constant c", "another file")
def a_constant_elsewhere():
    def external(tensor):
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")

    return with_constant(external)[0]


@accepted
def weights_of_double_precision():
    graph, x = vectors()
    weights = graph.constant(graph.real(4, 2), np.float64)
    cast = graph.node("Cast", weights, to=TensorProto.FLOAT)
    return graph, graph.matmul(x, graph.quant(cast))


@refused("opset")
def a_version_that_is_too_new():
    graph, x = dense()
    graph.opsets[""] = 400
    return graph, x


@refused("opset")
def a_version_that_is_too_old():
    graph, x = dense()
    graph.opsets[""] = 0
    return graph, x


@refused("opset")
def no_version():
    graph, x = dense()
    model = graph.model(x)
    del model.opset_import[:]
    return model


@accepted
def a_version_of_qonnx_that_is_too_new():
    graph, x = dense()
    graph.opsets["qonnx.custom_op.general"] = 70
    return graph, x


@refused("huge")
def a_huge_tensor_from_a_small_constant():
    graph, x = vectors()
    ones = graph.node("ConstantOfShape", graph.integers(1 << 20, 1 << 20), name="huge")
    return graph, graph.matmul(x, graph.quant(ones))


test_refused, test_odd_but_right = cases.tests()
