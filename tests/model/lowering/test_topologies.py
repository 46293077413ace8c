import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.lowering.lower import lower
from narrowgauge.model.lowering.topologies import NETWORKS, build

SHAPES = {  # image, classes, and weights, counted by hand
    "mlp": ((28, 28, 1), 10, 784 * 64 + 64 * 32 + 32 * 10),
    "lenet5": ((28, 28, 1), 10, 20 * 25 + 50 * 500 + 800 * 500 + 5000),
    "cifar10_full": ((32, 32, 3), 10, 32 * 75 + 32 * 800 + 64 * 800 + 10 * 1024),
    "all_cnn_c": (
        *((32, 32, 3), 10),
        9 * (3 * 96 + 2 * 96**2 + 96 * 192 + 3 * 192**2) + 192**2 + 192 * 10,
    ),
    "resnet8": (
        *((32, 32, 3), 10),
        9 * (3 * 16 + 3 * 16**2 + 2 * 16**2 + 32**2 + 2 * 32**2 + 64**2) - 9 * 16**2
        + 16 * 32 + 32 * 64 + 640,
    ),
    "resnet18": (
        *((32, 32, 3), 10),
        9 * (3 * 64 + sum(4 * c**2 - (0 if c == 64 else c**2 // 2) for c in (64, 128, 256, 512)))
        + sum(c * c // 2 for c in (128, 256, 512)) + 5120,
    ),
}  # fmt: skip


def weights(model):
    return sum(each.numel() for each in model.parameters() if each.ndim >= 2)


def stir(module):
    """Give every norm the constants of a trained one."""
    torch.manual_seed(1)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            assert each.running_mean is not None
            assert each.running_var is not None
            each.running_mean.normal_()
            each.running_var.uniform_(0.5, 2)
            nn.init.uniform_(each.weight, 0.5, 1.5)
            nn.init.normal_(each.bias)
    return module.eval()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("width", [0.25, 0.5])
def test_every_network_is_lowered_to_the_same_function(name, width):
    shape, classes, _ = SHAPES[name]
    torch.manual_seed(0)
    module = stir(build(name, shape, classes, width=width, widths=(64, 32)))
    model = lower(module, shape).eval()
    images = torch.rand(2, shape[2], *shape[:2])
    with torch.no_grad():
        assert torch.allclose(module(images), model(images), atol=1e-5)
    assert weights(model) == weights(module)


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_are_those_of_the_originals(name):
    shape, classes, count = SHAPES[name]
    assert weights(build(name, shape, classes, widths=(64, 32))) == count


def test_pools_of_cifar10_full_halve():
    model = lower(build("cifar10_full", (32, 32, 3), 10), (32, 32, 3))
    shapes = {node.name: node.shape for node in model.nodes}
    assert (shapes["conv1"], shapes["pool2"], shapes["pool3"]) == (
        *((32, 16, 16), (32, 8, 8)),
        (64, 4, 4),
    )


def test_resnet18_reads_large_images():
    model = lower(build("resnet18", (224, 224, 3), 1000, width=0.1), (224, 224, 3))
    shapes = {node.name: node.shape for node in model.nodes}
    assert shapes["conv1"] == (6, 56, 56)
    assert shapes["block4b.conv2"] == (51, 7, 7)
    assert model.nodes[-1].shape == (1000,)


def test_unknown_networks_are_refused():
    with pytest.raises(NetworkError, match="unknown network 'alexnet'; there is mlp, lenet5"):
        build("alexnet", (8, 8, 1), 10)


@pytest.mark.parametrize("width", [0, -1, 100])
def test_impossible_widths_are_refused(width):
    with pytest.raises(NetworkError, match="width multiplier"):
        build("lenet5", (28, 28, 1), 10, width=width)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(NetworkError, match="8x8x1"):
        lower(build("lenet5", (8, 8, 1), 10), (8, 8, 1))
