"""Files of onnxruntime's static quantiser and of Brevitas' QCDQ export, against onnxruntime.

``NARROWGAUGE_LONG=1`` runs whole networks and 200 images each.
"""

import os
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.nn import functional

from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.executor import Executor
from narrowgauge.model.exchange.importer import import_model

from . import quantised_files
from .quantised_files import brevitas_lenet, brevitas_resnet, exported, lenet, quantised, resnet
from .test_linear_codes import whole

LONG = bool(os.environ.get("NARROWGAUGE_LONG"))
COUNT = 200 if LONG else 20
LINE, IMAGE = (1, 28, 28), (3, 32, 32) if LONG else (3, 12, 12)
SMALL_LENET: dict[str, Any] = {} if LONG else {"channels": (3, 4), "widths": (16, 12)}
SMALL_RESNET: dict[str, Any] = {} if LONG else {"width": 4, "size": 12}
BYTES = {"activation_type": "QUInt8", "weight_type": "QInt8"}
SIGNED = {"activation_type": "QInt8", "weight_type": "QInt8"}


@pytest.fixture
def compare(tmp_path, capsys):
    """Compare a file with its import, and with onnxruntime's run of it from end to end."""

    def compared(given, name):
        model, patterns = given
        images, _ = quantised_files.images(patterns, COUNT)
        imported = import_model(model, name=name)
        found = agree(imported, images)
        assert [each.first for each in found.tensors if each.first] == []
        assert found.first == ""
        names = [each.tensor for each in imported.watched]
        own = Executor(imported.model, kernels=imported.kernels).run(images, keep=names)
        ours = whole(model, images, names)
        moved = {n: int((own[n] != values).sum()) for n, values in ours.items()}
        count = sum(each.elements for each in found.tensors)
        ties = sum(each.ties for each in found.tensors)
        with capsys.disabled():
            if LONG:
                far = max(each.distance for each in found.tensors)
                print(
                    f"\n{name}: {count:,} levels, {ties} ties (farthest {far:.1g}), "
                    f"{sum(moved.values())} of onnxruntime's own run differ from its single "
                    f"nodes', {found.same_levels} of {COUNT} images all equal, "
                    f"{found.same_class} of one class; {_classes(model, images, found)}"
                )
        assert ties <= count // 10_000 + 2
        assert sum(moved.values()) <= count // 1000
        return imported, found

    return compared


@pytest.fixture(autouse=True)
def seeded():
    """The same weights to begin with, whatever ran before."""
    torch.manual_seed(0)


def _classes(model, images, found):
    """How many classes onnxruntime gives as ours with all of its optimisations."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (given,) = session.get_inputs()
    rows = [np.ravel(np.asarray(session.run(None, {given.name: one[None]})[0])) for one in images]
    same = (np.argmax(rows, axis=1) == found.result.labels.numpy()).sum()
    return f"{same} of one class with its fused integer kernels"


@pytest.mark.parametrize(
    ("form", "per_channel"),
    [("QDQ", False), ("QOperator", True), *[("QDQ", True), ("QOperator", False)][: 2 * LONG]],
)
def test_lenet(compare, tmp_path, form, per_channel):
    module = lenet(**SMALL_LENET)
    given = quantised(module, LINE, tmp_path, form=form, per_channel=per_channel, types=BYTES)
    imported, _ = compare(given, f"LeNet-5 {form} {per_channel}")
    assert all(str(layer.output) == "uint8" for layer in imported.network)


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_resnet(compare, tmp_path, form):
    module = resnet(**SMALL_RESNET)
    types = BYTES if form == "QOperator" else SIGNED
    given = quantised(module, IMAGE, tmp_path, form=form, per_channel=True, types=types)
    imported, _ = compare(given, f"ResNet-8 {form}")
    assert sum(layer.kind == "add" for layer in imported.network) == 3
    assert "Softmax" in imported.dropped[0]


def test_brevitas_lenet(compare, tmp_path):
    given = exported(brevitas_lenet(**SMALL_LENET), LINE, tmp_path)
    imported, _ = compare(given, "LeNet-5 QCDQ")
    assert {str(layer.output) for layer in imported.network.layers[:-1]} == {"uint4"}


def test_brevitas_resnet(compare, tmp_path):
    given = exported(brevitas_resnet(**SMALL_RESNET), IMAGE, tmp_path)
    imported, _ = compare(given, "ResNet-8 QCDQ")
    assert sum(layer.kind == "add" for layer in imported.network) == 3


class Fake(torch.nn.Module):
    """Fake quantisers as training with PyTorch leaves them, of 7 bits in the middle."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = torch.nn.Conv2d(1, 4, 3), torch.nn.Linear(144, 10)
        self.scale = self.conv.weight.detach().abs().amax((1, 2, 3)) / 127
        self.zero = torch.zeros(4, dtype=torch.int32)

    def forward(self, x):
        fake = torch.fake_quantize_per_tensor_affine
        weights = self.conv.weight
        weights = torch.fake_quantize_per_channel_affine(
            weights, self.scale, self.zero, 0, -128, 127
        )
        x = functional.conv2d(fake(x, 0.013, 13, 0, 255), weights, self.conv.bias)
        x = fake(torch.relu(x), 0.021, 0, 0, 127).flatten(1)
        weights = fake(self.linear.weight, 0.002, 0, -128, 127)
        return functional.linear(x, weights, self.linear.bias)


def test_fake_quantisers_of_pytorch(compare, tmp_path):
    module, path = Fake().eval().requires_grad_(False), tmp_path / "fake.onnx"
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.rand(1, 1, 8, 8),), path, dynamo=False)
    imported, _ = compare((onnx.load(path), torch.randn(10, 1, 8, 8)), "PyTorch")
    assert [str(layer.input) for layer in imported.network] == ["uint8", "uint7"]


def test_a_zero_point_off_by_one_is_found(tmp_path):
    """What the file says now is not what was imported."""
    model, patterns = quantised(lenet(**SMALL_LENET), LINE, tmp_path, form="QOperator", types=BYTES)
    images, _ = quantised_files.images(patterns, 4)
    imported = import_model(model, name="right")
    (node,) = [each for each in model.graph.node if each.op_type == "QLinearConv"][:1]
    (zero,) = [each for each in model.graph.initializer if each.name == node.input[7]]
    value = onnx.numpy_helper.to_array(zero)
    zero.CopyFrom(onnx.numpy_helper.from_array(value + np.uint8(1), zero.name))
    wrong = import_model(model, name="wrong")
    object.__setattr__(imported, "model", wrong.model)
    object.__setattr__(imported, "kernels", wrong.kernels)
    assert any(each.first for each in agree(imported, images).tensors)
