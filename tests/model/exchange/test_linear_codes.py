"""QuantizeLinear, DequantizeLinear and the Clip between: as small graphs, against onnxruntime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from narrowgauge.hw.errors import DataError, NetworkError
from narrowgauge.hw.network.layers import Conv2d, Dense
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.importer import import_model

from .graphs import Graph
from .refusals import one_line

TYPES = {
    "int8": (np.int8, TensorProto.INT8), "uint8": (np.uint8, TensorProto.UINT8),
    "int16": (np.int16, TensorProto.INT16), "uint16": (np.uint16, TensorProto.UINT16),
}  # fmt: skip


class Coded(Graph):
    """A graph with the quantisers of the standard."""

    def __init__(self, shape=(1, 2, 6, 6), **given):
        super().__init__(shape, **given)

    def model(self, *outputs, kind=TensorProto.FLOAT):
        """The model; ``kind`` is the type of its outputs."""
        model = super().model(*outputs)
        for output in model.graph.output:
            output.type.tensor_type.elem_type = kind
        return model

    def codes(self, x, scale: Any = 0.05, zero: Any = 0, dtype: Any = np.int8, **more):
        """The codes of a tensor; a zero point of None is left out."""
        rest = [] if zero is None else [self.constant(zero, dtype)]
        return self.node("QuantizeLinear", x, self.constant(scale), *rest, **more)

    def reals(self, codes, scale: Any = 0.05, zero: Any = 0, dtype: Any = np.int8, **more):
        rest = [] if zero is None else [self.constant(zero, dtype)]
        return self.node("DequantizeLinear", codes, self.constant(scale), *rest, **more)

    def rounded(self, x, *given, **more):
        return self.reals(self.codes(x, *given, **more), *given, **more)

    def fixed(self, shape, scale: Any = 0.01, zero: Any = 0, dtype: Any = np.int8, **more):
        """Random weights, in codes."""
        ends = np.iinfo(dtype)
        values = self.random.integers(ends.min, ends.max + 1, shape)
        return self.reals(self.constant(values, dtype), scale, zero, dtype, **more)

    def bias(self, count, scale):
        values = self.random.integers(-2000, 2000, count)
        return self.reals(self.constant(values, np.int32), scale, None)


def whole(model, images, names):
    """Tensors of a file as onnxruntime gives them, from beginning to end."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {each.name for each in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options)
    (given,) = session.get_inputs()
    dtype = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8}.get(given.type, np.float32)
    rows = [session.run(names, {given.name: each[None].astype(dtype)}) for each in images]
    found = zip(names, zip(*rows, strict=True), strict=True)
    return {name: np.concatenate([np.asarray(each) for each in values]) for name, values in found}


def pictures(imported, count=20):
    shape = imported.network.about["preparation"]["shape"]
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32) * 2


def check(model, count=20, images=None):
    """Levels are those of onnxruntime, given the same levels of every layer before."""
    imported = import_model(model, name="net")
    images = pictures(imported, count) if images is None else images
    found = agree(imported, images)
    assert [each.first for each in found.tensors if each.first] == []
    assert found.first == ""
    return imported, found


def network(x="int8", zero=0, weight="int8", *, padded=True, axis=None, shift=0, **opset):
    """A convolution and a dense layer; the model and the tensors between."""
    graph = Coded(**opset)
    image = graph.rounded(graph.input, 0.03, zero, TYPES[x][0])
    count = 1 if axis is None else 3
    scales = np.linspace(0.004, 0.02, count) if axis is not None else 0.01
    zeros = np.zeros(count) if axis is not None else 0
    more = {} if axis is None else {"axis": axis}
    weights = graph.fixed((3, 2, 3, 3), scales, zeros, TYPES[weight][0], **more)
    bias = graph.bias(3, 0.0003)
    pads = [1, 1, 1, 1] if padded else [0, 0, 0, 0]
    total = graph.conv(image, weights, bias, pads=pads)
    hidden = graph.codes(graph.node("Relu", total), 0.31, zero + shift, TYPES[x][0])
    hidden = graph.reals(hidden, 0.31, zero, TYPES[x][0])
    flat = graph.node("Flatten", graph.max_pool(hidden))
    size = 27 if padded else 12
    out = graph.gemm(flat, graph.fixed((size, 4)), graph.bias(4, 0.0031))
    return graph, graph.rounded(out, 1.5, 3)


