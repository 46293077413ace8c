"""Channels that are equalised across layers: the same network, and one scale that serves them."""

import copy

import pytest
import torch
from torch import nn

from narrowgauge.hw.network.layers import Weighted
from narrowgauge.model.layers.affine import Shift
from narrowgauge.model.lowering.lower import lower
from narrowgauge.model.post_training import NetworkImages, PostTraining, quantize
from narrowgauge.model.post_training.equalization import equalize, fold_norms
from narrowgauge.model.post_training.quantization import lowered

from .networks import fitted, known, layer_of


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 60)


def uneven():
    """The network of the tests, its channels of very different sizes, which cancel."""
    net = copy.deepcopy(fitted())
    factors = torch.logspace(-1.5, 1.5, 12)
    with torch.no_grad():
        for parameter in net[1].parameters():
            parameter.mul_(factors)
        reader = layer_of(net, 4).weight
        reader.div_(factors.reshape(4, 1, 3, 1, 1).expand(4, 4, 3, 1, 1).reshape(16, 3, 1, 1))
    return net


def logits(model, images):
    with torch.no_grad():
        return model(images.values(images.test[:50]))


def test_the_network_stays_what_it_was(images):
    """Through a max pool, a grouped convolution, a flattening and a head."""
    model = lowered(uneven(), images)
    before = logits(model, images)
    fold_norms(model)
    assert all(isinstance(step.norm, Shift) for _, step in model.weighted()[:2])
    assert torch.allclose(logits(model, images), before, rtol=1e-4, atol=1e-4)
    assert equalize(model) == 2
    assert torch.allclose(logits(model, images), before, rtol=1e-4, atol=1e-4)
    first, second, _ = (step.op.weight.detach() for _, step in model.weighted())
    given = first.flatten(1).abs().amax(dim=1)
    read = second.reshape(4, 4, 3, 9).abs().amax(dim=(1, 3)).flatten()
    assert torch.allclose(given, read, rtol=0.02)


def test_factors_that_only_one_layer_takes_would_be_seen(images, monkeypatch):
    def wrong(pair, factors):
        pair.first.op.weight.data.div_(factors.reshape(-1, 1, 1, 1))

    model = lowered(uneven(), images)
    before = logits(model, images)
    fold_norms(model)
    monkeypatch.setattr(f"{equalize.__module__}._Neighbours.multiply", wrong)
    equalize(model)
    assert not torch.allclose(logits(model, images), before, rtol=1e-2, atol=1e-2)


def test_one_scale_a_layer_loses_less(images):
    def same(**options):
        method = PostTraining(weight="int4", activation="uint8", scales="tensor", **options)
        return known(quantize(uneven(), images, method, figures=False).shares).same

    plain, equalised = same(norms="folded"), same(equalize=True)
    assert equalised > plain + 0.05


def test_what_is_clipped_or_read_twice_stays(images):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.head = nn.Linear(256, 10)

        def forward(self, x):
            x = torch.relu(self.one(x))
            return self.head(torch.relu(self.two(x) + x).flatten(1))

    clipped = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU6(), nn.Flatten(), nn.Linear(256, 10)
    )
    for module in (Twice(), clipped):
        model = lower(module, (8, 8, 1)).eval()
        fold_norms(model)
        assert equalize(model) == 0


def test_folded_norms_change_nothing_with_a_scale_a_channel(images):
    def levels(norms):
        method = PostTraining(weight="int4", norms=norms, weight_range="minmax")
        found = quantize(fitted(), images, method, figures=False)
        return [abs(layer.weights) for layer in found.network if isinstance(layer, Weighted)]

    kept, folded = levels("kept"), levels("folded")
    differ = sum(int((one != two).sum()) for one, two in zip(kept, folded, strict=True))
    assert differ <= 2  # of a tie between two levels
