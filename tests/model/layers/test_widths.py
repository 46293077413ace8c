"""Widths of channels: each has the levels of its own width, at its own scale."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import FormatError
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.model.layers.quantize import WeightQuantizer
from narrowgauge.model.layers.widths import check_widths, named_widths

INT8 = parse("int8")


def shadow(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.lists(st.integers(2, 16), min_size=1, max_size=6),
    st.sampled_from(["learned", "statistics"]),
    st.booleans(),
)
def test_a_channel_is_quantised_as_if_it_were_alone(seed, widths, scale, together):
    weight = shadow(seed, len(widths), 3, 2, 2)
    quantizer = WeightQuantizer(parse("int16"), weight, scale=scale, widths=widths)
    assert quantizer.format == Fixed(max(widths))
    assert quantizer.widths == (tuple(widths) if len(set(widths)) > 1 else None)
    levels, values = quantizer.levels(weight), quantizer(weight).detach()
    assert torch.equal(levels * quantizer.scale(weight), values)
    for channel, width in enumerate(widths):
        row = slice(channel, channel + 1)
        alone = WeightQuantizer(Fixed(width), weight[row], scale=scale)
        assert torch.equal(alone.levels(weight[row]), levels[row])
        assert torch.equal(alone(weight[row]).detach(), values[row])
    if together:
        one = WeightQuantizer(Fixed(16), weight, scale=scale, widths=widths, per_channel=False)
        found = one.scale(weight).detach().expand(len(widths), 1, 1, 1).flatten()
        steps = found / found.min()
        assert steps.tolist() == [2.0 ** (max(widths) - width) for width in widths]
        limits = torch.tensor([Fixed(width).max_level for width in widths])
        assert (one.levels(weight).flatten(1).abs().amax(dim=1) <= limits).all()


def test_gradients_are_those_of_the_channel_alone():
    weight = shadow(3, 2, 40).requires_grad_()
    quantizer = WeightQuantizer(INT8, weight, widths=(2, 8))
    quantizer(weight).square().sum().backward()
    narrow = weight.detach()[:1].requires_grad_()
    alone = WeightQuantizer(parse("int2"), narrow)
    alone(narrow).square().sum().backward()
    assert weight.grad is not None
    assert narrow.grad is not None
    assert torch.equal(weight.grad[:1], narrow.grad)
    assert 0 < int((narrow.grad == 0).sum()) < 40  # clipped, and levels of 0
    for each in (quantizer, alone):
        assert each.log2_scale is not None
        assert each.log2_scale.grad is not None
    assert torch.equal(quantizer.log2_scale.grad[:1], alone.log2_scale.grad)  # type: ignore[union-attr]


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_no_training_leaves_the_levels_of_a_channel(rounding):
    weight, chance = shadow(4, 3, 50), torch.Generator().manual_seed(0)
    options = {"rounding": rounding, "generator": chance}
    quantizer = WeightQuantizer(INT8, weight, widths=(2, 3, 4), **options)
    values = quantizer.train()(5 * weight).detach() / quantizer.scale(weight).detach()
    assert values.abs().amax(dim=1).tolist() == pytest.approx([1, 3, 7])


def test_what_follows_from_widths_is_no_state_of_a_training():
    weight = shadow(5, 2, 4)
    assert [*WeightQuantizer(INT8, weight, widths=(2, 4)).state_dict()] == ["log2_scale"]


@pytest.mark.parametrize(
    ("fmt", "widths", "message"),
    [
        ("int4", (2, 4), "2 widths for 3 output channels; there is one for each"),
        ("int4", (2, 4, 5), "channel 2 has 5 bits, and the layer int4: give it 2 to 4, or the lay"),
        ("int8", (2, 1, 4), "channel 1 has 1 bit, without a level above 0: give it 2 to 8"),
        ("int20", (2, 17, 4), "channel 1 has 17 bits, and the layer int20: give it 2 to 16$"),
        ("bipolar", (2, 2, 2), "integer weights, and these are bipolar: give the layer intN"),
        ("pow2_4", (2, 2, 2), "integer weights, and these are pow2_4"),
        ("e2m1", (2, 2, 2), "integer weights, and these are e2m1"),
        ("uint4", (2, 2, 2), "integer weights, and these are uint4"),
    ],
)
def test_widths_that_a_layer_cannot_have_are_refused(fmt, widths, message):
    with pytest.raises(FormatError, match=message):
        check_widths(parse(fmt), widths, 3)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"a": 4}, "layer a: widths of channels are a list of integers, .*, not 4$"),
        ({"a": "24"}, "not '24'$"),
        ({"a": [2, True]}, r"not \[2, True\]$"),
        ({"a": [2, 4.0]}, r"not \[2, 4.0\]$"),
        ({"a": [2.5] * 99}, r"not \[2.5, 2.5.*\.\.\.$"),
        ({"a": [2, 17]}, r"1 to 16 bits, not 17 \(channel 1\)"),
        ({"a": [0]}, r"1 to 16 bits, not 0 \(channel 0\)"),
        ((("a", [2]), ("a", [4])), "layer a: widths of its channels are given twice"),
    ],
)
def test_other_than_lists_of_widths_is_refused(given_, message):
    with pytest.raises(FormatError, match=message):
        named_widths(given_)
