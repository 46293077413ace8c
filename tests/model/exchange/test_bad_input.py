"""What cannot be run exactly is refused in one line that names the node and says what would do."""

from typing import Any

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.exchange.extra import require

require()

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from narrowgauge.model.exchange.agree import agree  # noqa: E402
from narrowgauge.model.exchange.importer import import_model  # noqa: E402

from .graphs import Graph, attribute, convolutional, declared, dense, initializer  # noqa: E402

LONGEST = 300  # characters of an error, but for the list of operators
LIST = "supported are "

REFUSED = []
ACCEPTED = []


def refused(*words):
    """Collect a function that makes a model, or a graph and its output, to be refused."""

    def collect(function):
        REFUSED.append(pytest.param(function, words, id=function.__name__))
        return function

    return collect


def accepted(function):
    """Collect one that makes what looks odd and is right."""
    ACCEPTED.append(pytest.param(function, id=function.__name__))
    return function


def made(function):
    found = function()
    if isinstance(found, tuple):
        graph, output = found
        return graph.model(output)
    return found


def one_line(error):
    text = str(error)
    assert "\n" not in text
    assert len(text.partition(LIST)[0]) <= LONGEST, f"{len(text)} characters: {text}"
    return text


@pytest.mark.parametrize(("function", "words"), REFUSED)
def test_refused(function, words):
    with pytest.raises(NetworkError) as caught:
        import_model(made(function), name="net")
    text = one_line(caught.value)
    for word in words:
        assert word in text


@pytest.mark.parametrize("function", ACCEPTED)
def test_odd_but_right(function):
    check(import_model(made(function), name="net"))


def check(imported, count=4):
    """The executor gives the levels of the integers."""
    shape = imported.network.about["preparation"]["shape"]
    images = np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32) * 2
    assert [each.first for each in agree(imported, images).tensors if each.first] == []


def images(shape=(1, 2, 6, 6), **quantiser):
    graph = Graph(shape)
    given = {"bits": 8, "scale": 1 / 64, "signed": False} | quantiser
    return graph, graph.quant(graph.input, **given)


def vectors(width=4, **quantiser):
    graph = Graph((1, width))
    return graph, graph.quant(graph.input, **quantiser)


# --- operators -----------------------------------------------------------------------------------


@refused("node Concat_0 (Concat)", "supported are", "Conv, ")
def concat_in_the_middle():
    graph, x = images()
    return graph, graph.quant(graph.node("Concat", x, x, axis=1))


@refused("node Resize_0 (Resize)", "supported are")
def resize_in_the_middle():
    graph, x = images()
    sizes = graph.integers(1, 2, 12, 12)
    return graph, graph.quant(graph.node("Resize", x, "", "", sizes))


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


@refused("node Concat_0 (Concat), node Concat_1 (Concat), node Concat_2 (Concat) and 7 more")
def many_unknown_operators():
    graph, x = images()
    for _ in range(10):
        x = graph.node("Concat", x, x, axis=1)
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


@refused("one result, this one has 2: MatMul_0.out, MatMul_1.out")
def two_outputs():
    graph, x = vectors()
    outputs = [graph.matmul(x, graph.weights((4, 2))) for _ in range(2)]
    return graph.model(*outputs)


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


# --- quantisers ----------------------------------------------------------------------------------


@refused("node MatMul_0 (MatMul)", "scales that differ between inputs", "one for each output")
def a_scale_for_each_input_of_the_weights():
    graph, x = vectors()
    scale = np.array([[0.1], [0.2], [0.3], [0.4]])
    return graph, graph.matmul(x, graph.weights((4, 2), scale=scale))


@accepted
def a_scale_for_each_output_of_the_weights():
    graph, x = vectors()
    return graph, graph.quant(graph.matmul(x, graph.weights((4, 2), scale=np.array([[0.1, 0.3]]))))


@refused("node Conv_0 (Conv)", "its input have different scales", "one scale for the whole tensor")
def a_scale_for_each_channel_into_a_convolution():
    scale = np.array([0.1, 0.2]).reshape(1, 2, 1, 1)
    graph, x = images(scale=1 / 64)
    x = graph.quant(x, scale=scale, signed=False)
    return graph, graph.quant(graph.conv(x, graph.weights((3, 2, 3, 3))))


