"""Random modules of everyday calls, in any order: most make sense to torch, many to hardware."""

import random

import torch
from torch import nn
from torch.nn import functional

__all__ = ["RandomModule"]


class RandomModule(nn.Module):
    """Up to nine calls in a row, each of which may read what an earlier one gave, then a head.

    Parameters
    ----------
    seed : int
        Which calls.
    channels : int
        Of the image of 8x8.
    """

    def __init__(self, seed, channels=2):
        super().__init__()
        chance = random.Random(seed)
        self.calls = []
        self.layers = nn.ModuleDict()
        self.register_buffer("offset", torch.tensor([0.3, -0.2, 0.5, 0.1]).view(4, 1, 1))
        self.layers["stem"] = nn.Conv2d(channels, 4, 3, padding=chance.choice([0, 1]))
        self.normalised = chance.random() < 0.3
        for index in range(chance.randint(2, 8)):
            name = chance.choice(sorted(CALLS))
            made = CALLS[name](chance)
            if isinstance(made, nn.Module):
                self.layers[f"{name}{index}"] = made
                self.calls.append((f"{name}{index}", None, chance.random()))
            else:
                self.calls.append((name, made, chance.random()))
        self.ending = chance.choice(["", "norm", "log_softmax", "scaled"])
        self.by_mean = chance.random() < 0.5
        self.head = nn.LazyLinear(3)
        self.last = nn.BatchNorm1d(3)

    def forward(self, x):
        """Map images."""
        if self.normalised:
            x = (x - 0.25) / 0.5
        x = before = self.layers["stem"](x)
        for name, function, again in self.calls:
            y = self.layers[name](x) if function is None else function(self, x)
            if again < 0.25 and y.shape == before.shape:
                y = y + before if again < 0.15 else y - before
            before, x = (x if again > 0.7 else before), y
        x = x.mean((2, 3)) if self.by_mean else x.view(x.size(0), -1)
        x = self.head(x)
        if self.ending == "norm":
            x = self.last(x)
        if self.ending == "scaled":
            x = x * 0.5 - 1
        return functional.log_softmax(x, dim=1) if self.ending == "log_softmax" else x


def _conv(chance):
    dilation, stride = chance.choice([1, 1, 2]), chance.choice([1, 1, 2])
    padding = chance.choice([0, 1, "same"]) if stride == 1 else 1
    kernel, groups = chance.choice([1, 2, 3]), chance.choice([1, 2, 4])
    if padding == 1 and kernel == 1:
        padding = 0
    return nn.Conv2d(4, 4, kernel, stride, padding, dilation, groups, bias=chance.random() < 0.5)


def _times(factor):
    return lambda self, x: x * factor


CALLS = {
    "conv": _conv,
    "norm": lambda _: nn.BatchNorm2d(4),
    "relu": lambda _: nn.ReLU(),
    "inplace": lambda _: nn.ReLU(inplace=True),
    "relu6": lambda _: lambda self, x: functional.relu6(x),
    "clamp": lambda _: lambda self, x: x.clamp(-1, 2),
    "maxpool": lambda c: nn.MaxPool2d(*c.choice([(2,), (3, 1, 1), (2, 1)])),
    "avgpool": lambda c: nn.AvgPool2d(*c.choice([(2,), (3, 1, 1)])),
    "max": lambda _: lambda self, x: functional.max_pool2d(x, 2, 1),
    "add": lambda _: lambda self, x: x + self.offset,
    "scale": lambda c: _times(c.choice([2, 0.5, -1])),
    "minus": lambda _: lambda self, x: 1 - x,
    "negative": lambda _: lambda self, x: -x,
    "pad": lambda _: nn.ZeroPad2d((0, 1, 1, 0)),
    "dropout": lambda _: lambda self, x: functional.dropout(x, 0.5, self.training),
    "halves": lambda _: lambda self, x: x.div_(2),
}
