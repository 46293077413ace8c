"""Graphs that were imported wrongly, or not at all, until random ones found it."""

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.numbers.formats import Bipolar, Fixed
from narrowgauge.model.exchange.extra import require

require()

from narrowgauge.model.exchange.agree import agree  # noqa: E402
from narrowgauge.model.exchange.importer import import_model  # noqa: E402

from .against_oracle import compare  # noqa: E402
from .graphs import Graph  # noqa: E402
from .random_graphs import Drawn  # noqa: E402


def check(graph, end, *, quantised=True, **options):
    """Import, and compare with exact arithmetic and QONNX's executor."""
    shape = [each.dim_value for each in graph.inputs[0].type.tensor_type.shape.dim]
    images = np.random.default_rng(1).normal(size=(20, *shape[1:])).astype(np.float32)
    if "input_format" in options:  # which nothing quantises
        images = np.where(images < 0, -1, 1).astype(np.float32)
    model = graph.model(end)
    found = import_model(model, name="graph", **options)
    assert not compare(Drawn(model, images, options, end, quantised, ""), found)
    assert not [each.first for each in agree(found, images).tensors if each.first]
    return found.network


def finished(graph, x):
    """A dense layer of three outputs at the end."""
    size = int(np.prod(graph.sizes))
    x = graph.node("Flatten", x, axis=1)
    return graph.quant(graph.matmul(x, graph.weights((size, 3))), 6)


def image(*shape):
    """A graph and its quantised input."""
    graph = Graph((1, *shape))
    graph.sizes = shape
    return graph, graph.quant("x", 4, 0.25)


def test_a_convolution_in_one_dimension_with_strides():
    graph, x = image(2, 7)
    x = graph.conv(x, graph.weights((2, 2, 3)), strides=[2], pads=[1, 0], group=1)
    graph.sizes = (2, 3)
    check(graph, finished(graph, graph.quant(x)))


def test_an_input_that_is_transposed_before_it_is_quantised():
    graph = Graph((1, 3, 4, 2))
    x = graph.quant(graph.node("Transpose", "x", perm=[0, 3, 1, 2]), 4, 0.25)
    x = graph.conv(x, graph.weights((2, 2, 1, 1)))
    graph.sizes = (2, 3, 4)
    network = check(graph, finished(graph, graph.quant(x)))
    assert tuple(network.about["preparation"]["shape"]) == (3, 4, 2)
    assert network.input_size == (3, 4, 2)


@pytest.mark.parametrize("factor", [-1.0, -0.3])
def test_an_offset_and_a_negative_scale_before_a_layer(factor):
    graph, x = image(5)
    x = graph.node("Mul", graph.node("Add", x, 0.6), factor)
    check(graph, finished(graph, x))


@pytest.mark.parametrize("factors", [[-1.0, -1.0], [-0.5, 1.0]])
def test_a_max_pool_that_is_read_upside_down(factors):
    graph, x = image(2, 4, 4)
    x = graph.max_pool(graph.conv(x, graph.weights((2, 2, 1, 1))))
    x = graph.node("Mul", x, np.reshape(factors, (2, 1, 1)))
    graph.sizes = (2, 2, 2)
    check(graph, finished(graph, graph.quant(x, 3, 0.5)))


def test_scales_whose_ratio_is_beyond_all_summands():
    graph, x = image(3)
    one = graph.quant(graph.matmul(x, graph.weights((3, 3))), 2, 1400.3)
    two = graph.quant(graph.matmul(x, graph.weights((3, 3))), 2, 0.77)
    check(graph, finished(graph, graph.quant(graph.node("Add", one, two), 3, 1400.3)))
    graph, x = image(3)
    one, two = (
        graph.quant(graph.matmul(x, graph.weights((3, 3))), 9, each) for each in (0.1, 0.100001)
    )
    with pytest.raises(NetworkError, match="scales have the ratio"):
        check(graph, finished(graph, graph.quant(graph.node("Add", one, two), 8, 0.2)))


def test_a_sum_of_tensors_that_is_subtracted():
    graph, x = image(3)
    one = graph.quant(graph.matmul(x, graph.weights((3, 3))))
    x = graph.node("Sub", 0.4, graph.node("Add", x, one))
    check(graph, finished(graph, graph.quant(x)))
    graph, x = image(3)
    one = graph.quant(graph.matmul(x, graph.weights((3, 3))))
    network = check(graph, graph.quant(graph.node("Mul", graph.node("Add", x, one), -1.0), 5))
    assert len(network.layers) == 3, "the last one turns it around"


@pytest.mark.parametrize("function", ["Sigmoid", "Tanh", "LeakyRelu"])
def test_a_bent_function_of_a_sum_of_tensors(function):
    graph, x = image(3)
    one = graph.quant(graph.matmul(x, graph.weights((3, 3))))
    x = graph.node(function, graph.node("Mul", graph.node("Add", x, one), 0.7))
    network = check(graph, finished(graph, graph.quant(x, 4, 0.125)))
    assert network.layers[1].kind == "add"


def test_a_bent_function_of_an_average_keeps_the_pool():
    graph, x = image(2, 4, 4)
    x = graph.quant(graph.node("Tanh", graph.average_pool(x)), 4, 0.125)
    graph.sizes = (2, 2, 2)
    assert check(graph, finished(graph, x)).layers[0].kind == "average_pool"


def test_a_layer_that_always_gives_the_same_level():
    graph, x = image(3)
    x = graph.node("Clip", graph.matmul(x, graph.weights((3, 3))), 1.0, 1.01)
    check(graph, finished(graph, graph.quant(x)))


