"""Weights that are projected keep within limits of sums while they are trained; others leave."""

import copy

import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.fitting.projection import layer_limits, projected, round_within
from narrowgauge.model.layers.blocks import Formats
from narrowgauge.model.layers.rounding import within
from narrowgauge.model.lowering.lower import lower

BITS = 10


@pytest.fixture
def model():
    """Two dense layers of int4 and uint4, quantised."""
    torch.manual_seed(0)
    float_model = lower(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4)), (8, 8, 1)
    )
    formats = Formats(parse("int4"), parse("uint4"))
    samples = float_model.eval().calibrate(torch.rand(32, 1, 8, 8))
    float_model.quantize({node.name: formats for node in float_model.nodes}, parse("uint4"), 1 / 15)
    float_model.fit_scales(samples)
    return float_model


@torch.no_grad()
def share(model, limits):
    """The largest share of a limit that the weights take before they are rounded."""
    found = []
    for node, step in model.weighted():
        quantizer, shadow = step.weights()
        real = within(shadow / quantizer.scale(shadow), quantizer.ends).flatten(1)
        found.append(float(limits[node.name].share(real).max()))
    return max(found)


def trained(model, steps=20):
    """Steps that make every weight larger; shares before the last one moved them."""
    weights = [step.weights()[1] for _, step in model.weighted()]
    optimizer = torch.optim.SGD(weights, lr=0.05)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.rand(4, 1, 8, 8))  # what moves them back is in front of this
        for weight in weights:
            weight.grad = -torch.sign(weight)
        optimizer.step()
    model(torch.rand(4, 1, 8, 8))
    return model


def test_weights_that_grow_are_moved_back_before_every_step(model):
    limits = layer_limits(model, BITS)
    free = trained(copy.deepcopy(model))
    assert share(free, limits) > 1.5  # the twin
    with projected(model, limits):
        trained(model)
        assert share(model, limits) < 1 + 1e-5
    trained(model)
    assert share(model, limits) > 1.5  # nothing stays behind


def test_levels_keep_the_limits_in_the_end(model):
    limits = layer_limits(model, BITS)
    trained(model)
    for rounds in (False, True):
        if rounds:
            round_within(model, limits)
        kept = []
        for node, step in model.weighted():
            quantizer, shadow = step.weights()
            kept.append(bool(limits[node.name].fits(quantizer.levels(shadow).flatten(1)).all()))
        assert all(kept) == rounds


def test_an_accumulator_that_holds_no_weight_is_refused(model):
    with pytest.raises(NetworkError, match=r"layer .*: an accumulator of 4 bits holds no product"):
        layer_limits(model, 4)
