import json
from dataclasses import replace

import pytest
import torch

from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.errors import DataError, FormatError, NetworkError
from narrowgauge.hw.mapping import accumulator_bits
from narrowgauge.hw.network import load as load_network
from narrowgauge.hw.network import save
from narrowgauge.hw.number import parse
from narrowgauge.model.data import load
from narrowgauge.model.export import export
from narrowgauge.model.recipe import Recipe, default_activation
from narrowgauge.model.reference import accuracy, evaluate
from narrowgauge.model.train import train

QUICK = Recipe(widths=(24,), epochs=6)
FAMILIES = ["bipolar", "pow2_2", "pow2_4", "int2", "int4", "int8", "int12"]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def quick_float():
    return train(QUICK)


@pytest.fixture(scope="module")
def full_float():
    return train(Recipe())


def integer_accuracy(network, digits, lanes=16):
    images = digits.levels(digits.test_images, network.input)
    return accuracy(evaluate(network, images, lanes), digits.test_labels)


def test_default_activations():
    pairs = {"bipolar": "bipolar", "pow2_4": "uint8", "int4": "uint4", "int8": "uint8"}
    assert {name: str(default_activation(parse(name))) for name in pairs} == pairs


@pytest.mark.parametrize("weight", FAMILIES)
def test_every_family_trains_and_its_integers_agree(weight, quick_float, digits):
    trained = train(replace(QUICK, weight=weight), start=quick_float)
    assert trained.accuracy_float == quick_float.accuracy > 0.93
    network, reports = export(trained, lanes=16)
    assert [report.layer for report in reports] == [layer.name for layer in network]
    assert reports[0].multiplier_bits <= 10
    assert integer_accuracy(network, digits) > 0.8
    # the torch model sums in float32, where equal logits are told apart by rounding errors
    assert abs(integer_accuracy(network, digits) - trained.accuracy) < 0.01
    levels = digits.levels(digits.test_images, network.input)
    result = evaluate(network, levels, 16, trace=True)
    assert not any(bool(trace.overflowed.any()) for trace in result.layers)
    with torch.no_grad():
        values = torch.from_numpy(levels).float() * trained.model.input_scale
        hidden = trained.model.hidden_layers[0]
        step = getattr(hidden.activation, "scale")  # noqa: B009
        expected = (hidden(values) / step).round().long()
    assert (result.layers[0].levels != expected).double().mean() < 1e-3


def test_exact_folding_without_rounded_norms(quick_float, digits):
    recipe = replace(QUICK, weight="int4", multiplier_bits=None)
    network, reports = export(train(recipe, start=quick_float), lanes=16)
    assert reports[0].levels_compared > 500
    assert integer_accuracy(network, digits) > 0.9


def test_negative_gamma_flips_weights(quick_float, digits):
    trained = train(replace(QUICK, weight="int4", multiplier_bits=None), start=quick_float)
    network, _ = export(trained, lanes=16)
    layer = trained.model.hidden_layers[0]
    with torch.no_grad():
        layer.norm.weight[3] *= -1  # type: ignore[index, operator]
        values = torch.from_numpy(digits.levels(digits.test_images, network.input)).float() / 15
        expected = (layer(values) / layer.activation.scale).round().long()  # type: ignore[operator]
    flipped, _ = export(trained, lanes=16)
    assert (flipped.layers[0].weights[3] == -network.layers[0].weights[3]).all()
    levels = digits.levels(digits.test_images, network.input)
    got = evaluate(flipped, levels, 16, trace=True).layers[0].levels
    assert (got[:, 3] != expected[:, 3]).double().mean() < 1e-2
    assert expected[:, 3].max() > 0


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_training_is_deterministic_and_leaves_no_trace(rounding):
    recipe = replace(QUICK, weight="int4", epochs=2, rounding=rounding, rate=1e-2)
    torch.manual_seed(1)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    one = train(recipe)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.manual_seed(2)
    other = train(recipe)
    assert one.history == other.history
    pairs = zip(export(one, lanes=4)[0], export(other, lanes=4)[0], strict=True)
    for a, b in pairs:
        assert (a.weights == b.weights).all()
        assert (a.bias == b.bias).all()
    assert train(replace(recipe, seed=1)).history != one.history


def test_statistical_scales_and_other_inputs_train(quick_float):
    for changes in ({"scale": "statistics"}, {"input": "uint8"}, {"activation": "uint3"}):
        trained = train(replace(QUICK, weight="int4", **changes), start=quick_float)
        assert trained.accuracy > 0.9
        network, _ = export(trained, lanes=16)
        assert str(network.input) == changes.get("input", "uint4")
        assert str(network.layers[0].output) == changes.get("activation", "uint4")


def test_progress_is_reported_each_epoch():
    seen = []
    trained = train(replace(QUICK, epochs=3), lambda *report: seen.append(report))
    assert [report[:2] for report in seen] == [(1, 3), (2, 3), (3, 3)]
    assert [report[2:] for report in seen] == [tuple(epoch) for epoch in trained.history]
    assert seen[-1][2] < seen[0][2]


def test_about_is_plain_data_that_survives_the_file(tmp_path, quick_float):
    network, _ = export(train(replace(QUICK, weight="int4"), start=quick_float), lanes=16)
    assert json.loads(json.dumps(network.about)) == network.about
    assert network.about["recipe"]["activation"] == "uint4"
    assert network.about["accuracy_float"] == quick_float.accuracy
    assert network.name == "digits-int4-24"
    save(network, tmp_path / "file")
    assert load_network(tmp_path / "file").about == network.about


def test_the_accumulator_is_the_narrowest_unless_given(quick_float):
    trained = train(replace(QUICK, weight="int4"), start=quick_float)
    network, _ = export(trained, lanes=16)
    assert network.accumulator == Accumulator(accumulator_bits(network, 16))
    narrow, _ = export(trained, lanes=16, accumulator=Accumulator(8, "saturate"), name="mine")
    assert (narrow.name, narrow.accumulator) == ("mine", Accumulator(8, "saturate"))
    for one, other in zip(network, narrow, strict=True):
        assert (one.bias == other.bias).all()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"weight": "int99"}, FormatError),
        ({"weight": "uint4"}, FormatError),
        ({"weight": "int4", "activation": "pow2_4"}, FormatError),
        ({"input": "int1"}, FormatError),
        ({"scale": "guessed"}, FormatError),
        ({"rounding": "floor"}, FormatError),
        ({"widths": (0,)}, NetworkError),
        ({"epochs": 0}, NetworkError),
        ({"multiplier_bits": 0}, NetworkError),
    ],
)
def test_impossible_recipes_are_refused(changes, error):
    with pytest.raises(error):
        Recipe(**changes)


def test_impossible_trainings_are_refused(quick_float):
    with pytest.raises(DataError, match="digits"):
        train(Recipe(dataset="letters"))
    with pytest.raises(NetworkError, match=r"\(64, 32\)"):
        train(Recipe(weight="int4"), start=quick_float)
    with pytest.raises(NetworkError, match="float network has no integers"):
        export(quick_float, lanes=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "points"), [("int8", 1.0), ("int4", 2.0), ("pow2_4", 2.0), ("bipolar", None)]
)
def test_default_recipe_meets_its_bars(weight, points, full_float, digits):
    network, _ = export(train(Recipe(weight=weight), start=full_float), lanes=16)
    measured = integer_accuracy(network, digits)
    if points is None:
        assert measured >= 0.92
    else:
        assert 100 * (full_float.accuracy - measured) <= points
