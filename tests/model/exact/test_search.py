"""Our own layers: integers of norms and activations against Fractions, at every sum there is."""

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.numbers.arithmetic import requantize
from narrowgauge.hw.numbers.formats import Bipolar, parse
from narrowgauge.model.exact import search
from narrowgauge.model.exact.quantizer import Quantizer
from narrowgauge.model.exact.ranges import reach
from narrowgauge.model.exact.requantisation import Steps
from narrowgauge.model.exact.search import Integers, Listed, check
from narrowgauge.model.exact.solving import solve_together
from narrowgauge.model.exact.staircase import ClosedForm
from narrowgauge.model.exact.transfer import Transfer, fractions
from narrowgauge.model.exact.unsolved import UnsolvedLayer

NO_ACCUMULATION: Any = None  # solving a step function reads none


def layer(weights, output="uint4", input="uint2", seed=0, **changes):
    """A norm of sums, ``(acc * unit - mean) / deviation * gamma + beta``, quantised."""
    weights = np.array(weights)
    count = len(weights)
    chance = np.random.default_rng(seed)
    fields = {
        "unit": np.full(count, 0.25),
        "mean": chance.normal(size=count),
        "deviation": np.exp(chance.normal(size=count)),
        "gamma": np.exp(chance.normal(size=count)),
        "beta": chance.normal(size=count),
        "step": 0.11,
    } | changes
    step = Fraction(fields.pop("step"))
    unit, mean, deviation, gamma, beta = (fractions(each) for each in fields.values())
    slope, fmt = gamma / deviation, parse(output)
    transfer = Transfer.linear(slope * unit, beta - mean * slope)
    ends, none = (fmt.min_level, fmt.max_level), np.zeros(count, bool)
    sums = reach(weights, parse(input).min_level, parse(input).max_level)
    return Steps("it", fmt, *sums, transfer, Quantizer.nearest(fmt, step), none, ends)


def solve(*layers):
    """Integers of all layers at one shift, and how many levels were compared."""
    unsolved = [UnsolvedLayer(each.name, NO_ACCUMULATION, each.output, each) for each in layers]
    found = solve_together(unsolved)
    parameters = [found[each.name].parameters for each in layers]
    integers = [
        Integers(each["multiplier"], each["bias"], each.get("shift", 0)) for each in parameters
    ]
    return list(zip(integers, [found[each.name].compared for each in layers], strict=True))


def by_hand(it, channel, accumulator):
    """The level of one sum, from the definition."""
    value = accumulator * it.transfer.gain[channel] + it.transfer.offset[channel]
    if it.output == Bipolar():
        return 1 if value >= 0 else -1
    level = floor(value / it.quantizer.scale[0] + Fraction(1, 2))
    return min(max(level, it.output.min_level), it.output.max_level)


def brute_force(it, integers):
    """Compare at every accumulator level there is; return how many differ."""
    differences = 0
    for channel, (low, high) in enumerate(zip(it.low.tolist(), it.high.tolist(), strict=True)):
        levels = np.arange(low, high + 1)
        expected = [by_hand(it, channel, each) for each in levels.tolist()]
        got = requantize(
            levels, integers.multiplier[channel], integers.bias[channel], integers.shift, it.output
        )
        differences += int((np.array(expected) != got).sum())
    return differences


def random_weights(seed, channels=3, inputs=6):
    return np.random.default_rng(seed).integers(-7, 8, (channels, inputs))


def test_thresholds_by_hand():
    # the value is acc / 4 at steps of 1: levels 1, 2, 3 are reached at 2, 6, 10 (halves go up)
    it = layer([[3, 2]], output="uint2", mean=np.zeros(1), deviation=np.ones(1),
               gamma=np.ones(1), beta=np.zeros(1), step=1.0)  # fmt: skip
    assert [it.low.tolist(), it.high.tolist()] == [[0], [15]]
    assert it.thresholds().tolist() == [[2, 6, 10]]
    ((integers, compared),) = solve(it)
    assert brute_force(it, integers) == 0
    assert (integers.shift, integers.multiplier.tolist()) == (2, [1])
    assert compared == 8  # both sides of three steps, and both ends


