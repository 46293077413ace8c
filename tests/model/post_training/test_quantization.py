"""Networks that are quantised without training: what they keep, and what each option does."""

import copy

import numpy as np
import pytest
import torch

from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.data import load
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.model.layers.quantize import ActivationQuantizer
from narrowgauge.model.post_training import NetworkImages, PostTraining, quantize
from narrowgauge.model.post_training.correction import correct_offsets
from narrowgauge.model.post_training.quantization import lowered, quantize_model
from narrowgauge.model.post_training.walk import sums_before_bounds, walk
from narrowgauge.model.post_training.weights import chop

from .networks import fitted, known


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 100)


@pytest.fixture(scope="module")
def eight(images):
    return quantize(fitted(), images, PostTraining(weight="int8", activation="int8"))


def test_int8_labels_as_the_float_network_does(eight):
    shares = eight.shares
    assert shares.exact > 0.93
    assert shares.integer > shares.exact - 0.01
    assert shares.same > 0.98
    assert shares.others == shares.images == 450


def test_a_wrong_range_would_be_seen(images):
    """The twin: ranges a sixteenth of the right ones."""
    exact = lowered(fitted(), images)
    model, fmt, scale = quantize_model(exact, images, PostTraining())
    for step in model.steps:
        if isinstance(step.activation, ActivationQuantizer):
            known(step.activation.log2_scale).data -= 4
    tests = images.quantised(images.test, fmt, scale)
    with torch.no_grad():
        found = model(tests).argmax(dim=1).numpy()
    assert (found == images.test_labels).mean() < 0.9


def test_integers_equal_the_torch_model(images, eight):
    scale, fmt = 1 / 15, eight.network.input
    levels = images.levels(images.test, fmt, scale)
    result = evaluate(eight.network, levels, 4)
    with torch.no_grad():
        logits = eight.model(images.quantised(images.test, fmt, scale))
    unit = (logits / result.levels).median()
    assert torch.allclose(logits, result.levels * unit, rtol=1e-4, atol=1e-4)


def test_signed_levels_behind_a_relu_are_those_from_zero_on(eight):
    assert [str(layer.output) for layer in eight.network][:2] == ["uint7", "uint7"]
    assert [str(layer.weight) for layer in eight.network if hasattr(layer, "weight")] == 3 * [
        "int8"
    ]


def weights_of(images, **options):
    """Levels of all weights, and their scales."""
    model, _, _ = quantize_model(lowered(fitted(), images), images, PostTraining(**options))
    found = [step.weights() for _, step in model.weighted()]
    return [
        (quantizer.levels(shadow), quantizer.scale(shadow).detach()) for quantizer, shadow in found
    ]


@pytest.mark.parametrize(("edge", "own"), [("e0m3", "int4"), ("e3m0", "pow2_4")])
def test_minifloats_at_the_edge_are_integers_and_powers_of_two(images, edge, own):
    pairs = zip(weights_of(images, weight=edge), weights_of(images, weight=own), strict=True)
    for (levels, scale), (others, other) in pairs:
        assert torch.equal(levels, others)
        assert torch.equal(scale, other)


def test_minifloats_of_one_exponent_bit_have_the_levels_of_integers(images):
    """Other elements of hardware, the same levels: those of e1m2 and of int4 are -7 to 7."""
    one = weights_of(images, weight="e1m2", activation="uint8")
    two = weights_of(images, weight="int4", activation="uint8")
    for (levels, _), (others, _) in zip(one, two, strict=True):
        assert torch.equal(levels, others)


def test_scales_of_tensors_are_one_a_layer(images):
    exact = lowered(fitted(), images)
    for scales, counts in (("tensor", [1, 1, 1]), ("channel", [12, 16, 1])):
        model, _, _ = quantize_model(exact, images, PostTraining(scales=scales))
        found = [known(step.weights()[0].log2_scale).numel() for _, step in model.weighted()]
        assert found == counts


def test_roundings_differ_and_repeat(images):
    def made(rounding, seed=0):
        method = {"weight": "int4", "activation": "uint8", "rounding": rounding, "seed": seed}
        return weights_of(images, **method)

    near, chopped, drawn = made("nearest"), made("chop"), made("stochastic")
    exact = lowered(fitted(), images)
    for at, (_, step) in enumerate(exact.weighted()):
        (one, scale), (two, _), (three, _) = near[at], chopped[at], drawn[at]
        real = step.op.weight.detach() / scale
        inside = real.abs() < 7
        assert (one - real)[inside].abs().max() <= 0.5
        assert torch.equal(two[inside], real[inside].trunc().long())
        assert 0.5 < (three - real)[inside].abs().max() < 1
        assert abs(float((three - real)[inside].mean())) < 0.12
    for seed, same in ((0, True), (1, False)):
        pairs = zip(drawn, made("stochastic", seed), strict=True)
        assert all(torch.equal(one[0], two[0]) for one, two in pairs) is same