@refused("node Quant_0 (Quant)", "scale", "channel")
def a_scale_for_each_pixel():
    graph, x = images(scale=np.linspace(0.1, 0.2, 36).reshape(1, 1, 6, 6))
    return graph, graph.quant(graph.conv(x, graph.weights((3, 2, 3, 3))))


def with_scale(scale):
    def activation():
        graph, x = dense((4, 3))
        return graph, graph.quant(x, scale=scale, name="act")

    def weight():
        graph, x = vectors()
        return graph, graph.matmul(x, graph.quant(graph.real(4, 2), scale=scale, name="weight"))

    return activation, weight


for name, number in {"zero": 0.0, "negative": -0.5, "infinite": np.inf, "tiny": 1e-45}.items():
    for place, function in zip(("act", "weight"), with_scale(number), strict=True):
        if name != "tiny":
            function.__name__ = f"a_scale_that_is_{name}_of_{place}"
            refused(f"node {place} (Quant)", "its scale is not a positive number")(function)


@refused("constant c", "not a number")
def a_scale_that_is_not_a_number():
    graph, x = dense()
    return graph, graph.quant(x, scale=np.nan)


@refused("constant c", "not a number")
def weights_that_are_not_numbers():
    graph, x = vectors()
    values = graph.real(4, 2)
    values[1, 1] = np.nan
    return graph, graph.matmul(x, graph.quant(values))


@accepted
def weights_that_are_infinite():
    graph, x = vectors()
    values = graph.real(4, 2)
    values[1, 1] = np.inf
    return graph, graph.quant(graph.matmul(x, graph.quant(values, name="weight")))


@refused("node act (Quant)", "its scale is computed while it runs")
def a_scale_computed_from_the_input():
    graph, x = dense()
    scale = graph.node("Flatten", graph.input)
    return graph, graph.quant(x, scale=scale, name="act")


@refused("node act (Quant)", "bit width", "computed while it runs")
def a_bit_width_computed_from_the_input():
    graph, x = dense()
    bits = graph.node("Flatten", graph.input)
    return graph, graph.quant(x, bits, name="act")


def weighted(**values):
    graph, x = vectors()
    return graph, graph.matmul(x, graph.weights((4, 2), name="w", **values))


@refused("node w (Quant): a bit width of 3.5 is not an integer from 1 to 32")
def weights_of_3_5_bits():
    return weighted(bits=3.5)


@refused("node w (Quant): a bit width of 0 is not an integer")
def weights_of_0_bits():
    return weighted(bits=0)


@refused("node w (Quant): a bit width of -3 is not an integer")
def weights_of_minus_3_bits():
    return weighted(bits=-3)


@refused("node w (Quant): a bit width of 64 is not an integer from 1 to 32")
def weights_of_64_bits():
    return weighted(bits=64)


@refused("node w (Quant): a zero point of 0.5 is no integer")
def weights_around_half():
    return weighted(zero=0.5)


@refused("node w (Quant): its bit width is not one number")
def weights_of_a_width_for_each_output():
    graph, x = vectors()
    values = graph.real(4, 2)
    return graph, graph.matmul(x, graph.quant(values, np.array([[3, 4]]), name="w"))


@refused("node w (Quant): a scale of (3,) does not fit weights of (4, 2)")
def weights_of_three_scales():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.quant(graph.real(4, 2), scale=[1, 2, 3], name="w"))


@refused("node Relu_0 (Relu)", "weights", "scales, moves and quantisers")
def weights_that_are_rectified():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.node("Relu", graph.weights((4, 2))))


@accepted
def weights_that_are_quantised_twice():
    graph, x = vectors()
    once = graph.weights((4, 2), bits=6, scale=0.03)
    x = graph.quant(graph.matmul(x, graph.quant(once, 3, 0.2)))
    again = graph.node("Mul", graph.weights((2, 3), bits=6, scale=0.03), 1.37)
    return graph, graph.matmul(x, graph.bipolar(graph.quant(again, 3, 0.2), 0.5))


