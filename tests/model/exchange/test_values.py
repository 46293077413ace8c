"""Networks that give values: super-resolution, autoencoders and regressions, to the last level."""

import numpy as np
import pytest

from narrowgauge.hw.accelerator.outputs.emitter import Emitter
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.file import from_bytes, to_bytes
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.executor import Executor
from narrowgauge.model.exchange.importer import import_model
from narrowgauge.model.exchange.output_values import OutputErrors, OutputValues
from narrowgauge.scripts.runs.checked import simulate_and_compare

from ...formal.proof import edit
from .graphs import Graph

ARRAY = Geometry(3, 2, 2)
AROUND = [1, 1, 1, 1]


def begin(size):
    graph = Graph((1, 1, size, size))
    return graph, graph.quant(graph.input, 8, 1 / 256, signed=False)


def hidden(graph, x, channels, before, **options):
    x = graph.conv(x, graph.weights((channels, before, 3, 3)), pads=AROUND, **options)
    return graph.quant(graph.node("Relu", x), 4, 0.25, signed=False)


def super_resolution(mode="CRD", colours=1, end=lambda graph, x: graph.quant(x, 8, 1 / 16)):
    """Twice as many rows and columns: four channels for each pixel of a colour, moved apart."""
    graph, x = begin(4)
    x, channels = hidden(graph, x, 2, 1), 4 * colours
    x = graph.conv(x, graph.weights((channels, 2, 3, 3)), graph.real(channels), pads=AROUND)
    return graph.model(graph.node("DepthToSpace", end(graph, x), blocksize=2, mode=mode))


def autoencoder(end=lambda graph, x: x):
    """Half as many rows and columns, and as many again, by four channels for each."""
    graph, x = begin(6)
    x = hidden(graph, hidden(graph, x, 3, 1, strides=[2, 2]), 2, 3)
    x = graph.conv(x, graph.weights((4, 2, 1, 1)), graph.real(4))
    return graph.model(end(graph, x))


def regression(end=lambda graph, x: x):
    graph = Graph((1, 5))
    x = graph.quant(graph.input, 8, 1 / 64)
    x = graph.quant(
        graph.node("Relu", graph.matmul(x, graph.weights((5, 6)))), 4, 0.25, signed=False
    )
    return graph.model(end(graph, graph.gemm(x, graph.weights((6, 1)), graph.real(1))))


def clip(low, high):
    return lambda graph, x: graph.node("Clip", x, np.float32(low), np.float32(high))


MODELS = {
    "super-resolution": super_resolution(),
    "of three colours, blocks first": super_resolution("DCR", 3),
    "without a quantiser": super_resolution(end=lambda graph, x: x),
    "autoencoder": autoencoder(),
    "moved apart": autoencoder(lambda graph, x: graph.node("DepthToSpace", x, blocksize=2)),
    "channels last": autoencoder(lambda graph, x: graph.node("Transpose", x, perm=[0, 2, 3, 1])),
    "clipped": autoencoder(clip(-0.3, 0.3)),
    "falling": autoencoder(lambda graph, x: graph.node("Mul", x, np.float32(-0.5))),
    "a quantised sigmoid": autoencoder(
        lambda graph, x: graph.quant(graph.node("Sigmoid", x), 8, 1 / 256, signed=False)
    ),
    "the largest of levels": autoencoder(
        lambda graph, x: graph.node("MaxPool", graph.quant(x, 6, 0.1), kernel_shape=[2, 2])
    ),
    "regression": regression(),
    "a clipped regression": regression(clip(-0.3, 0.7)),
    "a positive regression": regression(lambda graph, x: graph.node("Relu", x)),
    "a quantised regression": regression(lambda graph, x: graph.quant(x, 8, 0.05)),
}