@pytest.mark.parametrize(
    ("x", "zero", "bits"),
    [("int8", 0, 8), ("int8", -128, 8), ("int8", 13, 9), ("uint8", 0, 8), ("uint8", 128, 8),
     ("uint8", 101, 9), ("int16", 0, 16), ("uint16", 32768, 16)],
)  # fmt: skip
@pytest.mark.parametrize("padded", [False, True])
def test_types_and_zero_points(x, zero, bits, padded):
    """A zero point takes a bit more only where zeros lie around its tensor."""
    graph, output = network(x, zero, padded=padded, opset=21)
    imported, found = check(graph.model(output))
    assert imported.network.layers[0].input.width == (bits if padded or bits != 9 else 8)
    assert found.same_class == 20


@pytest.mark.parametrize("opset", [10, 13, 19, 25])
def test_versions_of_the_operators(opset):
    check(network(opset=opset)[0].model(network(opset=opset)[1]))


@pytest.mark.parametrize("weight", ["int8", "uint8"])
def test_a_scale_for_each_channel(weight):
    graph, output = network(weight=weight, axis=0)
    imported, _ = check(graph.model(output))
    layer = imported.network.layers[0]
    assert isinstance(layer, Conv2d)
    assert len({*layer.multiplier.tolist()}) > 1


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT2", "UINT2"])
def test_narrow_codes(kind):
    graph, output = network(opset=25)
    model = graph.model(output)
    given = getattr(TensorProto, kind)
    dtype = helper.tensor_dtype_to_np_dtype(given)
    low = 0 if kind.startswith("U") else -(1 << (int(kind[-1]) - 1))
    top = low + (1 << int(kind[-1])) - 1
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.int8:
            narrow = (values % (top - low + 1) + low) if values.ndim else np.array(1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(narrow.astype(dtype), tensor.name))
    model.ir_version = 13
    imported, _ = check(model)
    assert imported.network.layers[0].output.width <= int(kind[-1])


def test_a_clip_of_codes_narrows_them():
    graph = Coded((1, 4))
    x = graph.codes(graph.input, 0.1)
    x = graph.reals(graph.node("Clip", x, *(graph.constant(e, np.int8) for e in (-8, 7))), 0.1)
    weights = graph.constant(graph.random.integers(-90, 90, (4, 3)), np.int8)
    ends = [graph.constant(e, np.int8) for e in (-2, 1)]
    x = graph.matmul(x, graph.reals(graph.node("Clip", weights, *ends), 0.2))
    x = graph.reals(graph.node("Clip", graph.codes(x, 0.3), "", graph.constant(15, np.int8)), 0.3)
    imported, _ = check(graph.model(x))
    (layer,) = imported.network
    assert isinstance(layer, Dense)
    assert (str(layer.input), str(layer.weight)) == ("int4", "int2")
    assert layer.high == 15


@pytest.mark.parametrize("zero", [0, 5])
def test_an_input_of_integers_and_an_output_of_codes(zero):
    graph = Coded((1, 2, 6, 6))
    graph.inputs[0].type.tensor_type.elem_type = TensorProto.UINT8
    x = graph.reals(graph.input, 0.02, zero, np.uint8)
    x = graph.conv(x, graph.fixed((3, 2, 3, 3)), pads=[1, 1, 1, 1])
    x = graph.rounded(x, 0.317)
    x = graph.codes(graph.node("Flatten", graph.node("GlobalAveragePool", x)), 0.117, 7)
    model = graph.model(x, kind=TensorProto.INT8)
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 6, 6)).astype(np.float32)
    imported, found = check(model, images=images)
    (codes,) = whole(model, images, [x]).values()
    assert codes.dtype == np.int8
    meaning = imported.ending.meaning
    assert meaning is not None
    levels = found.result.levels.numpy().reshape(20, 3) + int(meaning.offset)
    assert np.array_equal(codes, levels)
    with pytest.raises(DataError, match="level"):
        agree(imported, images + 0.5)


