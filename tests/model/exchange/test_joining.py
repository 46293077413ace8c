"""Differences and concatenations of quantised tensors, and dilated convolutions."""

import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.importer import import_model
from narrowgauge.scripts.runs.checked import simulate_and_compare

from .graphs import Graph
from .refusals import Cases
from .test_linear_codes import Coded, check

cases = Cases()


def two(one: object = 0.25, other: object = 0.25, channels=(2, 2), bits=4):
    """Two quantised tensors of one convolution each."""
    graph = Graph((1, 2, 5, 5))
    x = graph.quant(graph.input)
    return graph, *(
        graph.quant(graph.conv(x, graph.weights((count, 2, 1, 1))), bits, scale)
        for count, scale in zip(channels, (one, other), strict=True)
    )


def ended(graph, x, channels, side=5):
    x = graph.node("Flatten", graph.quant(x, 5, 0.3))
    return graph.model(graph.matmul(x, graph.weights((channels * side * side, 3))))


@pytest.mark.parametrize("scales", [(0.25, 0.25), (0.25, 0.5), (0.3, 0.21)])
def test_a_difference(scales):
    graph, one, other = two(*scales)
    check(ended(graph, graph.node("Sub", one, other), 2))
    graph, one, other = two(*scales)
    minus = graph.node("Mul", other, -1.0)
    check(ended(graph, graph.node("Add", graph.node("Add", one, 0.3), minus), 2))


def test_a_difference_of_signs():
    graph = Graph((1, 2, 5, 5))
    x, y = (graph.bipolar(graph.input, each) for each in (0.5, 0.5))
    check(ended(graph, graph.node("Sub", graph.node("Add", x, 0.125), y), 2))


@pytest.mark.parametrize("bias", [None, 0.25, 0.01])
@pytest.mark.parametrize("operator", ["Add", "Sub"])
def test_sums_before_their_quantiser(operator, bias):
    """Scales and biases that are powers of two have a common unit."""
    graph = Graph((1, 2, 5, 5))
    x = graph.quant(graph.input)
    given = [] if bias is None else [np.arange(2) * bias]
    one = graph.node("Relu", graph.conv(x, graph.weights((2, 2, 3, 3)), *given, pads=[1] * 4))
    other = graph.conv(x, graph.weights((2, 2, 1, 1), scale=0.0625))
    model = ended(graph, graph.node(operator, one, other), 2)
    if bias == 0.01:
        with pytest.raises(NetworkError, match="Conv_0"):
            import_model(model, name="net")
        return
    imported, _ = check(model)
    kinds = [each.kind for each in imported.network]
    assert kinds[:2] == ["conv2d", "conv2d"]
    assert "add" in kinds


@pytest.mark.parametrize("scales", [(0.25, 0.25), (0.25, 0.37)])
@pytest.mark.parametrize("channels", [(2, 2), (3, 1)])
def test_joined_channels(scales, channels):
    graph, one, other = two(*scales, channels=channels)
    imported, _ = check(ended(graph, graph.node("Concat", one, other, axis=1), 4))
    assert [each.kind for each in imported.network].count("add") == 1


def test_joined_channels_that_a_padded_convolution_reads():
    graph, one, other = two()
    x = graph.node("Concat", one, other, graph.node("Relu", one), axis=-3)
    x = graph.conv(x, graph.weights((3, 6, 3, 3)), pads=[1, 1, 1, 1])
    check(ended(graph, x, 3))


@pytest.mark.parametrize(("axis", "sides"), [(2, 10), (3, 10)])
def test_joined_rows_and_columns(axis, sides):
    graph, one, other = two()
    x = graph.node("Concat", one, other, axis=axis)
    x = graph.node("Flatten", graph.quant(x, 5, 0.3))
    check(graph.model(graph.matmul(x, graph.weights((2 * 5 * sides, 3)))))


def test_joined_vectors_and_signs():
    graph = Graph((1, 4))
    x = graph.quant(graph.input)
    one, other = (graph.matmul(x, graph.weights((4, 3))) for _ in range(2))
    x = graph.node("Concat", graph.bipolar(one), graph.quant(other, 2, 1.0), axis=1)
    check(graph.model(graph.matmul(x, graph.weights((6, 3)))))


@cases.refused("Concat_0", "different scales")
def rows_of_two_scales():
    graph, one, other = two(0.25, 0.5)
    return graph, graph.node("Concat", one, other, axis=2)


@cases.refused("Concat_0", "constant")
def a_constant_beside_a_tensor():
    graph, one, _ = two()
    return graph, graph.node("Concat", one, graph.real(1, 1, 5, 5), axis=1)


@cases.refused("Mul_0", "sums and differences")
def a_product_of_two_tensors():
    graph, one, other = two()
    return graph, graph.node("Mul", one, other)


