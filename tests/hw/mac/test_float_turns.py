"""Floats whose partial sums take turns: whole sums, of many lengths, one after the other."""

import numpy as np
import pytest

from narrowgauge.hw.mac.ieee import FloatMAC
from narrowgauge.hw.mac.turns import turns
from narrowgauge.hw.numbers.float_sum import FloatSum, float_total
from narrowgauge.hw.numbers.formats import Float, Format, parse
from narrowgauge.hw.numbers.operands import Operands

from ..formats import parse_float
from .float_bench import Compiled, cancelling, random_codes

# formats of weights, activations and accumulator; lanes; partial sums; multiplied by one `*`
CASES = {
    "fp32": ("fp32", "fp32", "fp32", 1, 3, True),
    "fp16": ("fp16", "fp16", "fp16", 1, 4, False),
    "bf16": ("bf16", "bf16", "bf16", 1, 2, False),
    "wide": ("bf16", "bf16", "fp32", 1, 3, False),
    "tree": ("float4_3", "float4_3", "float4_3", 3, 2, False),
    "int8": ("int8", "fp16", "fp16", 1, 3, False),
    "int4": ("int4", "bf16", "fp32", 2, 1, True),
    "uint2": ("uint2", "float4_3", "float5_4", 1, 2, False),
    "minifloat": ("e4m3", "bf16", "bf16", 1, 3, False),
    "wide_minifloat": ("e5m2", "float4_3", "fp32", 1, 1, False),
    "pow2": ("pow2_4", "float4_3", "float5_3", 1, 2, False),
    "bipolar": ("bipolar", "bf16", "fp32", 2, 2, False),
    "bipolar_widened": ("bipolar", "float4_3", "fp16", 1, 2, False),
    **{
        f"{count}_turns": (*["float3_2"] * 3, 1, count, False) for count in (1, 2, 3, 4, 5, 6, 7, 8)
    },
}
SUMS = 1500


def total_of(component) -> FloatSum:
    assert isinstance(component.accumulator, FloatSum)
    return component.accumulator


def formats_of(name) -> tuple[Format, Float, Float]:
    weight, activation, total = CASES[name][:3]
    return parse(weight), parse_float(activation), parse_float(total)


def build(name, kind=FloatMAC):
    weight, activation, total = formats_of(name)
    lanes, count, dsp = CASES[name][3:]
    return kind(Operands(weight, activation), lanes, FloatSum(total, count), dsp=dsp)


class Unwatched(FloatMAC):
    """What comes back always counts, also where it is no partial sum of this one."""

    def _in_turn(self, m, back, step):
        back.clear = lambda: []
        return super()._in_turn(m, back, step)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    macs = {name: build(name) for name in CASES}
    macs["unwatched"] = build("3_turns", Unwatched)
    return Compiled(macs, tmp_path_factory.mktemp("turns"))


def codes(rng, fmt, shape):
    if isinstance(fmt, Float):
        return random_codes(rng, fmt, shape)
    levels = fmt.to_level(np.arange(1 << fmt.width))
    return rng.choice(fmt.to_code(levels), shape)


def random_sums(name, seed=0):
    """Lengths, weights and activations of sums, which are padded with zeros at the front."""
    weight, activation, _ = formats_of(name)
    rng, longest = np.random.default_rng(seed), 2 * CASES[name][4] + 3
    lengths = rng.integers(1, longest + 1, SUMS)
    weights, activations = (
        codes(rng, each, (SUMS, longest, CASES[name][3])) for each in (weight, activation)
    )
    # NaN ends all interest in a sum: most are of finite numbers, and some steps nearly cancel
    finite = activation.is_finite(activations) | (rng.random(activations.shape) < 0.02)
    activations = np.where(finite, activations, activation.from_value(1.0))
    near = cancelling(rng, activation, activations[:, :-1])
    some = (rng.random(near.shape) < 0.3) & activation.is_finite(near)
    activations[:, 1:] = np.where(some, near, activations[:, 1:])
    if isinstance(weight, Float):
        finite = weight.is_finite(weights) | (rng.random(weights.shape) < 0.02)
        weights = np.where(finite, weights, weight.from_value(1.0))
    weights[:, 1:] = np.where(rng.random(near.shape) < 0.5, weights[:, :-1], weights[:, 1:])
    absent = np.arange(longest) < longest - lengths[:, None]
    weights[absent], activations[absent] = (
        (0 if isinstance(weight, Float) else weight.to_code(weight.max_level)),
        0,
    )
    return lengths, weights, activations


def run(compiled, name, component, sums, seed=1):
    """What the gates give for sums one after the other, with as little between them as allowed."""
    lengths, weights, activations = sums
    rng = np.random.default_rng(seed)
    gaps = component.gap + rng.integers(0, 3, SUMS) * rng.integers(0, 4, SUMS)
    ends = np.cumsum(lengths + gaps) - gaps - 1
    cycles = ends[-1] + 1
    weight, activation, _ = formats_of(name.replace("unwatched", "3_turns"))
    shape = (cycles, component.lanes)
    words = codes(rng, weight, shape), codes(rng, activation, shape)
    control = np.zeros((cycles, 3), int)
    control[:, 1:] = rng.integers(0, 2, (cycles, 2))
    for index, end in enumerate(ends):
        steps = slice(end + 1 - lengths[index], end + 1)
        words[0][steps], words[1][steps] = (
            each[index, -lengths[index] :] for each in (weights, activations)
        )
        control[steps, 0], control[steps, 2] = 1, 0
        control[end, 2] = 1
    found, flags = compiled.sums(name, *words, control)
    return found[ends], flags[ends]


@pytest.mark.parametrize("name", CASES)
def test_whole_sums_equal_the_reference(compiled, name):
    component, sums = build(name), random_sums(name)
    seen = run(compiled, name, component, sums)
    expected = float_total(formats_of(name)[:2], total_of(component), *sums[1:])
    for each, other in zip(seen, expected, strict=True):
        assert np.array_equal(each, other)
    # there are several kinds of results
    total = total_of(component).format
    assert total.is_finite(expected[0]).mean() > 0.3
    assert total.is_nan(expected[0]).any()
    assert len(np.unique(expected[0])) > 30


def test_a_sum_that_takes_another_one_along_is_seen(compiled):
    component, sums = build("3_turns"), random_sums("3_turns")
    seen, _ = run(compiled, "unwatched", component, sums)
    expected, _ = float_total(formats_of("3_turns")[:2], total_of(component), *sums[1:])
    assert 10 < (seen != expected).sum() < SUMS


def test_cycles():
    found = {count: build(f"{count}_turns") for count in range(1, 9)}
    assert {count: each.gap for count, each in found.items()} == {
        1: 0, 2: 2, 3: 5, 4: 8, 5: 14, 6: 16, 7: 20, 8: 24,
    }  # fmt: skip
    assert all(each.delay == each.gap + count - 1 for count, each in found.items())
    assert [turns(count).depth for count in range(1, 9)] == [0, 1, 1, 1, 2, 1, 2, 1]
