"""Transfers, quantisers and step functions against plain Fractions, at every sum there is."""

import math
from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.numbers.arithmetic import requantize
from narrowgauge.hw.numbers.formats import Bipolar, Fixed
from narrowgauge.model.exact.search import check
from narrowgauge.model.exchange.extra import require

require()

from narrowgauge.model.exact.quantizer import Quantizer  # noqa: E402
from narrowgauge.model.exact.ranges import narrowest  # noqa: E402
from narrowgauge.model.exact.requantisation import Steps, end_levels  # noqa: E402
from narrowgauge.model.exact.solving import _check_thresholds, _smallest, solve_all  # noqa: E402
from narrowgauge.model.exact.transfer import Transfer  # noqa: E402
from narrowgauge.model.exact.unsolved import UnsolvedLayer  # noqa: E402

from ..exchange.oracle import ROUNDINGS  # noqa: E402

MODES = sorted(ROUNDINGS)
REACH = 40
NO_ACCUMULATION: Any = None  # solving a step function reads none


def objects(*values):
    return np.array([*values, None], object)[:-1]


def code_of(value, scale, zero, low, high, mode, divisor=0):
    """The code of one value, from the definition of the operators."""
    ratio = value / scale + zero
    if divisor:
        ratio = round(ratio) / F(divisor)
    return ROUNDINGS[mode](min(max(F(ratio), F(low)), F(high)))


# --- transfers ----------------------------------------------------------------------------------

numbers = st.fractions(-4, 4, max_denominator=6)
changes = st.one_of(
    st.tuples(st.just("scale"), st.tuples(numbers, numbers)),
    st.tuples(st.just("shift"), st.tuples(numbers, numbers)),
    st.tuples(st.just("clip"), st.tuples(numbers, numbers).map(lambda each: tuple(sorted(each)))),
    st.tuples(st.just("relu"), st.just((F(0), math.inf))),
)


@given(st.lists(changes, max_size=5), st.booleans())
def test_a_transfer_is_what_was_done_one_after_the_other(steps, flip):
    transfer = Transfer.linear(objects(F(1), F(-1, 2)), objects(F(0), F(1, 3)))
    sums = np.arange(-9, 10)
    sign = -1 if flip else 1
    expected = [[F(int(s)) * sign for s in sums], [F(int(s), -2) * sign + F(1, 3) for s in sums]]
    for kind, (one, two) in steps:
        if kind == "scale":
            transfer = transfer.scaled(objects(one, two))
            expected = [[v * each for v in row] for row, each in zip(expected, (one, two))]  # noqa: B905
        elif kind == "shift":
            transfer = transfer.shifted(objects(one, two))
            expected = [[v + each for v in row] for row, each in zip(expected, (one, two))]  # noqa: B905
        else:
            transfer = transfer.clipped(one, two)
            expected = [[min(max(v, one), two) for v in row] for row in expected]
    if flip:
        transfer = transfer.flipped(np.array([True, True]))
    assert transfer.values(np.stack([sums, sums])).tolist() == expected


@pytest.mark.parametrize("factor", [F(-2), F(3), F(0)])
def test_a_nonlinear_transfer_goes_on_in_floats(factor):
    transfer = Transfer.linear(objects(F(1, 4), F(1)), objects(F(0), F(1)))
    transfer = transfer.then(np.tanh, np.ones(2, int)).scaled(objects(factor, factor))
    transfer = transfer.shifted(objects(F(1), F(1, 2))).clipped(F(-1), F(2))
    sums = np.arange(-9, 10)
    expected = [
        [min(max(math.tanh(gain * s + start) * float(factor) + more, -1), 2) for s in sums]
        for gain, start, more in ((0.25, 0, 1), (1, 1, 0.5))
    ]
    assert np.allclose(transfer.values(np.stack([sums, sums])), expected, rtol=1e-14)
    assert transfer.direction.tolist() == [np.sign(factor)] * 2
    assert not transfer.is_uniform
    assert not transfer.one_tail


# --- quantisers ------------------------------------------------------------------------------


@pytest.mark.parametrize("divisor", [0, 1, 4])
@pytest.mark.parametrize("zero", [F(0), F(3), F(-1, 2)])
@pytest.mark.parametrize("mode", MODES)
def test_a_quantiser_follows_the_definition(mode, zero, divisor):
    scale, low, high = F(3, 7), -6, 5
    found = Quantizer(
        objects(scale), zero, low, high, mode, False, objects(scale), zero, F(divisor)
    )
    ratios = [F(each, 12) for each in range(-12 * 40, 12 * 40 + 1)]
    expected = [code_of(each * scale, scale, zero, low, high, mode, divisor) for each in ratios]
    exact = found.codes(np.array([[each * scale for each in ratios]], object))
    assert exact.tolist() == [expected]
    dyadic = replace(found, scale=objects(F(1, 4)), out_scale=objects(F(1, 4)))
    values = np.arange(-200, 201) / 32
    in_floats = dyadic.codes(values[None, :])
    expected = [code_of(F(v), F(1, 4), zero, low, high, mode, divisor) for v in values.tolist()]
    assert in_floats.tolist() == [expected]


