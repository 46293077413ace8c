"""Networks with several outputs: float graph, integers and hardware, to the last level of each."""

import numpy as np
import pytest
from onnx import TensorProto

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.file import from_bytes, to_bytes
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange import agree as agreement
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.executor import Executor
from narrowgauge.model.exchange.importer import import_model
from narrowgauge.model.exchange.nodes import ending
from narrowgauge.model.exchange.output_values import OutputErrors, OutputValues
from narrowgauge.scripts.runs.checked import simulate_and_compare

from ...formal.proof import edit
from .graphs import Graph

AROUND = [1, 1, 1, 1]
ARRAY = Geometry(2, 2, 2)


def hidden(graph, x, channels, before):
    x = graph.conv(x, graph.weights((channels, before, 3, 3)), pads=AROUND)
    return graph.quant(graph.node("Relu", x), 4, 0.25, signed=False)


def head(graph, x, inputs, classes):
    return graph.gemm(
        graph.node("Flatten", x), graph.weights((inputs, classes)), graph.real(classes)
    )


def begin():
    graph = Graph((1, 1, 4, 4))
    return graph, graph.quant(graph.input, 8, 1 / 256, signed=False)


def early_exit(late_first=False):
    """A convolution, classes, more convolutions, classes again, with a Softmax at one of them."""
    graph, x = begin()
    first = hidden(graph, x, 2, 1)
    early = graph.node("Softmax", head(graph, first, 32, 3), axis=-1)
    x = graph.node("MaxPool", hidden(graph, first, 3, 2), kernel_shape=[2, 2], strides=[2, 2])
    late = graph.node("ArgMax", head(graph, hidden(graph, x, 2, 3), 8, 4), axis=1)
    model = graph.model(*((late, early) if late_first else (early, late)))
    model.graph.output[1 - late_first].type.tensor_type.elem_type = TensorProto.INT64
    return model


def classes_and_values():
    """Classes, an image, and a hidden tensor that comes out although another layer reads it."""
    graph, x = begin()
    first = hidden(graph, x, 2, 1)
    image = graph.quant(graph.conv(first, graph.weights((1, 2, 1, 1))), 8, 0.1)
    classes = head(graph, hidden(graph, first, 2, 2), 32, 5)
    return graph.model(first, classes, image)


MODELS = {
    "early exit": early_exit(),
    "the last one first": early_exit(late_first=True),
    "classes and values": classes_and_values(),
}
CLASSES = {"early exit": [3, 4], "the last one first": [4, 3], "classes and values": [0, 5, 0]}


def images(count):
    return np.random.default_rng(0).uniform(-0.2, 1, (count, 1, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_each_output_is_that_of_the_graph(name):
    imported = import_model(MODELS[name], name="ends", lanes=2)
    network = from_bytes(to_bytes(imported.network), origin="its file")
    found = agree(imported, images(40), 2)
    assert (found.first, found.same_levels) == ("", 40)
    assert not any(end.different for end in found.ends)
    assert [end.classes for end in network.ends] == CLASSES[name]
    executed = Executor(imported.model).run(images(40))
    for index, (end, theirs) in enumerate(zip(network.ends, imported.endings, strict=True)):
        levels = found.result.levels.numpy()[:, end.levels]
        given = executed[theirs.output]
        if not end.classes:
            values = OutputValues.of(network, end).values(levels)
            assert OutputErrors.of(values, given).largest < 1e-4
            continue
        labels = found.result.labels.numpy()[:, index]
        assert (labels == (given.ravel() if theirs.gives_places else given.argmax(axis=1))).all()
        assert len(set(labels.tolist())) > 1


@pytest.mark.parametrize("name", ["early exit", "classes and values"])
def test_hardware_gives_every_level(name):
    imported = import_model(MODELS[name], name="ends", lanes=2)
    found = agree(imported, images(3), 2)
    accelerator = Accelerator(Program(imported.network, ARRAY))
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "amaranth")
    assert comparison, comparison.first
    assert np.array_equal(run.levels, found.result.levels)
    assert np.array_equal(run.labels, found.result.labels)


def test_an_exit_comes_as_soon_as_what_it_reads():
    names = [layer.name for layer in import_model(MODELS["early exit"], name="exit").network]
    assert names.index("Gemm_0") == 1
    assert names[-1] == "Gemm_1"


def test_values_are_said_of_all():
    imported = import_model(MODELS["early exit"], name="ends").as_values()
    assert [end.classes for end in imported.network.ends] == [0, 0]
    assert not agree(imported, images(5)).first


@pytest.mark.parametrize(
    ("owner", "function", "old", "new"),
    [
        (agreement, "agree", "labels[:, index]", "labels[:, 0]"),
        (ending, "_behind", "logits = tensor", "logits = logits"),
        (ending, "_move_forward", "+ 1, each", ", each"),
    ],
    ids=["labels of the first", "what a softmax gives", "an exit before what it reads"],
)
def test_a_planted_fault_is_found(monkeypatch, owner, function, old, new):
    edit(monkeypatch, owner, function, old, new)
    try:
        found = agreement.agree(import_model(MODELS["early exit"], name="ends"), images(40))
    except Exception as error:
        assert "not a layer before it" in str(error)  # noqa: PT017
        return
    assert found.first or any(end.different for end in found.ends)
