"""MLPerf Tiny's trained ResNet-8 for CIFAR-10 as a float network of torch.

``pretrainedResnet.tflite`` of MLPerf Tiny has its BatchNorms folded into weights and biases. Each
becomes one again, with the statistics that its convolution has on images: it is the same function,
and can be trained further. Convolutions of stride 2 pad behind the image only, as TensorFlow does.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ....hw.errors import DataError, NetworkError
from ....model.exchange.tflite.reading import read_tflite
from ....model.layers.blocks import Model
from ....model.lowering.lower import lower

__all__ = ["FILE", "IMAGE", "ReferenceResnet", "lowered", "read_reference", "settle"]

FILE = "pretrainedResnet.tflite"
IMAGE = (32, 32, 3)
CLASSES = 10
PIXEL = 255.0  # it reads pixels of 0 to 255, and networks here 0 to 1


class _Block(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution of one pixel at stride 2."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.behind = stride - 1  # rows and columns of padding at the end
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 2 - stride, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.norm3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map values of shape (images, inputs, height, width)."""
        y = functional.pad(x, (0, self.behind, 0, self.behind)) if self.behind else x
        y = functional.relu(self.norm1(self.conv1(y)))
        y = self.norm2(self.conv2(y))
        return functional.relu(y + (x if self.shortcut is None else self.norm3(self.shortcut(x))))


class ReferenceResnet(nn.Module):
    """The network before its softmax: three blocks of 16, 32 and 64 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.block1, self.block2 = _Block(16, 16, 1), _Block(16, 32, 2)
        self.block3 = _Block(32, 64, 2)
        self.dense = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels of 0 to 1, of shape (images, 3, 32, 32), to logits."""
        x = functional.relu(self.norm(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.dense(x.mean((2, 3)))

    def folded(self) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Yield every convolution with its norm, in the order of the file."""
        yield self.conv, self.norm
        for block in (self.block1, self.block2, self.block3):
            yield block.conv1, block.norm1
            yield block.conv2, block.norm2
            if block.shortcut is not None:
                yield block.shortcut, block.norm3


def read_reference(images: Tensor) -> ReferenceResnet:
    """Read the network from ``mlperf-tiny`` of ``NARROWGAUGE_DATA``.

    Parameters
    ----------
    images : Tensor of shape (images, 3, 32, 32)
        Values of 0 to 1, of which norms take their statistics.

    Raises
    ------
    DataError
        Where the file is not there.
    NetworkError
        Where it is another network.
    """
    folder = Path(os.environ.get("NARROWGAUGE_DATA", "."), "mlperf-tiny")
    path = next(folder.rglob(FILE), None)
    if path is None:
        raise DataError(f"{folder}: has no {FILE}, MLPerf Tiny's trained network")
    module = ReferenceResnet().eval()
    constants = list(_constants(path))
    layers = [*module.folded(), (module.dense, None)]
    if len(constants) != len(layers):
        raise NetworkError(f"{path}: {len(constants)} layers with weights instead of {len(layers)}")
    with torch.no_grad():
        for (layer, norm), (weight, bias) in zip(layers, constants, strict=True):
            if layer is module.conv:
                weight = weight * PIXEL
            if tuple(weight.shape) != tuple(layer.weight.shape):
                raise NetworkError(f"{path}: weights of shape {tuple(weight.shape)}")
            layer.weight.copy_(weight)
            if norm is None:
                assert layer.bias is not None
                layer.bias.copy_(bias)
            else:
                norm.bias.copy_(bias)
                norm.running_var.fill_(1 - norm.eps)
        settle(module, images)
    return module


def lowered(parameters: dict[str, Tensor]) -> Model:
    """Return the network of these parameters in steps of hardware."""
    module = ReferenceResnet()
    module.load_state_dict(parameters)
    return lower(module.eval(), IMAGE)


def _constants(path: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield weights, as torch has them, and biases of each layer."""
    graph = read_tflite(path)
    import tflite

    model = tflite.Model.GetRootAs(graph.content, 0)
    tensors = model.Subgraphs(0)
    assert tensors is not None

    def floats(place: int) -> Tensor:
        tensor = tensors.Tensors(place)
        assert tensor is not None
        buffer = model.Buffers(tensor.Buffer())
        assert buffer is not None
        found = np.asarray(buffer.DataAsNumpy()).view("<f4").reshape(graph.tensors[place].shape)
        return torch.from_numpy(found.astype(np.float32))

    for operation in graph.operations:
        if operation.kind in ("CONV_2D", "FULLY_CONNECTED"):
            _, weight, bias = operation.inputs
            values = floats(weight)
            yield values.permute(0, 3, 1, 2) if values.ndim == 4 else values, floats(bias)


def settle(module: ReferenceResnet, images: Tensor) -> None:
    """Give each norm the statistics of what it reads; what it gives stays."""
    for _, norm in module.folded():

        def note(given: nn.Module, inputs: tuple[Tensor], norm: nn.BatchNorm2d = norm) -> None:
            values = inputs[0]
            mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3))
            norm.running_mean.copy_(mean)  # type: ignore[union-attr]
            norm.running_var.copy_(variance)  # type: ignore[union-attr]
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.add_(mean)

        hook = norm.register_forward_pre_hook(note)
        module(images)
        hook.remove()