@refused("node Quant_2 (Quant)", "between two levels, as near as float32")
def weights_that_are_quantised_twice_at_a_border():
    graph, x = vectors()
    once = graph.node("Mul", graph.quant(np.full((4, 2), 0.9), 4, 0.3), 0.1)
    return graph, graph.matmul(x, graph.quant(once, 4, 0.06))


@accepted
def levels_that_are_quantised_twice():
    graph, x = vectors()
    x = graph.quant(graph.matmul(x, graph.weights((4, 3))), 5, 0.1)
    x = graph.quant(graph.quant(x, 3, 0.3), 3, 0.3)
    return graph, graph.matmul(x, graph.weights((3, 2)))


def act(**values):
    graph, x = dense((4, 3))
    return graph, graph.quant(x, name="act", **values)


@refused("node act (Quant)", "bit width of 40 ", "1 to 32")
def a_width_of_40_bits():
    return act(bits=40)


@refused("node act (Quant)", "wider than 16 bits")
def a_width_of_24_bits():
    graph, x = act(bits=24)
    return graph, graph.matmul(x, graph.weights((3, 2)))


@refused("node act (Quant)", "bit width of 0 ")
def a_width_of_0_bits():
    return act(bits=0)


@refused("node act (Quant)", "bit width of -4 ")
def a_width_of_minus_4_bits():
    return act(bits=-4)


@refused("node act (Quant)", "bit width of 3.5 ", "integer")
def a_width_of_3_5_bits():
    return act(bits=3.5)


@refused("node act (Quant)", "bit width", "infinit")
def a_width_of_infinitely_many_bits():
    return act(bits=np.inf)


@refused("node act (Quant)", "zero point", "infinit")
def an_infinite_zero_point():
    return act(zero=np.inf)


@refused("node act (Quant)", "bit width is not one number")
def a_bit_width_for_each_channel():
    return act(bits=np.array([3, 4, 5]))


@refused("node act (Quant)", "bit width is not one number")
def no_bit_width_in_an_empty_constant():
    return act(bits=np.zeros(0))


@refused("node act (Quant)", "zero point is not one number")
def a_zero_point_for_each_channel():
    return act(zero=np.array([0, 1, 2]))


@accepted
def a_zero_point_between_integers():
    return act(zero=0.3)


@refused("node act (Quant)", "zero point of 1e+09 is beyond 65536")
def a_zero_point_far_away():
    return act(zero=1e9)


@refused("node weight (Quant)", "zero point of 0.5 is no integer")
def a_zero_point_of_weights_between_integers():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.weights((4, 2), zero=0.5, name="weight"))


@refused("node act (Quant)", "unknown rounding mode STOCHASTIC", "ROUND, HALF_EVEN, CEIL")
def an_unknown_rounding_mode():
    return act(rounding="STOCHASTIC")


@refused("node act (Quant)", "rounding_mode", "a text")
def a_rounding_mode_that_is_a_number():
    graph, x = act()
    return attribute(graph.model(x), "act", "rounding_mode", 3)


@refused("node act (Quant)", "signed")
def a_sign_that_is_a_text():
    graph, x = act()
    return attribute(graph.model(x), "act", "signed", "yes")


@refused("node act (Quant)", "takes 4 inputs", "not 3")
def a_quantiser_without_its_bit_width():
    graph, x = act()
    del graph.nodes[-1].input[3:]
    return graph, x


@refused("node act (Quant)", "takes 4 inputs", "not 1")
def a_quantiser_without_a_scale():
    graph, x = act()
    del graph.nodes[-1].input[1:]
    return graph, x


@refused("node act (Quant)", "1 bit")
def a_quantiser_that_has_one_level():
    return act(bits=1, signed=True, narrow=True, zero=1)


@refused("node FloatQuant_0 (FloatQuant)", "floating point activations", "weights")
def activations_in_floating_point():
    graph, x = dense()
    return graph, graph.float_quant(x)


@refused("node w (FloatQuant)", "exponent width")
def weights_in_a_floating_point_of_half_a_bit():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.float_quant(graph.real(4, 2), exponent=3.5, name="w"))


@refused("node w (FloatQuant)", "exponent width")
def weights_in_a_huge_floating_point():
    graph, x = vectors()
    weights = graph.float_quant(graph.real(4, 2), exponent=400, bias=1e9, name="w")
    return graph, graph.matmul(x, weights)


