"""Weights rounded for an accumulator: no input overflows it, and little is given up for that."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import GeometryError, NetworkError
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.bounds import exact_bound
from narrowgauge.hw.program.mapping import map_network
from narrowgauge.model.integers.guarantee import prove_sums
from narrowgauge.model.layers.quantize import WeightQuantizer
from narrowgauge.model.post_training import (
    NetworkImages,
    PostTraining,
    limited_rounding,
    quantize,
    sum_limits,
)
from narrowgauge.model.post_training.limited_rounding import _Rounding, limit_levels
from narrowgauge.model.post_training.sum_limits import SumLimits

from .networks import fitted

FORMATS = ("int3", "int4", "pow2_4", "e2m1")


def task(generator, inputs, fmt, bits, channels, size):
    """A rounding of random weights, as far beyond the limits as it comes."""
    spread = torch.randn(2 * size, size, generator=generator)
    covariance = (spread.T @ spread / len(spread) + 0.1 * torch.eye(size))[None]
    most = float(parse(fmt).max_level)
    wanted = (2 * torch.randn(1, channels, size, generator=generator)).clamp(-most, most)
    ends = (torch.full((1, channels), -most), torch.full((1, channels), most))
    return _Rounding(covariance, wanted, SumLimits.exact(bits, parse(inputs)), parse(fmt), ends)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from(("uint2", "uint4", "int3", "bipolar")),
    st.sampled_from(FORMATS),
    st.integers(6, 9),
    st.integers(1, 4),
    st.integers(1, 70),
)
def test_no_limit_is_ever_broken(seed, inputs, fmt, bits, channels, size):
    made = task(torch.Generator().manual_seed(seed), inputs, fmt, bits, channels, size)
    limits, levels = (
        SumLimits.exact(bits, parse(inputs)),
        made.rounded(made.constrained(made.wanted)),
    )
    assert bool(limits.fits(levels).all())
    assert bool(parse(fmt).holds(levels.long()).all())
    assert torch.equal(levels, levels.round())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from(("uint4", "int3")))
def test_little_is_lost_against_the_best_there_is(seed, inputs):
    """All 7**4 choices of a channel are tried."""
    made = task(torch.Generator().manual_seed(seed), inputs, "int3", 7, 3, 4)
    limits = SumLimits.exact(7, parse(inputs))
    every = torch.tensor(list(product(range(-3, 4), repeat=4))).float()
    every = every[limits.fits(every)]
    best = torch.stack([made.lost(each.expand(1, 3, 4))[0] for each in every]).amin(dim=0)
    found = made.lost(made.rounded(made.constrained(made.wanted)))[0]
    nothing = made.lost(torch.zeros(1, 3, 4))[0]
    assert bool((found >= best - 1e-4).all())
    assert bool((found <= best + 0.25 * (nothing - best) + 0.3).all())


def test_without_limits_it_loses_no_more_than_the_nearest_levels():
    made = task(torch.Generator().manual_seed(1), "uint4", "int4", 30, 8, 40)
    found = made.lost(made.rounded(made.constrained(made.wanted)))
    assert float(found.sum()) < 0.85 * float(made.lost(made.wanted.round()).sum())


def test_levels_of_a_channel_within_the_limits_are_the_nearest():
    weight = torch.tensor([[0.6, -1.4, 2.2], [6.6, 6.6, -6.4]])
    quantizer = WeightQuantizer(parse("int4"), weight)
    limits = SumLimits.exact(8, parse("uint4"))
    found = limit_levels(weight, quantizer, limits)
    assert found[0].tolist() == [1, -1, 2]
    assert bool(limits.fits(found).all())
    assert found[1].abs().sum() >= 12  # of 8 and 8


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 120)


rounded = partial(PostTraining, weight="int4", activation="uint4", input="uint4")


def adversary(mapped, channel):
    """The largest sum of a channel, by the input that its signs make."""
    weights, ((low, high),) = mapped.weights[channel].astype(object), mapped.ranges
    return [sum(np.where(weights > 0, *ends) * weights) for ends in ((high, low), (low, high))]


def test_a_network_keeps_to_its_accumulator(images):
    found = quantize(fitted(), images, rounded(accumulator_bits=11), figures=False)
    plain = quantize(fitted(), images, rounded(), figures=False)
    assert found.network.accumulator == Accumulator(11)
    needed = prove_sums(found.network, 4)
    assert max(bits.max() for bits in needed.values()) <= 11 < plain.network.accumulator.width
    with pytest.raises(NetworkError, match=r"take 1[23] bits, and the accumulator has 11"):
        prove_sums(plain.network, 4, bits=11)
    for mapped in map_network(found.network, 4):
        if isinstance(mapped.layer, Weighted):
            widest = int(np.argmax(exact_bound(mapped).final.channel_bits))
            high, low = adversary(mapped, widest)
            assert -1024 <= low <= high <= 1023
    assert found.shares is not None
    assert found.shares.same > 0.9
    assert found.network.about["post_training"]["accumulator_bits"] == 11
    assert "accumulator_bits" not in plain.network.about["post_training"]


def test_a_guarantee_that_does_not_hold_is_found(images, monkeypatch):
    exact = SumLimits.exact
    monkeypatch.setattr(sum_limits.SumLimits, "exact", lambda bits, inputs: exact(bits + 1, inputs))
    with pytest.raises(NetworkError, match="and the accumulator has 10; 11 would hold the layer"):
        quantize(fitted(), images, rounded(accumulator_bits=10), figures=False)


def test_one_scale_a_layer_and_saturation(images, monkeypatch):
    monkeypatch.setattr(limited_rounding, "SCALES", 3)
    method = rounded(accumulator_bits=12, overflow="saturate", scales="tensor", equalize=True)
    found = quantize(fitted(), images, method, figures=False)
    assert found.network.accumulator == Accumulator(12, "saturate")
    assert found.shares is not None
    assert found.shares.same > 0.9


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"accumulator_bits": 1}, GeometryError, "2 to 48 bits"),
        ({"accumulator_bits": 12, "overflow": "trap"}, GeometryError, "wrap or saturate"),
        ({"accumulator_bits": 12, "rounding": "learned"}, NetworkError, "knows no accumulator"),
    ],
)
def test_bad_options(options, error, text):
    with pytest.raises(error, match=text):
        PostTraining(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"accumulator_bits": 4}, "layer 0: an accumulator of 4 bits .* take 5 bits, or narrower"),
        ({"accumulator_bits": 9, "weight": "bipolar"}, "layer .*, channel .* would hold the layer"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_what_would_do(images, options, text):
    with pytest.raises(NetworkError, match=text):
        quantize(fitted(), images, rounded(**options), figures=False)
