"""Bit widths of channels go into QONNX and come back, exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import Size, Weighted, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.extra import require
from narrowgauge.model.exchange.importer import import_model
from narrowgauge.model.exchange.writing.qonnx import export
from narrowgauge.model.integers.reference import evaluate

from ...hw.networks import random_convnet, random_images, random_levels
from .executor import exact

require()

from .graphs import Graph, initializer  # noqa: E402

SPEC = (Size(5, 4, 2), ("conv", 4, Window((3, 2), padding=(1, 1, 0, 0)), 2), ("dense", 3))
WIDTHS = st.lists(st.integers(2, 9), min_size=4, max_size=4)


def network(seed, first, last):
    """A convolution and a dense layer, each channel as wide as is said."""
    drawn = exact(random_convnet(seed, ("int9", "uint3", "uint4"), SPEC, Accumulator(48)))
    rng, layers = np.random.default_rng(seed), []
    for layer, widths in zip(drawn, (first, last), strict=True):
        assert isinstance(layer, Weighted)
        shape = layer.weights[0].shape
        rows = [random_levels(rng, Fixed(width), shape) for width in widths]
        for row, width in zip(rows, widths, strict=True):
            row.flat[0] = Fixed(width).min_level
        wide = parse(f"int{max(widths)}")
        layers.append(replace(layer, weight=wide, weights=np.stack(rows), widths=tuple(widths)))
    return exact(replace(drawn, layers=tuple(layers)))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 30), WIDTHS, WIDTHS)
def test_widths_come_back_from_a_graph(seed, first, last):
    given_ = network(seed, first, last[:3])
    imported = import_model(export(given_).model, name="back")
    assert [each.widths for each in weighted(imported.network)] == [
        each.widths for each in weighted(given_)
    ]
    for one, two in zip(weighted(given_), weighted(imported.network), strict=True):
        assert np.array_equal(one.weights, two.weights)
        assert one.weight == two.weight
    images = random_images(seed, given_, 5)
    found = agree(imported, images.transpose(0, 3, 1, 2).astype(np.float32))
    assert [each.first for each in found.tensors if each.first] == []
    expected = evaluate(given_, images, 1).levels
    order = evaluate(imported.network, images, 1).levels
    assert np.array_equal(order.argsort(dim=1), expected.argsort(dim=1))


def weighted(found):
    return [layer for layer in found if isinstance(layer, Weighted)]


def test_bit_widths_are_written_with_the_output_channels_first():
    model = export(network(1, (2, 3, 4, 9), (2, 2, 5))).model
    names = ("layer0/weights/bits", "layer1/weights/bits")
    shapes = [tuple(initializer(model, name).dims) for name in names]
    assert shapes == [(4, 1, 1, 1), (3, 1)]
    same = export(network(1, (4, 4, 4, 4), (3, 3, 3))).model
    assert [tuple(initializer(same, name).dims) for name in names] == [(), ()]


def of(bits, values, signed=True, zero=0.0, **more):
    graph = Graph((1, 3))
    x = graph.quant(graph.input, 4, 1.0)
    rows = graph.quant(np.array(values), np.array(bits), 1.0, zero, signed=signed, **more)
    matrix = graph.node("Transpose", rows, perm=[1, 0])
    (layer,) = import_model(graph.model(graph.matmul(x, matrix)), name="it").network
    assert isinstance(layer, Weighted)
    return layer


def test_each_channel_is_clipped_to_its_width():
    layer = of([[2], [3], [5]], [[-9, 9, 1], [-9, 9, 2.6], [-9, 9, 99]])
    assert layer.weights.tolist() == [[-2, 1, 1], [-4, 3, 3], [-9, 9, 15]]
    assert (str(layer.weight), layer.widths) == ("int5", (2, 3, 5))
    assert layer.mean_bits == pytest.approx(10 / 3)


def test_unsigned_channels_and_those_of_one_bit():
    layer = of([[1], [3]], [[0, 9, 1], [0, 9, 2.6]], signed=False)
    assert layer.weights.tolist() == [[0, 1, 1], [0, 7, 3]]
    assert (str(layer.weight), layer.widths) == ("uint3", (1, 3))
    signs = of([[1], [3]], [[0, 9, -1], [0, 9, 2.6]])  # QONNX has signs for one signed bit
    assert signs.weights.tolist() == [[1, 1, -1], [0, 3, 3]]
    assert (str(signs.weight), signs.widths) == ("int3", (2, 3))


def test_a_zero_point_takes_the_width_that_its_levels_need():
    layer = of([[2], [4]], [[-2, 1, 0], [-9, 9, 0]], zero=1.0)
    assert layer.weights.tolist() == [[-2, 0, 0], [-9, 6, 0]]
    assert (str(layer.weight), layer.widths) == ("int5", None)


def test_widths_that_are_read_wrong_give_other_levels():
    given_ = network(1, (2, 3, 4, 9), (2, 2, 5))
    model = export(given_).model
    bits = initializer(model, "layer0/weights/bits")
    bits.raw_data = np.array([2, 3, 3, 9], np.float32).tobytes()
    first, *_ = weighted(import_model(model, name="back").network)
    assert not np.array_equal(first.weights, given_.layers[0].weights)  # type: ignore[attr-defined]


def test_the_channels_of_an_activation_have_one_width():
    graph = Graph((1, 3))
    x = graph.quant(graph.input, np.array([[2, 3, 4]]))
    model = graph.model(graph.matmul(x, graph.weights((3, 2))))
    with pytest.raises(NetworkError, match="its bit width is not one number"):
        import_model(model, name="it")


@pytest.mark.parametrize(
    ("scale", "multipliers", "exact_"),
    [
        ([[1.0], [0.25], [0.5]], [4, 1, 2], True),
        ([[0.75], [0.25], [0.25]], [3, 1, 1], True),
        ([[0.5], [0.5], [0.5]], [1, 1, 1], True),
        ([[1.0], [0.375], [0.5]], None, False),
        ([[2.0**20], [1.0], [1.0]], None, False),
    ],
)
def test_logits_of_scales_that_are_multiples_are_exact(scale, multipliers, exact_):
    graph = Graph((1, 3))
    x = graph.quant(graph.input, 4, 1.0)
    rows = graph.quant(graph.real(3, 3) * 4, np.array([[2], [3], [5]]), np.array(scale))
    matrix = graph.node("Transpose", rows, perm=[1, 0])
    imported = import_model(graph.model(graph.matmul(x, matrix)), name="it")
    (row,), (layer,) = imported.report, weighted(imported.network)
    assert (row.logit_error == 0) is exact_
    assert row.method == ("sums" if multipliers == [1, 1, 1] else "multiplier")
    if multipliers is not None:
        assert layer.multiplier.tolist() == multipliers