# --- step functions --------------------------------------------------------------------------

gains = st.one_of(
    st.sampled_from([F(1), F(1, 2), F(1, 4), F(3, 8), F(1, 3), F(5, 7), F(2), F(1, 100), F(0)]),
    st.fractions(0, 2, max_denominator=50),
)


@st.composite
def functions(draw):
    """A `Steps` of one or two channels, and the same from the definition."""
    channels = draw(st.integers(1, 2))
    mirrored = np.array([draw(st.booleans()) for _ in range(channels)])
    gain = objects(*(draw(gains) * (-1 if each else 1) for each in mirrored))
    offset = objects(*(draw(st.fractions(-9, 9, max_denominator=8)) for _ in range(channels)))
    transfer = Transfer.linear(gain, offset)
    low, high = draw(st.sampled_from([(-math.inf, math.inf), (F(0), math.inf), (F(-3, 2), F(4))]))
    transfer = transfer.clipped(low, high)
    bits, signed = draw(st.integers(1, 5)), draw(st.booleans())
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed and bits > 1 else (0, 2**bits - 1)
    zero = F(draw(st.integers(*ends))) if draw(st.booleans()) else F(0)
    scale, mode = draw(st.sampled_from([F(1), F(1, 2), F(3, 5)])), draw(st.sampled_from(MODES))
    bipolar = draw(st.integers(0, 5)) == 0
    divisor = 0 if bipolar else draw(st.sampled_from([0, 0, 0, 0, 2]))
    if bipolar:
        ends, zero, mode = (-1, 1), F(0), "FLOOR"
    scales = objects(*[scale] * channels)
    quantizer = Quantizer(scales, zero, *ends, mode, bipolar, scales, zero, F(divisor))
    given = end_levels(transfer, quantizer)
    output = Bipolar() if bipolar else narrowest(*given)
    reach = np.full(channels, -draw(st.integers(0, REACH))), np.full(channels, REACH)
    steps = Steps("layer", output, *reach, transfer, quantizer, mirrored, given)

    def level(channel, total):
        value = min(max(total * gain[channel] + offset[channel], low), high)
        if bipolar:
            found = 1 if value >= 0 else -1
        else:
            found = code_of(value, scale, zero, *ends, mode, divisor) - int(zero)
        return sum(given) - found if mirrored[channel] else found

    return steps, level


def every_sum(steps):
    sums = np.arange(steps.low[0], steps.high[0] + 1)
    return np.broadcast_to(sums, (len(steps.low), len(sums)))


def definition(steps, level):
    rows = every_sum(steps).tolist()
    return [[level(c, total) for total in row] for c, row in enumerate(rows)]


def applied(steps, parameters):
    """What a layer's parameters make of every sum."""
    sums = every_sum(steps)
    if "thresholds" in parameters:
        reached = sums[:, :, None] >= parameters["thresholds"][:, None, :]
        return (reached.sum(axis=2) + steps.output.min_level).tolist()
    return requantize(
        sums,
        parameters["multiplier"][:, None],
        parameters["bias"][:, None],
        parameters["shift"],
        steps.output,
        low=parameters.get("low", steps.output.min_level),
        high=parameters.get("high", steps.output.max_level),
        rounding=parameters.get("rounding", "half_up"),
    ).tolist()


@settings(max_examples=250)
@given(functions())
def test_levels_and_what_is_folded_follow_the_definition(drawn):
    steps, level = drawn
    expected = definition(steps, level)
    assert steps.levels(every_sum(steps)).tolist() == expected
    thresholds = steps.thresholds()
    for channel, row in enumerate(expected):
        first = [
            next((int(s) for s, got in zip(every_sum(steps)[0], row, strict=True) if got >= goal),
                 int(steps.high[0]) + 1)
            for goal in steps.goals
        ]  # fmt: skip
        assert thresholds[channel].tolist() == first
    (solution,) = solve_all(
        [UnsolvedLayer("layer", NO_ACCUMULATION, steps.output, steps=steps)]
    ).values()
    assert applied(steps, solution.parameters) == expected
    if solution.method != "thresholds":
        assert (solution.parameters["multiplier"] >= 1).all()


