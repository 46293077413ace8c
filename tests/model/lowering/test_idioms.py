"""Everyday PyTorch: each module is the same, in float and in integers, or refused by name."""

import copy

import numpy as np
import pytest
import torch

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import Conv2d
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.integers.export import export
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.model.layers.blocks import Formats
from narrowgauge.model.layers.limits import Limits
from narrowgauge.model.layers.norm import round_norms
from narrowgauge.model.layers.quantize import ActivationQuantizer
from narrowgauge.model.layers.steps import Head
from narrowgauge.model.lowering import assembly
from narrowgauge.model.lowering.lower import lower
from narrowgauge.model.lowering.scaling import Scaling
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.model.training.train import Trained

from .idioms import IDIOMS, MnistNet
from .test_topologies import stir

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

INPUT = parse("uint4")
UNIT = torch.tensor(1 / INPUT.max_level)  # float32, as the input scale of a model


def made(what):
    torch.manual_seed(5)
    return IDIOMS[what].make(), IDIOMS[what].image


def images_of(image, count):
    """Random levels of images, and their values as a module and as its model read them."""
    size = image if len(image) == 3 else (1, *image)
    levels = np.random.default_rng(0).integers(0, INPUT.max_level + 1, (count, *size))
    values = torch.from_numpy(levels).permute(0, 3, 1, 2) * UNIT
    values = values.flatten().reshape(values.shape)  # channels first in memory, as from a loader
    return levels, values if len(image) == 3 else values[:, :, 0], values


def quantised(model, values):
    """Integers of a model: int4 weights, uint4 activations, norms rounded, nothing trained.

    The model is in float64 from there on, in which every level is that of the integers: rounded
    norms keep sums away from the boundaries between levels.
    """
    samples = model.calibrate(values)
    formats = Formats(parse("int4"), parse("uint4"))
    names = [node.name for node in model.nodes]
    model.quantize(dict.fromkeys(names, formats), INPUT, 1 / INPUT.max_level)
    model.fit_scales(samples)
    round_norms(model.double().eval(), 10)
    recipe = Recipe(weight="int4", activation="uint4")
    return export(Trained(recipe, model, 0.0, None, (), 0.0, INPUT, "cpu"), lanes=2)[0]


@torch.no_grad()
def differences(model, network, levels):
    """How many levels of each layer, and logits, differ from what torch computes in float64."""
    result = evaluate(network, levels.reshape(len(levels), -1), 2, trace=True)
    traces = {layer.name: layer.levels for layer in result.layers}
    values = torch.from_numpy(levels).permute(0, 3, 1, 2) * UNIT.double()
    outputs, scales = model.run(values, keep=True), model.scales()
    found = {}
    for node, step in model.items():
        unit = scales[node.name]
        if node is model.nodes[-1]:  # sums of products, or of pixels
            (source,) = node.sources
            is_head = isinstance(step, Head)
            unit = step.unit(scales[source]) if is_head else scales[source] / step.norm.taps
        level = outputs[node.name] / unit
        assert float((level - level.round()).abs().max()) < 1e-6
        level = level.round().long()
        level = (level.permute(0, 2, 3, 1) if level.ndim == 4 else level).flatten(1)
        name = getattr(step, "pool_name", "") or node.name
        found[name] = int((traces[name] != level).sum())
    return found


@pytest.mark.parametrize("what", [what for what in IDIOMS if IDIOMS[what].refusal is None])
def test_an_idiom_is_the_same_function_and_its_integers_too(what):
    module, image = made(what)
    module = stir(module)
    model = lower(module, image).eval()
    levels, read, values = images_of(image, 6)
    with torch.no_grad():
        expected, logits = copy.deepcopy(module)(read.clone()), model(values)
        if model.remarks:
            log = "(log" in model.remarks[0].lower()
            logits = logits.log_softmax(1) if log else logits.softmax(1)
        assert torch.allclose(expected.reshape(logits.shape), logits, atol=1e-4), what
    network = quantised(model, values)
    found = differences(model, network, levels)
    assert not any(found.values()), found


@pytest.mark.parametrize("what", [what for what in IDIOMS if IDIOMS[what].refusal is not None])
def test_what_hardware_does_not_run_is_refused_by_name(what):
    module, image = made(what)
    with pytest.raises(NetworkError, match=IDIOMS[what].refusal) as caught:
        lower(module, image)
    assert "\n" not in str(caught.value)


def test_there_are_enough():
    assert len(IDIOMS) >= 60


