"""Integers of networks in every format against exact thresholds, written down by hand."""

from collections import OrderedDict
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import Requantised
from narrowgauge.hw.numbers.formats import Bipolar, parse
from narrowgauge.model.integers.export import export
from narrowgauge.model.layers.affine import constants
from narrowgauge.model.layers.blocks import Formats
from narrowgauge.model.layers.norm import round_norms, units
from narrowgauge.model.lowering.lower import lower
from narrowgauge.model.lowering.topologies import Residual
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.model.training.train import Trained

SIZE = (6, 6, 1)
FORMATS = [
    ("bipolar", "bipolar", "uint4"), ("bipolar", "uint4", "bipolar"), ("int3", "uint1", "uint4"),
    ("int4", "uint4", "uint8"), ("int8", "uint8", "uint8"), ("pow2_4", "uint8", "uint4"),
    ("e3m2", "int5", "uint4"), ("int4", "uint12", "uint4"),
]  # fmt: skip


def module():
    """Every kind of layer: a norm behind a pool, a residual sum, groups, an average."""
    layers = {
        "conv1": nn.Conv2d(1, 4, 3, padding=1),
        "pool1": nn.MaxPool2d(2),
        "norm1": nn.BatchNorm2d(4),
        "relu1": nn.ReLU(),
        "block1": Residual(4, 6),
        "pool2": nn.AvgPool2d(3, 1, 1),
        "conv2": nn.Conv2d(6, 8, 3, groups=2, bias=False),
        "norm2": nn.BatchNorm2d(8),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(8, 3),
    }
    return nn.Sequential(OrderedDict(layers))


def network(weight, activation, input, *, bits, scale="learned", seed=0):
    """A model of random parameters, as training would leave it."""
    chance = torch.Generator().manual_seed(seed)
    float_module = module()
    with torch.no_grad():
        for path, each in float_module.named_modules():
            if isinstance(each, nn.Conv2d | nn.Linear):
                each.weight.normal_(generator=chance).mul_(each.weight[0].numel() ** -0.5)
            if isinstance(each, nn.BatchNorm2d):
                signs = torch.rand(each.weight.shape, generator=chance) < 0.3 * (path != "norm1")
                each.weight.uniform_(0.5, 1.5, generator=chance).mul_(torch.where(signs, -1.0, 1.0))
                mean, variance = each.running_mean, each.running_var
                assert mean is not None
                assert variance is not None
                for tensor in (each.bias, mean):
                    tensor.uniform_(-0.5, 0.5, generator=chance)
                variance.uniform_(0.3, 2, generator=chance)
        model = lower(float_module, SIZE)
        samples = model.calibrate(torch.rand(16, 1, 6, 6, generator=chance))
        formats = Formats(parse(weight), parse(activation))
        fmt = parse(input)
        names = [node.name for node in model.nodes]
        model.quantize(dict.fromkeys(names, formats), fmt, 1 / fmt.max_level, scale=scale)
        model.fit_scales(samples)
        model.eval()
        if bits is not None:
            round_norms(model, bits)
    recipe = Recipe(weight=weight, activation=activation)
    trained = Trained(recipe, model, 0.0, None, (), 0.0, fmt, "cpu")
    return model, export(trained, lanes=3)


@torch.no_grad()
def wrong(model, found):
    """Channels whose integers step at another sum than the model's own numbers say."""
    layers = {each.name: each for each in found if isinstance(each, Requantised)}
    unit, scales = units(model), model.scales()
    names = []
    for node, step in model.items()[:-1]:
        layer = layers[node.name]
        numbers = torch.broadcast_tensors(unit[node.name], *constants(step.norm))
        level = Fraction(float(scales[node.name]))
        for channel, each in enumerate(zip(*(row.tolist() for row in numbers), strict=True)):
            one, mean, deviation, gamma, beta = map(Fraction, each)
            slope = abs(one * gamma / deviation) / level
            offset = (beta - mean * gamma / deviation) / level
            exact, integer = [], []
            sign = layer.output == Bipolar()
            bottom, top = (0, 1) if sign else (layer.output.min_level, layer.output.max_level)
            for goal in range(bottom + 1, top + 1):
                half = Fraction(0) if sign else Fraction(1, 2)
                edge = 0 if sign else goal - half
                exact.append(ceil((edge - offset) / slope))
                target = 0 if sign else (goal << layer.shift) - ((1 << layer.shift) >> 1)
                bias, multiplier = int(layer.bias[channel]), int(layer.multiplier[channel])
                integer.append(-((bias - target) // multiplier))
            reach = sums_of(layer, channel)
            names += [(node.name, channel)] * (
                np.clip(exact, *reach).tolist() != np.clip(integer, *reach).tolist()
            )
    return names


def sums_of(layer, channel):
    """The lowest sum of a channel and one more than the highest, over all inputs."""
    weights = getattr(layer, "weights", None)
    if weights is not None:
        factors = [(int(each), layer.input) for each in weights[channel].flat]
    elif hasattr(layer, "summands"):
        factors = list(zip(layer.summands, layer.inputs, strict=True))
    else:
        factors = [(layer.window.taps, layer.input)]
    ends = [sorted((each * fmt.min_level, each * fmt.max_level)) for each, fmt in factors]
    return sum(low for low, _ in ends), sum(high for _, high in ends) + 1


@pytest.mark.parametrize("bits", [10, None])
@pytest.mark.parametrize(("weight", "activation", "input"), FORMATS)
def test_integers_step_where_the_model_does(weight, activation, input, bits):
    model, (found, reports) = network(weight, activation, input, bits=bits)
    assert wrong(model, found) == []
    assert all(each.levels_compared >= 3 for each in reports[:-1])
    assert len({each.shift for each in reports[:-1] if each.multiplier_bits > 1}) <= 1


@pytest.mark.parametrize("what", ["bias", "multiplier"])
def test_a_planted_fault_is_seen(what):
    model, (found, _) = network("int4", "uint4", "uint8", bits=10, scale="statistics")
    assert wrong(model, found) == []
    (layer,) = [each for each in found if each.name == "conv2"]
    assert isinstance(layer, Requantised)
    getattr(layer, what)[5] += int(layer.multiplier[5])
    assert wrong(model, found) == [("conv2", 5)]


def test_a_training_that_diverged_is_named():
    model, (_, _) = network("int4", "uint4", "uint8", bits=None)
    (norm,) = [step.norm for node, step in model.items() if node.name == "conv2"]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight[1] = torch.nan
    trained = Trained(Recipe(weight="int4"), model, 0.0, None, (), 0.0, parse("uint8"), "cpu")
    with pytest.raises(NetworkError, match="layer conv2: a norm or a scale is infinite or no numb"):
        export(trained, lanes=3)
