"""Limits of l1 norms against brute force, the projection, and weights that keep to them."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from narrowgauge.hw.errors import FormatError, GeometryError
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.layers.norm_limited import (
    CONSTRAINTS,
    Constraint,
    NormLimitedQuantizer,
    norm_penalty,
)
from narrowgauge.model.layers.norm_limits import norm_limits, project

FORMATS = ["int2", "int4", "int8", "pow2_3", "pow2_6", "e2m1", "e3m2"]
INPUTS = ["uint1", "uint4", "uint8", "int4", "int8", "bipolar"]


def worst(levels, fmt):
    """The largest magnitude of each channel's sums over all inputs; rows are channels."""
    rows = levels.reshape(len(levels), -1)
    positive, negative = rows.clip(min=0).sum(axis=1), -rows.clip(max=0).sum(axis=1)
    low, high = min(fmt.min_level, 0), fmt.max_level
    return np.maximum(positive * high - negative * low, negative * high - positive * low)


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 5), (-4, 3), (-1, 1), (-9, 2), (-3, 0)])
@pytest.mark.parametrize("bits", range(6, 10))
def test_limits_are_the_largest_that_fit(bits, low, high):
    most = (1 << (bits - 1)) - 1
    limits = norm_limits(bits, low, high)
    norms = [n for n in range(300) if all(abs(n * end) <= most for end in (low, high))]
    assert limits.norm == max(norms)
    sides = [n for n in range(300) if n * max(high, 0) - n * min(low, 0) <= most]
    assert limits.side == max(sides)


