"""Everyday PyTorch: modules as people write them, and what becomes of each."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from narrowgauge.model.lowering.lower import ImageShape

__all__ = ["IDIOMS", "Idiom", "MnistNet"]


class Idiom(NamedTuple):
    """A module, its image, and what the refusal says; None for the same function."""

    make: Callable[[], nn.Module]
    refusal: str | None = None
    image: ImageShape = (8, 8, 2)


class MnistNet(nn.Module):
    """The network of PyTorch's MNIST example, as it stands."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        """Map images to the logarithms of probabilities."""
        x = self.conv1(x)
        x = functional.relu(x)
        x = self.conv2(x)
        x = functional.relu(x)
        x = functional.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = functional.relu(x)
        x = self.dropout2(x)
        x = self.fc2(x)
        output = functional.log_softmax(x, dim=1)
        return output


class CifarNet(nn.Module):
    """The network of PyTorch's CIFAR-10 tutorial: one pool for all, a flatten of all but images."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        """Map images to logits."""
        x = self.pool(functional.relu(self.conv1(x)))
        x = self.pool(functional.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        return self.fc3(x)


class BasicMnist(nn.Module):
    """The older example: pools inside ReLUs, ``view``, functional dropout."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        """Map images to the logarithms of probabilities."""
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.relu(functional.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = functional.relu(self.fc1(x))
        x = functional.dropout(x, training=self.training)
        x = self.fc2(x)
        return functional.log_softmax(x, dim=1)


class Separable(nn.Module):
    """A block of MobileNet: ReLU6 behind norms, depthwise and pointwise, an inverted residual."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6(inplace=True)
        )
        self.body = nn.Sequential(
            nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True), nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 3))

    def forward(self, x):
        """Map images to logits."""
        x = self.stem(x)
        x = x + self.body(x)
        x = functional.adaptive_avg_pool2d(x, (1, 1))
        x = torch.flatten(x, 1)
        return self.classifier(x)


class PreActivation(nn.Module):
    """A residual block whose norm and ReLU come before its convolutions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        """Map images to logits."""
        x = self.conv(x)
        x = x + self.conv1(functional.relu(self.bn1(x)))
        x = functional.avg_pool2d(functional.relu(self.bn2(x)), 8)
        return self.linear(x.view(x.size(0), -1))


class Normalised(nn.Module):
    """Normalises the image itself, by buffers as torchvision has them."""

    def __init__(self, *, padding):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456]).view(1, 2, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224]).view(1, 2, 1, 1))
        self.conv = nn.Conv2d(2, 4, 3, padding=padding)
        self.fc = nn.LazyLinear(3)

    def forward(self, x):
        """Map images to logits."""
        x = (x - self.mean) / self.std
        return self.fc(functional.relu(self.conv(x)).flatten(1))


class Body(nn.Module):
    """Layers by name, and a forward that a case gives."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.fc = nn.LazyLinear(3)
        for name, layer in layers.items():
            if isinstance(layer, nn.Parameter):
                self.register_parameter(name, layer)
            elif isinstance(layer, torch.Tensor):
                self.register_buffer(name, layer)
            else:
                self.add_module(name, layer)
        self.steps = forward

    def forward(self, x):
        """Map images to logits."""
        return self.steps(self, x)


