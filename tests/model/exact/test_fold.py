from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.numbers.arithmetic import requantize
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.exact.fold import FoldedLayer, Integers, check, reach, solve, solve_together


def layer(weights, output="uint4", input="uint2", seed=0, **changes):
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
    return FoldedLayer("it", parse(output), *reach(weights, parse(input)), **fields)


def brute_force(it, integers):
    """Compare at every accumulator level there is; return how many differ."""
    differences = 0
    low, high = it.low, it.high
    for channel in range(len(low)):
        levels = np.arange(low[channel], high[channel] + 1)
        expected = it.levels(np.tile(levels, (len(low), 1)))[channel]
        got = requantize(
            levels, integers.multiplier[channel], integers.bias[channel], integers.shift, it.output
        )
        differences += int((expected != got).sum())
    return differences


def random_weights(seed, channels=3, inputs=6):
    return np.random.default_rng(seed).integers(-7, 8, (channels, inputs))


def test_thresholds_by_hand():
    # the value is acc / 4 at steps of 1: levels 1, 2, 3 are reached at 2, 6, 10 (halves go up)
    it = layer([[3, 2]], output="uint2", mean=np.zeros(1), deviation=np.ones(1),
               gamma=np.ones(1), beta=np.zeros(1), step=1.0)  # fmt: skip
    assert [it.low.tolist(), it.high.tolist()] == [[0], [15]]
    assert it.thresholds().tolist() == [[2, 6, 10]]
    ((integers, compared),) = solve_together([it])
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
def test_integers_equal_the_float_function_at_every_level(seed, output, input):
    it = layer(random_weights(seed), output, input, seed, step=0.05)
    ((integers, compared),) = solve_together([it])
    assert brute_force(it, integers) == 0
    low, high = it.low, it.high
    assert 3 <= compared <= int((high - low + 1).sum())


@given(st.integers(0, 2**32 - 1), st.sampled_from(["bipolar", "uint1", "uint4", "uint8"]),
       st.integers(0, 2), st.integers(-3, 3), st.integers(-3, 3))  # fmt: skip
def test_the_check_raises_exactly_where_brute_force_differs(seed, output, channel, bias, slope):
    it = layer(random_weights(seed), output, "uint4", seed, step=0.2)
    ((integers, _),) = solve_together([it])
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
    ((integers, _),) = solve_together([it])
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


def test_one_shift_serves_all_layers():
    layers = [layer(random_weights(1), "uint4"), layer(random_weights(2, 5), "uint8", "uint4")]
    alone = [solve_together([it])[0][0].shift for it in layers]
    together = [integers for integers, _ in solve_together(layers)]
    assert together[0].shift == together[1].shift >= max(alone)
    assert [brute_force(*pair) for pair in zip(layers, together, strict=True)] == [0, 0]


def test_smaller_shifts_were_not_exact():
    it = layer(random_weights(7), "uint8", "uint4")
    ((integers, _),) = solve_together([it])
    assert integers.shift > 0
    assert not solve(it, it.thresholds(), integers.shift - 1)[1].all()


def test_dead_channels_fold():
    it = layer(random_weights(4), "uint4", gamma=np.zeros(3), beta=np.array([-1.0, 0.4, 99.0]))
    ((integers, _),) = solve_together([it])
    assert brute_force(it, integers) == 0


@given(st.integers(0, 2**32 - 1))
def test_ties_of_exact_fractions_go_up_in_both(seed):
    chance = np.random.default_rng(seed)
    # powers of two make every operation exact, so ties really occur
    power = 2.0 ** chance.integers(-3, 2, 3)
    it = layer(random_weights(seed), "uint4", "uint4", mean=chance.integers(-4, 5, 3) / 4,
               deviation=power, gamma=np.ones(3), beta=np.zeros(3), step=0.5)  # fmt: skip
    values = [Fraction(1, 4), Fraction(0.5)]
    low = it.low
    for channel, accumulator in enumerate(low.tolist()):
        exact = (accumulator * values[0] - Fraction(it.mean[channel])) / Fraction(power[channel])
        level = min(max((exact / values[1] + Fraction(1, 2)).__floor__(), 0), 15)
        assert it.levels(low[:, None])[channel, 0] == level
    ((integers, _),) = solve_together([it])
    assert brute_force(it, integers) == 0


def test_what_cannot_be_exact_is_named():
    # 65535 thresholds over a range of 2**36: no product inside 62 bits follows them all
    slopes = {"unit": np.full(2, 2.0**-40), "gamma": np.array([1.0, 0.337]), "step": 2.0**-21 / 7}
    zero = np.zeros(2)
    it = layer(
        np.full((2, 16), 7), "uint16", "uint32", mean=zero, beta=zero, deviation=zero + 1, **slopes
    )
    with pytest.raises(NetworkError, match=r"layer it, channel \d: no multiplier"):
        solve_together([it])
