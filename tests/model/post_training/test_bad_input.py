"""What cannot be quantised is refused in one line, by name."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import DataError, FormatError, NetworkError
from narrowgauge.model.data.arrays import Arrays
from narrowgauge.model.post_training import NetworkImages, PostTraining, quantize, read

from .networks import fitted, known, layer_of


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 20)


def refused(message, kind, function, *arguments, **options):
    """Call, and compare the one line of the error with what it should contain."""
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    text = str(caught.value)
    assert message in text, text
    assert "\n" not in text


@pytest.mark.parametrize("count", [0, 7, 100_000])
def test_too_few_images(count):
    message = "at least 8 images" if count < 8 else "fewer than the 100000 to calibrate on"
    refused(message, DataError, NetworkImages.load, "digits", count)


def test_images_of_another_shape():
    arrays = Arrays(np.random.default_rng(0).random((20, 1, 6, 6)))
    given = NetworkImages.of_arrays("f.npz", arrays, 10)
    refused("does not take images of 6x6x1", NetworkError, quantize, fitted(), given)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((20, 2, 3, 4, 5)), "not float64 of shape (20, 2, 3, 4, 5)"),
        (np.full((20, 1, 8, 8), np.nan), "infinities or what is not a number"),
        (np.array(["a"] * 20).reshape(20, 1), "images are numbers"),
    ],
)
def test_arrays_that_are_no_images(inputs, message):
    refused(message, DataError, NetworkImages.of_arrays, "f.npz", Arrays(inputs), 10)


def test_labels_of_another_count():
    arrays = Arrays(np.zeros((20, 1, 8, 8)), np.zeros(19, int))
    refused("labels are integers, one an image", DataError, NetworkImages.of_arrays, "f", arrays, 9)


def test_images_that_are_all_the_same():
    given = NetworkImages.of_arrays("f.npz", Arrays(np.zeros((20, 1, 8, 8))), 10)
    refused("the input gives 0 and nothing else", DataError, quantize, fitted(), given)


def test_a_layer_that_gives_nothing(images):
    net = copy.deepcopy(fitted())
    with torch.no_grad():
        known(layer_of(net, 4).bias).fill_(-1e6)
    refused("layer 4 gives 0 and nothing else", DataError, quantize, net, images)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers(images, value):
    net = copy.deepcopy(fitted())
    with torch.no_grad():
        layer_of(net, 4).weight[0, 0, 0, 0] = value
    refused("4.weight of the network holds what is", NetworkError, quantize, net, images)


@pytest.mark.parametrize("weight", ["uint8", "int1", "e0m0", "e6m1", "int99", "nothing"])
def test_formats_that_weights_cannot_have(weight):
    with pytest.raises(FormatError):
        PostTraining(weight=weight)


def test_a_format_that_cannot_hold_a_layer(images):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=2, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
    )
    method = PostTraining(weight="bipolar", activation="uint4")
    refused("layer 0: ", NetworkError, quantize, net, images, method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "pow2_4"}, "activations are"),
        ({"input": "pow2_4"}, "the format of images is"),
        ({"activation_range": "best"}, "activation_range is percentile, mse"),
        ({"percentile": 10}, "50 to 100 per cent"),
        ({"multiplier_bits": 40}, "1 to 24 bits"),
        ({"seed": -1}, "a seed is"),
    ],
)
def test_options_that_do_not_exist(options, message):
    refused(message, (FormatError, NetworkError), PostTraining, **options)


def test_layers_that_do_not_exist(images):
    method = PostTraining(layers=[("conv9", "int4")])
    refused("no layer 'conv9'", NetworkError, quantize, fitted(), images, method)


def test_a_module_that_cannot_be_traced(images):
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    refused("Branches cannot be traced", NetworkError, quantize, Branches(), images)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing", "a float network is PACKAGE.MODULE:FUNCTION"),
        ("no_such_module:small", "cannot be imported: ModuleNotFoundError"),
        ("math:pi", "math:pi gives float, and no torch module"),
        ("math:sqrt", "fails: TypeError"),
        ("missing.checkpoint", "no such file"),
        ("missing.onnx", "there is no such file"),
    ],
)
def test_networks_that_are_none(images, source, message):
    refused(message, NetworkError, read, source, images)


def test_a_damaged_checkpoint(images, tmp_path):
    path = tmp_path / "a.checkpoint"
    path.write_bytes(b"narrowgauge checkpoint " + bytes(40))
    refused("not a checkpoint of narrowgauge, or damaged", NetworkError, read, str(path), images)
