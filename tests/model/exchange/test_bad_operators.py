"""Operators, inputs and outputs that are not supported are refused by name."""

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.exchange.extra import require

require()

from onnx import TensorProto, helper  # noqa: E402

from narrowgauge.model.exchange.importer import HANDLERS, import_model  # noqa: E402

from .graphs import Graph, convolutional, declared, dense  # noqa: E402
from .refusals import Cases, images, vectors  # noqa: E402

cases = Cases()
refused, accepted = cases.refused, cases.accepted


@refused("node Sin_0 (Sin)", "supported are", "Conv, ")
def a_sine_in_the_middle():
    graph, x = images()
    return graph, graph.quant(graph.node("Sin", x))


@refused("node Resize_0 (Resize)", "whole multiples")
def resize_in_the_middle():
    graph, x = images()
    sizes = graph.integers(1, 2, 15, 12)
    return graph, graph.quant(graph.node("Resize", x, "", "", sizes, mode="nearest"))


@refused("node ConvTranspose_0 (ConvTranspose)", "supported are")
def transposed_convolution():
    graph, x = images()
    x = graph.node("ConvTranspose", x, graph.weights((2, 3, 3, 3)))
    return graph, graph.quant(x)


@refused("node LSTM_0 (LSTM)", "supported are")
def lstm():
    graph, x = images((1, 3, 4))
    x = graph.node("LSTM", x, graph.real(1, 8, 4), graph.real(1, 8, 2), hidden_size=2)
    return graph, x


@refused("node Gelu_0 (Gelu)", "supported are")
def gelu():
    graph, x = dense()
    graph.opsets[""] = 20
    return graph, graph.quant(graph.node("Gelu", x))


@refused("node Bend (Mystery)", "supported are")
def an_operator_of_another_domain():
    graph, x = dense()
    graph.opsets["my.company"] = 1
    return graph, graph.quant(graph.node("Mystery", x, name="Bend", domain="my.company"))


@refused("node Conv_0 (Conv)", "my.company")
def a_known_name_of_another_domain():
    graph, x = convolutional()
    graph.opsets["my.company"] = 1
    graph.nodes[-1].domain = "my.company"
    return graph, graph.quant(x)


@refused("node Sin_0 (Sin), node Sin_1 (Sin), node Sin_2 (Sin) and 7 more")
def many_unknown_operators():
    graph, x = images()
    for _ in range(10):
        x = graph.node("Sin", x)
    return graph, graph.quant(x)


def branch(name):
    node = helper.make_node("Identity", ["q"], [f"{name}.out"])
    return helper.make_graph([node], name, [], [declared(f"{name}.out", None)])


@refused("node If_0 (If)", "supported are")
def a_condition():
    graph, x = vectors(outputs=["q"])
    sign = graph.node("ReduceSum", x, keepdims=0)
    sign = graph.node("Greater", sign, 0.0)
    x = graph.node("If", sign, then_branch=branch("yes"), else_branch=branch("no"))
    return graph, graph.matmul(x, graph.weights((4, 2)))


@refused("node If_0 (If)", "control flow")
def a_constant_condition():
    graph, _ = vectors(outputs=["q"])
    sign = graph.constant(True, np.bool_)
    x = graph.node("If", sign, then_branch=branch("yes"), else_branch=branch("no"))
    return graph, graph.matmul(x, graph.weights((4, 2)))


@refused("node Loop_0 (Loop)", "supported are")
def a_loop():
    graph, x = vectors()
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go.out"]),
            helper.make_node("Add", ["state", "state"], ["state.out"]),
        ],
        "body",
        [
            declared("count", [], TensorProto.INT64),
            declared("go", [], TensorProto.BOOL),
            declared("state", None),
        ],
        [declared("go.out", [], TensorProto.BOOL), declared("state.out", None)],
    )
    times, go = graph.constant(3, np.int64), graph.constant(True, np.bool_)
    x = graph.node("Loop", times, go, x, body=body)
    return graph, graph.matmul(graph.quant(x), graph.weights((4, 2)))


@refused("node Softmax_0 (Softmax)", "only at the very end")
def softmax_in_the_middle():
    graph, x = dense()
    x = graph.quant(graph.node("Softmax", x))
    return graph, graph.matmul(x, graph.weights((2, 2)))


@refused("node ArgMax_0 (ArgMax)", "only at the very end")
def argmax_in_the_middle():
    graph, x = dense()
    x = graph.node("Cast", graph.node("ArgMax", x, axis=1), to=TensorProto.FLOAT)
    return graph, graph.matmul(graph.quant(x), graph.weights((1, 2)))


@accepted
def softmax_at_the_end():
    graph, x = dense()
    return graph, graph.node("Softmax", x)


@refused("node ArgMax_0 (ArgMax)", "axis 0")
def argmax_over_the_batch():
    graph, x = dense()
    return graph, graph.node("Cast", graph.node("ArgMax", x), to=TensorProto.FLOAT)


@refused("node TopK_0 (TopK)", "smallest")
def the_smallest_logits():
    graph, x = dense()
    outputs = ["values", "indices"]
    return graph, graph.node("TopK", x, graph.integers(1), largest=0, outputs=outputs)


