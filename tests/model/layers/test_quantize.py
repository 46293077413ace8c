from math import inf
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from narrowgauge.hw.errors import FormatError
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.layers.limits import Limits
from narrowgauge.model.layers.quantize import (
    ActivationQuantizer,
    WeightQuantizer,
    check_activation,
    check_weight,
)
from narrowgauge.model.layers.rounding import nearest, straight_through

WEIGHTS = ["bipolar", "pow2_2", "pow2_4", "e2m1", "e3m2", "e5m2", "int2", "int4", "int8"]


def test_straight_through_by_hand():
    value = torch.tensor([-3.0, -0.6, 0.2, 0.6, 9.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    out = straight_through(value, scale, parse("int3"), ends=(-3, 3))
    assert out.tolist() == [-1.5, -0.5, 0.0, 0.5, 1.5]
    out.sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [0, 1, 1, 1, 0]
    assert scale.grad is not None
    # inside: level - value / scale; outside: the limit itself
    inside = (-1 + 1.2) + (0 - 0.4) + (1 - 1.2)
    assert scale.grad.item() == pytest.approx(-3 + inside + 3)


def test_the_sign_has_the_gradient_of_a_hard_tangent():
    value = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    out = ActivationQuantizer(parse("bipolar"))(value)
    assert out.tolist() == [-1, -1, 1, 1, 1]
    out.sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [0, 1, 1, 1, 0]


def test_unsigned_activations_are_a_relu_with_a_ceiling():
    quantizer = ActivationQuantizer(parse("uint2"))
    assert quantizer.scale.item() == pytest.approx(1)
    value = torch.tensor([-1.0, 0.4, 0.6, 2.4, 50.0])
    assert torch.allclose(quantizer(value), torch.tensor([0.0, 0, 1, 2, 3]))


@pytest.mark.parametrize("fmt", ["int3", "int5", "int8", "int16"])
@pytest.mark.parametrize(
    "bounds", [(-0.01, 6), (-2, 0.5), (-1, 1), (-6, 0.01), (-1, 2), (-1, inf), (-inf, 1)]
)
def test_uneven_bounds_are_reached_to_both_sides(fmt, bounds):
    """Less than one level is lost, however much farther one bound is than the other."""
    limits, fmt = Limits(*bounds), parse(fmt)
    quantizer = ActivationQuantizer(fmt, limits)
    quantizer.fit(
        torch.randn(1000, generator=torch.Generator().manual_seed(0)).mul(9).clamp(*limits)
    )
    scale = float(quantizer.scale.detach())
    low, high = (float(quantizer(torch.tensor(each)).detach()) for each in (-1e4, 1e4))
    for found, bound, last in (
        (-low, -limits.low, -fmt.min_level),
        (high, limits.high, fmt.max_level),
    ):
        assert found <= bound * (1 + 1e-5)
        assert found > bound - scale or found == pytest.approx(last * scale)
    if inf not in (-limits.low, limits.high):  # the scale is fitted to the farther one
        assert max(-low / -limits.low, high / limits.high) > 0.8


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("scale", ["learned", "statistics"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_scaled_levels_of_a_symmetric_range(name, scale, per_channel):
    fmt = parse(name)
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    quantizer = WeightQuantizer(fmt, weight, per_channel=per_channel, scale=scale)
    levels, unit = quantizer.levels(weight), quantizer.scale(weight)
    assert unit.shape == (6 if per_channel else 1, 1)
    kernel = weight.reshape(6, 10, 2, 2)
    quantizer = WeightQuantizer(fmt, kernel, per_channel=per_channel, scale=scale)
    assert torch.equal(quantizer.levels(kernel), levels.reshape(6, 10, 2, 2))
    quantizer = WeightQuantizer(fmt, weight, per_channel=per_channel, scale=scale)
    assert fmt.holds(levels).all()
    assert fmt.holds(-levels).all()
    assert torch.equal(quantizer(weight), levels * unit)
    error = (quantizer(weight) - weight).square().mean() / weight.square().mean()
    assert error < {"bipolar": 0.45, "pow2_2": 0.45, "int2": 0.45}.get(name, 0.08)


@pytest.mark.parametrize("name", WEIGHTS)
def test_parametrised_weights_keep_a_float_shadow_that_learns(name):
    torch.manual_seed(0)
    linear = nn.Linear(8, 4, bias=False)
    quantizer = WeightQuantizer(parse(name), linear.weight)
    parametrize.register_parametrization(linear, "weight", quantizer)
    parametrizations: Any = linear.parametrizations
    shadow = parametrizations["weight"].original
    before = shadow.detach().clone()
    assert torch.equal(linear.weight, quantizer(shadow))
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
    linear(torch.randn(16, 8)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(shadow, before)
    unit = quantizer.scale(shadow)
    assert torch.equal(linear.weight, quantizer.levels(shadow) * unit)


def test_stochastic_rounding_is_for_training_only():
    weight = torch.full((1, 4000), 0.3)
    weight[0, 0] = 7.0

    def make():
        chance = torch.Generator().manual_seed(3)
        return WeightQuantizer(
            parse("int8"), 127 / 7 * weight, scale="statistics", rounding="stochastic",
            generator=chance,
        )  # fmt: skip

    quantizer, scaled = make(), weight * 127 / 7
    nearest = quantizer.eval()(scaled)
    assert len(nearest.unique()) == 2
    chance = quantizer.train()(scaled)
    assert len(chance.unique()) == 3
    assert float(chance[0, 1:].mean()) == pytest.approx(float(scaled[0, 1]), rel=0.01)
    assert torch.equal(chance, make()(scaled))


@pytest.mark.parametrize("name", ["uint4", "int1"])
def test_impossible_weights_are_refused(name):
    with pytest.raises(FormatError, match=name):
        check_weight(parse(name))


@pytest.mark.parametrize("name", ["pow2_4", "e3m2", "int1", "uint17", "int32"])
def test_impossible_activations_are_refused(name):
    with pytest.raises(FormatError, match=f"not {name}$"):
        check_activation(parse(name))


@pytest.mark.parametrize(
    ("name", "largest"), [("e3m2", 448), ("e4m3", 1 << 10), ("e5m2", 1 << 9), ("pow2_6", 1 << 14)]
)
def test_weights_start_where_accumulators_stay_narrow(name, largest):
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    levels = WeightQuantizer(parse(name), weight).levels(weight)
    assert abs(levels).amax(dim=1).tolist() == [largest] * 6


def test_unknown_scales_are_refused():
    with pytest.raises(FormatError, match="learned or statistics"):
        WeightQuantizer(parse("int4"), torch.ones(1, 1), scale="guessed")


@pytest.mark.parametrize(
    "name", ["bipolar", "pow2_4", "e3m2", "int2", "uint4", "int8", "uint8", "uint16"]
)
def test_the_fast_path_gives_the_levels_of_the_format(name):
    fmt = parse(name)
    reach = 1.2 * fmt.max_level
    chance = torch.rand(20_000, generator=torch.Generator().manual_seed(1))
    value = torch.cat([(2 * chance - 1) * reach, torch.arange(-40, 40) / 2])  # ties too
    clamped = value.clamp(fmt.min_level, fmt.max_level)
    assert torch.equal(nearest(clamped, fmt).long(), fmt.quantize(value))


def test_a_fitted_scale_loses_less_than_one_that_holds_everything():
    sample = torch.randn(5000, generator=torch.Generator().manual_seed(0)).relu()
    quantizer = ActivationQuantizer(parse("uint2"))
    quantizer.fit(sample)
    fitted = (quantizer(sample) - sample).square().mean()
    assert quantizer.log2_scale is not None
    with torch.no_grad():
        quantizer.log2_scale.fill_((sample.max() / 3).log2())
    assert fitted < 0.7 * (quantizer(sample) - sample).square().mean()


def test_a_dead_activation_keeps_its_scale():
    quantizer = ActivationQuantizer(parse("uint4"))
    before = quantizer.scale.item()
    quantizer.fit(torch.zeros(10))
    assert quantizer.scale.item() == before
