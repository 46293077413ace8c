"""Quantisers that cannot be exact are refused by name."""

import numpy as np

from narrowgauge.model.exchange.extra import require

require()


from .graphs import attribute, dense  # noqa: E402
from .refusals import Cases, images, vectors  # noqa: E402

cases = Cases()
refused, accepted = cases.refused, cases.accepted


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


def convolved(bits, **more):
    """A convolution of three channels whose weights have these bit widths."""
    graph, x = images()
    weights = graph.quant(graph.real(3, 2, 3, 3), bits, 0.1, name="weight", **more)
    return graph, graph.quant(graph.conv(x, weights))


EACH = np.array([2, 4, 8]).reshape(3, 1, 1, 1)


@accepted
def a_bit_width_for_each_output_of_weights():
    return convolved(EACH)


@accepted
def a_bit_width_for_each_output_without_signs():
    return convolved(EACH, signed=False, narrow=True)


@accepted
def a_bit_width_for_each_output_and_a_zero_point():
    return convolved(EACH, zero=1.0)


@accepted
def channels_of_one_bit_among_others():
    return convolved(np.array([1, 1, 3]).reshape(3, 1, 1, 1))


@accepted
def equal_bit_widths():
    return convolved(np.full((3, 1, 1, 1), 3))


@accepted
def bit_widths_of_a_transposed_matrix():
    graph, x = vectors()
    rows = graph.quant(graph.real(3, 4), np.array([[2], [5], [3]]), 0.1)
    return graph, graph.matmul(x, graph.node("Transpose", rows, perm=[1, 0]))


@accepted
def bit_widths_of_a_gemm_and_scales():
    graph, x = vectors()
    scale = np.array([[0.5], [0.25], [0.125]])
    rows = graph.quant(graph.real(3, 4), np.array([[2], [3], [4]]), scale, narrow=True)
    return graph, graph.quant(graph.gemm(x, graph.node("Mul", rows, 0.5), transB=1))


@refused("node Conv_0 (Conv)", "bit widths that differ between inputs", "one for each output")
def a_bit_width_for_each_input_of_weights():
    return convolved(np.array([2, 4]).reshape(1, 2, 1, 1))


@refused("node MatMul_0 (MatMul)", "bit widths that differ between inputs")
def a_bit_width_for_each_row_of_a_matrix():
    graph, x = vectors()
    return graph, graph.matmul(x, graph.quant(graph.real(4, 2), np.array([[2], [4], [2], [4]])))


@refused("node weight (Quant)", "a bit width of 2.5 is not an integer from 1 to 32")
def a_bit_width_between_integers():
    return convolved(EACH + 0.5)


@refused("node weight (Quant)", "a bit width of 40 is not an integer from 1 to 32")
def a_bit_width_of_a_channel_beyond_the_widest():
    return convolved(5 * EACH)


@refused("node weight (Quant)", "bit widths of (3,) do not fit weights of (2, 2)")
def bit_widths_that_do_not_fit():
    graph, x = vectors(2)
    weight = graph.quant(graph.real(2, 2), np.array([2, 3, 4]), name="weight")
    return graph, graph.matmul(x, weight)


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


@accepted
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


test_refused, test_odd_but_right = cases.tests()
