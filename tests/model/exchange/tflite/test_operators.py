"""Each operator: the integers equal the kernels in every code, and the kernels LiteRT's."""

import numpy as np
import pytest

from narrowgauge.hw.network.layers import Add, Conv2d
from narrowgauge.model.exchange.output_values import OutputValues
from narrowgauge.model.exchange.tflite.agree import agree_tflite
from narrowgauge.model.exchange.tflite.importer import import_graph
from narrowgauge.model.exchange.tflite.kernels import run_kernels
from narrowgauge.model.exchange.tflite.litert import litert_kernels, litert_version
from narrowgauge.model.exchange.tflite.reading import from_content

from .files import TfliteFile, classes, layers
from .mutate import sample

IMAGES = 24


def agreed(file, images=IMAGES):
    return agreed_content(file.content(), images)


def agreed_content(content, images=IMAGES, seed=5):
    """Import a file and compare every code; the first images hold the ends only."""
    imported = import_graph(from_content(content), name="net")
    shape = (images, *imported.graph.tensors[imported.start].shape[1:])
    rng = np.random.default_rng(seed)
    codes = rng.integers(-128, 128, shape).astype(np.int8)
    codes[:4] = rng.choice(np.array([-128, 127], np.int8), (4, *shape[1:]))
    start = imported.graph.tensors[imported.start]
    if imported.graph.tensors[imported.graph.input].dtype != "INT8":
        codes = ((codes.astype(int) - start.zero) * start.unit).astype(np.float32)
    found = agree_tflite(imported, codes)
    assert found.first == ""
    assert found.same_class == images
    if litert_version():
        theirs = agree_tflite(imported, codes, kernels=litert_kernels(imported))
        assert theirs.first == ""
    return imported


def kinds(imported):
    return [layer.kind for layer in imported.network]


CONVOLUTIONS = [
    {},
    {"Padding": "SAME"},
    {"Padding": "SAME", "StrideH": 2, "StrideW": 2},
    {"StrideH": 2, "StrideW": 3},
    {"Padding": "SAME", "FusedActivationFunction": "RELU"},
    {"FusedActivationFunction": "RELU6", "scale": 0.03},
    {"FusedActivationFunction": "RELU_N1_TO_1", "zero": 3, "scale": 0.02},
    {"kernel": (1, 1)},
    {"kernel": (4, 2), "Padding": "SAME"},
    {"DilationHFactor": 2, "Padding": "SAME"},
    {"DilationWFactor": 2},
    {"one_scale": True},
    {"zero": -5, "Padding": "SAME", "FusedActivationFunction": "RELU"},
    {"dead": True, "FusedActivationFunction": "RELU"},
]


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize("zero", [-128, 83])
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=lambda o: "-".join(map(str, o)) or "plain")
def test_convolution(kind, zero, options):
    file, start = layers(zero=zero)
    classes(file, file.product(kind, start, 6, **options))
    imported = agreed(file)
    assert kinds(imported) == ["conv2d", "dense"]
    padded = options.get("Padding") == "SAME" and options.get("kernel") != (1, 1)
    assert str(imported.network.input) == ("int9" if padded and zero == 83 else "uint8")


def test_no_bias():
    file, start = layers()
    classes(file, file.product("DEPTHWISE_CONV_2D", start, 6, bias=False))
    agreed(file)


def test_groups():
    file, start = layers(size=(5, 5, 4))
    source = file.product("CONV_2D", start, 6)
    weights = file.tensors[file.operators[-1][1][1]]
    weights.shape, weights.data = (6, 3, 3, 2), weights.data[: 6 * 9 * 2]
    classes(file, source)
    (layer, _) = agreed(file).network
    assert isinstance(layer, Conv2d)
    assert layer.groups == 2


def test_a_chain_with_every_zero_point():
    """What is padded at a zero point of its own gets a layer that moves it."""
    file, start = layers(zero=-128)
    one = file.product("CONV_2D", start, 4, zero=10)
    two = file.product("DEPTHWISE_CONV_2D", one, 4, Padding="SAME", zero=-20)
    three = file.product("CONV_2D", two, 4, kernel=(1, 1), zero=127)
    classes(file, three)
    imported = agreed(file)
    assert [layer.name for layer in imported.network][1] == "conv_2d_zero"
    assert str(imported.network.layers[1].output) == "int9"
    assert imported.report[1].kind == "requantise"


