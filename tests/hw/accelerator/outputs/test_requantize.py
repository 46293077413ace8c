import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.outputs.requantize import Requantize, RequantizeConfig
from narrowgauge.hw.numbers.arithmetic import requantize
from narrowgauge.hw.numbers.formats import Bipolar, Fixed
from narrowgauge.hw.numbers.mode import ROUNDINGS, Mode
from narrowgauge.hw.tools.rtlil import convert

from ...simulation import clocked

MODES = [
    Mode(Fixed(8, signed=False), 7),
    Mode(Fixed(4), 9),
    Mode(Bipolar(), 0),
    Mode(Fixed(24), 0),
    Mode(Fixed(3, signed=False), 1),
    Mode(Fixed(8), 4, low=-127, rounding="half_even"),
    Mode(Fixed(2), 10, low=-1, rounding="half_even"),
    Mode(Fixed(6, signed=False), 3, high=41),
    Mode(Fixed(8), 1, low=0),
    Mode(Fixed(5), 6, low=-13, high=-3, rounding="half_even"),
    Mode(Fixed(5), 6, low=5, high=6),
    Mode(Fixed(24), 18, rounding="half_even"),
]


def expected(mode, total, half):
    # the component expects the rounding half in the bias
    bias = 0 if mode.output == Bipolar() else -half
    low, high = mode.clamp
    return requantize(
        total, 1, bias, mode.shift, mode.output, low=low, high=high, rounding=mode.rounding
    )


@pytest.mark.parametrize(
    ("multiplier_width", "dsp"), [(0, False), (7, False), (7, True), (1, False)]
)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode.output}-{mode.shift}")
def test_equals_the_integer_formula(mode, multiplier_width, dsp):
    component = Requantize(RequantizeConfig(12, 16, multiplier_width, modes=[mode], dsp=dsp))
    rng = np.random.default_rng(multiplier_width)
    count = 300
    sums = rng.integers(-(1 << 11), 1 << 11, count).tolist()
    biases = (rng.integers(-(1 << 15), 1 << 15, count) // rng.choice([1, 64, 999], count)).tolist()
    multipliers = rng.integers(0, 1 << max(multiplier_width, 1), count).tolist()
    if not multiplier_width:
        multipliers = [1] * count

    def drive(ctx, index):
        ctx.set(component.i, sums[index])
        ctx.set(component.i_bias, biases[index])
        if multiplier_width:
            ctx.set(component.i_multiplier, multipliers[index])

    (output,) = component.outputs
    seen = clocked(component, drive, lambda ctx: ctx.get(output), range(count), component.latency)
    half = (1 << mode.shift) >> 1
    totals = [s * m + b for s, m, b in zip(sums, multipliers, biases, strict=True)]
    assert seen == [expected(mode, total, half) for total in totals]
    assert len(set(seen)) > 1


@st.composite
def modes(draw):
    fmt = Fixed(draw(st.integers(1, 6)), signed=draw(st.booleans()))
    levels = st.integers(fmt.min_level, fmt.max_level)
    low, high = sorted((draw(levels), draw(levels)))
    return Mode(fmt, draw(st.integers(0, 9)), low, high, draw(st.sampled_from(ROUNDINGS)))


@settings(max_examples=25)
@given(st.lists(modes(), min_size=1, max_size=4), st.integers(0, 7))
def test_every_sum_at_every_clamp_and_rounding(modes, bias):
    """All sums of 8 bits: below and above every end, and every half."""
    component = Requantize(RequantizeConfig(8, 4, 0, modes=modes))

    def drive(ctx, total):
        ctx.set(component.i, total - bias)
        ctx.set(component.i_bias, bias)

    def sample(ctx):
        return [ctx.get(output) for output in component.outputs]

    totals = range(-128 + bias, 128)
    seen = clocked(component, drive, sample, totals, component.latency)
    assert seen == [
        [expected(mode, total, (1 << mode.shift) >> 1) for mode in modes] for total in totals
    ]


def test_a_total_known_to_be_narrow_is_not_looked_at_above():
    """Every sum of 8 bits times 3 fits 10 bits; with a bit less some level is another."""

    def levels(width):
        component = Requantize(RequantizeConfig(8, 4, 2, modes=[Mode(Fixed(6), 2)], totals=[width]))

        def drive(ctx, total):
            ctx.set(component.i, total)
            ctx.set(component.i_bias, 2)
            ctx.set(component.i_multiplier, 3)

        def sample(ctx):
            return ctx.get(component.outputs[0])

        return clocked(component, drive, sample, totals, component.latency)

    totals = range(-128, 128)
    right = [max(-32, min(31, (3 * total + 2) >> 2)) for total in totals]
    assert levels(10) == right
    assert levels(9) != right


def test_what_a_mode_does_not_ask_for_has_no_gates():
    def text(mode):
        return convert(Requantize(RequantizeConfig(12, 9, 0, modes=[mode])))

    plain = text(Mode(Fixed(4), 3))
    assert plain == text(Mode(Fixed(4), 3, -8, 7))
    assert plain.count("cell ") < text(Mode(Fixed(4), 3, rounding="half_even")).count("cell ")
    assert plain.count("cell ") < text(Mode(Fixed(4), 3, low=-6)).count("cell ")
