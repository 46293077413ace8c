"""A float network that knows digits without being trained: random features, and least squares."""

from functools import cache
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from narrowgauge.model.data import load

T = TypeVar("T")


def known(value: T | None) -> T:
    """A value that is there."""
    assert value is not None
    return value


def layer_of(net, index):
    """A layer with weights and a bias."""
    layer = net[index]
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    assert layer.bias is not None
    return layer


def small(image_shape=(8, 8, 1), classes=10):
    """A convolution with norm and pool, and a head."""
    height, columns, channels = image_shape
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1, groups=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (height // 2) * (columns // 2), classes),
    )


@cache
def fitted():
    """The network, right in most digits; callers take a copy before they change it."""
    digits, net = load("digits"), small()
    images = torch.from_numpy(digits.values(digits.train_images)).permute(0, 3, 1, 2)
    with torch.no_grad():
        net[0](images)
        net.train()
        for module in net:
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        net(images)
        net.eval()
        head = layer_of(net, -1)
        features = net[:-1](images)
        with_one = functional.pad(features, (0, 1), value=1.0).double()
        wanted = functional.one_hot(torch.from_numpy(digits.train_labels), 10).double()
        square = with_one.T @ with_one + 0.05 * torch.eye(with_one.shape[1]).double()
        found = torch.linalg.solve(square, with_one.T @ wanted).float()
        head.weight.copy_(found[:-1].T)
        known(head.bias).copy_(found[-1])
    return net
