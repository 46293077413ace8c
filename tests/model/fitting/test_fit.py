"""Networks fitted to accumulators: what is guaranteed, what is tried, and what is refused."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import DataError, GeometryError, NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.program.bounds import SumBound
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.fitting import AccumulatorFit, candidates, fit_accumulator, search, settled
from narrowgauge.model.fitting.candidates import WidthPair, maximal
from narrowgauge.model.integers.partial_sums import seen_sums
from narrowgauge.model.post_training import NetworkImages

from ...hw.networks import random_network

VALIDATION = 60


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 110)


@pytest.fixture(scope="module")
def network(images):
    """A small network that labels digits."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    values, labels = images.values(images.calibration), torch.tensor(images.calibration_labels)
    steps = torch.optim.Adam(made.parameters(), 0.02)
    for _ in range(60):
        steps.zero_grad()
        nn.functional.cross_entropy(made(values), labels).backward()
        steps.step()
    return made


def fit(**options):
    return AccumulatorFit(**{"bits": 12, "validation": VALIDATION, **options})


@pytest.fixture(scope="module")
def fitted(network, images):
    return fit_accumulator(network, images, fit())


def assert_fits(found, bits, bound, overflow="wrap"):
    """The bound fits, and nothing is beyond the register on any test image, measured."""
    assert found.quantised.network.accumulator.width == bits
    for bounds in found.bounds.values():
        assert bounds[bound].needed(overflow).bits <= bits


def test_sums_fit_and_formats_differ_by_layer(fitted, images):
    assert_fits(fitted, 12, "exact")
    network = fitted.quantised.network
    levels = images.levels(images.test, network.input, fitted.quantised.model.input_scale)
    seen = seen_sums(network, levels, 4, steps=True)
    assert [each.beyond for each in seen.values()] == [0, 0]
    pairs = [(each.activation, each.weight) for each in fitted.layers]
    assert [(layer.input.width, layer.weight.width) for layer in network] == pairs
    assert fitted.quantised.shares.integer > 0.6
    Program(network, Geometry(2, 2, 4, slice=2))  # layers of several widths share one array


def test_only_pairs_that_fill_the_accumulator_are_tried(fitted):
    assert 0 < fitted.tried < fitted.grid / 4
    for each in fitted.layers:
        assert each.tried <= each.fitting <= each.grid
    assert maximal([WidthPair(1, 2), WidthPair(2, 2), WidthPair(1, 3), WidthPair(3, 2)]) == [
        WidthPair(1, 3),
        WidthPair(3, 2),
    ]
    assert maximal([WidthPair(8, 8), WidthPair(8, 7)]) == [WidthPair(8, 8)]


@pytest.mark.parametrize(
    ("bound", "overflow"), [("l1", "wrap"), ("type", "saturate"), ("calibrated", "saturate")]
)
def test_every_bound(network, images, fitted, bound, overflow):
    found = fit_accumulator(network, images, fit(bound=bound, overflow=overflow))
    assert_fits(found, 12, bound, overflow)
    assert found.quantised.network.accumulator.overflow == overflow
    bits = [sum(each.fitting for each in one.layers) for one in (found, fitted)]
    assert (bits[0] < bits[1]) == (bound != "calibrated")


def test_a_bound_that_says_too_little_is_found(network, images, monkeypatch):
    original = SumBound.needed

    def half(self, overflow):
        found = original(self, overflow)
        return replace(found, low=found.low // 2, high=found.high // 2)

    with monkeypatch.context() as patch:
        patch.setattr(SumBound, "needed", half)
        found = fit_accumulator(network, images, fit())
    with pytest.raises(AssertionError):
        assert_fits(found, 12, "exact")


def test_what_was_foretold_too_narrow_is_decided_anew(network, images, monkeypatch):
    original = candidates._scaled
    monkeypatch.setattr(candidates, "_scaled", lambda *given: original(*given) - 1)
    found = fit_accumulator(network, images, fit(bound="calibrated", bits=10))
    assert_fits(found, 10, "calibrated")


def test_too_few_bits_are_refused_with_the_layer_and_the_least(network, images):
    with pytest.raises(
        NetworkError, match=r"layer 1: no pair .* 4-bit .* (\d) bits is the least"
    ) as it:
        fit_accumulator(network, images, fit(bits=4))
    least = int(str(it.value).split("; ")[1].split()[0])
    fit_accumulator(network, images, fit(bits=least))
    with pytest.raises(NetworkError, match="the least"):
        fit_accumulator(network, images, fit(bits=least - 1))


def test_a_drop_beyond_what_is_allowed_is_refused(network, images, monkeypatch):
    score = search._Search.scored
    monkeypatch.setattr(
        search._Search,
        "scored",
        lambda self, decided: score(self, decided)._replace(right=self.exact_share - 0.02),
    )
    with pytest.raises(NetworkError, match=r"lose 2.00 points of 60 .* 1 are allowed"):
        fit_accumulator(network, images, fit(accuracy_drop=1))
    fit_accumulator(network, images, fit(accuracy_drop=2.1))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"bound": "tight"}, NetworkError, "a bound is type, l1, exact, calibrated"),
        ({"accuracy_drop": -1}, NetworkError, "0 to 100 points, not -1"),
        ({"accuracy_drop": float("nan")}, NetworkError, "0 to 100 points, not nan"),
        ({"validation": 3}, NetworkError, "at least 8 images"),
        ({"fine_tune": -1}, NetworkError, "0 epochs or more, not -1"),
        ({"bits": 1}, GeometryError, "2 to 48 bits"),
        ({"overflow": "trap"}, GeometryError, "wrap or saturate"),
    ],
)
def test_bad_options(options, error, text):
    with pytest.raises(error, match=text):
        fit(**options)


def test_bad_images(network, images):
    with pytest.raises(DataError, match="110 images are too few to validate on 110"):
        fit_accumulator(network, images, fit(validation=110))
    unlabelled = replace(images, calibration_labels=None)
    with pytest.raises(DataError, match="no training images with labels"):
        fit_accumulator(network, unlabelled, fit())


def test_a_network_whose_formats_are_settled():
    wanted = partial(AccumulatorFit, validation=8)
    own = random_network(1, ("int4", "uint4", "uint4"), (6, 4, 3), fit(bits=20).accumulator)
    needed = max(each["exact"].final.bits for each in search.network_bounds(own, 4).values())
    found = settled(own, None, wanted(bits=needed))
    assert found.accumulator.width == needed
    assert found.about["accumulator_fit"]["bound"] == "exact"
    with pytest.raises(NetworkError, match=rf"layer layer. .* {needed} would do"):
        settled(own, None, wanted(bits=needed - 1))
    with pytest.raises(NetworkError, match="no wider than 20 bits already"):
        settled(own, None, wanted(bits=20))
    with pytest.raises(NetworkError, match="needs images: give --data"):
        settled(own, None, wanted(bits=needed, bound="calibrated"))
    levels = np.zeros((2, 1, 1, 6), int)
    bounds = search.network_bounds(own, 4, levels)
    seen = max(each["calibrated"].final.bits for each in bounds.values())
    assert seen < needed
    settled(own, levels, wanted(bits=seen, bound="calibrated"))
