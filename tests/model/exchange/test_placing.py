"""Padding, reductions along axes, and elements in another order: exact, or refused with reasons."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import AveragePool, Conv2d, Dense, MaxPool
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.extra import require

require()

from narrowgauge.model.exchange.agree import agree  # noqa: E402
from narrowgauge.model.exchange.importer import import_model  # noqa: E402
from narrowgauge.scripts.runs.checked import simulate_and_compare  # noqa: E402

from .against_oracle import compare  # noqa: E402
from .graphs import Graph  # noqa: E402
from .random_graphs import Drawn  # noqa: E402

COUNT = 12
CASES, REFUSED = [], []


def exact(function):
    """Collect a function that makes a graph and a tensor, which a dense layer follows."""
    CASES.append(pytest.param(function, id=function.__name__))
    return function


def refused(*words):
    def collect(function):
        REFUSED.append(pytest.param(function, words, id=function.__name__))
        return function

    return collect


def image(shape=(2, 4, 5), bits=4, scale=0.25, **more):
    """A graph, its quantised input, and a quantised 1x1 convolution of it."""
    graph = Graph((1, *shape), opset=more.pop("opset", 13))
    x = graph.quant("x", bits, scale, **more)
    kernel = [1] * (len(shape) - 1)
    return graph, graph.quant(graph.conv(x, graph.weights((3, shape[0], *kernel))), 4, 0.3)


def pad(graph, x, *pads, value=None, **more):
    return graph.node("Pad", x, graph.integers(*pads), *([] if value is None else [value]), **more)


def around(graph, x, count=1, **more):
    return pad(graph, x, 0, 0, count, count, 0, 0, count, count, **more)


def conv(graph, x, channels=3, size=3, **more):
    return graph.conv(x, graph.weights((2, channels, size, size)), **more)


def ended(graph, x, width=None):
    """A dense layer of three outputs behind a tensor, and the model."""
    x = graph.node("Flatten", graph.quant(x, 5, 0.3))
    return graph.model(graph.matmul(x, graph.weights((width or elements(graph, x), 3))))


def elements(graph, x):
    """How many elements the executor finds in a tensor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes

    shape = ModelWrapper(graph.model(x)).transform(InferShapes()).get_tensor_shape(x)
    assert shape is not None
    return shape[-1]


def drawn(model):
    sizes = [each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim]
    images = np.random.default_rng(1).normal(size=(COUNT, *sizes[1:])).astype(np.float32)
    return Drawn(model, images, {}, model.graph.output[0].name, False, "")


@pytest.mark.parametrize("function", CASES)
def test_is_what_the_graph_is(function):
    given = drawn(ended(*function()))
    found = import_model(given.model, name="net")
    assert compare(given, found) == []
    assert [each.first for each in agree(found, given.images).tensors if each.first] == []


@pytest.mark.parametrize(("function", "words"), REFUSED)
def test_refused_with_the_reason(function, words):
    graph, x = function()
    with pytest.raises(NetworkError) as caught:
        import_model(graph.model(x), name="net")
    for word in words:
        assert word in str(caught.value)


# --- padding that a window has -------------------------------------------------------------------


@exact
def a_causal_convolution():
    graph, x = image((2, 9))
    return graph, graph.conv(pad(graph, x, 0, 0, 2, 0, 0, 0), graph.weights((2, 3, 3)))


@exact
def a_pad_before_an_average_pool():
    graph, x = image()
    return graph, graph.average_pool(around(graph, x), 3, strides=[2, 2])


@exact
def a_pad_before_a_max_pool_of_what_is_not_negative():
    graph, x = image()
    x = graph.quant(graph.node("Relu", x), 4, 0.3, signed=False)
    return graph, graph.max_pool(around(graph, x), 3, strides=[2, 2])


@exact
def a_pad_with_the_lowest_number_before_a_max_pool():
    graph, x = image()
    return graph, graph.max_pool(around(graph, x, value=-np.inf), 3, strides=[1, 1])


@exact
def a_pad_and_a_convolution_that_pads():
    graph, x = image()
    return graph, conv(graph, around(graph, x), size=4, pads=[1, 1, 1, 1])


@exact
def two_pads():
    graph, x = image()
    return graph, conv(graph, around(graph, around(graph, x)))


@exact
def a_pad_by_attributes():
    graph = Graph((1, 2, 4, 5), opset=10)
    x = graph.node("Pad", graph.quant("x"), pads=[0, 0, 0, 1, 0, 0, 2, 1], value=0.0)
    return graph, conv(graph, x, 2)


