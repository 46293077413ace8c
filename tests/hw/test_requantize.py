import numpy as np
import pytest

from narrowgauge.hw.arithmetic import round_shift
from narrowgauge.hw.number import Bipolar, Fixed
from narrowgauge.hw.program import Mode
from narrowgauge.hw.requantize import Requantize

from .simulation import clocked

MODES = [
    Mode(Fixed(8, signed=False), 7),
    Mode(Fixed(4), 9),
    Mode(Bipolar(), 0),
    Mode(Fixed(24), 0),
    Mode(Fixed(3, signed=False), 1),
]


def expected(mode, total, half):
    if mode.output == Bipolar():
        return 1 if total >= 0 else -1
    # the component expects the rounding half in the bias
    level = round_shift(total - half, mode.shift)
    return min(max(level, mode.output.min_level), mode.output.max_level)


@pytest.mark.parametrize(
    ("multiplier_width", "dsp"), [(0, False), (7, False), (7, True), (1, False)]
)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode.output}-{mode.shift}")
def test_equals_the_integer_formula(mode, multiplier_width, dsp):
    component = Requantize(
        12, bias_width=16, multiplier_width=multiplier_width, modes=[mode], dsp=dsp
    )
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