@pytest.mark.parametrize("factors", [-1.0, [1.0, -2.0, 0.25]])
def test_an_end_whose_levels_are_not_in_the_order_of_its_values(factors):
    graph, x = image(3)
    x = graph.quant(graph.matmul(x, graph.weights((3, 3))), 5)
    check(graph, graph.node("Mul", x, factors), quantised=False)


def test_an_end_behind_a_max_pool():
    graph, x = image(3, 2, 2)
    x = graph.quant(graph.conv(x, graph.weights((3, 3, 1, 1))), 5)
    check(graph, graph.max_pool(x))


def test_weights_that_are_minus_one_or_zero_beside_a_sum():
    graph, x = image(3)
    weights = graph.quant(graph.real(3, 3), 1, 1.0, 1.0, signed=False)
    one = graph.quant(graph.matmul(x, weights))
    x = graph.quant(graph.node("Add", x, one))
    weights = graph.quant(graph.real(3, 2), 1, 1.0, 1.0, signed=False)
    check(graph, graph.quant(graph.matmul(x, weights)))


@pytest.mark.parametrize("factor", [-1.0, 1.0])
def test_sums_that_are_read_as_they_are_behind_a_relu(factor):
    graph, x = image(3)
    x = graph.node("Relu", graph.node("Mul", graph.node("Add", x, x), factor))
    check(graph, finished(graph, x))


def test_a_pad_before_a_convolution_with_padding_of_its_own():
    graph, x = image(2, 5, 4)
    x = graph.node("Pad", x, graph.integers(0, 0, 0, 1, 0, 0, 0, 0))
    x = graph.conv(x, graph.weights((2, 2, 3, 3)), auto_pad="SAME_UPPER", strides=[1, 2])
    graph.sizes = (2, 5, 3)
    check(graph, finished(graph, graph.quant(x)))


def test_an_average_over_fewer_elements_is_refused():
    graph, x = image(2, 5, 5)
    x = graph.average_pool(x, 3, strides=[1, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    graph.sizes = (2, 5, 2)
    check(graph, finished(graph, graph.quant(x)))
    graph, x = image(2, 4, 4)
    x = graph.average_pool(
        x, 3, strides=[2, 2], pads=[0, 0, 0, 0], count_include_pad=1, ceil_mode=1
    )
    graph.sizes = (2, 2, 2)
    with pytest.raises(NetworkError, match="averages fewer elements"):
        check(graph, finished(graph, graph.quant(x)))


def test_signs_that_are_averaged_with_zeros_around_them():
    graph = Graph((1, 2, 4, 4))
    x = graph.average_pool(graph.bipolar("x"), 2, pads=[1, 1, 1, 1], count_include_pad=1)
    graph.sizes = (2, 3, 3)
    assert check(graph, finished(graph, graph.quant(x))).input == Fixed(2)
    graph = Graph((1, 2, 4, 4))
    x = graph.average_pool("x", 2, pads=[1, 1, 1, 1], count_include_pad=1)
    graph.sizes = (2, 3, 3)
    network = check(graph, finished(graph, graph.quant(x)), input_format=Bipolar())
    assert network.input == Fixed(2)  # stated to be signs, and zeros around them


def test_a_trunc_that_rounds_a_half_first():
    """Float32 decides it: 1/2 of a level, before zero point and truncation."""
    graph = Graph((1, 2, 4, 4))
    x = graph.average_pool(graph.quant("x", 8, 0.0412353947), 2)
    x = graph.trunc(x, 0.0412353947, 1.0, 9, 6, "ROUND")
    graph.sizes = (2, 2, 2)
    check(graph, finished(graph, x))


def test_what_reads_a_padded_tensor_before_its_convolution():
    """A quantiser or an activation between the two sees the zeros, too."""

    def padded(graph, x):
        return graph.node("Pad", x, graph.integers(0, 0, 1, 1, 0, 0, 0, 0))

    def convolved(graph, x):
        graph.sizes = (2, 4, 4)
        return finished(graph, graph.quant(graph.conv(x, graph.weights((2, 2, 2, 2)))))

    graph, x = image(2, 4, 4)
    x = graph.quant(padded(graph, graph.node("Relu", x)), 4, 0.25)
    check(graph, convolved(graph, graph.node("Relu", x)))
    graph = Graph((1, 2, 4, 4))
    x = graph.bipolar(padded(graph, graph.bipolar("x")))  # zeros become ones
    with pytest.raises(NetworkError, match="pads with 1, which is level 1 of its input"):
        check(graph, convolved(graph, x))
    graph, x = image(2, 4, 4)
    x = padded(graph, graph.quant(graph.node("Clip", x, 0.5, 1.5), 4, 0.25))
    with pytest.raises(NetworkError, match="reads a padded tensor"):
        check(graph, convolved(graph, graph.node("Clip", x, 0.5, 1.5)))


def test_a_mean_finds_the_channels_of_a_transposed_input():
    graph = Graph((1, 4, 4, 3), opset=13)
    x = graph.node("Transpose", graph.quant("x"), perm=[0, 3, 1, 2])
    x = graph.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    check(graph, graph.quant(graph.matmul(x, graph.weights((3, 2)))))


@pytest.mark.parametrize("slopes", [[0.1], [0.1, 0.3, 0.0]])
def test_slopes_of_a_leaky_function(slopes):
    graph, x = image(3)
    x = graph.node("PRelu", graph.matmul(x, graph.weights((3, 3))), slopes)
    check(graph, finished(graph, graph.quant(x)))