@exact
def a_pad_of_some_axes():
    graph, x = image(opset=18)
    x = graph.node("Pad", x, graph.integers(1, 2, 0, 1), "", graph.integers(-1, -2))
    return graph, conv(graph, x)


@exact
def a_pad_around_a_zero_point():
    graph, x = image(zero=3.0, signed=False)
    x = graph.quant(x, 4, 0.3, 5.0, signed=False)
    return graph, conv(graph, around(graph, x))


@exact
def a_pad_whose_value_is_level_0():
    graph, x = image()
    return graph, conv(graph, around(graph, graph.node("Add", x, 1.3), value=1.3))


@exact
def a_pad_before_a_global_average():
    graph, x = image()
    return graph, graph.node("GlobalAveragePool", around(graph, x))


# --- padding before a quantiser ------------------------------------------------------------------


@exact
def a_pad_before_the_quantiser_of_the_input():
    graph = Graph((1, 2, 4, 5))
    x = graph.quant(around(graph, "x"), 4, 0.25)
    return graph, conv(graph, x, 2)


@exact
def a_pad_of_pixels_that_are_normalised_later():
    """Black is -1 there, and level 0 is what pixels of 0.5 become."""
    graph = Graph((1, 1, 4, 5))
    x = graph.node("Mul", graph.node("Sub", around(graph, "x", value=0.5), 0.5), 2.0)
    return graph, conv(graph, graph.quant(x, 8, 1 / 64), 1)


@exact
def a_pad_between_a_layer_and_its_quantiser():
    graph, x = image()
    x = graph.node("Relu", around(graph, conv(graph, x)))
    return graph, conv(graph, graph.quant(x, 4, 0.3, signed=False), 2, 2)


@exact
def a_padded_tensor_that_is_quantised_again():
    graph, x = image()
    x = graph.quant(graph.node("Mul", around(graph, x), 0.4), 3, 0.2)
    return graph, conv(graph, x)


# --- padding that takes a layer ------------------------------------------------------------------


@exact
def a_pad_larger_than_the_kernel():
    graph, x = image()
    return graph, conv(graph, around(graph, x, 4))


@exact
def a_pad_before_a_max_pool_of_negative_numbers():
    graph, x = image()
    return graph, graph.max_pool(around(graph, x), 3, strides=[2, 2])


@exact
def a_pad_before_a_sum():
    graph, x = image()
    one = graph.quant(graph.conv(x, graph.weights((3, 3, 3, 3)), pads=[2, 2, 2, 2]), 4, 0.3)
    return graph, graph.node("Add", one, around(graph, x))


@exact
def a_pad_before_flattening():
    graph, x = image()
    return graph, graph.node("Flatten", around(graph, x))


@exact
def a_crop():
    graph, x = image()
    return graph, pad(graph, x, 0, 0, -1, 0, 0, 0, 0, -2)


@exact
def a_pad_here_and_a_crop_there():
    graph, x = image()
    return graph, conv(graph, pad(graph, x, 0, 0, 1, -1, 0, 0, -2, 2), size=2)


@exact
def a_pad_of_channels():
    """As in the shortcuts of residual networks."""
    graph, x = image()
    return graph, graph.average_pool(pad(graph, x, 0, 2, 0, 0, 0, 1, 0, 0))


@exact
def a_crop_of_channels_of_a_vector():
    graph = Graph((1, 6))
    x = graph.quant(graph.matmul(graph.quant("x"), graph.weights((6, 5))), 4, 0.3)
    return graph, pad(graph, x, 0, 2, 0, -1)


@exact
def a_pad_around_signs():
    graph, x = image()
    x = graph.bipolar(x, 0.5)
    return graph, conv(graph, graph.node("Identity", around(graph, x, value=-0.5)))


@exact
def a_pad_of_zeros_around_signs_before_a_max_pool():
    graph, x = image()
    return graph, graph.max_pool(around(graph, graph.bipolar(x, 0.5)), 2, strides=[1, 1])


@exact
def a_pad_of_channels_last():
    graph = Graph((1, 4, 5, 2))
    x = graph.quant(pad(graph, "x", 0, 1, 0, 0, 0, 1, 2, 0), 4, 0.25)
    return graph, conv(graph, graph.node("Transpose", x, perm=[0, 3, 1, 2]), 2)


@exact
def a_pad_of_a_line_that_becomes_an_image():
    graph, x = image((2, 9))
    x = graph.node("Unsqueeze", pad(graph, x, 0, 0, 2, 0, 0, 0), graph.integers(2))
    return graph, graph.conv(x, graph.weights((2, 3, 1, 3)))