@pytest.mark.parametrize("per_channel", [False, True])
def test_dense(per_channel):
    file, start = layers(size=(40,), zero=30)
    one = file.product(
        "FULLY_CONNECTED", start, 16, one_scale=not per_channel, FusedActivationFunction="RELU"
    )
    two = file.product("FULLY_CONNECTED", one, 5, one_scale=not per_channel, zero=-7)
    file.like("SOFTMAX", [two], scale=1 / 256, zero=-128)
    imported = agreed(file, images=200)
    assert imported.dropped == ("operator 2 (SOFTMAX)",)
    assert imported.network.about["result"]["offset"] == -128 + 7


@pytest.mark.parametrize(
    "options", [{}, {"Padding": "SAME", "StrideH": 2, "StrideW": 2}, {"kernel": (3, 2)}]
)
@pytest.mark.parametrize("zero", [-128, 12])
def test_max_pool(options, zero):
    file, start = layers(zero=zero)
    classes(file, file.pool("MAX_POOL_2D", start, **options))
    assert kinds(agreed(file)) == ["max_pool", "dense"]


@pytest.mark.parametrize("kernel", [(2, 2), (3, 2), (6, 7), (5, 5), (1, 1)])
@pytest.mark.parametrize("zero", [-128, 12])
def test_average_pool_rounds_halves_away_from_zero(kernel, zero):
    file, start = layers(zero=zero)
    classes(file, file.pool("AVERAGE_POOL_2D", start, kernel))
    assert kinds(agreed(file, images=60)) == ["average_pool", "dense"]


@pytest.mark.parametrize(
    "options", [{"kernel": (3, 3)}, {"StrideH": 2, "StrideW": 2}, {"kernel": (4, 2), "StrideW": 3}]
)
@pytest.mark.parametrize("zero", [-128, 12])
def test_average_pools_with_divisors_of_their_own(options, zero):
    file, start = layers(zero=zero)
    pooled = file.pool("AVERAGE_POOL_2D", start, Padding="SAME", **options)
    classes(file, file.product("CONV_2D", pooled, 3, zero=3))
    found = kinds(agreed(file))
    assert found == ["average_pool", "move", "conv2d", "move", "conv2d", "dense"]


def test_windows_that_all_leave_the_image_as_far():
    file, start = layers(size=(2, 2, 3))
    pooled = file.pool("AVERAGE_POOL_2D", start, (4, 3), Padding="SAME", StrideH=2, StrideW=2)
    classes(file, pooled)
    assert kinds(agreed(file, images=60)) == ["average_pool", "dense"]


@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("zero", [-128, 12])
@pytest.mark.parametrize("half", [False, True])
def test_resize_nearest_neighbor(factors, zero, half):
    file, start = layers(zero=zero)
    small = file.product("CONV_2D", start, 3, zero=zero)
    x = file.enlarged(small, *factors, HalfPixelCenters=half)
    classes(file, file.product("CONV_2D", x, 3, Padding="SAME"))
    found = kinds(agreed(file))
    assert found.count("move") == sum(factor > 1 for factor in factors)


def test_an_image_that_the_host_enlarges():
    file, start = layers()
    file.enlarged(file.product("CONV_2D", start, 2, zero=7), 2, 3)
    imported = import_graph(from_content(file.content()), name="net")
    assert kinds(imported) == ["conv2d"]
    values = OutputValues.of(imported.network)
    height, width, channels = imported.network.output_size
    assert values.shape == (2 * height, 3 * width, channels)
    codes = np.random.default_rng(0).integers(-128, 128, (3, 6, 7, 3)).astype(np.int8)
    found = agree_tflite(imported, codes)
    assert found.first == ""
    right = run_kernels(imported.graph, imported.start, codes.astype(np.int64))
    result = imported.graph.tensors[imported.graph.output]
    expected = (right[imported.graph.output] - result.zero) * float(result.unit)
    given = values.values(found.result.levels.numpy())
    assert np.allclose(given, expected, atol=1e-9)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("scale", "zero"), [(0.1, -128), (0.043, 5)])
def test_mean(keep, scale, zero):
    file, start = layers(zero=9)
    shape = (1, 1, 1, 3) if keep else (1, 3)
    axes = file.constant([1, 2] if keep else [2, -3])
    mean = file.like("MEAN", [start, axes], shape, scale, zero, KeepDims=keep)
    classes(file, mean)
    assert kinds(agreed(file, images=60)) == ["average_pool", "dense"]