def test_ties_are_even_before_the_zero_point():
    """Codes of 2.5 and 3.5 at a zero point of 1: 3 and 5, not 4 and 4."""
    graph = Coded((1, 1))
    x = graph.rounded(graph.input, 1.0, 0)
    x = graph.matmul(x, graph.reals(graph.constant([[1]], np.int8), 1.0))
    x = graph.rounded(x, 2.0, 1)
    imported, found = check(graph.model(x), images=np.array([[5], [7], [-5], [-7]], np.float32))
    meaning = imported.ending.meaning
    assert meaning is not None
    levels = found.result.levels.ravel().tolist()
    assert [meaning.scale * (each + meaning.offset) for each in levels] == [4, 8, -4, -8]


def test_a_tie_before_a_quantiser_that_changes_nothing():
    """What float32 decided is counted once, where it was."""
    graph = Coded((1, 1))
    x = graph.matmul(
        graph.rounded(graph.input, 0.1), graph.reals(graph.constant([[1]], np.int8), 0.1)
    )
    x = graph.node("Identity", graph.rounded(x, 0.02))
    images = np.arange(-60, 60, dtype=np.float32)[:, None] / 10
    _, found = check(graph.model(graph.rounded(x, 0.02)), images=images)
    assert [each.ties > 0 for each in found.tensors] == [False, True, False]


def test_a_pad_of_codes():
    graph = Coded()
    x = graph.codes(graph.input, 0.03, 17)
    pads = graph.integers(0, 0, 1, 0, 0, 0, 1, 2)
    x = graph.node("Pad", x, pads, graph.constant(17, np.int8))
    x = graph.conv(graph.reals(x, 0.03, 17), graph.fixed((3, 2, 3, 3)))
    x = graph.node("GlobalAveragePool", graph.rounded(x, 0.317))
    imported, _ = check(graph.model(graph.rounded(graph.node("Flatten", x), 0.117)))
    layer = imported.network.layers[0]
    assert isinstance(layer, Conv2d)
    assert layer.window.padding == (1, 0, 1, 2)


def test_two_quantisers_of_the_input_of_which_one_is_padded():
    graph = Coded()
    one, other = (graph.rounded(graph.input, 0.03, 13) for _ in range(2))
    one = graph.conv(one, graph.fixed((3, 2, 3, 3)), pads=[1, 1, 1, 1])
    other = graph.conv(other, graph.fixed((3, 2, 1, 1)))
    x = graph.node("Add", graph.rounded(one, 0.317), graph.rounded(other, 0.283))
    x = graph.node("GlobalAveragePool", graph.rounded(x, 0.37))
    check(graph.model(graph.rounded(graph.node("Flatten", x), 0.117)))


def test_quantised_twice_and_moved_between():
    graph = Coded((1, 4, 3, 3))
    x = graph.rounded(graph.input)
    x = graph.rounded(graph.node("Transpose", x, perm=[0, 2, 3, 1]))
    weights = graph.rounded(graph.rounded(graph.real(5, 4), 0.02), 0.05)
    x = graph.matmul(graph.node("Reshape", x, graph.integers(1, -1)), graph.fixed((36, 4)))
    x = graph.node("Relu", graph.rounded(x, 0.4))
    x = graph.matmul(x, graph.node("Transpose", weights, perm=[1, 0]))
    check(graph.model(graph.rounded(x, 0.2)))


def test_blocks_of_one_scale():
    graph = Coded((1, 4), opset=21)
    codes = graph.constant(graph.random.integers(-90, 90, (4, 3)), np.int8)
    scales = np.array([[0.1, 0.2, 0.3]] * 2, np.float32)
    weights = graph.node("DequantizeLinear", codes, graph.constant(scales), block_size=2, axis=0)
    check(graph.model(graph.rounded(graph.matmul(graph.rounded(graph.input), weights), 0.5)))


def test_probabilities_are_dropped_with_their_quantiser():
    graph = Coded((1, 4))
    x = graph.matmul(graph.rounded(graph.input), graph.fixed((4, 3)))
    x = graph.rounded(graph.node("Softmax", graph.rounded(x, 0.3)), 1 / 256, -128)
    imported, _ = check(graph.model(x))
    assert [each.split("(")[1] for each in imported.dropped] == [
        "Softmax)", "QuantizeLinear)", "DequantizeLinear)",
    ]  # fmt: skip