@exact
def a_pad_that_is_quantised_in_five_axes():
    graph, x = image()
    x = graph.node("Unsqueeze", around(graph, x), graph.integers(2))
    x = graph.node("Squeeze", graph.quant(x, 3, 0.4), graph.integers(2))
    return graph, conv(graph, x)


@exact
def a_pad_that_is_transposed():
    graph, x = image()
    return graph, conv(graph, graph.node("Transpose", around(graph, x), perm=[0, 1, 3, 2]))


@refused("Pad_0 (Pad)", "mode reflect repeats elements", "only a constant")
def a_reflecting_pad():
    graph, x = image()
    return graph, conv(graph, around(graph, x, mode="reflect"))


@refused("Pad_0 (Pad)", "mode edge repeats elements")
def a_pad_of_edges():
    graph, x = image((2, 9))
    return graph, pad(graph, x, 0, 0, 1, 0, 0, 1, mode="edge")


@refused(
    "Conv_1 (Conv)", "pads with 1, which is no level of its input", "level 0, whose value is 0"
)
def a_pad_with_what_is_no_level():
    graph, x = image()
    return graph, conv(graph, around(graph, x, value=1.0))


@refused("Conv_1 (Conv)", "pads with -0.5, which is level -2 of its input")
def a_pad_with_another_level():
    graph, x = image()
    return graph, conv(graph, around(graph, graph.quant(x, 4, 0.25), value=-0.5))


@refused("Conv_1 (Conv)", "another level in each channel")
def a_pad_of_channels_that_are_shifted_differently():
    graph, x = image()
    x = graph.node("Add", x, np.array([0.3, 0.6, 0.9]).reshape(1, 3, 1, 1))
    return graph, conv(graph, around(graph, x))


@refused("Pad_0 (Pad)", "adds channels", "scales")
def a_pad_of_channels_of_different_scales():
    graph, x = image()
    x = graph.node("Mul", x, np.array([0.5, 0.6, 0.9]).reshape(1, 3, 1, 1))
    return graph, pad(graph, x, 0, 1, 0, 0, 0, 0, 0, 0)


@refused("Pad_0 (Pad)", "images to the batch")
def a_pad_of_the_batch():
    graph, x = image()
    x = pad(graph, x, 1, 0, 0, 0, 0, 0, 0, 0)
    return graph, graph.quant(conv(graph, x))


@refused("Pad_0 (Pad)", "crops", "before anything is quantised")
def a_crop_of_what_is_not_quantised():
    graph = Graph((1, 2, 4, 5))
    return graph, conv(graph, graph.quant(pad(graph, "x", 0, 0, -1, 0, 0, 0, 0, 0)), 2)


@refused("Flatten_0 (Flatten)", "padded tensor that is not quantised yet")
def a_pad_that_is_flattened_before_its_quantiser():
    graph, x = image()
    return graph, graph.quant(graph.node("Flatten", around(graph, conv(graph, x))))


@refused("a Pad node ends the network")
def a_pad_at_the_end():
    graph, x = image()
    return graph, around(graph, x)


# --- along axes ----------------------------------------------------------------------------------


@exact
def a_mean_along_a_line():
    graph, x = image((2, 9))
    return graph, graph.node("ReduceMean", x, axes=[2], keepdims=0)


@exact
def a_mean_of_rows():
    graph, x = image()
    return graph, graph.node("ReduceMean", x, axes=[-1])


@exact
def a_mean_of_columns_and_channels():
    graph, x = image()
    return graph, graph.node("ReduceMean", x, axes=[1, 2], keepdims=0)


@exact
def a_mean_of_everything():
    graph, x = image(opset=18)
    return graph, graph.node("ReduceMean", x, graph.integers(-3, -2, -1))


@exact
def a_mean_of_a_vector():
    graph = Graph((1, 6), opset=13)
    x = graph.quant(graph.matmul(graph.quant("x"), graph.weights((6, 5))), 4, 0.3)
    return graph, graph.node("ReduceMean", x, axes=[1])


@exact
def a_mean_of_a_padded_image():
    graph, x = image()
    return graph, graph.node("ReduceMean", around(graph, x), axes=[2], keepdims=0)


@exact
def a_mean_of_channels_last():
    graph = Graph((1, 4, 5, 3), opset=13)
    x = graph.quant("x")
    return graph, graph.node("ReduceMean", x, axes=[1, 2], keepdims=0)


@exact
def a_sum_of_rows():
    graph, x = image()
    return graph, graph.node("Mul", graph.node("ReduceSum", x, graph.integers(3)), 0.2)


@exact
def the_largest_of_columns():
    graph, x = image()
    return graph, graph.node("ReduceMax", x, axes=[2], keepdims=0)


