"""The requantiser of floats against operations on codes."""

import numpy as np
import pytest

from narrowgauge.hw.accelerator.outputs import float_requantize
from narrowgauge.hw.accelerator.outputs.float_requantize import (
    FloatRequantize,
    FloatRequantizeConfig,
)
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.numbers.formats import Float, parse
from narrowgauge.hw.numbers.ieee import multiply
from narrowgauge.hw.numbers.mode import Mode

from ....formal.proof import edit
from ...simulation import clocked

COUNT = 400


def of(text):
    fmt = parse(text)
    assert isinstance(fmt, Float)
    return fmt


def wrong(accumulator, modes, *, multiplies=True, dsp=False, seed=0):
    """How many levels of each mode differ from those of operations on codes."""
    fmt, rng = accumulator.format, np.random.default_rng(seed)
    gates = FloatRequantize(FloatRequantizeConfig(accumulator, multiplies, modes, dsp))
    totals, biases, multipliers = rng.integers(0, 1 << fmt.width, (3, COUNT))
    finite = [np.where(fmt.is_finite(each), each, 0) for each in (biases, multipliers)]
    biases, multipliers = (fmt.to_code(fmt.to_level(each)) for each in finite)
    biases = np.where(rng.random(COUNT) < 0.5, biases, 0)
    if not multiplies:
        multipliers[:] = fmt.to_code(fmt.one)

    def drive(ctx, index):
        ctx.set(gates.i, int(totals[index]))
        ctx.set(gates.i_bias, int(biases[index]))
        if multiplies:
            ctx.set(gates.i_multiplier, int(multipliers[index]))

    def sample(ctx):
        return [ctx.get(output) for output in gates.outputs]

    latency = gates.config.latency
    seen = np.array(clocked(gates, drive, sample, range(COUNT), latency))
    with np.errstate(all="ignore"):
        scaled = fmt.add(multiply((fmt, fmt, fmt), totals, multipliers), biases)
        wanted = [mode.output.quantize(fmt.to_value(scaled)).clip(*mode.clamp) for mode in modes]
    return [int((seen[:, k] != each).sum()) for k, each in enumerate(wanted)]


@pytest.mark.parametrize(
    ("text", "sums", "outputs", "options"),
    [
        ("float3_2", 1, ["float3_2"], {}),
        ("float4_3", 4, ["float4_3", "float3_2", "float4_1"], {}),
        ("float3_2", 3, ["float2_1"], {"multiplies": False}),
        ("fp16", 5, ["fp16", "float4_3"], {"dsp": True}),
        ("fp32", 4, ["bf16", "fp16"], {}),
    ],
)
def test_levels_are_those_of_operations_on_codes(text, sums, outputs, options):
    modes = []
    for output in map(of, outputs):
        modes += [Mode(output, 0), Mode(output, 0, low=0), Mode(output, 0, low=-3, high=output.one)]
    assert wrong(FloatSum(of(text), sums), modes, **options) == [0] * len(modes)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_requantized", "delay(m, bias, latency)", "delay(m, bias, latency - 1)"),
        ("_converted", "late - stages[each]", "0"),
        ("_clamp", "Const(low,", "Const(low + 1,"),
    ],
)
def test_faults_are_found(monkeypatch, method, old, new):
    modes = [Mode(of("float4_3"), 0, low=-3), Mode(of("float3_2"), 0)]
    assert wrong(FloatSum(of("float4_3"), 2), modes) == [0, 0]
    edit(monkeypatch, float_requantize, method, old, new)
    assert any(wrong(FloatSum(of("float4_3"), 2), modes))
