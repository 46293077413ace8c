import numpy as np
import pytest

from narrowgauge.hw.mac.accumulator import Accumulate
from narrowgauge.hw.numbers.arithmetic import Accumulator

from ..fabrics import FABRICS
from ..simulation import clocked


def reference(accumulator, steps):
    """What the register gives for (value, enable, double, last) steps, and its overflow flag."""
    total, sticky, seen = 0, False, []
    for value, enable, double, last in steps:
        exact = total + value
        fitted, flag = accumulator.fit(exact), sticky or accumulator.overflows(exact)
        kept = fitted
        if double:
            kept, flag = accumulator.fit(2 * fitted), flag or accumulator.overflows(2 * fitted)
        if enable:
            seen.append((fitted, int(flag), last))
            total, sticky = (0, False) if last else (kept, flag)
    return seen


@pytest.mark.parametrize("fabric", ["any fabric", "ice40"])
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize(("width", "step_width"), [(5, 4), (8, 8), (6, 9), (9, 7)])
def test_sums_like_the_register(width, step_width, overflow, fabric):
    accumulator = Accumulator(width, overflow)
    component = Accumulate(accumulator, step_width, doubling=True, fabric=FABRICS[fabric])
    rng = np.random.default_rng(width + step_width)
    half = 1 << (step_width - 1)
    steps = [
        (int(value), bool(enable), bool(double), bool(last))
        for value, enable, double, last in zip(
            rng.integers(-half, half, 300),
            rng.random(300) < 0.8,
            rng.random(300) < 0.1,
            rng.random(300) < 0.05,
            strict=True,
        )
    ]
    steps = [(v, e, d and not last, last) for v, e, d, last in steps]

    def drive(ctx, step):
        ctx.set(component.i, step[0])
        control = component.i_control
        for field, value in zip(("enable", "double", "last"), step[1:], strict=True):
            ctx.set(control[field], value)

    def sample(ctx):
        return ctx.get(component.o), ctx.get(component.o_overflow)

    seen = clocked(component, drive, sample, steps, component.latency)
    enabled = [pair for pair, step in zip(seen, steps, strict=True) if step[1]]
    expected = reference(accumulator, steps)
    ends = [n for n, (_, _, last) in enumerate(expected) if last]
    assert len(ends) > 5
    assert [enabled[n] for n in ends] == [expected[n][:2] for n in ends]
    if fabric == "any fabric":  # combinational: before a sum is doubled
        assert enabled == [(total, flag) for total, flag, _ in expected]
    assert any(flag for _, flag in enabled)
