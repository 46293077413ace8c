"""Sensitivities: of nothing nothing, wider is better, and they are those of one layer alone."""

import copy

import pytest
import torch

from narrowgauge.model.post_training import NetworkImages, PostTraining
from narrowgauge.model.post_training.quantization import lowered, quantize_model
from narrowgauge.model.post_training.sensitivity import divergence, sensitivities

from .networks import fitted

IMAGES = NetworkImages.load("digits", 64)


def found(weight):
    exact = lowered(copy.deepcopy(fitted()), IMAGES)
    model, _, _ = quantize_model(exact, IMAGES, PostTraining(weight=weight, activation="uint8"))
    return exact, model, IMAGES.values(IMAGES.calibration)


def test_divergence_is_that_of_probabilities():
    one, two = torch.tensor([[0.0, 1.0], [3.0, 0.0]]), torch.tensor([[1.0, 1.0], [3.0, 0.0]])
    p, q = one.double().softmax(dim=1), two.double().softmax(dim=1)
    assert divergence(one, two) == pytest.approx(float((p * (p / q).log()).sum() / 2))
    assert divergence(one, one) == 0
    assert divergence(one, one + 5) == pytest.approx(0, abs=1e-9)  # no probability changes


def test_narrower_weights_cost_more():
    narrow, middle, wide = (sensitivities(*found(name)) for name in ("int2", "int4", "int8"))
    assert list(narrow) == ["0", "4", "7"]
    assert all(narrow[name] > middle[name] > wide[name] >= 0 for name in narrow)


def test_a_layer_is_alone():
    """What other layers are quantised to does not matter."""
    exact, model, images = found("int4")
    before = sensitivities(exact, model, images)
    with torch.no_grad():
        quantizer, _ = dict((node.name, step) for node, step in model.weighted())["4"].weights()
        assert quantizer.log2_scale is not None
        quantizer.log2_scale.add_(1.0)
    after = sensitivities(exact, model, images)
    assert after["4"] != before["4"]
    assert (after["0"], after["7"]) == (before["0"], before["7"])
