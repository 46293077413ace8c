"""Weights, layers and pools that cannot be run are refused by name."""

import numpy as np

from narrowgauge.model.exchange.extra import require

require()


from .graphs import Graph, attribute, convolutional, dense  # noqa: E402
from .refusals import Cases, images, sized, vectors  # noqa: E402

cases = Cases()
refused, accepted = cases.refused, cases.accepted


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


@refused("node Conv_0 (Conv)", "ilation")
def a_dilation_of_0():
    graph, x = convolutional(dilations=[0, 1])
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


@refused("node AveragePool_0 (AveragePool)", "where there is ceil_mode")
def an_average_pool_in_ceil_mode():
    graph, x = images((1, 2, 5, 5))
    return graph, sized(graph, graph.average_pool(x, ceil_mode=1, count_include_pad=1), 18)


@refused("node AveragePool_0 (AveragePool)", "28,800 sums from", "count_include_pad")
def an_average_pool_that_leaves_much_padding_out():
    graph, x = images((1, 2, 120, 120))
    return graph, sized(graph, graph.average_pool(x, 3, strides=[1, 1], pads=[1] * 4), 28800)


@refused("node AveragePool_0 (AveragePool)", "fewer elements at the edges", "put a Quant node")
def an_average_pool_of_a_product_that_leaves_padding_out():
    graph, x = images()
    x = graph.conv(x, graph.weights((2, 2, 1, 1)))
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


@refused("Softmax_0", "positions, whose values it changes")
def probabilities_of_an_image_at_the_end():
    graph, x = convolutional()
    return graph, graph.node("Softmax", graph.quant(x), axis=1)


def _scaled(*factors, bits=16):
    graph, x = vectors()
    x = graph.matmul(x, graph.weights((4, 3)))
    for each in factors:
        x = graph.node("Mul", x, each)
    return graph, graph.matmul(graph.quant(x, bits, 1.0), graph.weights((3, 2)))


@refused("layer MatMul_0", "its levels are 3.69e+19 times its sums", "a larger scale")
def wide_levels_at_a_huge_slope():
    return _scaled(2.0**70)


@refused("layer MatMul_0", "its levels are 3.6e+16 times its sums", "a larger scale")
def wide_levels_of_which_int64_has_no_products():
    return _scaled(2.0**60)


@refused("node Quant_2 (Quant)", "layer MatMul_0", "beyond 2**900", "scale it by less")
def a_slope_beyond_float64():
    return _scaled(*[2.0**120] * 9)


@accepted
def wide_levels_at_a_large_slope():
    return _scaled(2.0**12)


test_refused, test_odd_but_right = cases.tests()
