"""Exported networks in qonnx's own executor, on arrays that are channels last."""

import warnings

import numpy as np

from narrowgauge.hw.network.layers import Dense
from narrowgauge.hw.network.network import INPUT, Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.bounds import accumulator_bits
from narrowgauge.model.exchange.extra import require
from narrowgauge.model.exchange.writing.qonnx import export
from narrowgauge.model.integers.reference import evaluate


def execute(model, images):
    """Run a graph on images of shape (batch, height, width, channels); return every tensor."""
    require()
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    shape = [each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim]
    values = np.asarray(images, np.float32).transpose(0, 3, 1, 2).reshape(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # shapes that are not what the graph says
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        return execute_onnx(ModelWrapper(model), {INPUT: values}, return_full_exec_context=True)


def rows(tensor):
    """A tensor as integers, an image a row, elements channels last."""
    levels = np.asarray(tensor, np.float64)
    levels = np.moveaxis(levels, 1, -1).reshape(len(levels), -1)
    assert (levels == np.round(levels)).all()
    return levels.astype(np.int64)


def exact(network):
    """The network on an accumulator that never overflows."""
    wide = network.with_accumulator(Accumulator(48))
    return wide.with_accumulator(Accumulator(accumulator_bits(wide, 1)))


def differences(network, exported, images):
    """Names of layers whose levels differ anywhere."""
    context = execute(exported.model, images)
    traces = evaluate(network, images, 1, trace=True).layers
    pairs = zip(exported.layers, traces, strict=True)
    return [
        report.layer
        for report, trace in pairs
        if not np.array_equal(rows(context[report.tensor]), trace.levels.numpy())
    ]


def check(network, images):
    exported = export(network, batch=len(images))
    assert differences(network, exported, images) == []
    return exported


def methods(exported):
    return [layer.method for layer in exported.layers]


def kinds(exported):
    return [node.op_type for node in exported.model.graph.node]


def attributes(exported, tensor):
    """Attributes of the node that gives a tensor."""
    from onnx import helper

    (node,) = [node for node in exported.model.graph.node if node.output[0] == tensor]
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def one_layer(output="uint4", inputs="uint8", weights=((3,), (-2,), (7,)), weight="int4", **given):
    """A dense layer of one input, and so few sums that a test can give all of them."""
    channels = len(weights)
    layer = Dense(
        **{
            "name": "fc",
            "input": parse(inputs),
            "output": parse(output),
            "weight": parse(weight),
            "weights": np.array(weights),
            "bias": np.zeros(channels),
            "multiplier": np.ones(channels),
            **given,
        }
    )
    return exact(Network("one", (layer,), Accumulator(48)))


def all_levels(network):
    fmt = network.input
    return fmt.to_level(np.arange(1 << fmt.width)).reshape(-1, 1, 1, 1)