# --- refusals --------------------------------------------------------------------------------


def test_a_scale_of_zero():
    graph, output = network()
    model = graph.model(output)
    for tensor in model.graph.initializer:
        if np.array_equal(onnx.numpy_helper.to_array(tensor), np.float32(0.31)):
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros((), np.float32), tensor.name))
            break
    refused(model, "QuantizeLinear_1", "not a positive number")


def refused(model, *words):
    with pytest.raises(NetworkError) as caught:
        import_model(model, name="net")
    text = one_line(caught.value)
    for word in words:
        assert word in text, text


def test_an_axis_that_does_not_fit():
    graph, output = network(axis=1)
    refused(graph.model(output), "DequantizeLinear", "3 scales along axis 1 do not fit")
    graph, output = network(axis=4)
    refused(graph.model(output), "DequantizeLinear")


def test_a_zero_point_of_another_type():
    graph, output = network()
    model = graph.model(output)
    graph = model.graph
    node = next(each for each in graph.node if each.op_type == "DequantizeLinear")
    zero = onnx.numpy_helper.from_array(np.zeros((), np.uint8), "another")
    graph.initializer.append(zero)
    node.input[2] = "another"
    refused(model, node.name, "uint8", "int8")


def test_a_missing_scale():
    graph, output = network()
    model = graph.model(output)
    node = next(each for each in model.graph.node if each.op_type == "DequantizeLinear")
    node.input[1] = ""
    refused(model, node.name)
    del node.input[1:]
    refused(model, node.name)


def test_a_scale_that_is_computed():
    graph = Coded((1, 1, 2, 2))
    x = graph.rounded(graph.input)
    scale = graph.node("Reshape", graph.node("GlobalMaxPool", x), graph.integers(1))
    x = graph.node("DequantizeLinear", graph.node("QuantizeLinear", x, scale), scale)
    x = graph.matmul(x, graph.fixed((2, 2)))
    refused(graph.model(x), "QuantizeLinear_1", "scale is computed while it runs")


def test_zero_points_that_differ_by_channel():
    graph = Coded((1, 3))
    x = graph.rounded(graph.input, [0.1, 0.1, 0.1], [0, 1, 2], axis=1)
    x = graph.matmul(x, graph.fixed((3, 2)))
    refused(graph.model(graph.rounded(x)), "zero points differ by channel")


def test_codes_of_floats():
    graph = Coded((1, 3), opset=21)
    kind = helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT8E4M3FN)
    x = graph.rounded(graph.input, 0.1, 0, kind)
    refused(graph.model(graph.rounded(graph.matmul(x, graph.fixed((3, 2))))), "only integers")


# --- planted faults --------------------------------------------------------------------------


def test_a_zero_point_that_is_off_by_one_is_found():
    """The import of one file does not agree with another whose zero point is another."""
    graph, output = network(shift=0)
    imported = import_model(graph.model(output), name="net")
    other, output = network(shift=1)
    wrong = import_model(other.model(output), name="net")
    images = pictures(imported)
    object.__setattr__(imported, "model", wrong.model)
    assert any(each.first for each in agree(imported, images).tensors)


def test_another_axis_is_found():
    graph = Coded((1, 3))
    x = graph.rounded(graph.input)
    x = graph.matmul(x, graph.fixed((3, 3), [0.01, 0.02, 0.04], [0, 0, 0], axis=1))
    model = graph.model(graph.rounded(x, 0.1))
    imported, _ = check(model)
    node = next(each for each in model.graph.node if each.attribute)
    node.attribute[0].i = 0
    refused(model, "scales that differ between inputs")
    node.attribute[0].i = 1
    scale = next(each for each in model.graph.initializer if each.name == node.input[1])
    scale.CopyFrom(
        onnx.numpy_helper.from_array(np.array([0.02, 0.01, 0.04], np.float32), scale.name)
    )
    wrong = import_model(model, name="net")
    object.__setattr__(imported, "model", wrong.model)
    assert any(each.first for each in agree(imported, pictures(imported)).tensors)