def test_limits_are_those_of_the_papers():
    for bits, width in product((10, 12, 16, 24), (1, 2, 4, 8)):
        fmt, most = parse(f"uint{width}"), (1 << (bits - 1)) - 1
        limits = norm_limits(bits, fmt.min_level, fmt.max_level)
        assert limits.norm >= most // (1 << width)  # theirs, of 2**N where a level is at most less
        assert 2 * limits.side == 2 * (((1 << bits) - 2) // (2 * ((1 << width) - 1)))
    assert norm_limits(12, 0, 15) == (136, 136)


def test_an_accumulator_that_holds_no_product_is_refused():
    with pytest.raises(FormatError, match="8 bits holds no product of levels from 0 to 255"):
        norm_limits(8, 0, 255)
    assert norm_limits(9, 0, 255) == (1, 1)  # what the error says would do
    with pytest.raises(GeometryError, match="2 to 48 bits, not 49"):
        norm_limits(49, 0, 1)


# --- projection ----------------------------------------------------------------------------------

rows = st.lists(st.floats(-8, 8), min_size=1, max_size=12)


def shrunk(row, radius):
    """The nearest point within the ball, by bisection of what magnitudes lose."""
    low, high = 0.0, float(abs(row).max())
    for _ in range(300):
        middle = (low + high) / 2
        inside = (abs(row) - middle).clip(min=0).sum() <= radius
        low, high = (low, middle) if inside else (middle, high)
    return np.sign(row) * (abs(row) - high).clip(min=0)


@settings(max_examples=60, deadline=None)
@given(rows, st.floats(0, 20))
def test_the_projection_is_the_nearest_point(values, radius):
    row = np.array(values)
    found = project(torch.tensor(row[None]), torch.tensor([radius], dtype=torch.float64)).numpy()[0]
    within = abs(row).sum() <= radius
    assert np.allclose(found, row if within else shrunk(row, radius), atol=1e-7)
    assert abs(found).sum() <= radius + 1e-7


def test_rows_are_projected_on_their_own():
    given_rows = torch.tensor([[3.0, -1.0, 0.5], [3.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    found = project(given_rows, torch.tensor([2.0, 100.0, 0.0]))
    assert found.tolist() == [[2, 0, 0], [3, -1, 0.5], [0, 0, 0]]


# --- weights -------------------------------------------------------------------------------------


def learned(made):
    """The scale and the norms, as parameters."""
    scale, norm = made.log2_scale, made.log2_norm
    assert isinstance(scale, nn.Parameter)
    assert isinstance(norm, nn.Parameter)
    return scale, norm


def drawn(seed, kind, name, inputs, bits, shape=(5, 3, 2, 2), **options):
    torch.manual_seed(seed)
    weight = torch.randn(shape) * torch.rand(1) * 4
    made = NormLimitedQuantizer(
        parse(name), weight, inputs=parse(inputs), constraint=Constraint(kind, bits), **options
    )
    return made, weight


@settings(max_examples=50, deadline=None)
@given(
    *(st.integers(0, 999), st.sampled_from(CONSTRAINTS), st.sampled_from(FORMATS)),
    *(st.sampled_from(INPUTS), st.integers(9, 18), st.booleans()),
)
def test_no_input_overflows_whatever_the_weights_become(
    seed, kind, name, inputs, bits, per_channel
):
    made, weight = drawn(seed, kind, name, inputs, bits, per_channel=per_channel)
    with torch.no_grad():  # anything may come of a training
        weight += torch.randn(weight.shape)
        for each, by in zip(learned(made), (4, 20), strict=True):
            each.add_(by * torch.randn(each.shape))
    levels, fmt, most = made.levels(weight), parse(inputs), (1 << (bits - 1)) - 1
    assert (worst(levels.numpy(), fmt) <= most).all()
    assert bool(parse(name).holds(levels).all())
    scale = made.scale(weight)
    assert torch.equal(made(weight), levels.to(weight.dtype) * scale)
    real = made._real(weight, scale)
    assert (levels.abs() <= real.abs() * (1 + 1e-6)).all()
    assert (levels * real >= 0).all()


@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_one_level_more_breaks_a_limit_that_is_reached(kind):
    limits = norm_limits(10, 0, 15)
    levels = np.array([[limits.norm, 0]] if kind == "a2q" else [[limits.side, -limits.side]])
    fmt, most = parse("uint4"), (1 << 9) - 1
    assert (worst(levels, fmt) <= most).all()
    assert (worst(levels + [[1, 0]], fmt) > most).all()


@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_the_start_uses_the_limit_and_is_near_the_weights(kind):
    before = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    weight = before.clone()
    made = NormLimitedQuantizer(
        parse("int8"), weight, inputs=parse("uint8"), constraint=Constraint(kind, 16)
    )
    norms = made.levels(weight).abs().sum(dim=1)
    assert (norms > 0.5 * made.limit).all()
    assert (norms <= made.limit).all()
    near = nn.functional.cosine_similarity(made(weight).detach(), before, dim=1)
    assert (near > 0.7).all()


def test_scale_norm_and_weights_learn_and_a_hidden_norm_comes_back():
    made, weight = drawn(1, "a2q+", "int4", "uint4", 12)
    shadow = nn.Parameter(weight)
    scale, norm = learned(made)
    with torch.no_grad():
        norm.sub_(1)
    made(shadow).square().sum().backward()
    for each in (shadow, scale, norm):
        assert each.grad is not None
        assert each.grad.abs().sum() > 0
    assert norm_penalty(nn.Sequential(made)) == 0
    with torch.no_grad():
        norm.add_(12)  # beyond the limit, where the loss does not see it
    made.zero_grad()
    made(shadow).square().sum().backward()
    assert norm.grad is not None
    assert norm.grad.abs().sum() == 0
    penalty = norm_penalty(nn.Sequential(made))
    assert penalty is not None
    penalty.backward()
    assert (norm.grad > 0).all()
    assert norm_penalty(nn.Sequential(nn.ReLU())) is None


def test_channels_of_their_own_widths_keep_to_the_limit():
    for per_channel in (True, False):
        made, weight = drawn(
            2, "a2q", "int6", "uint4", 11, per_channel=per_channel, widths=(2, 3, 4, 5, 6)
        )
        levels = made.levels(weight)
        most = torch.tensor([1, 3, 7, 15, 31]).reshape(5, 1, 1, 1)
        assert (levels.abs() <= most).all()
        assert (worst(levels.numpy(), parse("uint4")) < 1 << 10).all()


@pytest.mark.parametrize(
    ("name", "kind", "options", "text"),
    [
        ("bipolar", "a2q", {}, "bipolar weights have no 0"),
        ("int4", "a2q", {"scale": "statistics"}, "learned scales"),
        ("int4", "a2q", {"rounding": "stochastic"}, "round toward zero"),
        ("int4", "a2q+", {"shape": (4, 1)}, "of a single one leaves 0: use a2q"),
        ("int4", "a2q", {"bits": 8}, "take 9 bits"),
    ],
)
def test_what_cannot_be_constrained_is_refused(name, kind, options, text):
    with pytest.raises(FormatError, match=text.replace("+", r"\+")):
        drawn(0, kind, name, "uint8", options.pop("bits", 12), **options)


def test_a_constraint_that_does_not_exist_is_refused():
    with pytest.raises(FormatError, match=r"by a2q or a2q\+, not 'a3q'"):
        Constraint("a3q", 12).check()
