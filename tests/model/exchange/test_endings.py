"""Whatever ends a graph is kept exactly, or dropped and listed, or refused by name."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Requantised
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.importer import import_model
from narrowgauge.scripts.runs.checked import simulate_and_compare

from .graphs import Graph, declared
from .oracle import Oracle, constants_of

CLASSES = 6
SPREAD = np.array([0.5, 1.5, 1.0, 0.25, 2.0, 0.75], np.float32)
BIAS = np.array([-0.4, 0.3, 0.0, 0.7, -1.1, 0.2], np.float32)


def grown(grow, classes=CLASSES, bias=True, scale: Any = 0.125):
    """The model of a dense layer, and what ``grow`` puts behind it; its classes, its input."""
    graph = Graph((1, 7), seed=3)
    x = graph.matmul(graph.quant(graph.input, 4, 0.25), graph.weights((7, classes), scale=scale))
    end = grow(graph, graph.node("Add", x, BIAS[:classes]) if bias else x)
    ends = end if isinstance(end, tuple) else (end,)
    model = graph.model(*ends)
    made = {name: node.op_type for node in graph.nodes for name in node.output}
    for output in model.graph.output:
        if made[output.name] == "ArgMax" or output.name == "places":
            output.CopyFrom(declared(output.name, None, TensorProto.INT64))
        if made[output.name] == "Cast":
            (node,) = [each for each in graph.nodes if output.name in each.output]
            output.CopyFrom(declared(output.name, None, node.attribute[0].i))
    return model


def clip(low=None, high=None):
    ends = [np.float32(each) if each is not None else "" for each in (low, high)]
    return lambda g, x: g.node("Clip", x, *ends)


def chain(*steps):
    def grow(graph, x):
        for step in steps:
            x = step(graph, x)
        return x

    return grow


def op(name, *more, **attributes):
    return lambda g, x: g.node(name, x, *more, **attributes)


def norm(gamma):
    def grow(graph, x):
        one = np.ones(CLASSES, np.float32)
        return graph.node("BatchNormalization", x, gamma * one, BIAS, 0.1 * one, 0.75 * one)

    return grow


def quant(bits=6, scale=0.125, **more):
    return lambda g, x: g.quant(x, bits, scale, **more)


def topk(count=1, outputs=("values", "places"), **more):
    def grow(graph, x):
        found = graph.node("TopK", x, graph.integers(count), outputs=["values", "places"], **more)
        del found
        return outputs if len(outputs) > 1 else outputs[0]

    return grow


def moved(graph, x):
    x = graph.node("Reshape", x, graph.integers(1, 2, 3))
    return graph.node("Transpose", x, perm=[0, 2, 1])


relu, argmax = op("Relu"), op("ArgMax", axis=1, keepdims=0)

KEPT = {
    "relu": relu,
    "relu6": clip(0, 6),
    "clip": clip(-0.5, 0.5),
    "clip between two levels": clip(-0.55, 0.61),
    "clip below": clip(low=-0.3),
    "clip above": clip(high=0.2),
    "clip far away": clip(-1e9, 1e9),
    "clip at one step": clip(0.24, 0.26),
    "hard sigmoid": op("HardSigmoid"),
    "relu and scale": chain(relu, op("Mul", np.float32(0.3))),
    "relu and scales": chain(relu, op("Mul", SPREAD)),
    "negative scale": op("Mul", np.float32(-0.5)),
    "scales of both signs": op("Mul", SPREAD * [1, -1, 1, 1, -1, 1]),
    "negative scale and relu": chain(op("Mul", np.float32(-0.5)), relu),
    "scales of both signs and relu": chain(op("Mul", SPREAD * [1, -1, 1, 1, -1, 1]), relu),
    "subtracted from": lambda g, x: g.node("Relu", g.node("Sub", np.float32(0.4), x)),
    "biases": op("Add", BIAS),
    "relu and bias": chain(relu, op("Add", np.float32(0.3))),
    "norm": norm(SPREAD),
    "norm that falls": norm(-SPREAD),
    "norm that falls, and relu": chain(norm(-SPREAD), relu),
    "norm and clip": chain(norm(SPREAD), clip(-0.5, 0.5)),
    "quantised": quant(),
    "coarsely quantised": quant(2, 1.0),
    "quantised and relu": chain(quant(), relu),
    "quantised and clip": chain(quant(), clip(-0.3, 0.31)),
    "quantised, scales, clip": chain(quant(), op("Mul", SPREAD), clip(-0.3, 0.31)),
    "quantised, negative, relu": chain(quant(), op("Mul", np.float32(-1)), relu),
    "quantised twice": chain(quant(), relu, quant(3, 0.25, signed=False)),
    "relu quantised": chain(relu, quant(4, 0.25, signed=False)),
    "two clips": chain(clip(-1, 1), clip(-0.4, 2)),
    "relu and cast": chain(relu, op("Cast", to=TensorProto.DOUBLE)),
}  # fmt: skip
DROPPED = {
    "softmax": (op("Softmax", axis=-1), 1),
    "log softmax": (op("LogSoftmax", axis=1), 1),
    "sigmoid": (op("Sigmoid"), 1),
    "tanh and softmax": (chain(op("Tanh"), op("Softmax", axis=-1)), 2),
    "relu and softmax": (chain(relu, op("Softmax", axis=-1)), 1),
    "quantised, relu and softmax": (chain(quant(), relu, op("Softmax", axis=-1)), 1),
    "places": (argmax, 1),
    "relu and places": (chain(relu, argmax), 1),
    "clip, softmax and places": (chain(clip(-0.55, 0.61), op("Softmax", axis=-1), argmax), 2),
    "places, kept, squeezed": (
        chain(op("ArgMax", axis=1), lambda g, x: g.node("Squeeze", x, g.integers(1)),
              op("Cast", to=TensorProto.INT32)), 1),
    "places as floats": (chain(argmax, op("Cast", to=TensorProto.FLOAT)), 1),
    "the largest": (topk(), 1),
    "the three largest, places": (topk(3, ("places",)), 1),
    "coarse, and places": (chain(quant(2, 1.0), argmax), 1),
}  # fmt: skip
REFUSED = {
    "relu and biases": (chain(relu, op("Add", BIAS)), "clips its channels at different values"),
    "clip to one value": (clip(0.5, 0.5), "clips every logit to one value"),
    "nothing left": (op("Mul", np.float32(0)), "multiplied by zero"),
    "leaky relu": (op("LeakyRelu"), "more than a scale, an offset and a clip"),
    "elu": (op("Elu"), "more than a scale, an offset and a clip"),
    "sigmoid and scale": (chain(op("Sigmoid"), op("Mul", np.float32(-1))), "more than a scale"),
    "softmax and scale": (chain(op("Softmax"), op("Mul", np.float32(-1))), "very end"),
    "softmax and hard sigmoid": (chain(op("Softmax"), op("HardSigmoid")), "very end"),
    "sigmoid and hard sigmoid": (chain(op("Sigmoid"), op("HardSigmoid")), "more than a scale"),
    "negative": (op("Neg"), "Neg"),
    "magnitude": (op("Abs"), "Abs"),
    "smallest place": (op("ArgMin", axis=1), "ArgMin"),
    "last of equals": (op("ArgMax", axis=1, select_last_index=1), "the first of equals"),
    "over images": (op("ArgMax", axis=0), "is not one of all logits"),
    "softmax over images": (op("Softmax", axis=0), "is not one of all logits"),
    "softmax of halves": (
        chain(lambda g, x: g.node("Reshape", x, g.integers(1, 2, 3)), op("Softmax", axis=2)),
        "is not one of all logits"),
    "no such axis": (op("Softmax", axis=5), "axis"),
    "smallest": (topk(largest=0), "the largest"),
    "in no order": (topk(3, sorted=0), "in no order"),
    "values alone": (topk(1, ("values",)), "without their places"),
    "whole numbers": (op("Cast", to=TensorProto.INT32), "rounds a tensor"),
    "places as truth": (chain(argmax, op("Cast", to=TensorProto.BOOL)), "does not hold the places"),
    "softmax of places": (
        chain(argmax, op("Cast", to=TensorProto.FLOAT), op("Sigmoid")), "ranks of logits"),
    "classes moved": (moved, "into another order"),
}  # fmt: skip


def images(count=60):
    return np.random.default_rng(5).normal(size=(count, 7)).astype(np.float32)


def check(model, dropped=0):
    """Import; logits and classes are those of exact arithmetic, and the executor agrees."""
    imported = import_model(model, name="graph")
    assert len(imported.dropped) == dropped
    inputs = images()
    found = agree(imported, inputs)
    assert found.first == ""
    meaning, given = imported.ending.meaning, found.result
    assert meaning is not None
    for number, image in enumerate(inputs):
        oracle = Oracle(constants_of(imported.model)).run(imported.model.graph, image[None])
        truth = [Fraction(each) for each in oracle.get(imported.ending.logits).ravel()]
        for exact, level in zip(truth, given.levels[number].tolist(), strict=True):
            assert abs(meaning.scale * (level + meaning.offset) - exact) <= meaning.error
        if imported.report[-1].method != "multiplier" or not meaning.error:
            assert truth.index(max(truth)) == given.labels[number]
    return imported, found


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("bias", [False, True])
def test_kept(name, bias):
    check(grown(KEPT[name], bias=bias))


@pytest.mark.parametrize("name", DROPPED)
def test_dropped_and_listed(name):
    grow, count = DROPPED[name]
    check(grown(grow), count)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    grow, words = REFUSED[name]
    with pytest.raises(NetworkError, match=words):
        import_model(grown(grow), name="graph")


# --- kinds of last layers -------------------------------------------------------------------------


@pytest.mark.parametrize("grow", [relu, clip(0, 6), clip(-0.55, 0.61), quant()])
def test_a_regressor_of_one_output(grow):
    check(grown(grow, classes=1))


@pytest.mark.parametrize("grow", [relu, clip(-0.5, 0.5), chain(quant(), relu)])
def test_weights_of_several_scales(grow):
    """Their multipliers round logits, by what the report says."""
    imported, _ = check(grown(grow, scale=SPREAD[None] / 8))
    assert grow is relu or imported.report[0].method == "multiplier"


def test_an_average_pool_of_real_numbers():
    graph = Graph((1, 3, 4, 4))
    x = graph.node("GlobalAveragePool", graph.quant(graph.input, 4, 0.25))
    model = graph.model(graph.node("Flatten", graph.node("Relu", x)))
    imported = import_model(model, name="pool")
    inputs = np.random.default_rng(5).normal(size=(40, 3, 4, 4)).astype(np.float32)
    found = agree(imported, inputs)
    assert found.first == ""
    assert (found.result.levels >= 0).all()


def test_an_old_softmax_runs_over_all_later_axes():
    def grow(graph, x):
        graph.opsets[""] = 11
        return graph.node("Softmax", graph.node("Reshape", x, graph.integers(1, 2, 3)))

    imported, _ = check(grown(grow), 1)
    assert imported.dropped == ("Softmax_0 (Softmax)",)


@pytest.mark.parametrize(
    "name", ["clip between two levels", "norm that falls, and relu", "quantised and relu"]
)
def test_in_hardware(name):
    imported, found = check(grown(KEPT[name]))
    accelerator = Accelerator(Program(imported.network, Geometry(2, 2, 4)))
    images = found.levels[:8]
    run, comparison, _ = simulate_and_compare(accelerator, images, "amaranth", traced=8)
    assert comparison.first is None
    assert (run.labels == found.result.labels.numpy()[:8]).all()


# --- what check finds -----------------------------------------------------------------------------


def faulty(imported, **changes):
    """The import, with another last layer."""
    layers = list(imported.network)
    layers[-1] = replace(layers[-1], **changes)
    return replace(imported, network=replace(imported.network, layers=tuple(layers)))


@pytest.mark.parametrize("end", ["relu", "relu and places", "quantised and relu"])
def test_a_clip_that_is_lost_is_found(end):
    model = grown(KEPT.get(end) or DROPPED[end][0])
    imported = import_model(model, name="graph")
    layer = imported.network.layers[-1]
    assert isinstance(layer, Requantised)
    assert layer.low is not None
    lost = agree(faulty(imported, low=None), images())
    assert f"layer {layer.name}, image 0, class" in lost.first
    assert lost.classes.different


def test_a_class_that_differs_without_a_reason_is_found():
    """The logits are right; the class that is compared is another number."""
    imported, found = check(grown(argmax), 1)
    assert not found.classes.different
    misread = replace(imported, endings=(replace(imported.ending, gives_places=False),))
    found = agree(misread, images())
    assert found.classes.different > 10
    assert "is of class" in found.first


def test_equal_logits_that_float32_tells_apart():
    """The same sum in another order."""
    graph = Graph((1, 9))
    row = np.array([0.7, -0.3, 0.5, 0.1, 0.6, -0.2, 0.4, 0.3, -0.1], np.float32)
    weights = graph.quant(np.stack([row, row[::-1], np.roll(row, 4)], axis=1), 4, 0.1)
    x = graph.quant(graph.input, 4, 0.3)
    imported = import_model(graph.model(graph.matmul(x, weights)), name="equal")
    levels = np.arange(1, 8)[:, None] * np.ones(9)
    found = agree(imported, levels * 0.3)
    assert found.first == ""
    assert found.classes.equal == found.classes.different > 0


def test_scores_that_saturate():
    """Sigmoids of large logits are 1 in float32, so the executor takes the first of them."""
    model = grown(chain(op("Mul", np.float32(40)), op("Sigmoid")))
    _, found = check(model, 1)
    assert found.classes.different > 5
    assert found.classes.float32 == found.classes.different


def test_logits_that_multipliers_round():
    imported = import_model(grown(relu, scale=SPREAD[None] / 8), name="graph", logit_bits=2)
    found = agree(imported, images(400))
    assert found.first == ""
    assert found.classes.rounded == found.classes.different > 0
