"""Moves and arithmetic that no layer does are refused by name."""

import numpy as np

from narrowgauge.model.exchange.extra import require

require()

from onnx import TensorProto  # noqa: E402

from .graphs import dense  # noqa: E402
from .refusals import Cases, images, sized, vectors  # noqa: E402

cases = Cases()
refused, accepted = cases.refused, cases.accepted


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


@refused("node Reshape_0 (Reshape)", "its shape is no list of sizes, but of 2 dimensions")
def a_reshape_to_a_table_of_sizes():
    graph, x = vectors()
    shape = graph.constant([[1, 4]], np.int64)
    return graph, graph.matmul(graph.node("Reshape", x, shape), graph.weights((4, 2)))


@refused("node Reshape_0 (Reshape)", "shape input must be 1D")
def a_reshape_computed_from_the_input():
    graph, x = vectors()
    shape = graph.node("Cast", graph.quant(x), to=TensorProto.INT64)
    return graph, graph.matmul(graph.node("Reshape", x, shape), graph.weights((4, 2)))


# --- arithmetic ----------------------------------------------------------------------------------


@refused("node Mul_0 (Mul)", "two tensors", "only sums and differences")
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


@refused("node Quant_5 (Quant)", "sums of tensors this wide need equal scales")
def a_sum_at_incompatible_scales():
    graph, x = vectors(8, bits=8)
    y = graph.quant(graph.matmul(x, graph.weights((8, 8))), 10, 0.0377)
    z = graph.quant(graph.matmul(x, graph.weights((8, 8))), 10, 0.1911)
    return graph, graph.quant(graph.node("Add", y, z), 10, 0.0733)


@accepted
def a_sum_of_a_tensor_and_a_negative_one():
    graph, x = vectors()
    y = graph.node("Mul", graph.quant(graph.matmul(x, graph.weights((4, 4)))), -1.0)
    return graph, graph.quant(graph.node("Add", x, y))


@refused("node Mul_0 (Mul)", "its constant of shape (6, 6)", "(1, 2, 6, 6)")
def a_factor_that_differs_within_a_channel():
    graph, x = images()
    x = graph.conv(x, graph.weights((2, 2, 1, 1)))
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


test_refused, test_odd_but_right = cases.tests()
