from unittest.mock import patch

import numpy as np
import pytest
from amaranth.hdl import Const, Value

from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.gates import float_add
from narrowgauge.hw.gates import ieee as float_gates
from narrowgauge.hw.mac.choice import mac
from narrowgauge.hw.mac.fabric import ANY
from narrowgauge.hw.mac.ieee import FloatMAC
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.numbers.formats import Fixed
from narrowgauge.hw.numbers.ieee import float_step, multiply
from narrowgauge.hw.numbers.operands import Operands

from ..formats import parse_float
from ..simulation import clocked
from .float_bench import Compiled, cancelling, random_codes

# formats of weights, activations and accumulator; lanes; multiplied by one `*`
CASES = {
    "fp32": ("fp32", "fp32", "fp32", 1, False),
    "fp16": ("fp16", "fp16", "fp16", 1, False),
    "bf16": ("bf16", "bf16", "bf16", 1, False),
    "wide": ("bf16", "bf16", "fp32", 1, False),
    "small": ("float3_2", "float3_2", "float3_2", 1, False),
    "least": ("float2_1", "float2_1", "float2_1", 1, False),
    "uneven": ("float4_3", "float5_2", "float5_6", 1, False),
    "block": ("bf16", "bf16", "bf16", 1, True),
    "tree": ("float4_3", "float4_3", "float4_3", 5, False),
}
PAIRS = 10_000
FP32, FP16, BF16 = (parse_float(name) for name in ("fp32", "fp16", "bf16"))
right_normalize, right_align = float_gates.normalize, float_add._align


def half_up(path, word, sticky, *rest):
    """Every half is rounded up: something is below it."""
    kept, _, shift = right_normalize(path, word, sticky, *rest)
    return kept, Const(1, 1), shift


def no_sticky_bit(path, word, distance):
    """What was shifted out is forgotten."""
    return right_align(path, word, distance)[0], Const(0, 1)


def no_limit(path, word, sticky, limit, *rest):
    """Subnormals are normalised like others."""
    return right_normalize(path, word, sticky, limit | 7, *rest)


FAULTS = {
    "half_up": (float_gates, "normalize", half_up),
    "no_sticky_bit": (float_add, "_align", no_sticky_bit),
    "no_limit": (float_gates, "normalize", no_limit),
}


class Faulty(FloatMAC):
    """A multiply-accumulate with a fault planted into its gates."""

    fault: str

    def elaborate(self, platform):
        with patch.object(*FAULTS[self.fault]):
            return super().elaborate(platform)


def formats_of(name):
    weight, activation, total = (parse_float(each) for each in CASES[name][:3])
    return weight, activation, total


def build(name, kind=FloatMAC):
    weight, activation, total = formats_of(name)
    operands, total = Operands(weight, activation), FloatSum(total)
    return kind(operands, CASES[name][3], total, dsp=CASES[name][4])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    macs = {name: build(name) for name in CASES}
    for fault in FAULTS:
        macs[fault] = build("small", type(fault, (Faulty,), {"fault": fault}))
    return Compiled(macs, tmp_path_factory.mktemp("floats"))


def random_steps(name, steps, seed=0):
    """Weights and activations; every second step nearly cancels the one before it."""
    weight, activation, _ = formats_of(name)
    rng = np.random.default_rng(seed)
    weights = random_codes(rng, weight, (steps, CASES[name][3]))
    activations = random_codes(rng, activation, (steps, CASES[name][3]))
    weights[1::2] = np.where(
        rng.random(weights[1::2].shape) < 0.5, cancelling(rng, weight, weights[::2]), weights[1::2]
    )
    keep = rng.random(len(activations[1::2])) < 0.7
    activations[1::2][keep] = activations[::2][keep]
    return weights, activations


def controls(steps, period):
    """Every step is enabled, and every ``period``-th is the last of its sum."""
    control = np.zeros((steps, 3), int)
    control[:, 0] = 1
    control[period - 1 :: period, 2] = 1
    return control


def two_step_sums(formats, weights, activations):
    """What ``o`` and ``o_overflow`` are where sums have two steps."""
    totals, flags = np.zeros(len(weights), np.int64), np.zeros(len(weights), bool)
    first, second = slice(0, None, 2), slice(1, None, 2)
    for now, before in ((first, 0), (second, None)):
        start = totals[first] if before is None else before
        totals[now], flags[now] = float_step(formats, start, weights[now].T, activations[now].T)
    flags[second] |= flags[first]
    return totals, flags


