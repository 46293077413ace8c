"""Exact sums of floats, rounded once: the reference is that of fractions, and gates equal it."""

from fractions import Fraction

import numpy as np
import pytest

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.mac.fused import FusedMAC
from narrowgauge.hw.numbers.fixed_sum import FixedSum, fixed_total
from narrowgauge.hw.numbers.formats import Fixed, Float, Format, parse
from narrowgauge.hw.numbers.operands import Operands

from ..formats import parse_float
from .float_bench import Compiled
from .test_float_turns import codes

# formats of weights and activations, of the result; bits and lowest bit of the register; lanes
CASES = {
    "fp16": ("fp16", "fp16", "fp16", None, 1),
    "fp8": ("float4_3", "float4_3", "float4_3", None, 3),
    "fp8 in fp32": ("float5_2", "float5_2", "fp32", None, 1),
    "window": ("bf16", "bf16", "bf16", (40, -24), 2),
    "small": ("float3_2", "float3_2", "float3_2", (9, -5), 1),
    "int8": ("int8", "fp16", "fp16", None, 1),
    "pow2": ("pow2_4", "float4_3", "bf16", (24, -12), 1),
}
SUMS, STEPS = 1500, 5


def formats_of(name) -> tuple[Format, Float, Float]:
    weight, activation, total = CASES[name][:3]
    return parse(weight), parse_float(activation), parse_float(total)


def register(name):
    weight, activation, total = formats_of(name)
    given = CASES[name][3]
    return FixedSum(total, *given) if given else FixedSum.exact(weight, activation, total, 64)


def build(name, kind=FusedMAC):
    operands = Operands(*formats_of(name)[:2])
    return kind(operands, CASES[name][4], register(name), dsp=name == "window")


class Signless(FusedMAC):
    """What is pending of a negative product is forgotten."""

    def _term(self, m, lane):
        term = super()._term(m, lane)
        return type(term)(term.value, term.pending & 0, term.flags)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    macs = {name.replace(" ", "_"): build(name) for name in CASES}
    return Compiled(macs | {"wrong": build("small", Signless)}, tmp_path_factory.mktemp("fused"))


def operands(name, seed=0):
    """Codes of sums one after the other; most are of finite numbers of all sizes."""
    rng, lanes = np.random.default_rng(seed), CASES[name][4]
    weight, activation, _ = formats_of(name)
    found = []
    for fmt in (weight, activation):
        each = codes(rng, fmt, (SUMS, STEPS, lanes))
        if isinstance(fmt, Float):
            keep = fmt.is_finite(each) | (rng.random(each.shape) < 0.03)
            each = np.where(keep, each, fmt.from_value(1.5))
        found.append(each)
    # some sums end as they began, with another sign
    found[0][::3, -1] = found[0][::3, 0]
    found[1][::3, -1] = found[1][::3, 0] ^ (1 << (activation.width - 1))
    return found


def run(compiled, name, pair):
    words = [each.reshape(SUMS * STEPS, -1) for each in pair]
    control = np.zeros((SUMS * STEPS, 3), int)
    control[:, 0] = 1
    control[STEPS - 1 :: STEPS, 2] = 1
    return [each[STEPS - 1 :: STEPS] for each in compiled.sums(name, *words, control)]


@pytest.mark.parametrize("name", CASES)
def test_gates_equal_the_reference(compiled, name):
    pair = operands(name)
    seen = run(compiled, name.replace(" ", "_"), pair)
    expected = fixed_total(formats_of(name)[:2], register(name), *pair)
    for each, other in zip(seen, expected, strict=True):
        assert np.array_equal(each, other)
    total = formats_of(name)[2]
    assert total.is_finite(expected[0]).mean() > 0.2
    assert total.is_nan(expected[0]).any()
    assert len(np.unique(expected[0])) > 20


def test_a_fault_is_seen(compiled):
    pair = operands("small")
    seen, _ = run(compiled, "wrong", pair)
    expected, _ = fixed_total(formats_of("small")[:2], register("small"), *pair)
    assert 10 < (seen != expected).sum() < SUMS


@pytest.mark.parametrize("name", ["fp16", "fp8", "int8"])
def test_exact_sums_by_fractions(name):
    weight, activation, total = formats_of(name)
    a, b = (each[:200] for each in operands(name, 1))
    found, overflow = fixed_total((weight, activation), register(name), a, b)
    finite = activation.is_finite(b).all((1, 2))
    if isinstance(weight, Float):
        finite &= weight.is_finite(a).all((1, 2))
    assert finite.sum() > 50
    value = (
        weight.to_value if isinstance(weight, Float) else lambda code: int(weight.to_level(code))
    )
    for index in np.flatnonzero(finite):
        exact = sum(
            Fraction(value(x)) * Fraction(activation.to_value(y))
            for x, y in zip(a[index].ravel().tolist(), b[index].ravel().tolist(), strict=True)
        )
        code = int(found[index])
        size = code & ((1 << (total.width - 1)) - 1)
        assert overflow[index] == (size == total.infinity)
        assert (code != size) == (exact < 0 and size != 0)
        if size == total.infinity:
            assert abs(exact) >= Fraction(total.to_value(size - 1))
            continue
        distances = [
            abs(abs(exact) - Fraction(total.to_value(each)))
            for each in (size, max(size - 1, 0), min(size + 1, total.infinity - 1))
        ]
        assert distances[0] == min(distances)


def test_the_order_is_of_no_account():
    pair = operands("fp16", 2)
    order = np.random.default_rng(0).permutation(STEPS)
    formats = formats_of("fp16")[:2]
    first, _ = fixed_total(formats, register("fp16"), *pair)
    second, _ = fixed_total(formats, register("fp16"), *(each[:, order] for each in pair))
    assert np.array_equal(first, second)


def test_registers():
    fp16, bf16 = parse_float("fp16"), parse_float("bf16")
    assert FixedSum.exact(fp16, fp16, fp16) == FixedSum(fp16, 91, -48)
    assert FixedSum.exact(Fixed(8), fp16, fp16, 1).width == 24 + 16 + 8 + 1
    with pytest.raises(GeometryError, match="has 10 to 640 bits, not 9"):
        FixedSum(bf16, 9, -3)
    with pytest.raises(GeometryError, match="below the normal numbers of fp16"):
        FixedSum(fp16, 20, -60)