@refused("node w (FloatQuant)", "saturation is 0")
def weights_in_a_floating_point_that_overflows():
    graph, x = vectors()
    weights = graph.float_quant(graph.real(4, 2), name="w", saturation=0)
    return graph, graph.matmul(x, weights)


@accepted
def weights_in_floating_point():
    graph, x = vectors()
    return graph, graph.quant(graph.matmul(x, graph.float_quant(graph.real(4, 2))))


@refused("node Trunc_0 (Trunc)", "Trunc of a constant")
def truncated_weights():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.trunc(graph.real(4, 2), 0.5, 0, 8, 4))


# --- weights and layers --------------------------------------------------------------------------


@refused("node Conv_0 (Conv)", "its weights c", "not quantised", "Quant, BipolarQuant")
def weights_without_a_quantiser():
    graph, x = images()
    return graph, graph.quant(graph.conv(x, graph.real(3, 2, 3, 3)))


@refused("node MatMul_0 (MatMul)", "its weights c", "not quantised")
def integer_weights_without_an_annotation():
    graph, x = vectors()
    weights = graph.constant(np.arange(8).reshape(4, 2), np.float32)
    return graph, graph.matmul(x, weights)


@refused("node MatMul_0 (MatMul)", "two tensors", "constant weights")
def weights_computed_from_the_input():
    graph, x = images((1, 4, 4))
    return graph, graph.quant(graph.matmul(x, x))


@refused("node Transpose_0 (Transpose)", "mixes images")
def weights_on_the_left():
    graph = Graph((1, 4))
    x = graph.quant(graph.input)
    x = graph.node("Transpose", x, perm=[1, 0])
    return graph, graph.matmul(graph.weights((2, 4)), x)


@refused("node Conv_1 (Conv)", "reads real numbers", "Conv_0", "put a Quant node between")
def no_quantiser_between_two_layers():
    graph, x = convolutional()
    return graph, graph.quant(graph.conv(x, graph.weights((2, 3, 3, 3))))


@refused("node MatMul_1 (MatMul)", "reads real numbers", "MatMul_0")
def a_real_activation_in_the_middle():
    graph, x = dense((4, 3))
    x = graph.node("Sigmoid", x)
    return graph, graph.matmul(x, graph.weights((3, 2)))


@refused("node Conv_0 (Conv)", "bias", "computed while it runs")
def a_bias_computed_from_the_input():
    graph, x = images()
    bias = graph.node("Squeeze", graph.node("GlobalAveragePool", x), graph.integers(2, 3))
    return graph, graph.quant(graph.conv(x, graph.weights((2, 2, 3, 3)), bias))


@refused("node Conv_0 (Conv)", "bias of shape (2,) does not fit 3 outputs")
def a_bias_of_another_length():
    graph, x = images()
    return graph, graph.quant(graph.conv(x, graph.weights((3, 2, 3, 3)), np.ones(2)))


@refused("node MatMul_0 (MatMul)")
def a_matrix_that_does_not_fit():
    graph, x = vectors(5)
    return graph, graph.matmul(x, graph.weights((4, 2)))


@refused("node MatMul_0 (MatMul)")
def weights_of_one_axis():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.weights((4,)))


@refused("node MatMul_0 (MatMul)")
def weights_of_three_axes():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.weights((3, 4, 2)))


@refused("node MatMul_0 (MatMul)", "(1, 6, 6)")
def a_matrix_over_the_last_axis_only():
    graph, x = images((1, 6, 6))
    return graph, graph.quant(graph.matmul(x, graph.weights((6, 2))))


@refused("node Conv_0 (Conv)", "3 groups", "2 channels")
def groups_that_do_not_divide():
    graph, x = images()
    return graph, graph.quant(graph.conv(x, graph.weights((3, 1, 3, 3)), group=3))


@refused("node Conv_0 (Conv)", "2 groups")
def groups_that_do_not_divide_the_outputs():
    graph, x = images()
    return graph, graph.quant(graph.conv(x, graph.weights((3, 1, 3, 3)), group=2))


@refused("node Conv_0 (Conv)", "0 groups")
def no_group():
    graph, x = images()
    return graph, graph.quant(graph.conv(x, graph.weights((2, 2, 3, 3)), group=0))