@pytest.mark.parametrize(
    ("scale", "zero", "activation"),
    [(0.2, -128, "RELU"), (0.13, -9, "NONE"), (0.031, 60, "RELU6"), (0.9, 0, "NONE")],
)
def test_add(scale, zero, activation):
    """Unequal scales and zero points; the multipliers are exact for all pairs of codes."""
    file, start = layers(zero=-128)
    one = file.product("CONV_2D", start, 4, scale=0.21, zero=4, kernel=(1, 1))
    two = file.product("CONV_2D", start, 4, scale=0.077, zero=-128, kernel=(1, 1))
    added = file.like("ADD", [one, two], None, scale, zero, FusedActivationFunction=activation)
    classes(file, added)
    imported = agreed(file)
    assert kinds(imported) == ["conv2d", "conv2d", "add", "dense"]
    (layer,) = [each for each in imported.network if isinstance(each, Add)]
    assert layer.summands[0] / layer.summands[1] == pytest.approx(0.21 / 0.077, rel=1e-3)


@pytest.mark.parametrize("zero", [-128, 33])
@pytest.mark.parametrize("reader", ["CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "MEAN"])
def test_pad(zero, reader):
    """It pads with the zero point, in the window of what reads it or in a layer of its own."""
    file, start = layers(zero=zero)
    padded = file.padded(start, [[0, 0], [1, 1], [2, 0], [0, 0]])
    if reader == "CONV_2D":
        found = file.product(reader, padded, 4, Padding="SAME", StrideH=2)
    elif reader == "RELU":
        found = file.like(reader, [padded])
    elif reader == "MEAN":
        axes = file.constant([1, 2])
        found = file.like(reader, [padded, axes], (1, 1, 1, 3))
    else:
        found = file.pool(reader, padded, (3, 3))
    classes(file, found)
    agreed(file)


def test_more_padding_than_a_kernel():
    file, start = layers(zero=-3)
    padded = file.padded(start, [[0, 0], [3, 0], [0, 2], [0, 0]])
    classes(file, file.product("CONV_2D", padded, 4, kernel=(2, 2)))
    assert [layer.name for layer in agreed(file).network][:2] == ["pad", "conv_2d"]


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "QUANTIZE"])
@pytest.mark.parametrize(("scale", "zero"), [(0.1, -128), (0.0471, 20)])
def test_rescaled(kind, scale, zero):
    file, start = layers(zero=-10)
    one = file.product("CONV_2D", start, 4, scale=0.1, zero=-10)
    classes(file, file.like(kind, [one], None, scale, zero))
    imported = agreed(file)
    assert imported.report[1].kind == "requantise"


def test_float_ends():
    """QUANTIZE and DEQUANTIZE at the ends are the preparation of images, and dropped."""
    file = TfliteFile()
    file.input = file.tensor((1, 5, 5, 2), dtype="FLOAT32")
    start = file.operator("QUANTIZE", [file.input], [file.tensor((1, 5, 5, 2), 0.05, 17)])
    end = classes(file, file.product("CONV_2D", start, 4, Padding="SAME"))
    file.operator("DEQUANTIZE", [end], [file.tensor((1, 4), dtype="FLOAT32")])
    imported = agreed(file)
    assert len(imported.dropped) == 2
    assert imported.network.about["preparation"]["int8_zero"] is None


def test_unsigned_ends():
    file = TfliteFile()
    file.input = file.tensor((1, 5, 5, 2), 0.05, 145, dtype="UINT8")
    start = file.operator("QUANTIZE", [file.input], [file.tensor((1, 5, 5, 2), 0.05, 17)])
    end = classes(file, file.product("CONV_2D", start, 4))
    file.operator("QUANTIZE", [end], [file.tensor((1, 4), 1 / 256, 0, dtype="UINT8")])
    agreed(file)


def test_an_input_that_is_reshaped():
    file, start = layers(size=(60,), zero=-128)
    image = file.like("RESHAPE", [start, file.constant([1, 5, 4, 3])], (1, 5, 4, 3))
    classes(file, file.product("CONV_2D", image, 4, Padding="SAME"))
    assert agreed(file).network.input_size == (5, 4, 3)


def test_all_operators_at_once():
    imported = agreed_content(sample())
    assert len(imported.network.layers) == 10


def test_a_channel_that_is_dead_costs_no_wide_multiplier():
    file, start = layers()
    classes(file, file.product("CONV_2D", start, 6, dead=True, FusedActivationFunction="RELU"))
    layer = agreed(file).network.layers[0]
    assert isinstance(layer, Conv2d)
    assert not layer.weights[0].any()
    assert layer.weights[1].any()