@exact
def the_largest_of_all_before_a_quantiser():
    graph, x = image()
    return graph, graph.node("GlobalMaxPool", conv(graph, x))


@refused("ReduceMean_0 (ReduceMean)", "channels whose scales differ")
def a_mean_of_channels_of_different_scales():
    graph, x = image()
    x = graph.node("Mul", x, np.array([0.5, 0.6, 0.9]).reshape(1, 3, 1, 1))
    return graph, graph.node("ReduceMean", x, axes=[1])


@refused("ReduceMean_0 (ReduceMean)", "reduces the batch")
def a_mean_of_the_batch():
    graph, x = image()
    return graph, graph.node("ReduceMean", x, axes=[0, 2])


@refused("ReduceMax_0 (ReduceMax)", "largest of all channels")
def the_largest_of_channels():
    graph, x = image()
    return graph, graph.node("ReduceMax", x, axes=[1])


# --- averages of what nothing quantises ----------------------------------------------------------


def pointwise(**more):
    """A 1x1 convolution with a bias and a BatchNormalization, which nothing quantises."""
    graph, x = image(**more)
    x = graph.conv(x, graph.weights((2, 3, 1, 1)), np.array([0.3, -0.4]))
    return graph, graph.norm(x, 2)


@exact
def a_classifier_of_a_1x1_convolution_and_a_global_average():
    graph, x = pointwise()
    return graph, graph.node("GlobalAveragePool", x)


@exact
def a_mean_of_a_1x1_convolution_around_a_zero_point():
    graph, x = pointwise(zero=3.0, signed=False)
    return graph, graph.node("ReduceMean", x, axes=[2, 3], keepdims=0)


@exact
def an_average_pool_of_a_1x1_convolution():
    graph, x = pointwise()
    return graph, graph.average_pool(x, 2, strides=[1, 1])


@exact
def a_sum_of_rows_of_a_1x1_convolution():
    graph, x = pointwise()
    return graph, graph.node("Mul", graph.node("ReduceSum", x, graph.integers(2)), 0.2)


@refused("GlobalAveragePool_0 (GlobalAveragePool)", "reads real numbers", "Conv_1")
def an_average_of_a_larger_convolution():
    graph, x = image()
    return graph, graph.node("GlobalAveragePool", conv(graph, x))


@refused("GlobalAveragePool_0 (GlobalAveragePool)", "reads real numbers", "Conv_1")
def an_average_of_a_clipped_1x1_convolution():
    graph, x = pointwise()
    return graph, graph.node("GlobalAveragePool", graph.node("Relu", x))


@refused("AveragePool_0 (AveragePool)", "pads", "nothing quantises")
def a_padded_average_of_a_1x1_convolution():
    graph, x = pointwise()
    x = graph.average_pool(x, 3, pads=[1, 1, 1, 1], count_include_pad=1)
    return graph, graph.quant(x)


# --- order ---------------------------------------------------------------------------------------


def vector(count):
    graph = Graph((1, 6))
    return graph, graph.quant(graph.matmul(graph.quant("x"), graph.weights((6, count))), 4, 0.3)


@exact
def a_vector_that_becomes_an_image():
    graph, x = vector(12)
    return graph, conv(graph, graph.node("Reshape", x, graph.integers(1, 3, 2, 2)), size=2)


@exact
def a_vector_that_becomes_a_line():
    graph, x = vector(12)
    x = graph.node("Reshape", x, graph.integers(1, 3, 4))
    return graph, graph.conv(x, graph.weights((2, 3, 3)), pads=[1, 1])


@exact
def a_vector_of_signs_that_becomes_an_image():
    graph, x = vector(12)
    x = graph.bipolar(graph.node("Identity", x), 0.5)
    return graph, graph.max_pool(graph.node("Reshape", x, graph.integers(1, 3, 2, 2)))


@exact
def channels_that_become_pixels():
    """Depth to space."""
    graph, x = image()
    x = graph.quant(graph.conv(x, graph.weights((4, 3, 1, 1))), 4, 0.3)
    x = graph.node("Reshape", x, graph.integers(1, 2, 2, 4, 5))
    x = graph.node("Transpose", x, perm=[0, 3, 1, 4, 2])
    return graph, conv(graph, graph.node("Reshape", x, graph.integers(1, 1, 8, 10)), 1)


@exact
def channels_that_are_shuffled():
    graph, x = image((4, 3, 3))
    x = graph.quant(graph.conv(x, graph.weights((6, 3, 1, 1))), 4, 0.3)
    x = graph.node("Reshape", x, graph.integers(1, 2, 3, 9))
    x = graph.node(
        "Reshape", graph.node("Transpose", x, perm=[0, 2, 1, 3]), graph.integers(1, 6, 3, 3)
    )
    return graph, conv(graph, x, 3, group=2)


