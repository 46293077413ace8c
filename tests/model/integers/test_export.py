"""Networks of all kinds of layers: the exported integers equal what torch computed."""

import json
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.file import load as load_network
from narrowgauge.hw.network.file import save
from narrowgauge.hw.network.layers import Conv2d, Dense
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.bounds import accumulator_bits
from narrowgauge.model.data import load
from narrowgauge.model.integers.export import export
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.model.layers.limits import Limits
from narrowgauge.model.layers.steps import Block
from narrowgauge.model.layers.unweighted import AddStep, summands
from narrowgauge.model.lowering import topologies
from narrowgauge.model.lowering.topologies import Residual
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.model.training.train import train

FORMATS = [
    ("bipolar", "bipolar"),
    ("bipolar", "uint4"),
    ("int3", "bipolar"),
    ("int4", "uint4"),
    ("int8", "uint8"),
    ("pow2_4", "uint8"),
    ("e3m2", "uint4"),
    ("int4", "int5"),
]


def mixed(shape, classes, width=1.0):
    """Every kind of layer, with shapes that do not divide."""
    layers = {
        "conv1": nn.Conv2d(shape[2], 6, 3, padding=1),
        "pool1": nn.MaxPool2d(3, 2, 1),
        "norm1": nn.BatchNorm2d(6),
        "relu1": nn.ReLU(),
        "block1": Residual(6, 6),
        "block2": Residual(6, 8, 2),
        "pool2": nn.AvgPool2d(3, 1, 1),
        "conv2": nn.Conv2d(8, 12, 3, padding=1, groups=4),
        "relu2": nn.ReLU(),
        "pool3": nn.MaxPool2d(2, 1, 1),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(108, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def pooled(shape, classes, width=1.0):
    """Ends with sums over the image."""
    layers = {
        "conv1": nn.Conv2d(shape[2], 6, 3),
        "norm1": nn.BatchNorm2d(6),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(6, classes, 3, 2),
        "norm2": nn.BatchNorm2d(classes),
        "relu2": nn.ReLU(),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return nn.Sequential(OrderedDict(layers))


@pytest.fixture(scope="module", autouse=True)
def registered():
    topologies.NETWORKS.update(mixed=mixed, pooled=pooled)
    yield
    for name in ("mixed", "pooled"):
        del topologies.NETWORKS[name]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module", params=["mixed", "pooled", "mlp"])
def start(request, registered):
    return train(Recipe(network=request.param, widths=(24,), epochs=2, crop=1))


def torch_levels(trained, levels):
    """The level of every step's output, channels last, as torch computes them."""
    model = trained.model
    values = torch.from_numpy(levels).float().permute(0, 3, 1, 2) * model.input_scale
    with torch.no_grad():
        outputs, scales = model.run(values, keep=True), model.scales()
    found = {}
    for node, step in model.items()[:-1]:
        level = (outputs[node.name] / scales[node.name]).round().long()
        if level.ndim == 4:
            level = level.permute(0, 2, 3, 1)
        found[getattr(step, "pool_name", "") or node.name] = level.flatten(1)
    return found


@pytest.mark.parametrize(("weight", "activation"), FORMATS)
def test_the_integers_compute_what_torch_does(start, digits, weight, activation):
    recipe = replace(start.recipe, weight=weight, activation=activation, epochs=1)
    trained = train(recipe, start=start)
    network, reports = export(trained, lanes=3)
    levels = digits.levels(digits.test_images[:100], network.input)
    result = evaluate(network, levels, 3, trace=True)
    traces = {layer.name: layer.levels for layer in result.layers}
    expected = torch_levels(trained, levels)
    assert set(expected) <= set(traces)
    for name, level in expected.items():
        # float32 sums near a rounding boundary
        assert (traces[name] != level).double().mean() < 1e-3, name
    assert not any(
        bool(layer.overflowed.any()) for layer in result.layers if layer.overflowed is not None
    )
    assert all(report.levels_compared > 1 for report in reports[:-1])


def test_names_and_shapes_are_those_of_the_module(digits):
    start = train(Recipe(network="mixed", epochs=1))
    trained = train(replace(start.recipe, weight="int4"), start=start)
    network, reports = export(trained, lanes=4)
    assert [layer.name for layer in network] == [
        *("conv1", "pool1", "block1.conv1", "block1.conv2", "block1.add"),
        *("block2.conv1", "block2.conv2", "block2.shortcut.conv", "block2.add"),
        *("pool2", "conv2", "pool3", "dense"),
    ]
    layers = {layer.name: layer for layer in network}
    assert network.input_size == (8, 8, 1)
    assert isinstance(layers["conv2"], Conv2d)
    assert layers["conv2"].weights.shape == (12, 3, 3, 2)
    assert str(layers["block1.conv2"].output) == "int5"  # nothing keeps it from being negative
    assert str(layers["block1.add"].output) == "uint4"
    assert network.sources(layers["block1.add"]) == ("block1.conv2", "pool1")
    shifts = {report.shift for report in reports[:-1]}
    assert len(shifts) == 1
    assert (reports[-1].shift, reports[-1].multiplier_bits) == (0, 1)


def test_formats_of_layers_are_chosen_one_by_one(digits):
    start = train(Recipe(network="mixed", epochs=1))
    recipe = replace(
        start.recipe, weight="int2", first="int8/uint6", last="int6",
        layers=(("block1.conv2", "pow2_3"), ("block2.add", "/uint3")),
    )  # fmt: skip
    network, _ = export(train(recipe, start=start), lanes=4)
    layers = {layer.name: layer for layer in network}
    formats = {
        name: (str(layer.weight), str(layer.output))
        for name, layer in layers.items()
        if isinstance(layer, Conv2d | Dense)
    }
    assert formats["conv1"] == ("int8", "uint6")
    assert str(layers["pool1"].output) == "uint6"
    assert formats["block1.conv1"] == ("int2", "uint2")
    assert formats["block1.conv2"] == ("pow2_3", "int3")
    assert str(layers["block2.add"].output) == str(layers["pool2"].output) == "uint3"
    assert formats["dense"][0] == "int6"
    assert network.about["first"] == "int8/uint6"
    assert network.about["command"] == (
        "narrowgauge train --dataset digits --network mixed --weight int2 --first int8/uint6 "
        "--last int6 --layer block1.conv2=pow2_3 --layer block2.add=/uint3 --epochs 1 --seed 0 "
        "-o digits-mixed-int2.safetensors"
    )


def test_unknown_layers_are_refused():
    start = train(Recipe(widths=(4,), epochs=1))
    with pytest.raises(NetworkError, match="no layer 'conv1'; there is hidden0, head"):
        train(replace(start.recipe, weight="int4", layers=(("conv1", "int8"),)), start=start)


def test_negative_slopes_flip_weights(digits):
    start = train(Recipe(network="pooled", epochs=1))
    trained = train(replace(start.recipe, weight="int4", multiplier_bits=None), start=start)
    step = trained.model.items()[0][1]
    assert isinstance(step, Block)
    norm = step.norm
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight[3] *= -1
    network, _ = export(trained, lanes=4)
    levels = digits.levels(digits.test_images[:50], network.input)
    trace = evaluate(network, levels, 4, trace=True).layers[0]
    assert (trace.levels != torch_levels(trained, levels)["conv1"]).double().mean() < 1e-3
    layer, (_, shadow) = network.layers[0], step.weights()
    assert isinstance(layer, Conv2d)
    kernel = layer.weights[3].transpose(2, 0, 1)
    assert (np.sign(kernel) * shadow[3].detach().sign().numpy() <= 0).all()


def test_about_is_plain_data_that_survives_the_file(tmp_path):
    start = train(Recipe(widths=(8,), epochs=1))
    network, _ = export(train(replace(start.recipe, weight="int4"), start=start), lanes=16)
    assert json.loads(json.dumps(network.about)) == network.about
    assert network.about["recipe"]["activation"] == "uint4"
    assert network.about["accuracy_float"] == start.accuracy
    assert network.about["seconds"] > 0
    assert (network.about["device"], network.about["epochs"]) == ("cpu", 1)
    assert network.name == "digits-int4-8"
    save(network, tmp_path / "file")
    assert load_network(tmp_path / "file").about == network.about


def test_the_accumulator_is_the_narrowest_unless_given():
    start = train(Recipe(widths=(8,), epochs=1))
    trained = train(replace(start.recipe, weight="int4"), start=start)
    network, _ = export(trained, lanes=16)
    assert network.accumulator == Accumulator(accumulator_bits(network, 16))
    narrow, _ = export(trained, lanes=16, accumulator=Accumulator(8, "saturate"), name="mine")
    assert (narrow.name, narrow.accumulator) == ("mine", Accumulator(8, "saturate"))
    for one, other in zip(network, narrow, strict=True):
        assert isinstance(one, Dense)
        assert isinstance(other, Dense)
        assert (one.bias == other.bias).all()


def test_a_float_network_has_no_integers():
    with pytest.raises(NetworkError, match="float network has no integers"):
        export(train(Recipe(widths=(4,), epochs=1)), lanes=4)


@pytest.mark.parametrize(
    ("one", "two", "pair"),
    [(1.0, 1.0, (1, 1)), (0.5, 1.0, (1, 2)), (3.0, 2.0, (3, 2)), (40.0, 1.0, (40, 1)),
     (1.0, 9000.0, (1, 255)), (1.07, 1.0, (15, 14))],
)  # fmt: skip
def test_summands_by_hand(one, two, pair):
    a, b, unit = summands(one, two)
    assert (a, b) == pair
    if pair != (1, 255):
        assert a * unit == pytest.approx(one, rel=0.04)
        assert b * unit == pytest.approx(two, rel=0.04)


def test_a_sum_of_two_scales_is_that_of_its_integers():
    torch.manual_seed(0)
    step = AddStep(Limits(0))
    levels = torch.randint(0, 16, (2, 50, 3)).float()
    scales = [torch.tensor(0.3), torch.tensor(0.2)]
    plain = step([levels[0] * 0.3, levels[1] * 0.2], scales)
    uint4 = parse("uint4")
    step.quantize(uint4, uint4, (uint4, uint4))
    step.activation = None
    summed = step([levels[0] * 0.3, levels[1] * 0.2], scales)
    assert torch.allclose(summed, plain, rtol=1e-5)
    assert torch.allclose(summed / 0.1, 3 * levels[0] + 2 * levels[1], rtol=1e-5)