class Sizes(nn.Module):
    """Asks for sizes, as careful people do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        """Map images to logits."""
        if x.dim() != 4 or x.shape[1] != 2:
            raise ValueError("images of two channels")
        batch, _, height, width = x.shape
        assert height == width
        x = self.conv(x).relu()
        return self.fc(functional.avg_pool2d(x, x.size()[2:]).reshape(batch, -1))


def _ready(module, image):
    """Run lazy layers once; those of a module that does not run read nothing."""
    shape = (image[2], *image[:2]) if len(image) == 3 else (image[1], image[0])
    try:
        with torch.no_grad():
            module.eval()(torch.rand(2, *shape))
    except Exception:
        name = "fc" if hasattr(module, "fc") else str(len(module) - 1)
        setattr(module, name, nn.Linear(1, 3))
    return module.train()


def body(forward, image=(8, 8, 2), refusal=None, **layers):
    """A module whose forward is ``forward(self, x)``; its last layer is ``self.fc``."""

    def make():
        module = Body(forward, **{name: layer() for name, layer in layers.items()})
        return _ready(module, image)

    return Idiom(make, refusal, image)


def inner(function, refusal=None, **layers):
    """A module whose forward calls ``function(x)`` behind a convolution."""
    return body(
        lambda self, x: self.fc(torch.flatten(function(self.conv(x)), 1)),
        refusal=refusal,
        **layers,
    )


def chain(*layers, image=(8, 8, 2), refusal=None):
    """A `Sequential` of what ``layers`` make."""

    def make():
        module = nn.Sequential(*(layer() for layer in layers))
        return _ready(module, image)

    return Idiom(make, refusal, image)


def layer(kind, *arguments, refusal=None, **options):
    """A layer behind a convolution and a ReLU, before a linear layer."""
    return chain(
        lambda: nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU,
        lambda: kind(*arguments, **options),
        nn.Flatten,
        lambda: nn.LazyLinear(3),
        refusal=refusal,
    )


def line(*layers, refusal=None):
    """A network of one dimension."""
    return chain(*layers, image=(16, 2), refusal=refusal)


def last(function, refusal=None):
    """A module that ends with ``function(logits)``."""
    return body(lambda self, x: function(self.fc(self.conv(x).relu().flatten(1))), refusal=refusal)


def conv(*sizes, **options):
    """A maker of a convolution."""
    return lambda: nn.Conv2d(*sizes, **options)


IDIOMS = {
    # --- whole networks
    "PyTorch's CIFAR-10 tutorial": Idiom(CifarNet, None, (32, 32, 3)),
    "PyTorch's older MNIST example": Idiom(BasicMnist, None, (28, 28, 1)),
    "MobileNet's block": Idiom(Separable),
    "a pre-activation block": Idiom(PreActivation),
    "sizes that are asked for": Idiom(Sizes),
    # --- shapes
    "view of the size": inner(lambda x: x.view(x.size(0), -1)),
    "view of the shape": inner(lambda x: x.view(x.shape[0], -1)),
    "view of a number": inner(lambda x: x.view(-1, 4 * 8 * 8)),
    "reshape": inner(lambda x: x.reshape(len(x), -1)),
    "reshape of torch": inner(lambda x: torch.reshape(x, (x.shape[0], 256))),
    "contiguous": inner(lambda x: x.contiguous().view(x.size(0), -1)),
    "flatten from the end": inner(lambda x: x.flatten(start_dim=-3)),
    "squeeze": inner(lambda x: functional.adaptive_avg_pool2d(x, 1).squeeze()),
    "squeeze twice": inner(lambda x: functional.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)),
    "indexed": inner(lambda x: functional.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]),
    "Unflatten of a vector": layer(
        lambda: nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Unflatten(1, (4, 1, 1)))
    ),
    "unsqueeze": body(
        lambda self, x: self.fc(self.small(self.conv(x).mean((2, 3))[..., None, None]).flatten(1)),
        small=conv(4, 5, 1),
    ),
    "of another kind and back": inner(lambda x: x.to(torch.float32).to(x.device)),
    "a part": inner(lambda x: x[:, :2], "getitem .* takes a part of a tensor"),
    "rows apart": inner(lambda x: x[:, :, ::2], "takes a part of a tensor"),
    "permuted": inner(lambda x: x.permute(0, 2, 3, 1), r"permute\) is not supported: hard"),
    "transposed": inner(lambda x: x.transpose(2, 3), "transpose .* keeps channels, rows and col"),
    "another order": inner(lambda x: x.view(x.size(0), 8, 8, 4), "makes 8x8x4 of 4x8x8"),
    "images mixed": inner(lambda x: x.view(-1, 128), "view .* mixes images"),
    "chunks": inner(lambda x: torch.chunk(x, 2, 1)[0], r"chunk \(chunk\) is not supported"),
    # --- pools
    "F.max_pool2d": inner(lambda x: functional.max_pool2d(functional.relu(x), 2)),
    "F.max_pool2d by name": inner(
        lambda x: functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    ),
    "F.avg_pool2d": inner(lambda x: functional.avg_pool2d(x, (2, 4))),
    "F.avg_pool2d by place": inner(lambda x: functional.avg_pool2d(x, 3, 2, 1)),
    "mean of rows and columns": inner(lambda x: x.mean((2, 3))),
    "mean from the end": inner(lambda x: x.mean([-1, -2], keepdim=True)),
    "torch.mean": inner(lambda x: torch.mean(x.relu(), dim=(2, 3))),
    "mean of columns": inner(lambda x: x.mean(3), "is not the mean of all rows and columns"),
    "mean of all": inner(lambda x: x + x.mean(), "mixes images"),
    "an adaptive pool that divides": layer(nn.AdaptiveAvgPool2d, 2),
    "an adaptive pool of the image": layer(nn.AdaptiveAvgPool2d, (8, 8)),
    "an adaptive pool between": layer(nn.AdaptiveAvgPool2d, 3, refusal="3x3 positions of 8x8"),
    "AdaptiveMaxPool2d": layer(nn.AdaptiveMaxPool2d, (4, 2)),
    "ceil_mode that divides": layer(nn.MaxPool2d, 2, ceil_mode=True),
    "ceil_mode that does not": layer(nn.MaxPool2d, 3, 2, ceil_mode=True),
    "ceil_mode and padding": layer(nn.MaxPool2d, (3, 2), (3, 4), (1, 0), ceil_mode=True),
    "ceil_mode of a mean": layer(nn.AvgPool2d, 3, 2, ceil_mode=True, refusal="another divisor"),
    "padding that does not count": layer(
        nn.AvgPool2d, 3, 2, 1, count_include_pad=False, refusal="use count_include_pad=True"
    ),
    # --- bounds
    "ReLU6": layer(nn.ReLU6),
    "F.relu6": inner(functional.relu6),
    "F.relu": inner(lambda x: functional.relu(x, inplace=True)),
    "Hardtanh": chain(
        conv(2, 4, 3), lambda: nn.BatchNorm2d(4), nn.Hardtanh, nn.Flatten, lambda: nn.LazyLinear(3)
    ),
    "F.hardtanh of numbers": inner(lambda x: functional.hardtanh(x, -2.0, 0.5)),
    "uneven bounds": inner(lambda x: functional.hardtanh(x, -0.01, 6)),
    "a bound below": inner(lambda x: x.clamp(min=-0.5)),
    "clamp": inner(lambda x: x.clamp(0, 1)),
    "torch.clamp": inner(lambda x: torch.clamp(x, min=-1, max=1)),
    "bounds behind a pool": inner(lambda x: functional.relu6(functional.max_pool2d(x, 2))),
    "bounds of bounds": inner(lambda x: functional.relu6(x.relu()).clamp(max=2)),
    "bounds behind a mean": inner(lambda x: functional.avg_pool2d(x, 2).relu()),
    "bounds that leave out 0": inner(lambda x: x.clamp(1, 2), "within 1 and 2, which leaves out 0"),
    "ReLU of the image": body(lambda self, x: self.fc(self.conv(x.relu()).flatten(1))),
    "LeakyReLU": layer(nn.LeakyReLU, 0.1, refusal=r"2 \(LeakyReLU\) .*: use ReLU, ReLU6 or Hard"),
    "GELU": inner(functional.gelu, r"gelu \(gelu\) is not supported: use ReLU"),
    "SiLU": layer(nn.SiLU, refusal=r"SiLU\) is not supported: use ReLU"),
    "sigmoid inside": inner(torch.sigmoid, r"sigmoid \(sigmoid\) is not supported: use ReLU"),
    "Dropout, Identity": layer(lambda: nn.Sequential(nn.Dropout(), nn.Identity(), nn.Dropout2d())),
    "F.dropout": body(
        lambda self, x: self.fc(functional.dropout(self.conv(x), 0.5, self.training).flatten(1))
    ),
    "F.dropout that stays": inner(functional.dropout, r"called with training=True"),
    # --- convolutions
    "padding same": layer(nn.Conv2d, 4, 4, 3, padding="same"),
    "padding same of two": layer(nn.Conv2d, 4, 4, (2, 4), padding="same"),
    "padding valid": layer(nn.Conv2d, 4, 4, 3, padding="valid"),
    "dilation": layer(nn.Conv2d, 4, 4, 3, dilation=2, padding=2),
    "dilation same": layer(nn.Conv2d, 4, 4, (3, 2), dilation=(2, 3), padding="same"),
    "dilation of groups": layer(nn.Conv2d, 4, 6, 3, dilation=(1, 2), groups=2),
    "ZeroPad2d": layer(lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 4, 3, 2))),
    "F.pad": body(
        lambda self, x: self.fc(self.second(functional.pad(self.conv(x), (1, 0, 2, 1))).flatten(1)),
        second=conv(4, 3, 3),
    ),
    "padding for a pool": layer(
        lambda: nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 2)), refusal="reads padding, which"
    ),
    "padding of a constant": layer(
        lambda: nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.Conv2d(4, 4, 3)), refusal="pads with 0.5"
    ),
    "reflection": layer(
        nn.Conv2d, 4, 4, 3, padding=1, padding_mode="reflect", refusal="pads with reflect"
    ),
    "ConvTranspose2d": layer(nn.ConvTranspose2d, 4, 4, 2, 2, refusal="use nearest Upsample"),
    "F.conv2d": inner(
        lambda x: functional.conv2d(x, torch.ones(4, 4, 1, 1)), "conv2d .*use a layer: nn.Conv2d"
    ),
    # --- one dimension
    "Conv1d": line(
        lambda: nn.Conv1d(2, 4, 3, padding=1), lambda: nn.BatchNorm1d(4), nn.ReLU,
        lambda: nn.MaxPool1d(2), lambda: nn.Conv1d(4, 6, 3, 2, groups=2), nn.ReLU,
        lambda: nn.AdaptiveAvgPool1d(1), nn.Flatten, lambda: nn.Linear(6, 3),
    ),
    "Conv1d, dilated and same": line(
        lambda: nn.Conv1d(2, 4, 5, dilation=2, padding="same"), nn.ReLU6, lambda: nn.AvgPool1d(4),
        nn.Flatten, lambda: nn.LazyLinear(3),
    ),
    "Conv1d of an image of one row": body(
        lambda self, x: self.fc(functional.max_pool1d(self.line(x.squeeze(2)), 4).flatten(1)),
        image=(1, 16, 2), line=lambda: nn.Conv1d(2, 4, 3),
    ),
    "a mean of a line": body(
        lambda self, x: self.fc(self.line(x).relu().mean(-1)),
        image=(16, 2), line=lambda: nn.Conv1d(2, 4, 3),
    ),
    "Conv1d of an image": chain(
        lambda: nn.Conv1d(2, 4, 3), nn.Flatten, lambda: nn.Linear(9, 3),
        refusal=r"network of one dimension takes \(length, channels\)"
    ),
    "rows as a line": body(
        lambda self, x: self.fc(self.line(x.flatten(2)).flatten(1)), refusal="makes 2x64 of 2x8x8",
        line=lambda: nn.Conv1d(2, 4, 3),
    ),
    "LSTM": layer(lambda: nn.LSTM(8, 4), refusal=r"LSTM\) is not supported: use convolutions"),
    # --- norms
    "BatchNorm of the image": chain(
        lambda: nn.BatchNorm2d(2), conv(2, 4, 3, padding=1), nn.ReLU, nn.Flatten,
        lambda: nn.LazyLinear(3),
    ),
    "BatchNorm behind ReLU": chain(
        conv(2, 4, 3), nn.ReLU, lambda: nn.BatchNorm2d(4), lambda: nn.MaxPool2d(2),
        conv(4, 4, 3, padding=1), nn.ReLU, lambda: nn.BatchNorm2d(4), nn.Flatten,
        lambda: nn.LazyLinear(3),
    ),
    "BatchNorm behind the last one": chain(
        conv(2, 4, 3), nn.ReLU, nn.Flatten, lambda: nn.LazyLinear(3), lambda: nn.BatchNorm1d(3)
    ),
    "BatchNorm behind a last convolution": chain(
        conv(2, 3, 8), lambda: nn.BatchNorm2d(3), nn.Flatten
    ),
    "BatchNorm of features behind ReLU": chain(
        nn.Flatten, lambda: nn.Linear(128, 6), nn.ReLU, lambda: nn.BatchNorm1d(6),
        lambda: nn.Linear(6, 3),
    ),
    "BatchNorm of what is flattened": chain(
        conv(2, 4, 3), nn.Flatten, lambda: nn.BatchNorm1d(144), lambda: nn.Linear(144, 3),
        refusal="normalises what was flattened",
    ),
    "LayerNorm": layer(nn.LayerNorm, [4, 8, 8], refusal="is not supported: use BatchNorm1d or"),
    "GroupNorm": layer(nn.GroupNorm, 2, 4, refusal="is not supported: use BatchNorm1d or"),
    # --- constants
    "mean and std as buffers": Idiom(lambda: _ready(Normalised(padding=0), (8, 8, 2))),
    "mean and std before padding": Idiom(lambda: _ready(Normalised(padding=1), (8, 8, 2))),
    "mean and std as numbers": body(
        lambda self, x: self.fc(self.small((x - 0.1307) / 0.3081).relu().flatten(1)),
        small=conv(2, 4, 3),
    ),
    "pixels of 0 to 255": body(lambda self, x: self.fc(self.conv(x.float() / 255).flatten(1))),
    "pixels of -1 to 1": body(
        lambda self, x: self.fc(self.small(2 * x - 1).relu().flatten(1)), small=conv(2, 4, 3)
    ),
    "from the other side": inner(lambda x: 1 - x.relu()),
    "in place": inner(lambda x: x.mul_(2).add_(1)),
    "-=": body(lambda self, x: self.fc(self.minus(self.conv(x)).flatten(1)), minus=lambda: Minus()),
    "a learned scale": body(
        lambda self, x: self.fc((self.conv(x) * self.gamma[:, None, None]).relu().flatten(1)),
        gamma=lambda: nn.Parameter(torch.tensor([1.0, -0.5, 2.0, 0.1])),
    ),
    "a frozen parameter": body(
        lambda self, x: self.fc((self.conv(x) * self.gain).flatten(1)),
        gain=lambda: nn.Parameter(torch.tensor(1.5), requires_grad=False),
    ),
    "a learned offset behind ReLU": body(
        lambda self, x: self.fc((self.conv(x).relu() + self.beta).flatten(1)),
        beta=lambda: nn.Parameter(torch.arange(4.0).view(4, 1, 1)),
    ),
    "a constant before a pool": inner(
        lambda x: functional.max_pool2d(functional.avg_pool2d(x.relu() - 0.5, 2), 2)
    ),
    "a negative scale before a pool": inner(lambda x: functional.max_pool2d(-x.relu(), 2)),
    "scaled logits": last(lambda x: x / 4.0),
    "a constant of every pixel": inner(
        lambda x: x + torch.arange(64.0).view(8, 8), "a constant that differs within a channel"
    ),
    "divided by a tensor": inner(lambda x: 1 / x.relu(), "divides by a tensor"),
    "a power": inner(lambda x: x**2, r"pow \(pow\) is not supported"),
    # --- two tensors
    "a difference": body(
        lambda self, x: self.fc((self.conv(x) - self.other(x)).relu().flatten(1)),
        other=conv(2, 4, 3, padding=1),
    ),
    "a difference of activations": body(
        lambda self, x: self.fc((self.conv(x).relu() - self.other(x).relu()).flatten(1)),
        other=conv(2, 4, 3, padding=1),
    ),
    "a scaled branch": body(
        lambda self, x: self.fc((self.conv(x).relu() + 0.1 * self.other(x)).relu().flatten(1)),
        other=conv(2, 4, 3, padding=1),
    ),
    "a gate": body(
        lambda self, x: self.fc((self.conv(x) * self.other(x)).flatten(1)),
        refusal=r"mul \(mul\) is to multiply two tensors", other=conv(2, 4, 3, padding=1),
    ),
    "cat into a convolution": body(
        lambda self, x: self.fc(
            self.mix(torch.cat([self.conv(x).relu(), self.other(x), x], 1)).relu().flatten(1)
        ),
        other=conv(2, 3, 3, padding=1), mix=conv(9, 4, 3, padding=1),
    ),
    "cat into a linear layer": body(
        lambda self, x: self.fc(
            self.mix(torch.cat((self.conv(x).relu(), self.other(x)), dim=1).flatten(1)).relu()
        ),
        other=conv(2, 3, 3, padding=1), mix=lambda: nn.Linear(448, 5),
    ),
    "cat of pools, a norm behind": body(
        lambda self, x: self.fc(
            self.norm(self.mix(torch.cat([self.pool(self.conv(x)), self.mean(x)], 1))).relu()
            .flatten(1)
        ),
        pool=lambda: nn.MaxPool2d(2), mean=lambda: nn.AvgPool2d(2), mix=conv(6, 4, 1),
        norm=lambda: nn.BatchNorm2d(4),
    ),
    "cat into the last layer": body(
        lambda self, x: self.fc(torch.cat([self.conv(x), self.other(x)], 1).flatten(1)),
        refusal="the network ends with fc'': the last layer", other=conv(2, 4, 3, padding=1),
    ),
    "cat into a pool": inner(
        lambda x: functional.max_pool2d(torch.cat([x, x.relu()], 1), 2),
        "reads what was concatenated: only",
    ),
    "cat, scaled": inner(lambda x: 2 * torch.cat([x, x.relu()], 1), "reads what was concatenated"),
    "cat of rows": inner(lambda x: torch.cat([x, x.relu()], 2), "joins along dimension 2"),
    "stack": inner(lambda x: torch.stack([x, x], 1), r"stack .* add tensors of the same shape"),
    "matmul": inner(lambda x: x @ x, r"matmul\) is not supported: use a layer"),
    "a pool of one pixel, read twice": inner(
        lambda x: functional.adaptive_avg_pool2d(x, 8).relu() + x
    ),
    "bounds of bounds, read twice": inner(lambda x: _bounded_twice(x.relu())),
    "no padding, read twice": inner(lambda x: functional.pad(x, (0, 0, 0, 0)).relu() + x),
    "an index, read twice": inner(lambda x: x[:].relu() + x),
    # --- images
    "three images": body(
        lambda self, x: self.fc(self.conv(x).flatten(1)[:3]), refusal="takes some of the images"
    ),
    "the first images": inner(lambda x: x[:5].relu(), r"getitem .* takes some of the images"),
    "some of the rows": inner(lambda x: x[:, :, 1:], "takes a part of a tensor"),
    "many images": body(
        lambda self, x: _in_small_batches(self, x), refusal="differs from it by .* on random images"
    ),
    "one image": body(
        lambda self, x: _one_by_one(self, x), refusal="differs from it for one image by"
    ),
    # --- gradients
    "no_grad around some layers": body(
        lambda self, x: _without_gradients_for_features(self, x),
        refusal=r"conv \(Conv2d\) runs without gradients \(no_grad\), but",
    ),
    "no_grad around all": body(
        lambda self, x: _without_gradients(self, x), refusal="runs without gradients"
    ),
    # --- sizes
    "Upsample": layer(nn.Upsample, scale_factor=2),
    "Upsample of rows": layer(nn.Upsample, size=(24, 8)),
    "UpsamplingNearest2d": layer(nn.UpsamplingNearest2d, scale_factor=(2, 3)),
    "Upsample to no multiple": layer(nn.Upsample, size=(12, 9), refusal="give a whole multiple"),
    "bilinear Upsample": layer(
        nn.Upsample, scale_factor=2, mode="bilinear", refusal=r"\(bilinear\).*use nearest"
    ),
    "F.interpolate": inner(lambda x: functional.interpolate(x, scale_factor=2)),
    "one pixel for all": inner(
        lambda x: x + functional.interpolate(functional.adaptive_avg_pool2d(x, 1), size=(8, 8))
    ),
    "enlarged, scaled and bounded": inner(
        lambda x: functional.relu6(functional.interpolate(x.relu() * 2 - 1, scale_factor=2))
    ),
    "Upsample to the same size": layer(nn.Upsample, size=(8, 8)),
    "PixelShuffle": layer(nn.PixelShuffle, 2, refusal="use nearest Upsample and Conv2d"),
    # --- ends
    "log_softmax": last(lambda x: functional.log_softmax(x, dim=1)),
    "saturated classes": body(
        lambda self, x: (self.fc(self.small(x - 0.5).flatten(1)) * 1e4).softmax(1),
        small=conv(2, 4, 3),
    ),
    "only zeros": last(lambda x: x * 0.0, "gives nothing but 0"),
    "softmax": last(lambda x: x.softmax(-1)),
    "LogSoftmax": chain(conv(2, 3, 8), nn.Flatten, lambda: nn.LogSoftmax(dim=1)),
    "Softmax before a reshape": chain(conv(2, 3, 8), lambda: nn.Softmax(dim=1), nn.Flatten),
    "softmax inside": inner(lambda x: x.softmax(1), "is not the last call"),
    "softmax of images": last(lambda x: x.softmax(0), "over dimension 0, not over the classes"),
    "argmax": last(lambda x: x.argmax(1), "argmax .* give the logits themselves"),
    "an early exit": last(lambda x: (x, x), "returns 2 tensors, as of an early exit"),
    "Sigmoid at the end": last(torch.sigmoid, "sigmoid .* is not supported"),
    "ReLU at the end": last(functional.relu, "the network ends with fc: the last layer is"),
}  # fmt: skip


def _bounded_twice(x):
    return x.relu().clamp(0, 1) + x


@torch.no_grad()
def _without_gradients(self, x):
    return self.fc(self.conv(x).relu().flatten(1))


def _without_gradients_for_features(self, x):
    with torch.no_grad():
        x = self.conv(x).relu()
    return self.fc(x.flatten(1))


def _in_small_batches(self, x):
    x = self.conv(x).relu()
    return self.fc((x if x.size(0) > 3 else 2 * x).flatten(1))


def _one_by_one(self, x):
    x = self.conv(x).relu()
    return self.fc((x if len(x) > 1 else -x).flatten(1))


class Minus(nn.Module):
    """Subtracts in place."""

    def forward(self, x):
        """Map values."""
        x -= 0.25
        return x