@exact
def height_and_width_that_are_exchanged():
    graph, x = image()
    return graph, conv(graph, graph.node("Transpose", x, perm=[0, 1, 3, 2]))


@exact
def a_sum_of_two_orders():
    graph, x = image((2, 4, 4))
    return graph, graph.node("Add", x, graph.node("Transpose", x, perm=[0, 1, 3, 2]))


@exact
def a_vector_that_becomes_a_large_image():
    graph, x = vector(432)
    return graph, conv(graph, graph.node("Reshape", x, graph.integers(1, 12, 6, 6)), 12)


@refused("Conv_0 (Conv)", "another order", "scales differ")
def a_vector_of_many_scales_that_becomes_an_image():
    graph, x = vector(12)
    x = graph.node("Mul", x, np.linspace(0.5, 1, 12))
    return graph, conv(graph, graph.node("Reshape", x, graph.integers(1, 3, 2, 2)), size=2)


@refused("MaxPool_0 (MaxPool)", "another order", "Quant node between")
def sums_that_become_an_image():
    graph = Graph((1, 6))
    x = graph.matmul(graph.quant("x"), graph.weights((6, 12)))
    return graph, graph.max_pool(graph.node("Reshape", x, graph.integers(1, 3, 2, 2)))


# --- hardware, and planted faults ----------------------------------------------------------------


def everything():
    """Padding that a window has and that takes a layer, an order, and a mean."""
    graph, x = vector(12)
    x = graph.node("Reshape", x, graph.integers(1, 3, 2, 2))
    x = graph.max_pool(pad(graph, x, 0, 0, 1, 1, 0, 0, 0, 0), 2, strides=[1, 1])
    x = graph.quant(conv(graph, pad(graph, x, 0, 1, 0, 1, 0, 0, 0, 0), 4, size=2), 4, 0.3)
    return graph, graph.node("ReduceMean", x, axes=[1], keepdims=0)


def test_hardware_does_what_these_layers_say():
    given = drawn(ended(*everything()))
    found = import_model(given.model, name="net")
    assert [type(each) for each in found.network].count(Conv2d) >= 4
    accelerator = Accelerator(Program(found.network, Geometry(2, 2, 4)))
    levels = agree(found, given.images[:2]).levels
    _, comparison, _ = simulate_and_compare(accelerator, levels, "amaranth", traced=len(levels))
    assert comparison.first is None
    assert comparison.mismatches == 0


def test_a_window_takes_padding_without_a_layer():
    for function, kinds in (
        (a_pad_before_an_average_pool, [Conv2d, AveragePool, Dense]),
        (a_pad_with_the_lowest_number_before_a_max_pool, [Conv2d, MaxPool, Dense]),
        (a_pad_and_a_convolution_that_pads, [Conv2d, Conv2d, Dense]),
        (a_pad_before_the_quantiser_of_the_input, [Conv2d, Dense]),
    ):
        found = import_model(ended(*function()), name="net").network
        assert [type(each) for each in found] == kinds


def padded_with_almost_one():
    graph = Graph((1, 1, 4, 5))
    return graph, conv(graph, graph.quant(around(graph, "x", value=0.9), 8, 1 / 64), 1)


def other_tap(right):
    def wrong(before, behind):
        taps, at, padding = right(before, behind)
        return taps, taps - 1 - at, padding

    return wrong


def other_order(right):
    def wrong(context, node, levels, weights, *more, **rest):
        return right(context, node, levels, np.roll(weights, 1, axis=-1), *more, **rest)

    return wrong


def other_value(right):
    """As if a quantiser made level 0 of everything that was padded before it."""

    def wrong(*arguments):
        found = right(*arguments)
        values = found.scale * found.offset
        return found if found.pad_value is None else replace(found, pad_value=values)

    return wrong


@pytest.mark.parametrize(
    ("place", "fault", "function"),
    [
        ("placing._tap", other_tap, a_crop),
        ("placing._plan_move", other_order, a_vector_that_becomes_an_image),
        ("inputs.given", other_value, padded_with_almost_one),
    ],
)
def test_a_planted_fault_is_found(place, fault, function, monkeypatch):
    module, name = place.split(".")
    right = getattr(importlib.import_module(f"narrowgauge.model.exchange.nodes.{module}"), name)
    monkeypatch.setattr(f"narrowgauge.model.exchange.nodes.{place}", fault(right))
    given = drawn(ended(*function()))
    assert compare(given, import_model(given.model, name="net")) != []