def test_levels_out_of_reach_have_thresholds_past_the_end():
    it = layer([[1, -1]], output="uint2", mean=np.zeros(1), deviation=np.ones(1),
               gamma=np.ones(1), beta=np.ones(1) * 2.5, step=1.0)  # fmt: skip
    # 2.5 + acc / 4 from -3 to 3: level 3 from 0 on, level 2 always, nothing below
    assert it.thresholds().tolist() == [[-3, -3, 0]]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["bipolar", "uint1", "uint4", "uint8", "int4"]),
       st.sampled_from(["bipolar", "uint2", "uint4", "int3"]))  # fmt: skip
def test_integers_equal_the_layer_at_every_level(seed, output, input):
    it = layer(random_weights(seed), output, input, seed, step=0.05)
    ((integers, compared),) = solve(it)
    assert brute_force(it, integers) == 0
    low, high = it.low, it.high
    assert 3 <= compared <= int((high - low + 1).sum())


@given(st.integers(0, 2**32 - 1), st.sampled_from(["bipolar", "uint1", "uint4", "uint8"]),
       st.integers(0, 2), st.integers(-3, 3), st.integers(-3, 3))  # fmt: skip
def test_the_check_raises_exactly_where_brute_force_differs(seed, output, channel, bias, slope):
    it = layer(random_weights(seed), output, "uint4", seed, step=0.2)
    ((integers, _),) = solve(it)
    integers.bias[channel] += bias
    if output != "bipolar":
        integers.multiplier[channel] = max(integers.multiplier[channel] + slope, 1)
    if brute_force(it, integers):
        with pytest.raises(NetworkError, match=rf"layer it, channel {channel}: at accumulator"):
            check(it, integers, it.thresholds())
    else:
        check(it, integers, it.thresholds())


@pytest.mark.parametrize("output", ["bipolar", "uint4"])
def test_a_planted_bias_off_by_one_is_caught(output):
    it = layer(random_weights(3), output, "uint4", step=0.3)
    thresholds = it.thresholds()
    low, high = it.low[:, None], it.high[:, None]
    assert ((low < thresholds) & (thresholds <= high)).any(axis=1).all()
    ((integers, _),) = solve(it)
    if output == "uint4":  # the largest exact bias: one more is too much
        multiplier, shift = integers.multiplier[:, None], integers.shift
        target = (np.arange(1, 16) << shift) - (1 << shift >> 1)
        most = np.where(thresholds > low, target - 1 - multiplier * (thresholds - 1), 1 << 60)
        integers = Integers(integers.multiplier, most.min(axis=1), shift)
    check(it, integers, thresholds)
    for channel in range(3):
        wrong = integers.bias.copy()
        wrong[channel] += 1
        with pytest.raises(NetworkError, match=f"channel {channel}"):
            check(it, integers._replace(bias=wrong), thresholds)


def test_steps_of_the_integers_that_are_elsewhere_are_named(monkeypatch):
    """The planted twin: steps computed one sum too late, where both functions are equal."""
    it = layer(random_weights(3), "uint4", "uint4", step=0.3)
    ((integers, _),) = solve(it)
    targets, late = search._targets, int(integers.multiplier.max())
    monkeypatch.setattr(search, "_targets", lambda *given: targets(*given) + late)
    with pytest.raises(NetworkError, match="layer it: a step of its integers is not where it is"):
        check(it, integers, it.thresholds())


