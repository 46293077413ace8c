"""Integer operators of onnxruntime: their levels are those of onnxruntime's own kernels."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.executor import Executor
from narrowgauge.model.exchange.importer import import_model

from .refusals import one_line
from .test_linear_codes import Coded, check, pictures, whole

MICROSOFT = "com.microsoft"


class Integers(Coded):
    """A graph of integer operators, with codes of one type."""

    def __init__(self, shape=(1, 2, 6, 6), dtype=np.uint8, **given):
        super().__init__(shape, **given)
        self.dtype = dtype
        self.opsets[MICROSOFT] = 1

    def zero(self, value=None, dtype=None):
        middle = {np.uint8: 117, np.int8: -11}[self.dtype]
        return self.constant(middle if value is None else value, dtype or self.dtype)

    def start(self, scale=0.03):
        return self.node("QuantizeLinear", self.input, scale, self.zero())

    def weights8(self, *shape, dtype=np.int8):
        ends = np.iinfo(dtype)
        return self.constant(self.random.integers(ends.min, ends.max + 1, shape), dtype)

    def linear_conv(self, x, channels=3, scale=0.31, inputs=2, own=0.03, axis=False, **more):
        count = channels if axis else 1
        weights = np.linspace(0.003, 0.011, count) if axis else 0.0071
        zeros = np.zeros(count) if axis else 0
        bias = self.constant(self.random.integers(-3000, 3000, channels), np.int32)
        return self.node(
            "QLinearConv", x, own, self.zero(), self.weights8(channels, inputs, 3, 3), weights,
            self.constant(zeros, np.int8), scale, self.zero(), bias, **more,
        )  # fmt: skip

    def microsoft(self, operator, *inputs, **more):
        return self.node(operator, *inputs, domain=MICROSOFT, **more)

    def finish(self, x, scale, width, outputs=4):
        """A QGemm that gives codes, and a DequantizeLinear."""
        bias = self.constant(self.random.integers(-3000, 3000, outputs), np.int32)
        x = self.microsoft(
            "QGemm", x, scale, self.zero(), self.weights8(outputs, width), 0.0083,
            self.constant(0, np.int8), bias, 1.13, self.zero(), transB=1,
        )  # fmt: skip
        return self.node("DequantizeLinear", x, 1.13, self.zero())


UINT8 = TensorProto.UINT8


def equal(graph, output, count=20, kind=TensorProto.FLOAT):
    """Every watched tensor is what onnxruntime computes from the file as it stands."""
    model = graph.model(output, kind=kind)
    imported, found = check(model, count)
    images = pictures(imported, count)
    names = [each.tensor for each in imported.watched]
    own = Executor(imported.model, kernels=imported.kernels).run(images, keep=names)
    for name, values in whole(model, images, names).items():
        assert np.array_equal(own[name], values), name
    return imported, found


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("axis", [False, True])
def test_convolution_pool_and_gemm(dtype, axis):
    graph = Integers(dtype=dtype)
    x = graph.linear_conv(graph.start(), axis=axis, pads=[1, 1, 1, 1], strides=[1, 1])
    x = graph.linear_conv(graph.max_pool(x), 4, 0.9, 3, 0.31, axis=axis, pads=[1, 1, 1, 1])
    x = graph.microsoft("QLinearGlobalAveragePool", x, 0.9, graph.zero(), 0.21, graph.zero())
    imported, _ = equal(graph, graph.finish(graph.node("Flatten", x), 0.21, 4))
    assert [each.name for each in imported.network] == [
        "QLinearConv_0", "MaxPool_0", "QLinearConv_1", "QLinearGlobalAveragePool_0", "QGemm_0",
    ]  # fmt: skip


def test_matmul_with_a_scale_for_each_column():
    graph = Integers((1, 5))
    zeros = graph.constant([3, -2, 0], np.int8)
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(5, 3),
        [0.01, 0.02, 0.03], zeros, 0.17, graph.zero(),
    )  # fmt: skip
    equal(graph, graph.node("DequantizeLinear", x, 0.17, graph.zero()))


@pytest.mark.parametrize(("scale", "zero"), [(0.37, 0), (0.62, 117), (0.62, 116), (0.25, 101)])
def test_sum_of_two_tensors(scale, zero):
    """Onnxruntime adds the zero point before it rounds, which decides ties at odd ones."""
    graph = Integers()
    start = graph.start()
    x, y = (graph.linear_conv(start, scale=each, pads=[1, 1, 1, 1]) for each in (0.31, 0.62))
    x = graph.microsoft(
        "QLinearAdd", x, 0.31, graph.zero(), y, 0.62, graph.zero(), scale, graph.zero(zero)
    )
    x = graph.microsoft("QLinearGlobalAveragePool", x, scale, graph.zero(zero), 0.1, graph.zero())
    _, found = equal(graph, graph.finish(graph.node("Flatten", x), 0.1, 3))
    (row,) = [each for each in found.tensors if each.layer == "QLinearAdd_0"]
    assert row.different == row.ties <= row.elements // 1000


def test_average_pool_and_table():
    graph = Integers()
    x = graph.linear_conv(graph.start(), pads=[1, 1, 1, 1])
    x = graph.microsoft("QLinearLeakyRelu", x, 0.31, graph.zero(), 0.2, graph.zero(), alpha=0.1)
    x = graph.microsoft(
        "QLinearAveragePool", x, 0.2, graph.zero(), 0.13, graph.zero(),
        kernel_shape=[2, 2], strides=[2, 2],
    )  # fmt: skip
    x = graph.microsoft("QLinearSigmoid", x, 0.13, graph.zero(), 1 / 256, graph.zero(0))
    x = graph.node("Flatten", x)
    x = graph.microsoft(
        "QGemm", x, 1 / 256, graph.zero(0), graph.weights8(27, 4), 0.0083,
        graph.constant(0, np.int8),
    )  # fmt: skip
    equal(graph, x)


@pytest.mark.parametrize("zero", [101, 116])
def test_product_with_a_constant(zero):
    graph = Integers((1, 5))
    factors = graph.constant([[3, 0, 11, 2, 30]], np.uint8)
    x = graph.microsoft(
        "QLinearMul", graph.start(), 0.03, graph.zero(), factors, 0.25, graph.zero(1),
        0.06, graph.zero(zero),
    )  # fmt: skip
    x = graph.node("DequantizeLinear", x, 0.06, graph.zero(zero))
    equal(graph, graph.matmul(x, graph.fixed((5, 3))))


def test_whole_products():
    """ConvInteger and MatMulInteger give sums, which something else scales."""
    graph = Integers()
    zeros = graph.zero(), graph.constant(3, np.int8)
    x = graph.node("ConvInteger", graph.start(), graph.weights8(3, 2, 3, 3), *zeros)
    x = graph.node("Mul", graph.node("Cast", x, to=TensorProto.FLOAT), 0.0003)
    x = graph.node("QuantizeLinear", graph.node("Relu", x), 0.11, graph.zero(0))
    x = graph.node("Flatten", graph.max_pool(x))
    x = graph.node("MatMulInteger", x, graph.weights8(12, 4))
    equal(graph, graph.node("Mul", graph.node("Cast", x, to=TensorProto.FLOAT), 0.002))


def test_probabilities_are_dropped():
    graph = Integers((1, 5))
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(5, 3), 0.01,
        graph.constant(0, np.int8), 0.17, graph.zero(),
    )  # fmt: skip
    x = graph.microsoft(
        "QLinearSoftmax", x, 0.17, graph.zero(), 1 / 256, graph.zero(0), axis=-1, opset=13
    )
    imported, found = equal(graph, x, kind=UINT8)
    assert imported.dropped[0] == "QLinearSoftmax_0 (Softmax)"
    assert found.first == ""


@pytest.mark.parametrize("form", ["operator", "nodes"])
def test_probabilities_of_equal_codes(form):
    """Logits differ by less than a code of probabilities: the graph takes the first of them."""
    graph = Integers((1, 5))
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(5, 3), 1e-4,
        graph.constant(0, np.int8), 0.0017, graph.zero(),
    )  # fmt: skip
    if form == "operator":
        x = graph.microsoft(
            "QLinearSoftmax", x, 0.0017, graph.zero(), 1 / 16, graph.zero(0), axis=-1, opset=13
        )
    else:
        x = graph.node("Softmax", graph.node("DequantizeLinear", x, 0.0017, graph.zero()), axis=-1)
        x = graph.node("QuantizeLinear", x, 1 / 16, graph.zero(0))
    imported, found = check(graph.model(x, kind=UINT8), 60)
    assert found.first == ""
    classes = found.classes
    assert 5 < classes.coded == classes.different < 60
    scores = Executor(imported.model, kernels=imported.kernels).run(pictures(imported, 60))[x]
    assert (scores.argmax(axis=1) != found.result.labels.numpy()).sum() == classes.different
    own = scores[np.arange(60), found.result.labels.numpy()]
    assert np.array_equal(own, scores.max(axis=1))


def test_probabilities_in_another_order_are_found():
    graph = Integers((1, 5))
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(5, 3), 0.01,
        graph.constant(0, np.int8), 0.17, graph.zero(),
    )  # fmt: skip
    x = graph.microsoft(
        "QLinearSoftmax", x, 0.17, graph.zero(), 1 / 256, graph.zero(0), axis=-1, opset=13
    )
    imported = import_model(graph.model(x, kind=UINT8), name="net")
    kernel = imported.kernels[x]
    node = helper.make_node(
        "QLinearLeakyRelu", kernel.node.input, [x], domain=MICROSOFT, alpha=-1.0
    )
    object.__setattr__(imported, "kernels", {x: kernel._replace(node=node)})
    assert "in the executor's" in agree(imported, pictures(imported)).classes.first


# --- refusals and faults ---------------------------------------------------------------------


def refused(graph, output, *words):
    with pytest.raises(NetworkError) as caught:
        import_model(graph.model(output, kind=UINT8), name="net")
    text = one_line(caught.value)
    for word in words:
        assert word in text, text


def test_a_scale_that_is_computed_from_the_data():
    graph = Integers((1, 5))
    outputs = ["codes", "scale", "zero"]
    x = graph.node("DynamicQuantizeLinear", graph.input, outputs=outputs)
    x = graph.node("MatMulInteger", x, graph.weights8(5, 3), "zero")
    refused(graph, x, "DynamicQuantizeLinear_0", "statically")


def test_a_kernel_that_onnxruntime_does_not_have_is_named():
    graph = Integers()
    x = graph.linear_conv(graph.start())
    x = graph.microsoft(
        "QLinearReduceMean", x, 0.31, graph.zero(), 0.1, graph.zero(), axes=[2, 3], keepdims=0
    )
    imported = import_model(graph.model(graph.finish(x, 0.1, 3)), name="net")
    with pytest.raises(NetworkError, match=r"^node QLinearReduceMean_0 \(QLinearReduceMean\): can"):
        agree(imported, pictures(imported, 2))


def test_operators_that_nobody_knows():
    graph = Integers((1, 5))
    x = graph.microsoft("QLinearWhere", graph.start(), 0.03, graph.zero(), graph.zero())
    refused(graph, x, "QLinearWhere_0", "not supported")


def test_too_few_inputs():
    graph = Integers((1, 5))
    refused(graph, graph.microsoft("QGemm", graph.start(), 0.03), "QGemm_0", "6 to 9 inputs")


def test_channels_last():
    graph = Integers()
    x = graph.microsoft(
        "QLinearGlobalAveragePool", graph.start(), 0.9, graph.zero(), 0.21, graph.zero(),
        channels_last=1,
    )  # fmt: skip
    refused(graph, x, "channels last")


def test_zero_points_that_do_not_fit():
    graph = Integers((1, 5))
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(5, 3), 0.01,
        graph.constant(0, np.uint8), 0.17, graph.zero(),
    )  # fmt: skip
    refused(graph, x, "zero point is of uint8")
    graph = Integers((1, 5))
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(5, 3), [0.01] * 3,
        graph.constant([0, 0], np.int8), 0.17, graph.zero(),
    )  # fmt: skip
    refused(graph, x, "do not fit a tensor of (5, 3)")


@pytest.mark.parametrize("scale", [0.17, 1e-4])
def test_a_kernel_of_other_weights_is_found(scale):
    """However large sums may be: no difference of many levels, or far from a border, is a tie."""
    graph = Integers((1, 64))
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(64, 3), 0.01,
        graph.constant(0, np.int8), scale, graph.zero(),
    )  # fmt: skip
    imported = import_model(graph.model(x, kind=UINT8), name="net")
    (kernel,) = imported.kernels.values()
    kernel.constants["QLinearMatMul_0/kernel/3"] = kernel.constants["QLinearMatMul_0/kernel/3"][
        ::-1
    ]
    found = agree(imported, pictures(imported, 100)).tensors[-1]
    assert found.different > 50
    assert found.ties == 0


def test_a_kernel_of_another_zero_point_is_found():
    graph = Integers((1, 5))
    x = graph.node(
        "QLinearMatMul", graph.start(), 0.03, graph.zero(), graph.weights8(5, 3), 0.01,
        graph.constant(0, np.int8), 0.17, graph.zero(),
    )  # fmt: skip
    imported = import_model(graph.model(x, kind=UINT8), name="net")
    (kernel,) = imported.kernels.values()
    kernel.constants["QLinearMatMul_0/kernel/7"] = np.array(118, np.uint8)
    assert any(each.first for each in agree(imported, pictures(imported)).tensors)
