"""The arithmetic of the kernels, against a slow copy of their C++, and integers found for it."""

import math
from fractions import Fraction

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.window import Size
from narrowgauge.hw.numbers.arithmetic import requantize
from narrowgauge.model.exact.integer_steps import IntegerSteps
from narrowgauge.model.exact.search import Integers, Listed
from narrowgauge.model.exact.solving import solve_all
from narrowgauge.model.exact.unsolved import Accumulation, UnsolvedLayer
from narrowgauge.model.exchange.tflite.fixed_point import (
    FixedPoint,
    RealFactor,
    activation_ends,
    mean_multiplier,
    rounded_quotient,
)
from narrowgauge.model.exchange.tflite.rules import Averaging, Rescaling
from narrowgauge.model.exchange.tflite.state import StoredTensor, rule_steps


def quotient(a, b):
    """C++'s: towards zero."""
    return -(-a // b) if a < 0 else a // b


def multiplied(x, multiplier, shift):
    """``MultiplyByQuantizedMultiplier``, line by line."""
    product = (x << max(shift, 0)) * multiplier
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    high = quotient(product + nudge, 1 << 31)
    exponent = max(-shift, 0)
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> exponent) + (1 if high & mask > threshold else 0)


def test_products():
    rng = np.random.default_rng(3)
    for shift in (-31, -20, -9, -3, -1, 0, 2):
        for multiplier in (1 << 30, (1 << 31) - 1, *rng.integers(1 << 30, 1 << 31, 5).tolist()):
            most = 1 << (29 - max(shift, 0))
            levels = np.concatenate([rng.integers(-most, most, 200), np.arange(-40, 41)])
            wanted = [multiplied(each, multiplier, shift) for each in levels.tolist()]
            assert FixedPoint(multiplier, shift).times(levels).tolist() == wanted


def test_halves():
    """The product's halves go up, what is shifted rounds away from zero."""
    half = FixedPoint(1 << 30, 0)
    assert half.times(np.array([-3, -1, 1, 3])).tolist() == [-1, 0, 1, 2]
    quarter = FixedPoint(1 << 30, -1)
    assert quarter.times(np.array([-6, -2, 2, 6])).tolist() == [-2, -1, 1, 2]


@pytest.mark.parametrize(
    ("real", "multiplier", "shift"),
    [(0.0, 0, 0), (1.0, 1 << 30, 1), (0.75, 3 << 29, 0), (2.0**-33, 0, 0), (2.0**-32, 1 << 30, -31),
     (1 - 2.0**-40, 1 << 30, 1)],
)  # fmt: skip
def test_numbers(real, multiplier, shift):
    assert FixedPoint.of(real) == FixedPoint(multiplier, shift)
    found = FixedPoint.of(0.3)
    assert abs(Fraction(found.value) - Fraction(0.3)) <= Fraction(1, 1 << 33)


def test_real_factors_round_away_from_zero():
    assert RealFactor(0.5).times(np.array([-3, -1, 0, 1, 3])).tolist() == [-2, -1, 0, 1, 2]


def test_averages_round_away_from_zero():
    sums = np.arange(-20, 21)
    wanted = [quotient(each + 2 if each > 0 else each - 2, 4) for each in sums.tolist()]
    assert rounded_quotient(sums, 4).tolist() == wanted


def test_means():
    given = FixedPoint.of(0.8)
    found = mean_multiplier(given, 49)
    assert found.multiplier == (given.multiplier << 5) // 49
    assert found.shift == given.shift - 5
    assert math.isclose(found.value, 0.8 / 49, rel_tol=1e-7)


@pytest.mark.parametrize(
    ("name", "ends"),
    [("NONE", (-128, 127)), ("RELU", (10, 127)), ("RELU6", (10, 70)), ("RELU_N1_TO_1", (0, 20))],
)
def test_activations(name, ends):
    assert activation_ends(name, np.float32(0.1), 10) == ends
    assert activation_ends("TANH", np.float32(0.1), 10) is None


# --- integers that equal a rule at every sum ------------------------------------------------------

RULES = {
    "relu": Rescaling(np.array([37]), (FixedPoint.of(0.0123),), -128, (-128, 127)),
    "signed": Rescaling(np.array([-90]), (FixedPoint.of(0.071),), 4, (-128, 127)),
    "coarse": Rescaling(np.array([0]), (FixedPoint.of(0.49),), 0, (-128, 127)),
    "large": Rescaling(np.array([5]), (FixedPoint.of(3.7),), 0, (-128, 127)),
    "dense": Rescaling(np.array([5]), (RealFactor(0.0437),), 9, (-128, 127)),
    "dead": Rescaling(np.array([900]), (FixedPoint.of(1e-6),), 9, (-128, 127)),
    "average": Averaging(np.array([6]), (-128, 127)),
}
REACH = 4000


def solved(name):
    rule = RULES[name]
    low, high = rule.ends
    stored = StoredTensor("layer", Size(1, 1, 1), low, low, high, 0)
    ends = np.array([-REACH]), np.array([REACH])
    steps = rule_steps(stored, rule, np.array([11]), ends[0], ends[1])
    sums = Accumulation(
        "layer",
        ("input",),
        (),
        (),
        stored.size,
        low=ends[0],
        high=ends[1],
        weights=np.ones((1, 1), np.int64),
    )
    layer = UnsolvedLayer("layer", sums, stored.format, steps=steps)
    return rule, stored, steps, solve_all([layer])["layer"]


@pytest.mark.parametrize("name", RULES)
def test_every_sum(name):
    rule, stored, _, solution = solved(name)
    sums = np.arange(-REACH, REACH + 1)
    wanted = rule.codes(sums[None, :] + 11)[0] - stored.base
    found = solution.parameters
    if "thresholds" in found:
        assert name in ("signed", "coarse")  # two roundings, on both sides of zero
        levels = (sums[:, None] >= found["thresholds"]).sum(axis=1)
    else:
        levels = requantize(
            sums, found["multiplier"], found["bias"], found.get("shift", 0), stored.format,
            low=found.get("low"), high=found.get("high"),
            rounding=found.get("rounding", "half_up"),
        )  # fmt: skip
    assert np.array_equal(levels, wanted)


@pytest.mark.parametrize("name", ["relu", "dense"])
@pytest.mark.parametrize("what", ["multiplier", "bias", "rounding"])
def test_a_planted_fault_is_found(name, what):
    """Integers that are off by one differ at some sum; so do those of another rounding."""
    _, _, steps, solution = solved(name)
    found = solution.parameters
    solver = Listed(steps)
    right = Integers(found["multiplier"], found["bias"], found.get("shift", 0))
    assert solver.check(right, found.get("rounding", "half_up"))
    if what == "rounding":  # a bias that rounds down
        wrong = right._replace(bias=right.bias - (1 << (right.shift - 1)))
    elif what == "bias":
        wrong = right._replace(bias=right.bias + (1 << (right.shift - 4)))
    else:
        wrong = right._replace(multiplier=right.multiplier + 1)
    with pytest.raises(NetworkError, match="the folded integers give"):
        solver.check(wrong, found.get("rounding", "half_up"))


def test_steps_that_a_guess_misses_are_found():
    """Rise and start only say where to look."""
    rule, stored, steps, _ = solved("signed")
    blind = IntegerSteps(
        "layer", stored.format, steps.low, steps.high, steps.ends, steps.function,
        np.ones(1), np.full(1, 1e6),
    )  # fmt: skip
    assert np.array_equal(blind.thresholds(), steps.thresholds())
    assert rule.codes(np.array([[0]])).shape == (1, 1)