def one_channel(
    gain, mode="ROUND", *, bits=4, offset=F(0), signed=True, bipolar=False, nonlinear=None
):
    """A `Steps` of one channel at scale 1."""
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    ends = (-1, 1) if bipolar else ends
    one, none = objects(F(1)), F(0)
    transfer = Transfer.linear(objects(gain), objects(offset))
    if nonlinear:
        transfer = transfer.then(nonlinear, np.ones(1, int))
    quantizer = Quantizer(one, none, *ends, mode, bipolar, one, none)
    output = Bipolar() if bipolar else Fixed(bits, signed)
    reach = np.array([-REACH]), np.array([REACH])
    return Steps("layer", output, *reach, transfer, quantizer, np.array([False]), ends)


METHODS = [
    (one_channel(F(1, 3), bipolar=True, offset=F(1, 7)), "sign", "half_up"),
    (one_channel(F(1, 4), "FLOOR"), "shift", "half_up"),
    (one_channel(F(1, 4), "CEIL"), "shift", "half_up"),
    (one_channel(F(1, 4), "HALF_UP", signed=False), "shift", "half_up"),
    (one_channel(F(1, 4), "HALF_DOWN", signed=False), "shift", "half_up"),
    (one_channel(F(1), "ROUND"), "shift", "half_up"),
    (one_channel(F(1, 4), "ROUND"), "shift", "half_even"),
    (one_channel(F(1, 2), "HALF_UP"), "multiplier", "half_up"),  # halves go away from zero
    (one_channel(F(3, 8), "ROUND"), "multiplier", "half_even"),
    (one_channel(F(3, 10), "ROUND"), "thresholds", "half_up"),  # halves that no shift gives
    (one_channel(F(3, 11), "ROUND"), "multiplier", "half_up"),
    (one_channel(F(1, 4), "DOWN"), "thresholds", "half_up"),  # zero is twice as wide
    (one_channel(F(1, 4), "UP"), "thresholds", "half_up"),
    (one_channel(F(1, 8), nonlinear=lambda x: 5 * np.tanh(x)), "thresholds", "half_up"),
]


@pytest.mark.parametrize(("steps", "method", "rounding"), METHODS)
def test_every_method_is_reached(steps, method, rounding):
    (solution,) = solve_all(
        [UnsolvedLayer("layer", NO_ACCUMULATION, steps.output, steps=steps)]
    ).values()
    assert solution.method == method
    assert solution.parameters.get("rounding", "half_up") == rounding
    assert applied(steps, solution.parameters) == steps.levels(every_sum(steps)).tolist()


def test_too_many_levels_for_thresholds_are_refused():
    steps = one_channel(F(1, 4), "DOWN", bits=9)
    steps = replace(steps, low=np.array([-2000]), high=np.array([2000]))
    with pytest.raises(NetworkError, match="int9 is too wide for thresholds"):
        solve_all([UnsolvedLayer("layer", NO_ACCUMULATION, steps.output, steps=steps)])


# --- planted faults --------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [each for each, method, _ in METHODS if method != "thresholds"])
@pytest.mark.parametrize("place", ["multiplier", "bias"])
@pytest.mark.parametrize("change", [-2, -1, 1, 2])
def test_integers_that_are_off_are_found(steps, place, change):
    """An error wherever the function is another one, and only there."""
    trial = _smallest(steps)
    assert trial.integers is not None
    wrong = getattr(trial.integers, place) + change
    integers = trial.integers._replace(**{place: wrong})
    if (integers.multiplier < 1).any():
        return  # no such layer
    parameters = {**integers._asdict(), "rounding": trial.rounding}
    if steps.output != Bipolar():
        parameters |= {"low": steps.bottom, "high": steps.top}
    if applied(steps, parameters) == steps.levels(every_sum(steps)).tolist():
        assert check(steps, integers, trial.solver.steps, rounding=trial.rounding)
        return
    with pytest.raises(NetworkError, match="layer layer, channel 0: at accumulator"):
        check(steps, integers, trial.solver.steps, rounding=trial.rounding)


def test_most_planted_faults_change_something():
    """A bias has some slack where few sums are near a step; a sign and a plain shift have none."""
    steps = METHODS[0][0]
    trial = _smallest(steps)
    assert trial.integers is not None
    for change in (-1, 1):
        integers = trial.integers._replace(bias=trial.integers.bias + change)
        with pytest.raises(NetworkError, match="folded integers give"):
            check(steps, integers, trial.solver.steps)


@pytest.mark.parametrize("steps", [each for each, method, _ in METHODS if method == "thresholds"])
@pytest.mark.parametrize("change", [-3, -1, 1, 3])
def test_thresholds_that_are_off_are_found(steps, change):
    right = steps.thresholds()
    assert _check_thresholds(steps, right) > len(steps.goals)
    for place in range(right.shape[1]):
        table = right.copy()
        table[0, place] += change
        same = applied(steps, {"thresholds": table}) == applied(steps, {"thresholds": right})
        if same:
            _check_thresholds(steps, table)
            continue
        with pytest.raises(NetworkError, match="thresholds differ from its function"):
            _check_thresholds(steps, table)
