"""Float ONNX files as torch modules: what they compute, and what is refused by name."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from narrowgauge.hw.errors import DataError, NetworkError
from narrowgauge.model.exchange.extra import require
from narrowgauge.model.post_training import NetworkImages, PostTraining, quantize, read

from .networks import fitted, known, layer_of

require()


def node(operator, reads, gives, **options):
    return helper.make_node(operator, reads, [gives], name=f"the_{gives}", **options)


def write(path, nodes, constants, shape, result="y"):
    """Write a graph that reads ``x`` and gives ``result``."""
    initial = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    end = helper.make_tensor_value_info(result, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [entry], [end], initial)
    onnx.save(helper.make_model(graph), str(path))
    return str(path)


def digits_graph(path, net, shape=(1, 1, 8, 8), before=(), start="x"):
    """Write the small network of the tests as a graph, its norm a node."""
    norm = net[1]
    constants = {
        "w0": net[0].weight.detach().numpy(),
        "gamma": norm.weight.detach().numpy(),
        "beta": norm.bias.detach().numpy(),
        "mean": norm.running_mean.numpy(),
        "variance": norm.running_var.numpy(),
        "w4": net[4].weight.detach().numpy(),
        "b4": net[4].bias.detach().numpy(),
        "w7": net[7].weight.detach().numpy().T,
        "b7": net[7].bias.detach().numpy(),
        "sizes": np.array([1, 1, 8, 8]),
    }
    nodes = [
        *before,
        node("Conv", [start, "w0"], "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]),
        node("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], "b"),
        node("Relu", ["b"], "c"),
        node("MaxPool", ["c"], "d", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["d", "w4", "b4"], "e", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=4),
        node("Relu", ["e"], "f"),
        node("Flatten", ["f"], "g"),
        node("MatMul", ["g", "w7"], "h"),
        node("Add", ["h", "b7"], "y"),
    ]
    return write(path, nodes, constants, shape)


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 40)


def outputs(module, images):
    with torch.no_grad():
        return module.eval()(images.values(images.test[:20]))


@pytest.mark.parametrize("last", [False, True])
def test_a_graph_computes_what_its_module_does(images, tmp_path, last):
    """Also one that reads images with their channels last."""
    before = [node("Reshape", ["x", "sizes"], "s")] if last else []
    shape = (1, 8, 8, 1) if last else (1, 1, 8, 8)
    start = "s" if last else "x"
    path = digits_graph(tmp_path / "g.onnx", fitted(), shape, before, start)
    found = outputs(read(path, images), images)
    assert torch.allclose(found, outputs(fitted(), images), atol=1e-5)
    planted = digits_graph(tmp_path / "p.onnx", nn.Sequential(*fitted()), shape, before, start)
    model = onnx.load(planted)
    model.graph.node[-2].input[1], model.graph.node[-1].input[1] = "w7", "beta7"
    model.graph.initializer.append(
        numpy_helper.from_array(known(layer_of(fitted(), 7).bias).detach().numpy() + 0.01, "beta7")
    )
    onnx.save(model, planted)
    assert not torch.allclose(outputs(read(planted, images), images), found, atol=1e-5)


def test_a_graph_is_quantised_and_keeps_its_names(images, tmp_path):
    path = digits_graph(tmp_path / "g.onnx", fitted())
    found = quantize(read(path, images), images, PostTraining(), figures=False)
    assert [layer.name for layer in found.network] == ["the_a", "the_d", "the_e", "the_h"]
    shares = known(found.shares)
    assert shares.integer > shares.exact - 0.01


CONV = {"w": np.ones((2, 1, 3, 3), np.float32)}


@pytest.mark.parametrize(
    ("last", "constants", "message"),
    [
        (("Erf", ["x"], {}), {}, "the_y (Erf) is not supported; supported are Add, "),
        (("Conv", ["x", "w"], {"auto_pad": "SAME_UPPER"}), CONV, "has auto_pad SAME_UPPER"),
        (("Conv", ["x", "x"], {}), {}, "reads what is no constant for its input 1"),
        (("Conv", ["x", "w"], {}), {"w": np.ones((2, 1, 3), np.float32)}, "of 3 dimensions"),
        (("Transpose", ["x"], {"perm": [0, 2, 3, 1]}), {}, "changes the order"),
        (("MaxPool", ["x"], {"kernel_shape": [2, 2], "ceil_mode": 1}), {}, "has ceil_mode"),
        (("Shape", ["x"], {}), {}, "computes a shape"),
        (("Softmax", ["x"], {"domain": "other"}), {}, "is of other"),
        (("Concat", ["x", "x"], {"axis": 2}), {}, "joins along another axis"),
        (("Gemm", ["x", "w"], {"alpha": 0.5}), {"w": np.ones((64, 4))}, "alpha or beta"),
        (("Flatten", ["x"], {"axis": 2}), {}, "flattens along another axis"),
        (("Reshape", ["x", "n"], {}), {"n": np.array([8, 8])}, "makes 8x8, which mixes images"),
    ],
)
def test_what_hardware_does_not_run_is_refused_by_name(images, tmp_path, last, constants, message):
    operator, reads, options = last
    path = write(
        tmp_path / "g.onnx", [node(operator, reads, "y", **options)], constants, (1, 1, 8, 8)
    )
    with pytest.raises(NetworkError) as caught:
        read(path, images)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_of_another_shape(images, tmp_path):
    path = digits_graph(tmp_path / "g.onnx", fitted(), (1, 1, 28, 28))
    with pytest.raises(DataError, match="reads images of 1x28x28, the data has 8x8x1"):
        read(path, images)


def test_weights_that_are_no_numbers(images, tmp_path):
    net = nn.Sequential(*fitted())
    path = digits_graph(tmp_path / "g.onnx", net)
    model = onnx.load(path)
    broken = numpy_helper.to_array(model.graph.initializer[0]).copy()
    broken[0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, "w0"))
    onnx.save(model, path)
    with pytest.raises(NetworkError, match=r"the_a\.weight of the network holds"):
        quantize(read(path, images), images)