def test_sums_that_int64_does_not_hold_are_refused():
    """Reaches are within 62 bits, or there are none: they never wrap."""
    most, low, high = 1 << 30, -(1 << 31), (1 << 31) - 1
    fits = np.array([[most, most - 1], [-most, 1 - most]])
    ends = [sum(sorted((each * low, each * high))[end] for each in row)
            for end in (0, 1) for row in fits.tolist()]  # fmt: skip
    assert np.concatenate(reach(fits, low, high)).tolist() == ends
    with pytest.raises(NetworkError, match=r"sums of 2 products .* wider than 62 bits"):
        reach(fits + np.array([[1], [-1]]), low, high)
    with pytest.raises(NetworkError, match=r"sums of 4 products"):  # 2**64 is 0 in int64
        reach(np.full((1, 4), 1 << 62), 0, 1)


def test_one_shift_serves_all_layers():
    layers = [
        replace(layer(random_weights(1), "uint4"), name="one"),
        layer(random_weights(2, 5), "uint8", "uint4"),
    ]
    alone = [solve(it)[0][0].shift for it in layers]
    together = [integers for integers, _ in solve(*layers)]
    assert together[0].shift == together[1].shift >= max(alone)
    assert [brute_force(*pair) for pair in zip(layers, together, strict=True)] == [0, 0]


def test_smaller_shifts_were_not_exact():
    it = layer(random_weights(7), "uint8", "uint4")
    ((integers, _),) = solve(it)
    assert integers.shift > 0
    assert Listed(it).at(integers.shift - 1) is None


def test_dead_channels_fold():
    it = layer(random_weights(4), "uint4", gamma=np.zeros(3), beta=np.array([-1.0, 0.4, 99.0]))
    ((integers, _),) = solve(it)
    assert brute_force(it, integers) == 0


@given(st.integers(0, 2**32 - 1))
def test_ties_of_exact_fractions_go_up_in_both(seed):
    chance = np.random.default_rng(seed)
    # powers of two, so that ties really occur
    power = 2.0 ** chance.integers(-3, 2, 3)
    it = layer(random_weights(seed), "uint4", "uint4", mean=chance.integers(-4, 5, 3) / 4,
               deviation=power, gamma=np.ones(3), beta=np.zeros(3), step=0.5)  # fmt: skip
    ((integers, _),) = solve(it)
    assert brute_force(it, integers) == 0


def test_a_tie_that_float64_does_not_see_goes_up():
    assert 1 / 49 * 49 < 1  # a norm of 1 / 49 * 49, at steps of 2
    it = layer([[1, 1]], "uint2", mean=np.zeros(1), deviation=np.full(1, 49.0), beta=np.zeros(1),
               gamma=np.full(1, 49.0), unit=np.ones(1), step=2.0)  # fmt: skip
    assert parse("uint2").quantize(1 / 49 * 49, 2.0) == 0
    assert it.levels(np.array([[1]])).tolist() == [[1]]
    ((integers, _),) = solve(it)
    assert (integers.multiplier.tolist(), integers.shift) == ([1], 1)
    assert brute_force(it, integers) == 0
    assert brute_force(it, integers._replace(bias=integers.bias - 1)) == 3


@given(st.integers(0, 2**32 - 1), st.sampled_from(["uint4", "uint8", "int4"]), st.integers(0, 9))
def test_the_closed_form_is_that_of_all_steps(seed, output, shift):
    it = layer(random_weights(seed), output, "uint4", seed, step=0.05)
    closed, listed = it.closed_form(), Listed(it)
    assert isinstance(closed, ClosedForm)
    assert closed.steps.tolist() == listed.steps.tolist()
    found, expected = closed.at(shift), listed.at(shift)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert [each.tolist() for each in found[:2]] == [each.tolist() for each in expected[:2]]


def test_what_cannot_be_exact_is_named():
    # 65535 steps over a range of 2**36: no product inside 62 bits follows them all
    slopes = {"unit": np.full(2, 2.0**-40), "gamma": np.array([1.0, 0.337]), "step": 2.0**-21 / 7}
    zero = np.zeros(2)
    it = layer(
        np.full((2, 16), 7), "uint16", "uint32", mean=zero, beta=zero, deviation=zero + 1, **slopes
    )
    with pytest.raises(NetworkError, match=r"layer it, channel \d: no multiplier"):
        solve(it)
