"""Fine-tuning of fitted networks: within the bound, never worse, and not on what decides."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import DataError
from narrowgauge.model.fitting import AccumulatorFit, fit_accumulator, search, tuning
from narrowgauge.model.post_training import NetworkImages

VALIDATION = 300


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 350)


@pytest.fixture(scope="module")
def network():
    """A network that knows nothing, which training can only make better."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def fit(network, images, **options):
    asked = {"bits": 10, "validation": VALIDATION, "fine_tune": 2, **options}
    return fit_accumulator(network, images, AccumulatorFit(**asked))


def widest(found, bound):
    return max(each[bound].final.bits for each in found.bounds.values())


def test_it_trains_within_the_bound(network, images):
    found = fit(network, images)
    assert found.is_tuned
    assert found.tuned == found.fitted > found.searched + 0.05
    assert widest(found, "exact") <= 10
    assert found.quantised.shares is not None
    assert found.quantised.shares.integer > found.searched
    assert found.quantised.network.about["accumulator_fit"]["fine_tune"] == 2


def test_weights_that_left_the_bound_are_never_kept(network, images, monkeypatch):
    def spread(exact, model, *given):
        """The largest levels in all weights of the first layer."""
        model.weighted()[0][1].weights()[1].data.fill_(1e6)
        return model

    better = count()  # each network is better than those before
    monkeypatch.setattr(search, "fine_tune", spread)
    monkeypatch.setattr(search._Search, "score", lambda *given: search.Score(1.0, next(better)))
    found = fit(network, images)
    assert not found.is_tuned
    assert widest(found, "exact") <= 10
    with monkeypatch.context() as patch:  # and the twin: what the check does not see is seen here
        patch.setattr(search._Search, "fits", lambda *given: True)
        patch.setattr(search, "too_wide", lambda *given: None)
        assert widest(fit(network, images), "exact") > 10


def test_a_worse_network_is_not_kept(network, images, monkeypatch):
    def spoil(exact, model, *given):
        model.weighted()[-1][1].bias.data[0] = 1e6
        return model

    monkeypatch.setattr(search, "fine_tune", spoil)
    found = fit(network, images)
    assert not found.is_tuned
    assert found.tuned is not None
    assert found.tuned < found.fitted == found.searched


def test_what_decides_is_not_trained_on(images):
    _, validation = search._split(images, VALIDATION)
    found = tuning.training_images(validation, validation.calibration)
    seen = {each.tobytes() for each in validation.calibration}
    assert len(found.images) == len(found.labels) == len(images.pixels.train_images) - VALIDATION
    assert not seen & {each.tobytes() for each in found.images}


def test_images_that_nothing_can_be_trained_on(images):
    with pytest.raises(DataError, match="no training images of pixels"):
        tuning.training_images(replace(images, pixels=None), images.calibration)
    with pytest.raises(DataError, match="all training images of digits are to validate on"):
        tuning.training_images(images, images.pixels.train_images)