@cases.refused("MaxPool_0", "of dilation 2 reads 5 rows", "multiples of 2")
def a_dilated_pool_of_an_odd_image():
    graph, one, _ = two()
    return graph, graph.max_pool(one, dilations=[2, 2])


test_refused, _ = cases.tests()


@pytest.mark.parametrize(
    ("steps", "pads", "stride"),
    [((2, 2), 0, 1), ((2, 2), 2, 1), ((3, 1), 1, 2), ((1, 2), 2, 1)],
)
def test_dilated_convolutions(steps, pads, stride):
    graph = Graph((1, 2, 9, 8))
    values = {"dilations": steps, "pads": [pads] * 4, "strides": [stride] * 2}
    weights = graph.weights((4, 1, 3, 3))
    if pads and pads >= 3:
        pytest.skip("padding as large as the kernel")
    x = graph.conv(graph.quant(graph.input), weights, group=2, **values)
    x = graph.node("GlobalAveragePool", graph.quant(x, 5, 0.3))
    check(graph.model(graph.node("Flatten", graph.quant(x, 6, 0.05))))


@pytest.mark.parametrize(
    ("steps", "pads", "stride", "kernel"),
    [
        ((2, 2), [0] * 4, (1, 1), (3, 2)),
        ((2, 3), [2, 0, 2, 0], (2, 1), (3, 2)),
        ((1, 3), [1, 0, 0, 0], (1, 2), (2, 3)),
        ((2, 1), [2, 0, 0, 1], (3, 2), (3, 2)),
    ],
)
def test_dilated_pools(steps, pads, stride, kernel):
    graph = Graph((1, 2, 8, 9 if steps[1] == 3 else 6))
    values = {"dilations": steps, "pads": pads, "strides": stride, "kernel_shape": kernel}
    x = graph.quant(graph.conv(graph.quant(graph.input), graph.weights((3, 2, 1, 1))), 5, 0.3)
    x = graph.quant(graph.node("GlobalAveragePool", graph.node("MaxPool", x, **values)), 6, 0.037)
    imported, found = check(graph.model(graph.node("Flatten", x)), 4)
    accelerator = Accelerator(Program(imported.network, Geometry(2, 2, 4)))
    if stride == (2, 1):
        _, comparison, _ = simulate_and_compare(accelerator, found.levels[:1], "amaranth")
        assert comparison, comparison.first


def test_a_dilated_line():
    graph = Graph((1, 2, 12))
    x = graph.conv(graph.quant(graph.input), graph.weights((3, 2, 3)), dilations=[3], pads=[6, 0])
    x = graph.node("GlobalAveragePool", graph.quant(x, 5, 0.3))
    check(graph.model(graph.node("Flatten", graph.quant(x, 6, 0.05))))


def test_hardware_does_what_these_layers_say():
    """Codes with odd zero points, whose scales have no ratio of small integers."""
    graph = Coded((1, 2, 4, 4))
    x = graph.rounded(graph.input, 0.03, 7)
    one = graph.conv(x, graph.fixed((2, 2, 2, 2)), dilations=[2, 2], pads=[1, 1, 1, 1])
    one = graph.rounded(one, 0.317, -3)
    other = graph.rounded(graph.conv(x, graph.fixed((2, 2, 1, 1))), 0.231, 5)
    less = graph.rounded(graph.node("Sub", one, other), 0.4, 1)
    x = graph.rounded(graph.node("Concat", less, other, axis=1), 0.37, -1)
    x = graph.rounded(graph.node("GlobalAveragePool", x), 0.117, 2)
    x = graph.gemm(graph.node("Flatten", x), graph.fixed((4, 3)))
    imported, found = check(graph.model(graph.rounded(x, 0.2)), 2)
    assert {each.kind for each in imported.network} == {"conv2d", "add", "average_pool", "dense"}
    accelerator = Accelerator(Program(imported.network, Geometry(2, 2, 4)))
    _, comparison, _ = simulate_and_compare(accelerator, found.levels, "amaranth", traced=2)
    assert comparison.first is None
    assert comparison.mismatches == 0


def test_another_order_of_the_parts_is_found():
    graph, one, other = two(channels=(2, 1))
    model = ended(graph, graph.node("Concat", one, other, axis=1), 3)
    imported, _ = check(model)
    node = next(each for each in model.graph.node if each.op_type == "Concat")
    node.input[:] = reversed(node.input)
    wrong = import_model(model, name="net")
    object.__setattr__(imported, "model", wrong.model)
    images = np.random.default_rng(1).normal(size=(4, 2, 5, 5)).astype(np.float32) * 2
    assert any(each.first for each in agree(imported, images).tensors)


def test_dilations_that_are_no_numbers():
    graph = Graph((1, 2, 9, 8))
    x = graph.conv(graph.quant(graph.input), graph.weights((3, 2, 3, 3)), dilations=[1 << 20, 1])
    with pytest.raises(NetworkError, match="Conv_0"):
        import_model(graph.model(x), name="net")
