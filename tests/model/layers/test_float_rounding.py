import numpy as np
import pytest
import torch

from narrowgauge.hw.errors import FormatError
from narrowgauge.model.layers.float_rounding import FloatActivation, FloatWeights, rounded
from narrowgauge.model.layers.limits import RELU, Limits
from narrowgauge.model.training.recipe import Recipe

from ...hw.formats import parse_float

FORMATS = ["fp32", "fp16", "bf16", "float3_2", "float5_2"]


def numbers() -> torch.Tensor:
    """Return numbers of all sizes: ordinary, halfway between codes, subnormal, too large."""
    generator = torch.Generator().manual_seed(0)
    ordinary = torch.randn(2000, generator=generator)
    halves = 1 + torch.arange(64) / 32 + 2.0**-12
    sizes = torch.exp2(torch.linspace(-149, 127, 500)) * torch.rand(500, generator=generator)
    return torch.cat([ordinary, halves, sizes, -sizes, torch.tensor([0.0, 1e38])])


@pytest.mark.parametrize("name", FORMATS)
def test_values_are_those_of_the_format_and_gradients_pass(name):
    fmt, values = parse_float(name), numbers().requires_grad_()
    found = rounded(values, fmt)
    wanted = fmt.to_value(fmt.from_value(values.detach().double().numpy()))
    assert np.array_equal(found.detach().double().numpy(), wanted)
    found.nan_to_num(0, 0, 0).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, found.isfinite().float())


def test_another_rounding_is_noticed():
    fmt, values = parse_float("bf16"), numbers()
    wanted = fmt.to_value(fmt.from_value(values.double().numpy()))
    cut = (values.view(torch.int32) >> 16 << 16).view(torch.float32)  # towards zero
    assert not np.array_equal(cut.double().numpy(), wanted)


@pytest.mark.parametrize("name", FORMATS)
def test_weights_have_the_levels_of_their_values(name):
    fmt, values = parse_float(name), numbers()[:2000]
    quantizer = FloatWeights(fmt)
    levels = quantizer.levels(values)
    assert torch.equal(fmt.dequantize(levels).float(), quantizer(values))
    assert float(quantizer.scale(values)) == 1


def test_activations_are_clipped_first():
    fmt = parse_float("fp16")
    values = torch.tensor([-1.0, 0.1, 7.0])
    relu, six = FloatActivation(fmt, RELU), FloatActivation(fmt, Limits(0, 6))
    assert relu(values).tolist() == [0.0, float(torch.tensor(0.1).half()), 7.0]
    assert relu.ends == (0, None)
    assert six(values).max() == 6
    assert fmt.dequantize(six.ends[1]) == 6
    assert FloatActivation(fmt).ends == (None, None)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"weight": "fp16", "activation": "uint8"}, "fp16 weights multiply float activations, not"),
        ({"weight": "bf16", "input": "uint8"}, "pixels of a network with bf16 activations are bf1"),
        ({"weight": "int8", "input": "fp16"}, "are bipolar, intN or uintN, not fp16"),
        ({"weight": "int8", "activation": "fp16", "rounding": "stochastic"}, "rounding stochastic"),
        ({"weight": "bf16", "scale": "statistics"}, "scale statistics is for levels that are sc"),
        ({"weight": "bf16", "multiplier_bits": 8}, "multiplier_bits 8 is for levels that are sc"),
        ({"weight": "fp16", "accumulator_bits": 12, "constrain": "a2q"}, "floats have no accumul"),
    ],
)
def test_floats_that_cannot_be_are_refused(changes, text):
    with pytest.raises(FormatError, match=text):
        Recipe(**changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"last": "int8/uint8"}, "float activations are of one format in all layers, not fp16 and"),
        ({"first": "int8"}, "weights of float activations are of one format in all layers, not"),
    ],
)
def test_layers_of_several_float_formats_are_refused(changes, text):
    recipe = Recipe(weight="fp16", **changes)
    with pytest.raises(FormatError, match=text):
        recipe.formats(["a", "b"], {"a": 4, "b": 4})