def images_of(model, count=4):
    shape = [each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(0).uniform(-0.2, 1, (count, *shape[1:])).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_values_are_those_of_the_graph(name):
    model = MODELS[name]
    imported, images = import_model(model, name=name), images_of(model, 20)
    network = from_bytes(to_bytes(imported.network), origin="its file")
    found = agree(imported, images)
    assert not network.classes
    assert (found.first, found.same_levels) == ("", 20)
    values = OutputValues.of(network).values(found.result.levels.numpy())
    executed = Executor(imported.model).run(images)[imported.output]
    assert values.shape == executed.shape
    meaning = imported.ending.meaning
    assert meaning is not None
    wrong, allowed = OutputErrors.of(values, executed), float(meaning.error) + 1e-5
    assert wrong.largest <= allowed
    assert found.classes.errors is not None
    assert found.classes.errors.largest <= allowed
    assert found.classes.errors.mean <= found.classes.errors.largest


def test_a_vector_is_values_where_that_is_said():
    """A dense autoencoder: as many outputs as inputs, and none of them a class."""
    graph, x = Graph((1, 6)), "x"
    x = graph.quant(graph.matmul(graph.quant(x, 8, 1 / 64), graph.weights((6, 3))), 4, 0.25)
    model = graph.model(graph.gemm(x, graph.weights((3, 6)), graph.real(6)))
    imported = import_model(model, name="dense")
    assert imported.network.classes == 6
    found = agree(imported.as_values(), images_of(model))
    assert (imported.as_values().network.classes, found.first) == (0, "")
    assert not found.result.labels.any()
    values = OutputValues.of(imported.as_values().network)
    executed = Executor(imported.model).run(images_of(model))[imported.output]
    assert values.shape == (6,)
    right = values.values(found.result.levels.numpy())
    assert OutputErrors.of(right, executed).largest < 1e-4
    accelerator = Accelerator(Program(imported.as_values().network, ARRAY))
    assert "label" not in {name for name, field in accelerator.o.payload.shape() if field.width}
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "amaranth")
    assert comparison, comparison.first
    assert not run.labels.any()


@pytest.mark.parametrize("name", ["super-resolution", "autoencoder", "a clipped regression"])
def test_hardware_gives_every_level(name):
    imported = import_model(MODELS[name], name=name, lanes=2)
    found = agree(imported, images_of(MODELS[name], 2), 2)
    accelerator = Accelerator(Program(imported.network, ARRAY))
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "amaranth")
    assert comparison, comparison.first
    assert np.array_equal(run.levels, found.result.levels)


def test_a_planted_fault_is_found_and_placed(monkeypatch):
    imported = import_model(MODELS["super-resolution"], name="super", lanes=2)
    found = agree(imported, images_of(MODELS["super-resolution"], 2), 2)
    edit(monkeypatch, Emitter, "_send", "sent.eq(code)", "sent.eq(code ^ (loops.channel == 2))")
    accelerator = Accelerator(Program(imported.network, ARRAY))
    _, comparison, _ = simulate_and_compare(accelerator, found.levels, "amaranth")
    assert comparison.mismatches == 2
    assert "result of layer" in str(comparison.first)
    assert "image 0, position (0, 0), channel 2" in str(comparison.first)


def test_values_in_another_order_are_found():
    imported = import_model(MODELS["autoencoder"], name="auto")
    levels = agree(imported, images_of(MODELS["autoencoder"])).result.levels.numpy()
    right = OutputValues.of(imported.network)
    assert right.order is not None
    wrong = OutputValues(right.shape, right.scale, right.offset)
    assert OutputErrors.of(wrong.values(levels), right.values(levels)).largest > 0.1


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (
            lambda graph, x: graph.node("Sigmoid", x),
            "Sigmoid.* 9 positions, whose values it changes",
        ),
        (lambda graph, x: graph.node("Softmax", x, axis=1), "put a Quant node behind it"),
        (
            lambda graph, x: graph.node("MaxPool", x, kernel_shape=[2, 2]),
            "a max pool, MaxPool_0, ends the network",
        ),
        (lambda graph, x: graph.node("DepthToSpace", x, blocksize=3), "DepthToSpace"),
    ],
)
def test_other_ends_are_refused(end, words):
    with pytest.raises(NetworkError, match=words):
        import_model(autoencoder(end), name="auto")


@pytest.mark.parametrize(
    "result",
    [
        {"shape": [2]}, {"shape": "ab"}, {"order": [0, 0, 1]}, {"scale": "x"}, {"order": 3}, 7,
        {"shape": [36], "order": [0] * 36},
    ],
)  # fmt: skip
def test_a_damaged_card_is_refused(result):
    network = import_model(MODELS["autoencoder"], name="auto").network
    network.about["result"] = result  # type: ignore[index]
    with pytest.raises(NetworkError, match="result is damaged"):
        OutputValues.of(network)
