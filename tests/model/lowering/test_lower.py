import pytest
import torch
from torch import nn
from torch.nn import functional

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.lowering import tracing
from narrowgauge.model.lowering.lower import lower

from .test_topologies import stir

IMAGE = (8, 8, 3)


def same(module, image=IMAGE):
    """Lower, compare on random images, return the model."""
    module = stir(module)
    model = lower(module, image).eval()
    images = torch.rand(3, image[2], *image[:2]) - 0.5
    with torch.no_grad():
        assert torch.allclose(module(images), model(images), atol=1e-5)
    return model


def kinds(model):
    return {node.name: type(step).__name__ for node, step in model.items()}


def test_biases_norms_and_pools_join_their_layer():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Dropout(),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 5),
        nn.BatchNorm1d(5),
        nn.ReLU(),
        nn.Identity(),
        nn.Linear(5, 2),
    )
    model = same(module)
    assert kinds(model) == {"0": "Block", "4": "Block", "8": "Block", "12": "Head"}
    assert model.items()[0][1].pool_name == "1"


def test_the_module_of_the_user_stays_as_it_is():
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 2))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    model = lower(module, IMAGE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


class Functions(nn.Module):
    """Plain calls in place of modules, a shortcut that is read twice, and an addition unlike +."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.pool = nn.AvgPool2d(3, 2, 1)
        self.deeper = nn.ModuleDict({"conv": nn.Conv2d(4, 4, 1)})
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        """Map images to logits."""
        x = self.pool(functional.relu(self.conv(x)))
        y = self.deeper["conv"](x)
        y += x
        return self.head(torch.flatten(torch.add(y, x).relu(), 1))


def test_functions_and_shortcuts():
    model = same(Functions())
    assert list(kinds(model).values()) == [
        "Block",
        "AveragePoolStep",
        "Block",
        "AddStep",
        "AddStep",
        "Head",
    ]
    assert model.nodes[2].name == "deeper.conv"
    sums = [node for node in model.nodes if len(node.sources) == 2]
    assert sums[0].sources == ("deeper.conv", "pool")
    assert sums[1].sources == (sums[0].name, "pool")
    assert [step.relu for _, step in model.items()] == [True, True, False, False, True, False]


def test_a_relu_behind_a_max_pool_moves_before_it():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(36, 2),
    )  # fmt: skip
    model = same(module)
    assert kinds(model) == {"0": "Block", "2": "MaxPoolStep", "5": "Head"}
    assert model.items()[0][1].relu


def test_a_network_may_end_with_a_pool_or_a_convolution():
    last = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert kinds(same(last)) == {"0": "Block", "2": "AveragePoolStep"}
    assert kinds(same(nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()))) == {"0": "Head"}


class Branches(nn.Module):
    """Decides by its input."""

    def forward(self, x):
        """Map images to logits."""
        return x if x.sum() > 0 else -x


class Shared(nn.Module):
    """Uses one layer twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        """Map images to images."""
        return self.conv(self.conv(x))


def chain(*layers):
    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers)


REFUSED = {
    r"1 \(Sigmoid\) is not supported: use ReLU, .*; supported are Conv2d": chain(nn.Sigmoid()),
    r"1 \(Softshrink\) is not supported; supported are Conv2d": chain(nn.Softshrink()),
    r"inner\.0 \(ConvTranspose2d\)": nn.Sequential(),
    r"0 \(Conv2d\) pads with reflect": nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    ),
    r"1 \(AvgPool2d\) has ceil_mode": chain(nn.AvgPool2d(4, ceil_mode=True)),
    r"1 \(AvgPool2d\) does not count": chain(nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
    r"1 \(AdaptiveAvgPool2d\) gives 4x4 positions of 6x6": chain(nn.AdaptiveAvgPool2d(4)),
    r"1 \(BatchNorm2d\) has no slope": chain(nn.BatchNorm2d(4, affine=False)),
    r"2 \(Linear\) reads a tensor that is not flattened": chain(nn.ReLU(), nn.Linear(6, 2)),
    r"1 \(Flatten\) makes 4x36 of 4x6x6, .* does not flatten all": chain(nn.Flatten(2)),
    r"network ends with 0: the last layer": chain(nn.ReLU()),
    r"gives 4 channels at 6x6": chain(),
    r"Branches cannot be traced": Branches(),
    r"conv \(Conv2d\) is used twice": Shared(),
    r"the network has no convolution or linear layer": nn.Sequential(nn.Flatten()),
    r"a network is a torch module, not int": 3,
    r"does not take images of 8x8x3": nn.Sequential(nn.Flatten(), nn.Linear(5, 2)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_hardware_does_not_run_is_named(message):
    module = REFUSED[message]
    if "inner" in message:
        module.add_module("inner", nn.Sequential(nn.ConvTranspose2d(3, 4, 3)))
    with pytest.raises(NetworkError, match=message) as caught:
        lower(module, IMAGE)
    assert "\n" not in str(caught.value)


def test_a_negative_slope_behind_a_max_pool_is_named():
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.weight[2] = -1
    module = chain(nn.MaxPool2d(2), norm, nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    with pytest.raises(NetworkError, match=r"2 \(BatchNorm2d\) has a negative slope"):
        lower(module, IMAGE)


def test_what_fails_in_the_tracing_itself_is_not_said_of_the_images(monkeypatch):
    """The planted fault is ours; a call of the module that fails is said to be its own."""
    monkeypatch.setattr(tracing._Tracer, "_given", lambda self, node: self.no_such_name)
    with pytest.raises(NetworkError, match=r"Sequential cannot be traced: .*no_such_name"):
        lower(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)), IMAGE)