@refused("node Conv_0 (Conv)", "2 channels")
def weights_that_do_not_fit_the_channels():
    graph, x = images()
    return graph, graph.quant(graph.conv(x, graph.weights((3, 5, 3, 3))))


@refused("node Conv_0 (Conv)", "kernels that fit into their images")
def a_kernel_larger_than_the_image():
    graph, x = images()
    return graph, graph.quant(graph.conv(x, graph.weights((3, 2, 7, 7))))


@refused("node Conv_0 (Conv)", "padding (3, 3, 3, 3) is not smaller than kernel (3, 3)")
def a_padding_as_large_as_the_kernel():
    graph, x = convolutional(pads=[3, 3, 3, 3])
    return graph, graph.quant(x)


@refused("node Conv_0 (Conv)", "pads must not contain negative values")
def a_negative_padding():
    graph, x = convolutional(pads=[-1, -1, -1, -1])
    return graph, graph.quant(x)


@refused("node Conv_0 (Conv)", "pads")
def three_pads():
    graph, x = convolutional(pads=[1, 1, 1])
    return graph, graph.quant(x)


@refused("node Conv_0 (Conv)", "dilations [2, 2]", "only 1")
def a_dilation():
    graph, x = convolutional(dilations=[2, 2])
    return graph, graph.quant(x)


@refused("node Conv_0 (Conv)", "stride")
def a_stride_of_0():
    graph, x = convolutional(strides=[0, 1])
    return graph, graph.quant(x)


@refused("node Conv_0 (Conv)", "kernel")
def a_kernel_other_than_its_weights():
    graph, x = convolutional()
    return attribute(graph.model(sized(graph, x, 75)), "Conv_0", "kernel_shape", [2, 2])


@refused("node Conv_0 (Conv)", "SOMEHOW", "auto_pad")
def an_unknown_auto_pad():
    graph, x = convolutional(auto_pad="SOMEHOW")
    return graph, sized(graph, x, 48)


@refused("node Conv_0 (Conv)", "zero point", "symmetric")
def padding_around_a_zero_point():
    graph, x = images(zero=100.5)
    return graph, graph.quant(graph.conv(x, graph.weights((3, 2, 3, 3)), pads=[1, 1, 1, 1]))


@accepted
def a_convolution_of_a_line():
    graph, x = images((1, 2, 7))
    x = graph.quant(graph.conv(x, graph.weights((3, 2, 3)), strides=[2], pads=[1, 1]))
    return graph, graph.matmul(graph.node("Flatten", x), graph.weights((12, 2)))


@accepted
def padding_around_an_integer_zero_point():
    graph, x = images(zero=100)
    return graph, sized(graph, graph.conv(x, graph.weights((3, 2, 3, 3)), pads=[1, 1, 1, 1]), 108)


def sized(graph, x, width):
    """Quantise an image and end the network."""
    x = graph.node("Flatten", graph.quant(x))
    return graph.matmul(x, graph.weights((width, 2)))


@refused("node Gemm_0 (Gemm)", "transA")
def a_transposed_input():
    graph, x = vectors()
    return graph, graph.gemm(x, graph.weights((1, 2)), transA=1)


@refused("node BatchNormalization_0 (BatchNormalization)", "variance")
def a_negative_variance():
    graph, x = convolutional()
    x = graph.node(
        "BatchNormalization", x, np.ones(3), np.ones(3), np.ones(3), np.array([1, -1, 1])
    )
    return graph, graph.quant(x)


@refused("node BatchNormalization_0 (BatchNormalization)")
def a_norm_of_other_channels():
    graph, x = convolutional()
    return graph, graph.quant(graph.norm(x, 4))


@refused("node BatchNormalization_0 (BatchNormalization)", "train")
def a_norm_that_still_trains():
    graph, x = convolutional()
    outputs = ["a", "b", "c"]
    return graph, sized(graph, graph.norm(x, 3, training_mode=1, outputs=outputs), 48)


# --- pools ---------------------------------------------------------------------------------------


