"""Float models become networks of floats: where all sums are exact, with the same values."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import Conv2d
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.default_sum import default_sum
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.integers.export import export_model
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.model.layers.blocks import Formats
from narrowgauge.model.lowering.lower import lower
from narrowgauge.model.lowering.topologies import Residual

from ...hw.formats import parse_float


def module() -> nn.Module:
    """Return a small network of all kinds of layers."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Residual(4, 4),
        nn.Conv2d(4, 4, 1),
        nn.ReLU6(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


@torch.no_grad()
def quantised(weight: str, activation: str):
    """Return a model whose numbers are small multiples of powers of two, so that sums are exact."""
    torch.manual_seed(1)
    model = lower(module(), (8, 8, 2)).eval()
    for name, each in [*model.named_parameters(), *model.named_buffers()]:
        if each.is_floating_point():
            each.copy_(torch.randint(-2, 3, each.shape) / 2)
        if name.endswith("running_var"):
            each.fill_(4 - 1e-5)
    formats = Formats(parse(weight), parse(activation))
    names = [node.name for node in model.nodes]
    model.quantize(dict.fromkeys(names, formats), parse(activation), 1.0, scale="statistics")
    return model


def images(fmt, count=8):
    values = torch.randint(0, 5, (count, 2, 8, 8)) / 4
    levels = fmt.quantize(values.double().numpy())
    return values, np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("weight", "activation"), [("fp32", "fp32"), ("bf16", "bf16"), ("fp16", "fp16")]
)
def test_the_network_has_the_values_of_the_model(weight, activation):
    model = quantised(weight, activation)
    single = FloatSum(parse_float("fp32"))  # where all sums of these numbers are exact
    network, reports = export_model(model, name="small", lanes=4, accumulator=single)
    values, levels = images(network.input)
    with torch.no_grad():
        wanted = model(values)
    found = evaluate(network, levels, 4)
    assert torch.equal(network.output.dequantize(found.levels).float(), wanted)
    assert not reports
    first = next(layer for layer in network if isinstance(layer, Conv2d))
    moved = replace(first, weights=np.where(first.weights == first.weights.max(), 0, first.weights))
    other = replace(network, layers=(moved, *network.layers[1:]))
    assert not torch.equal(evaluate(other, levels, 4).levels, found.levels)


def test_scales_of_other_weights_are_multipliers():
    model = quantised("int8", "fp16")
    network, _ = export_model(model, name="small", lanes=4)
    assert network.accumulator == default_sum(parse("int8"), parse_float("fp16"))
    values, levels = images(network.input)
    with torch.no_grad():
        wanted = model(values)
    found = network.output.dequantize(evaluate(network, levels, 4).levels).float()
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-3)  # levels are rounded differently


def test_what_is_infinite_in_its_format_is_refused():
    model = quantised("float3_2", "float3_2")
    with torch.no_grad():
        _, shadow = model.weighted()[0][1].weights()
        shadow.fill_(100.0)
    with pytest.raises(NetworkError, match="a weight is infinite or no number in float3_2; take a"):
        export_model(model, name="small", lanes=4)


def test_floats_are_not_summed_in_integers():
    with pytest.raises(NetworkError, match="floats are summed in floats, not in 20 bits"):
        export_model(quantised("bf16", "bf16"), name="small", lanes=4, accumulator=Accumulator(20))
