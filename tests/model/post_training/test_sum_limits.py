"""Limits of the sums of a channel: against brute force, and projection onto them."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import FormatError
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.post_training.sum_limits import SumLimit, SumLimits

INPUTS = ("uint1", "uint2", "uint4", "int2", "int3", "bipolar")


def reached(levels, inputs):
    """The lowest and the highest sum of all inputs, by trying them."""
    ends = (inputs.min_level, inputs.max_level)
    every = product(ends, repeat=len(levels))
    sums = [sum(w * x for w, x in zip(levels, each, strict=True)) for each in every]
    return min(sums), max(sums)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(INPUTS),
    st.integers(6, 8),
    st.lists(st.integers(-9, 9), min_size=1, max_size=5),
)
def test_what_fits_is_what_no_input_overflows(name, bits, levels):
    inputs, most = parse(name), (1 << (bits - 1)) - 1
    low, high = reached(levels, inputs)
    flipped = -most <= low and high <= most  # either sign of the channel
    tensor = torch.tensor([levels], dtype=torch.float32)
    assert bool(SumLimits.exact(bits, inputs).fits(tensor)) == flipped
    norm = sum(map(abs, levels)) * max(-inputs.min_level, inputs.max_level)
    assert bool(SumLimits.l1(bits, inputs).fits(tensor)) == (norm <= most)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(INPUTS), st.lists(st.integers(-3, 3), max_size=4))
def test_room_is_all_that_there_is(name, levels):
    limits = SumLimits.exact(6, parse(name))
    before = torch.tensor([[*levels, 0]])
    if not bool(limits.fits(before)):
        return
    positive, negative = before.clamp(min=0).sum(1), (-before).clamp(min=0).sum(1)
    low, high = map(int, limits.room(positive, negative))
    for more in range(low - 1, high + 2):
        assert bool(limits.fits(torch.tensor([[*levels, more]]))) == (low <= more <= high)


@pytest.mark.parametrize(
    "limits",
    [
        SumLimits.exact(10, parse("uint4")),
        SumLimits.exact(10, parse("int4")),
        SumLimits.l1(10, parse("uint4")),
    ],
)
def test_projection(limits):
    generator = torch.Generator().manual_seed(0)
    real = 4 * torch.randn(50, 40, generator=generator) * torch.rand(50, 1, generator=generator)
    found, shares = limits.projected(real), limits.share(real)
    assert bool((shares > 1).any())
    assert bool((shares <= 1).any())
    kept = (shares <= 1).squeeze(1)
    assert torch.equal(found[kept], real[kept])
    after = limits.share(found)
    assert bool((after < 1 + 1e-5).all())
    assert bool((after[~kept] > 1 - 1e-3).all())  # and no farther than it has to be
    assert bool((found * real >= 0).all())
    assert bool((found.abs() <= real.abs()).all())


def test_the_l1_projection_is_the_nearest_point():
    real = torch.tensor([[3.0, -1.0, 0.5]])
    limits = SumLimits((SumLimit(1, 1, 2),))
    assert torch.allclose(limits.projected(real), torch.tensor([[2.0, 0.0, 0.0]]))
    near = torch.tensor([[1.5, -1.2, 0.5]])
    assert torch.allclose(limits.projected(near), torch.tensor([[1.1, -0.8, 0.1]]))


def test_a_register_that_holds_no_weight_is_refused():
    with pytest.raises(FormatError, match="take 9 bits, or narrower inputs"):
        SumLimits.exact(8, parse("uint8"))