def test_the_mnist_example_runs_as_it_stands():
    model = lower(MnistNet(), (28, 28, 1))
    assert [node.name for node in model.nodes] == ["conv1", "conv2", "max_pool2d", "fc1", "fc2"]
    (remark,) = model.remarks
    assert remark.startswith("log_softmax (log_softmax) is left out: the largest logit stays the l")


def test_constants_go_into_the_layer_behind_where_zeros_stay_outside():
    """Padding is zeros behind the normalisation, and others before it."""
    open_, _ = made("mean and std as buffers")
    padded, _ = made("mean and std before padding")
    assert [node.name for node in lower(open_, (8, 8, 2)).nodes] == ["conv", "fc"]
    assert [node.name for node in lower(padded, (8, 8, 2)).nodes] == ["truediv", "conv", "fc"]
    scaled, _ = made("pixels of 0 to 255")
    assert [node.name for node in lower(scaled, (8, 8, 2)).nodes] == ["conv", "fc"]


def test_bounds_hold_for_every_level():
    module, image = made("F.hardtanh of numbers")
    model = lower(module, image)
    _, _, values = images_of(image, 6)
    quantised(model, values)
    activation = model.items()[0][1].activation
    assert isinstance(activation, ActivationQuantizer)
    assert activation.log2_scale is not None
    activation.log2_scale.data.fill_(3.0)  # as if training had moved it
    with torch.no_grad():
        found = model.run(values.double() * 100, keep=True)["conv"]
    assert float(found.min()) == pytest.approx(-2)
    assert float(found.max()) == pytest.approx(0.5)


def test_a_dilated_kernel_needs_zeros():
    module, image = made("dilation")
    model = lower(module, image)
    formats = Formats(parse("bipolar"), parse("uint4"))
    with pytest.raises(NetworkError, match=r"layer 2: a dilated convolution has zeros"):
        model.quantize(dict.fromkeys([n.name for n in model.nodes], formats), INPUT, 1.0)


def test_a_network_of_zeros_is_refused():
    """Whatever was made of it would agree."""
    module, image = made("only zeros")
    with pytest.raises(NetworkError, match=r"Body gives nothing but 0 .* nothing to compare"):
        lower(module, image)


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("mean and std as buffers", {"fold_before": lambda op, scaling: None}),
        ("a learned scale", {"scale_behind": lambda op, scaling: None}),
        ("a scaled branch", {"per_channel": lambda constant, *_: torch.ones(4).double()}),
        ("padding same of two", {"as_convolution": lambda op, refuse: (op, (0, 1, 1, 2))}),
        ("an adaptive pool that divides", {"as_pool": lambda *_: None}),
        ("ReLU6", {"BOUNDS": {**assembly.BOUNDS, "ReLU6": Limits(0)}}),
        ("saturated classes", {"fold_before": lambda op, scaling: None}),
    ],
)
def test_a_careless_lowering_is_found(monkeypatch, what, fault):
    """The planted twin."""
    module, image = made(what)
    lower(module, image)
    for name, function in fault.items():
        monkeypatch.setattr(assembly, name, function)
    with pytest.raises(NetworkError, match=r"differs from it"):
        lower(module, image)


def test_careless_integers_are_found(monkeypatch):
    """The planted twin of the comparison with integers: a dilated kernel without its zeros."""
    module, image = made("dilation of groups")
    model = lower(stir(module), image).eval()
    levels, _, values = images_of(image, 6)
    network = quantised(model, values)
    layer = next(each for each in network if each.name == "2")
    assert isinstance(layer, Conv2d)
    layer.weights[:] = layer.weights[:, :, ::-1]
    assert differences(model, network, levels)["2"]


def _weights_of_other_classes(network):
    network.layers[-1].weights[:] = np.roll(network.layers[-1].weights, 1, axis=0)


def _one_sum_more(network):
    layer = network.layers[0]
    layer.bias[0] += layer.multiplier[0]


@pytest.mark.parametrize(
    ("fault", "where"), [(_weights_of_other_classes, "fc"), (_one_sum_more, "conv")]
)
def test_a_fault_in_integers_is_found(fault, where):
    """The planted twins: rows of the head in another order, one channel one sum too far."""
    module, image = made("F.relu")
    model = lower(stir(module), image).eval()
    levels, _, values = images_of(image, 6)
    network = quantised(model, values)
    assert not any(differences(model, network, levels).values())
    fault(network)
    assert differences(model, network, levels)[where]


def test_scalings_follow_one_another():
    one, two = (torch.rand(3).double() for _ in range(2))
    both = Scaling(one, two).then(Scaling(two, one))
    x = torch.rand(3).double()
    assert torch.allclose((x * one + two) * two + one, x * both.slope + both.offset)