@refused("node AveragePool_0 (AveragePool)", "no ceil_mode")
def an_average_pool_in_ceil_mode():
    graph, x = images((1, 2, 5, 5))
    return graph, sized(graph, graph.average_pool(x, ceil_mode=1), 18)


@refused("node AveragePool_0 (AveragePool)", "count_include_pad")
def an_average_pool_that_leaves_padding_out():
    graph, x = images()
    return graph, sized(graph, graph.average_pool(x, 3, pads=[1, 1, 1, 1]), 8)


@refused("node MaxPool_0 (MaxPool)", "kernel_shape")
def a_max_pool_without_a_kernel():
    graph, x = images()
    return graph, sized(graph, graph.node("MaxPool", x), 18)


@refused("node MaxPool_0 (MaxPool)", "indices")
def a_max_pool_with_indices():
    graph, x = images()
    return graph, sized(graph, graph.max_pool(x, outputs=["largest", "indices"]), 18)


@refused("node MaxPool_0 (MaxPool)", "at least 3 dimensions")
def a_max_pool_of_a_vector():
    graph, x = vectors()
    return graph, graph.quant(graph.max_pool(x))


@refused("node MaxPool_0 (MaxPool)", "kernel_shape has incorrect size")
def a_max_pool_in_three_dimensions():
    graph, x = images()
    return graph, graph.quant(graph.node("MaxPool", x, kernel_shape=[2, 2, 2]))


@refused("node ReduceMean_0 (ReduceMean)", "axis must be in")
def a_mean_over_an_axis_that_is_not_there():
    graph, x = images()
    return graph, graph.quant(graph.node("ReduceMean", x, axes=[2, 7]))


@refused("MaxPool_0", "ends the network")
def a_max_pool_at_the_end():
    graph, x = convolutional()
    return graph, graph.max_pool(x)


@refused("Conv_0", "one position")
def an_image_at_the_end():
    graph, x = convolutional()
    return graph, graph.quant(x)


# --- moves ---------------------------------------------------------------------------------------


@refused("node Reshape_0 (Reshape)", "mixes images")
def a_reshape_that_mixes_images():
    graph, x = images((1, 2, 6, 6))
    x = graph.node("Reshape", x, graph.integers(2, 36))
    return graph, graph.quant(graph.matmul(x, graph.weights((36, 2))))


@refused("node Transpose_0 (Transpose)", "batch")
def a_transpose_of_the_batch():
    graph, x = images((1, 2, 6, 6))
    x = graph.node("Transpose", x, perm=[1, 0, 2, 3])
    x = graph.node("Reshape", x, graph.integers(1, 72))
    return graph, graph.quant(graph.matmul(x, graph.weights((72, 2))))


@refused("node Reshape_0 (Reshape)")
def a_reshape_that_does_not_fit():
    graph, x = vectors()
    return graph, graph.matmul(
        graph.node("Reshape", x, graph.integers(1, 5)), graph.weights((5, 2))
    )


@refused("node Reshape_0 (Reshape)", "shape input must be 1D")
def a_reshape_computed_from_the_input():
    graph, x = vectors()
    shape = graph.node("Cast", graph.quant(x), to=TensorProto.INT64)
    return graph, graph.matmul(graph.node("Reshape", x, shape), graph.weights((4, 2)))


# --- arithmetic ----------------------------------------------------------------------------------


@refused("node Mul_0 (Mul)", "two tensors", "only Add")
def a_product_of_two_tensors():
    graph, x = vectors()
    return graph, graph.matmul(graph.quant(graph.node("Mul", x, x)), graph.weights((4, 2)))


@refused("node Div_0 (Div)", "by a tensor of the network, or by zero")
def a_division_by_zero():
    graph, x = dense()
    return graph, graph.quant(graph.node("Div", x, 0.0))


@refused("node Div_0 (Div)", "by a tensor of the network, or by zero")
def a_division_by_a_tensor():
    graph, x = dense()
    return graph, graph.quant(graph.node("Div", 1.0, x))


@refused("node Mul_0 (Mul)", "constant", "infinit")
def a_product_with_infinity():
    graph, x = dense()
    return graph, graph.quant(graph.node("Mul", x, np.inf))