def test_learned_rounding_loses_less_at_the_output(images):
    """And no weight goes farther than to the two levels beside it."""
    found = {
        rounding: quantize(
            fitted(), images, PostTraining(weight="int2", activation="uint8", rounding=rounding)
        )
        for rounding in ("nearest", "learned")
    }
    near, learned = (found[name].layers for name in ("nearest", "learned"))
    for one, two in zip(near, learned, strict=True):
        assert two.noise > one.noise
        assert known(two.weight_noise) < known(one.weight_noise)  # the nearest level is the nearest
    assert known(found["learned"].shares).integer > known(found["nearest"].shares).integer


@pytest.mark.parametrize("weight", ["pow2_4", "e2m1", "e3m2"])
def test_chopped_levels_are_the_next_towards_zero(weight):
    fmt = parse(weight)
    real = torch.linspace(-fmt.max_level, fmt.max_level, 997)
    levels = chop(real, fmt)
    assert bool(fmt.holds(levels.long()).all())
    assert bool((levels.abs() <= real.abs()).all())
    lower, upper = fmt.neighbours(real.abs())
    assert bool(((levels.abs() == lower) | (real.abs() == upper)).all())


def test_offsets_are_corrected(images):
    exact = lowered(fitted(), images)
    method = PostTraining(weight="int2", activation="uint8", bias_correction=False)
    model, fmt, scale = quantize_model(exact, images, method)
    values = images.values(images.calibration)
    read = images.quantised(images.calibration, fmt, scale)

    def moved():
        found = []
        for pair in walk(exact, model, values, read):
            if pair.node.name in ("0", "4", "7"):
                one = sums_before_bounds(pair.exact, pair.exact_inputs, pair.scales)
                two = sums_before_bounds(pair.step, pair.inputs, pair.scales)
                found.append(float((one - two).transpose(0, 1).flatten(1).mean(dim=1).abs().max()))
        return found

    with torch.no_grad():
        before = moved()
    correct_offsets(exact, model, values, read, lambda text, share: None)
    with torch.no_grad():
        after = moved()
    assert all(now < 0.02 * then + 1e-3 for now, then in zip(after, before, strict=True))
    assert min(before) > 0.01


@pytest.mark.parametrize("activation_range", ["mse", "minmax", "percentile", "kl", "loss"])
def test_every_range_keeps_the_accuracy_at_eight_bits(images, activation_range):
    method = PostTraining(activation_range=activation_range)
    found = quantize(fitted(), images, method, figures=False)
    shares = known(found.shares)
    assert shares.integer > shares.exact - 0.02


def test_figures_say_which_layer_loses(images):
    method = PostTraining(weight="int8", activation="uint8", layers=[("4", "int2/uint8")])
    found = {row.layer: row for row in quantize(fitted(), images, method).layers}
    assert list(found) == ["0", "4", "7"]
    assert known(found["4"].weight_noise) < 15 < 35 < known(found["0"].weight_noise)
    assert found["4"].loss > 5 * abs(found["0"].loss)
    assert found["7"].activation == "logits"
    assert 0 <= known(found["0"].clipped) < 0.01


def test_the_module_stays_as_it_is(images):
    net = copy.deepcopy(fitted())
    before = copy.deepcopy(net.state_dict())
    quantize(net, images, PostTraining(weight="int3", rounding="chop"), figures=False)
    assert all(torch.equal(before[name], each) for name, each in net.state_dict().items())


def test_images_without_training_images_are_told_apart(tmp_path):
    digits = load("digits")
    values = digits.values(digits.test_images).transpose(0, 3, 1, 2) - 0.25
    path = tmp_path / "values.npz"
    np.savez(path, inputs=values, labels=digits.test_labels)
    held = NetworkImages.load(str(path), 50)
    net = copy.deepcopy(fitted())
    found = quantize(net, held, figures=False)
    shares = known(found.shares)
    assert (shares.images, shares.others, held.held_out) == (450, 400, 50)
    assert found.network.about["preparation"]["shape"] == [1, 8, 8]
    assert found.network.about["post_training"]["calibrated_on_test_images"] == 50
