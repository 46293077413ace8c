"""Integers of networks in every format against exact thresholds, written down by hand."""

from collections import OrderedDict
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.file import from_bytes, to_bytes
from narrowgauge.hw.network.layers import Requantised, Weighted
from narrowgauge.hw.numbers.formats import Bipolar, Fixed, parse
from narrowgauge.model.integers.export import export
from narrowgauge.model.integers.reference import evaluate
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


def network(weight, activation, input, *, bits, scale="learned", seed=0, widths=None, one=False):
    """A model of random parameters, as training would leave it.

    ``widths`` are those of the channels of layers by name, with ``one`` scale a layer or more.
    """
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
        each = {
            node.name: formats._replace(widths=(widths or {}).get(node.name))
            for node in model.nodes
        }
        for _, step in model.weighted() if one else ():
            step.per_channel = False
        model.quantize(each, fmt, 1 / fmt.max_level, scale=scale)
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


WIDTHS = {"conv1": 4, "block1.conv1": 6, "block1.conv2": 6, "conv2": 8, "dense": 3}


@torch.no_grad()
def off(model, found, seed=0):
    """How far torch's logits are from the last layer's levels, of what those can be."""
    levels = np.random.default_rng(seed).integers(0, 16, (20, 6, 6, 1))
    images = torch.from_numpy(levels).permute(0, 3, 1, 2) * torch.tensor(model.input_scale)
    step, scales = model.steps[-1], model.scales()
    logits = model(images).numpy() / float(step.unit(scales[model.nodes[-1].sources[0]]))
    return abs(logits - evaluate(found, levels, 3).levels.numpy().reshape(logits.shape)).max()


@settings(max_examples=8, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            name: st.lists(st.integers(2, 8), min_size=count, max_size=count)
            for name, count in WIDTHS.items()
        }
    ),
    st.sampled_from(["learned", "statistics"]),
    st.booleans(),
    st.integers(0, 99),
)
def test_channels_of_any_widths_are_the_integers(widths, scale, one, seed):
    """Torch and integers are equal, whatever the width and the scale of each channel."""
    given_ = {name: tuple(each) for name, each in widths.items()}
    parts = ("int8", "uint4", "uint4")
    model, (found, _) = network(*parts, bits=10, scale=scale, seed=seed, widths=given_, one=one)
    assert wrong(model, found) == []
    assert off(model, found, seed) < 0.1
    for layer in found:
        if isinstance(layer, Weighted):
            asked = given_.get(layer.name, (8,) * layer.channels)
            assert layer.channel_widths == asked
            assert str(layer.weight) == f"int{max(asked)}"
            limits = [Fixed(width).max_level for width in asked]
            assert (abs(layer.weights.reshape(layer.channels, -1)).max(axis=1) <= limits).all()
    content = to_bytes(found)
    assert to_bytes(from_bytes(content, origin="it")) == content


def test_a_level_that_is_wrong_in_a_narrow_channel_is_seen():
    widths = {"conv2": (2, 4) * 4, "dense": (2, 8, 4)}
    model, (found, _) = network("int8", "uint4", "uint4", bits=10, widths=widths)
    assert off(model, found) < 0.1
    last = found.layers[-1]
    assert isinstance(last, Weighted)
    assert last.multiplier.tolist() == [64, 1, 16]
    last.multiplier[0] = 32
    assert off(model, found) > 1


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