@refused("node Cast_0 (Cast)", "rounds a tensor")
def a_cast_to_integers_in_the_middle():
    graph, x = vectors()
    x = graph.node("Cast", graph.matmul(x, graph.weights((4, 3))), to=TensorProto.INT32)
    x = graph.quant(graph.node("Cast", x, to=TensorProto.FLOAT))
    return graph, graph.matmul(x, graph.weights((3, 2)))


@refused("node Dropout_0 (Dropout)", "still trains")
def a_dropout_that_still_trains():
    graph, x = dense()
    return graph, graph.node("Dropout", x, 0.5, graph.constant(True, np.bool_))


# --- inputs and outputs --------------------------------------------------------------------------


@refused("one input, this one has 2: x, y")
def two_inputs():
    graph, x = vectors()
    graph.inputs.append(declared("y", (1, 4)))
    return graph, graph.quant(graph.node("Add", x, "y"))


@refused("one input, this one has 0: none")
def no_input():
    graph = Graph()
    graph.inputs.clear()
    x = graph.quant(np.ones((1, 4)))
    return graph, graph.matmul(x, graph.weights((4, 2)))


@refused("outputs Quant_2.out and Flatten_0.out are both the levels of MatMul_0")
def levels_that_are_two_outputs():
    graph, x = vectors()
    levels = graph.quant(graph.matmul(x, graph.weights((4, 2))))
    return graph.model(levels, graph.node("Flatten", levels))


@refused("node Quant_1 (Quant)", "two different quantisers; only one")
def two_quantisers_of_the_input():
    graph = Graph((1, 4))
    one, two = (graph.quant(graph.input, scale=scale) for scale in (0.25, 0.5))
    x = graph.quant(graph.node("Add", one, two))
    return graph, graph.matmul(x, graph.weights((4, 2)))


@refused("node MatMul_0 (MatMul)", "the input, which nothing quantises", "--input-format")
def an_input_without_a_quantiser():
    graph = Graph((1, 4))
    return graph, graph.matmul(graph.input, graph.weights((4, 2)))


@refused("no layers")
def an_output_that_is_the_input():
    graph = Graph((1, 4))
    graph.quant(graph.input)
    return graph.model("x")


@refused("no layers")
def nothing_but_a_quantiser():
    graph, x = vectors()
    return graph, x


@refused("no layers")
def nothing_but_a_move():
    graph, x = vectors()
    return graph, graph.node("Flatten", x)


@refused("no output of the graph is computed from its input")
def nothing_but_constants():
    graph, _ = vectors()
    return graph, graph.node("Add", np.ones(4), np.ones(4))


@refused("MatMul_0.out", "computed by nothing")
def an_output_that_does_not_exist():
    graph, x = vectors()
    graph.matmul(x, graph.weights((4, 2)), name="fc")
    return graph, "MatMul_0.out"


@refused("input x", "float")
def an_input_of_texts():
    graph, x = vectors()
    graph.inputs[:] = [declared("x", (1, 4), TensorProto.STRING)]
    return graph, graph.matmul(x, graph.weights((4, 2)))


@accepted
def a_dynamic_batch():
    graph, x = dense()
    graph.inputs[:] = [declared("x", ("batch", 4))]
    return graph, x


@accepted
def a_batch_of_many():
    graph, x = dense()
    graph.inputs[:] = [declared("x", (64, 4))]
    return graph, x


@refused("input x", "dynamic size 'height' in axis 2", "fixed sizes")
def a_dynamic_height():
    graph, x = convolutional()
    graph.inputs[:] = [declared("x", (1, 2, "height", 6))]
    return graph, graph.quant(x)


@refused("input x", "dynamic size '?' in axis 1")
def a_size_that_is_left_out():
    graph, x = dense()
    graph.inputs[:] = [declared("x", (1, None))]
    return graph, x


@refused("input x", "0 axes")
def an_input_without_a_shape():
    graph, x = dense()
    graph.inputs[:] = [declared("x", None)]
    return graph, x


@refused("input x", "too large")
def an_input_of_a_huge_size():
    graph, x = dense()
    graph.inputs[:] = [declared("x", (1, 1 << 60))]
    return graph, x


@refused("input x")
def an_input_of_a_negative_size():
    graph, x = dense()
    graph.inputs[:] = [declared("x", (1, -4))]
    return graph, x


@refused("node Conv_0 (Conv)", "(2, 2, 3, 3, 3)", "a convolution reads images of shape")
def an_input_of_five_axes():
    graph = Graph((1, 2, 3, 3, 3))
    x = graph.quant(graph.input)
    return graph, graph.quant(graph.conv(x, graph.weights((2, 2, 3, 3, 3))))


def test_faults_of_the_importer_are_not_said_of_the_file(monkeypatch):
    """The planted twin: a handler that misses an attribute of our own, and one of the file's."""
    graph, x = dense()
    model = graph.model(x)
    monkeypatch.setitem(HANDLERS, "MatMul", lambda context, node: context.no_such_name)
    with pytest.raises(AttributeError, match="no_such_name"):
        import_model(model, name="net")
    monkeypatch.setitem(HANDLERS, "MatMul", lambda context, node: {}["no such tensor"])
    with pytest.raises(NetworkError, match=r"node MatMul_0 .* cannot be used \('no such tensor'\)"):
        import_model(model, name="net")


test_refused, test_odd_but_right = cases.tests()