def compare(compiled, name, weights, activations, formats):
    """Return in how many steps the gates and the reference differ, in sum or flag."""
    seen = compiled.sums(name, weights, activations, controls(len(weights), 2))
    expected = two_step_sums(formats, weights, activations)
    return sum((a != b).sum() for a, b in zip(seen, expected, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_random_sums_equal_the_reference(compiled, name):
    weights, activations = random_steps(name, 2 * PAIRS)
    formats = formats_of(name)
    assert compare(compiled, name, weights, activations, formats) == 0
    # what is compared has all kinds of results
    totals, flags = two_step_sums(formats, weights, activations)
    total = formats[2]
    subnormal = ((totals & total.infinity) == 0) & (totals % (1 << (total.width - 1)) > 0)
    for kind in (flags, subnormal, total.is_nan(totals), total.is_infinite(totals), totals == 0):
        assert kind.sum() > 10


def test_every_product_and_every_sum_of_a_small_format(compiled):
    formats = formats_of("small")
    fmt = formats[0]
    codes = np.arange(1 << fmt.width)
    a, b = (each.reshape(-1, 1) for each in np.meshgrid(codes, codes))
    one = np.full_like(a, fmt.from_value(1.0))
    product, _ = compiled.sums("small", a, b, controls(len(a), 1))
    assert np.array_equal(product, fmt.add(0, multiply(formats, a, b))[:, 0])
    # first a, and then b
    both = np.stack([a, b], axis=1).reshape(-1, 1)
    assert compare(compiled, "small", both, np.repeat(one, 2, axis=0), formats) == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_gates_is_seen(compiled, fault):
    weights, activations = random_steps("small", 2 * PAIRS)
    wrong = compare(compiled, fault, weights, activations, formats_of("small"))
    assert 10 < wrong < len(weights)


@pytest.mark.parametrize("name", ["fp32", "bf16", "small", "tree"])
def test_control_ends_holds_and_never_doubles(compiled, name):
    steps = 600
    rng = np.random.default_rng(4)
    weights, activations = random_steps(name, steps, seed=5)
    control = (rng.random((steps, 3)) < (0.8, 0.5, 0.1)).astype(int)
    totals, flags = compiled.sums(name, weights, activations, control)
    total, flag = 0, False
    for step, (enable, _, last) in enumerate(control.tolist()):
        after, overflow = float_step(
            formats_of(name), total, weights[step].tolist(), activations[step].tolist()
        )
        # combinational, enabled or not
        assert (totals[step], flags[step]) == (after, flag | overflow), step
        if enable:
            total, flag = (0, False) if last else (after, flag | overflow)


@pytest.mark.parametrize("name", ["bf16", "tree"])
def test_interpreted_gates_and_latency(name):
    component = build(name)
    assert component.latency == {1: 2, 5: 5}[component.lanes]
    weights, activations = random_steps(name, 60, seed=6)

    def drive(ctx, step):
        for lane in range(component.lanes):
            ctx.set(component.i_weights[lane].as_value(), int(weights[step, lane]))
            ctx.set(component.i_activations[lane].as_value(), int(activations[step, lane]))
        ctx.set(component.i_control, {"enable": 1, "double": 0, "last": 1})

    seen = clocked(
        component,
        drive,
        lambda ctx: ctx.get(Value.cast(component.o)),
        range(len(weights)),
        component.latency,
    )
    # the same control all the time: each step is a sum
    expected, _ = float_step(formats_of(name), 0, weights.T, activations.T)
    assert seen == expected.tolist()


def test_the_factory_takes_floats():
    total = FloatSum(FP32)
    found = mac(Operands(FP16, FP16), 4, total, fabric=ANY.using_blocks())
    assert isinstance(found, FloatMAC)
    assert (found.latency, found.lanes, found.dsp, found.accumulator) == (4, 4, True, total)


INTO32, INTO16, INTOB16 = (FloatSum(fmt) for fmt in (FP32, FP16, BF16))


@pytest.mark.parametrize(
    ("weight", "activation", "total", "message"),
    [
        (
            FP16,
            Fixed(8),
            FloatSum(FP16),
            "nothing multiplies fp16 weights by int8 activations; there",
        ),
        (FP16, FP16, Accumulator(16), "fp16 x fp16 accumulates in a float, .* of 16 bits"),
        (BF16, BF16, INTO16, "fp16 accumulator does not hold all of bf16"),
        (FP32, FP32, INTOB16, "bf16 accumulator does not hold all of fp32"),
        (
            Fixed(8),
            Fixed(8),
            FloatSum(FP32),
            "int8 x int8 is summed in an integer accumulator, not in fp32",
        ),
    ],
)
def test_formats_that_do_not_go_together_are_refused(weight, activation, total, message):
    with pytest.raises(GeometryError, match=message):
        mac(Operands(weight, activation), 1, total)


def test_no_lanes_and_bit_planes_are_refused():
    with pytest.raises(GeometryError, match="at least 1 lane, not 0"):
        mac(Operands(FP16, FP16), 0, FloatSum(FP16))
    with pytest.raises(GeometryError, match="floats have no bit planes"):
        mac(Operands(FP16, FP16), 1, FloatSum(FP16), doubling=True)
