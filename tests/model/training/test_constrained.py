"""Trainings for an accumulator: what is proven, what a fault of them does, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import FormatError, GeometryError, NetworkError
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.bounds import accumulator_bits
from narrowgauge.model.data import load
from narrowgauge.model.integers.export import export
from narrowgauge.model.integers.partial_sums import seen_sums
from narrowgauge.model.integers.reference import accuracy, evaluate
from narrowgauge.model.layers.norm import round_norms
from narrowgauge.model.layers.norm_limited import CONSTRAINTS, NormLimitedQuantizer
from narrowgauge.model.layers.steps import WeightedStep
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.model.training.train import check_recipe, train

QUICK = Recipe(widths=(16, 12), epochs=2)
LANES = 4


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def start():
    return train(QUICK)


def quantiser(trained, index):
    """The quantiser and the shadow weights of a step."""
    _, step = trained.model.items()[index]
    assert isinstance(step, WeightedStep)
    found, shadow = step.weights()
    assert isinstance(found, NormLimitedQuantizer)
    return step, found, shadow


def constrained(start, kind, bits, **changes):
    options = {"weight": "int4", "epochs": 1, "constrain": kind, "accumulator_bits": bits}
    return train(replace(QUICK, **(options | changes)), start=start)


@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_the_exported_integers_fit_and_are_those_of_torch(kind, start, digits):
    trained = constrained(start, kind, 10)
    network, _ = export(trained, lanes=LANES)
    assert network.accumulator == Accumulator(10)
    assert accumulator_bits(network, LANES) <= 10
    levels = digits.levels(digits.test_images, network.input)
    for overflow in ("wrap", "saturate"):
        on = network.with_accumulator(Accumulator(10, overflow))
        assert not any(each.beyond for each in seen_sums(on, levels, LANES, steps=True).values())
        share = accuracy(evaluate(on, levels, LANES), digits.test_labels)
        assert share > 0.6
        assert abs(share - trained.accuracy) < 0.01
    for index in range(3):
        step, quantizer, shadow = quantiser(trained, index)
        values = quantizer.levels(shadow) * quantizer.scale(shadow)
        assert torch.equal(step.op.weight, values), index
    about = network.about["constraint"]
    assert (about["kind"], about["bits"], about["free"]) == (kind, 10, [])
    assert max(about["sum_bits"].values()) <= 10
    assert network.sparsity > 0
    sizes = {layer.name: layer.weights.size for layer in network if isinstance(layer, Weighted)}
    zeros = sum(share * sizes[name] for name, share in about["sparsity"].items())
    assert zeros / network.parameters == pytest.approx(network.sparsity)


def test_a_training_that_breaks_its_limit_is_refused_by_name(start):
    trained = constrained(start, "a2q+", 10)
    export(trained, lanes=LANES)
    _, quantizer, shadow = quantiser(trained, 1)
    quantizer.limit *= 8  # the twin: norms that no limit holds
    with torch.no_grad():
        quantizer.log2_norm[5] += 6
    assert quantizer.levels(shadow)[5].abs().sum() > quantizer.limit / 8
    with pytest.raises(NetworkError, match=r"layer hidden1 of .*, channel \d+: sums reach from .*"):
        export(trained, lanes=LANES)


def test_ends_are_free_where_that_is_said(start):
    trained = constrained(start, "a2q", 8, ends="free")
    network, _ = export(trained, lanes=LANES)
    about = network.about["constraint"]
    assert about["free"] == ["hidden0", "head"]
    assert list(about["sum_bits"]) == ["hidden1"]
    assert about["sum_bits"]["hidden1"] <= 8 < network.accumulator.width
    assert network.accumulator.width == accumulator_bits(network, LANES)
    assert "--accumulator-bits 8 --constrain a2q --ends free" in str(network.about["command"])


def test_channels_whose_weights_are_all_0_take_no_multiplier(start, digits):
    trained = constrained(start, "a2q", 10, multiplier_bits=None)
    step, quantizer, _ = quantiser(trained, 0)
    norm = step.norm
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        quantizer.log2_norm[3] -= 30
        norm.running_mean[3], norm.running_var[3] = 0, 0  # what such a channel settles at
    round_norms(trained.model, 8)
    network, reports = export(trained, lanes=LANES)
    first = network.layers[0]
    assert isinstance(first, Weighted)
    assert not first.weights[3].any()
    assert first.multiplier[3] == 1
    assert np.median(first.multiplier) > 16  # the grid is that of the others
    assert reports[0].multiplier_bits <= 8


def test_recipes_say_it_and_others_stay_as_they_were():
    plain = QUICK.plain()
    assert not {"accumulator_bits", "constrain", "ends"} & set(plain)
    recipe = replace(QUICK, weight="int4", accumulator_bits=12, constrain="a2q+")
    again = Recipe(**json.loads(json.dumps(recipe.plain())))
    assert again.constraint == recipe.constraint
    assert again.digest() == recipe.digest() != replace(recipe, constrain="a2q").digest()
    assert recipe.float_version() == QUICK
    assert "--accumulator-bits 12 --constrain a2q+" in recipe.command()
    assert "--ends" not in recipe.command()


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"constrain": "a2q"}, FormatError, "there is only constrain"),
        ({"accumulator_bits": 12}, FormatError, "there is only accumulator_bits"),
        ({"ends": "free"}, FormatError, "ends are free of a constraint"),
        ({"ends": "open"}, FormatError, "constrained or free, not 'open'"),
        ({"constrain": "a3q", "accumulator_bits": 12}, FormatError, "not 'a3q'"),
        ({"constrain": "a2q", "accumulator_bits": 49}, GeometryError, "2 to 48 bits, not 49"),
        (
            {"constrain": "a2q", "accumulator_bits": 12, "weight": None},
            FormatError,
            "floats have no",
        ),
        (
            {"constrain": "a2q", "accumulator_bits": 4},
            FormatError,
            "layer hidden0: an accumulator of 4 bits holds no product .* take 5 bits",
        ),
        (
            {"constrain": "a2q", "accumulator_bits": 12, "first": "bipolar"},
            FormatError,
            "layer hidden0: bipolar weights have no 0",
        ),
        (
            {"constrain": "a2q", "accumulator_bits": 12, "rounding": "stochastic"},
            FormatError,
            "layer hidden0: weights of limited norms round toward zero",
        ),
        (
            {"constrain": "a2q", "accumulator_bits": 12, "widths": (4,), "ends": "free"},
            NetworkError,
            "of 2 layers with weights, hidden0, head, none lies between",
        ),
        (
            {"constrain": "a2q", "accumulator_bits": 9, "network": "resnet8", "width": 0.25},
            NetworkError,
            r"layer block1.add: a sum of tensors adds 2 levels of int9, uint8 and takes 10 bits",
        ),
    ],
)
def test_what_cannot_be_trained_for_an_accumulator_is_refused(changes, error, text):
    with pytest.raises(error, match=text):
        check_recipe(replace(QUICK, **({"weight": "int8"} | changes)))