@refused("node Add_0 (Add)", "(1, 2, 6, 6) and (1, 2, 1, 1)")
def a_sum_of_different_shapes():
    graph, x = images()
    y = graph.quant(graph.node("GlobalAveragePool", x))
    return graph, sized(graph, graph.node("Add", x, y), 72)


@refused("node Quant_5 (Quant)", "sums of tensors this wide need equal scales")
def a_sum_at_incompatible_scales():
    graph, x = vectors(8, bits=8)
    y = graph.quant(graph.matmul(x, graph.weights((8, 8))), 10, 0.0377)
    z = graph.quant(graph.matmul(x, graph.weights((8, 8))), 10, 0.1911)
    return graph, graph.quant(graph.node("Add", y, z), 10, 0.0733)


@refused("node Add_0 (Add)", "differ by channel or in sign")
def a_sum_of_a_tensor_and_a_negative_one():
    graph, x = vectors()
    y = graph.node("Mul", graph.quant(graph.matmul(x, graph.weights((4, 4)))), -1.0)
    return graph, graph.quant(graph.node("Add", x, y))


@refused("node Mul_0 (Mul)", "its constant of shape (6, 6)", "(1, 2, 6, 6)")
def a_factor_that_differs_within_a_channel():
    graph, x = images()
    return graph, sized(graph, graph.node("Mul", x, graph.real(6, 6)), 72)


@refused("node Add_0 (Add)", "Incompatible dimensions")
def a_constant_that_does_not_fit():
    graph, x = dense()
    return graph, graph.quant(graph.node("Add", x, np.ones(5)))


@refused("node Mul_0 (Mul)", "shape (2, 1, 4)")
def a_constant_with_more_axes_than_the_tensor():
    graph, x = vectors()
    x = graph.node("Mul", x, np.array([[[1.0] * 4], [[2.0] * 4]]))
    return graph, graph.quant(x)


@refused("node PRelu_0 (PRelu)", "negative slope")
def a_negative_slope():
    graph, x = dense()
    return graph, graph.quant(graph.node("PRelu", x, -0.5))


@refused("node LeakyRelu_0 (LeakyRelu)", "negative slope")
def a_negative_slope_of_a_leaky_relu():
    graph, x = dense()
    return graph, graph.quant(graph.node("LeakyRelu", x, alpha=-0.5))


@refused("node Elu_0 (Elu)", "negative slope")
def a_negative_elu():
    graph, x = dense()
    return graph, graph.quant(graph.node("Elu", x, alpha=-0.5))


@refused("node PRelu_0 (PRelu)", "input size 1")
def a_relu_without_its_slope():
    graph, x = dense()
    return graph, graph.quant(graph.node("PRelu", x))


@accepted
def a_clip_with_its_ends_exchanged():
    graph, x = dense()
    return graph, graph.quant(graph.node("Clip", x, 1.0, -1.0))


@refused("node Mul_0 (Mul)", "by zero")
def a_product_with_zero():
    graph, x = vectors()
    x = graph.node("Mul", x, 0.0)
    return graph, graph.matmul(x, graph.weights((4, 2)))


@refused("layer MatMul_0", "bias is far beyond all sums")
def a_huge_bias_of_the_logits():
    graph, x = dense((4, 3))
    return graph, graph.node("Add", x, 1e30)


@accepted
def a_truncated_input():
    graph, x = vectors(bits=8)
    x = graph.trunc(x, 0.25, 0, 8, 4)
    return graph, graph.matmul(x, graph.weights((4, 2)))


@refused("node Trunc_0 (Trunc)", "cannot truncate 4 bits to 8")
def a_truncation_to_more_bits():
    graph, x = vectors(bits=8)
    x = graph.trunc(x, 0.25, 0, 4, 8)
    return graph, graph.matmul(x, graph.weights((4, 2)))


@accepted
def nodes_that_no_output_depends_on():
    graph, x = dense()
    graph.node("Mystery", graph.node("Relu", graph.input), domain="my.company")
    return graph, x


@refused("node MaxPool_0 (MaxPool)", "strides (2147483648, 2) beyond 32768")
def a_huge_stride():
    graph, x = images()
    return graph, sized(graph, graph.max_pool(x, strides=[1 << 31, 2]), 6)


# --- graphs that are not what they say -----------------------------------------------------------


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
