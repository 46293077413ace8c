"""Integers in closed form against those of steps looked at one by one, and how long that takes."""

import math
import time
import tracemalloc
from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.window import Size
from narrowgauge.hw.numbers.formats import Bipolar
from narrowgauge.model.exact.search import Listed
from narrowgauge.model.exact.step_function import StepFunction
from narrowgauge.model.exchange.extra import require

require()

from narrowgauge.model.exact.quantizer import Quantizer  # noqa: E402
from narrowgauge.model.exact.ranges import narrowest  # noqa: E402
from narrowgauge.model.exact.requantisation import Steps, end_levels  # noqa: E402
from narrowgauge.model.exact.solving import _smallest, solve_all  # noqa: E402
from narrowgauge.model.exact.staircase import ClosedForm  # noqa: E402
from narrowgauge.model.exact.tensors import Levels  # noqa: E402
from narrowgauge.model.exact.transfer import Transfer  # noqa: E402
from narrowgauge.model.exact.unsolved import UnsolvedLayer  # noqa: E402
from narrowgauge.model.exchange.importer import import_model  # noqa: E402
from narrowgauge.model.exchange.nodes.quantise import _changes_nothing  # noqa: E402

from ..exchange.graphs import Graph  # noqa: E402
from .test_requantisation import MODES, NO_ACCUMULATION, functions, objects  # noqa: E402


class OneByOne(Steps):
    """The same steps found by bisection, in Fractions."""

    def levels(self, accumulator):
        codes = self.quantizer.codes(self.transfer.values(accumulator)) - self.quantizer.zero
        return np.where(self.mirrored[:, None], self.bottom + self.top - codes, codes)

    def thresholds(self):
        return StepFunction.thresholds(self)

    @property
    def goals(self):
        if self.output == Bipolar():
            return np.array([1])
        return np.arange(self.bottom + 1, self.top + 1)


def oracle(steps):
    names = ("name", "output", "low", "high", "transfer", "quantizer", "mirrored", "ends")
    return OneByOne(**{each: getattr(steps, each) for each in names})


def same(steps, shifts=range(14)):
    """Compare thresholds, and the integers of many shifts."""
    slow = Listed(oracle(steps))
    assert steps.thresholds().tolist() == slow.steps.tolist()
    closed = steps.closed_form()
    for shift in shifts if closed else ():
        for rounding in ("half_up", "half_even"):
            found, expected = closed.at(shift, rounding), slow.at(shift, rounding)
            assert (found is None) == (expected is None)
            if found is not None and expected is not None:
                assert [*map(np.ndarray.tolist, found[:2])] == [
                    *map(np.ndarray.tolist, expected[:2])
                ]


@settings(max_examples=60)
@given(functions())
def test_narrow_layers_get_the_integers_of_the_slow_way(drawn):
    same(drawn[0])


@st.composite
def wide(draw):
    """Up to 10 bits over thousands of sums, in scales of float32 or of small ratios."""
    bits, reach = draw(st.integers(6, 10)), draw(st.integers(50, 3000))
    falls, zero = draw(st.booleans()), F(draw(st.sampled_from([0, 0, 7, -3])))
    nice = draw(st.fractions(F(1, 40), 3, max_denominator=40))
    odd = F(float(np.float32(draw(st.floats(0.02, 3)))))
    gain = draw(st.sampled_from([nice, odd, nice * odd, F(1, 8), F(3, 16)])) * (-1 if falls else 1)
    offset = draw(st.fractions(-90, 90, max_denominator=6))
    low, high = draw(st.sampled_from([(-math.inf, math.inf), (F(0), math.inf), (F(-7, 2), F(99))]))
    transfer = Transfer.linear(objects(gain), objects(offset)).clipped(low, high)
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if draw(st.booleans()) else (0, 2**bits - 1)
    one, divisor = objects(F(1)), F(draw(st.sampled_from([0, 0, 2, 3])))
    mode = draw(st.sampled_from(MODES))
    quantizer = Quantizer(one, zero, *ends, mode, False, one, zero, divisor)
    given = end_levels(transfer, quantizer)
    sums = np.array([-draw(st.integers(0, reach))]), np.array([reach])
    return Steps("layer", narrowest(*given), *sums, transfer, quantizer, np.array([falls]), given)


@settings(max_examples=40, deadline=None)
@given(wide())
def test_wide_layers_get_the_integers_of_the_slow_way(steps):
    same(steps, range(0, 20, 3))


@st.composite
def counted(draw):
    """Tables behind clips, in lines that rise or fall."""
    falls = draw(st.booleans())
    gain = draw(st.fractions(0, 2, max_denominator=9)) * (-1 if falls else 1)
    transfer = Transfer.linear(objects(gain), objects(draw(st.fractions(-9, 9, max_denominator=4))))
    transfer = transfer.clipped(
        *draw(st.sampled_from([(-math.inf, math.inf), (F(0), F(9)), (F(1), F(1))]))
    )
    table = sorted(draw(st.lists(st.fractions(-9, 12, max_denominator=6), min_size=3, max_size=3)))
    one = objects(F(1))
    quantizer = Quantizer(
        one, F(0), 0, 3, "FLOOR", False, one, F(0), table=np.array([table], object)
    )
    ends = np.array([-30]), np.array([30])
    return Steps("layer", narrowest(0, 3), *ends, transfer, quantizer, np.array([falls]), (0, 3))


@given(counted())
def test_tables_are_counted_as_one_by_one(steps):
    sums = np.arange(-30, 31)[None, :]
    slow = oracle(steps)
    assert steps.levels(sums).tolist() == slow.levels(sums).tolist()
    assert steps.thresholds().tolist() == slow.thresholds().tolist()
    counts = steps._counts
    at = counts.codes_at(np.zeros(61, int), sums[0])
    assert at.tolist() == counts.codes(sums)[0].tolist()


@settings(max_examples=60)
@given(
    st.sampled_from([F(1), F(-1), F(1, 2), F(2), F(3, 2), F(-3)]),
    st.sampled_from([F(0), F(1), F(1, 2), F(-4)]),
    st.integers(-6, 0),
    st.integers(0, 6),
    st.sampled_from(MODES),
    st.sampled_from([F(0), F(2)]),
    st.sampled_from([F(0), F(1), F(1, 2)]),
)
def test_a_quantiser_that_changes_nothing_is_known_by_its_ends(
    scale, offset, low, high, mode, zero, pad
):
    size, fmt = Size(1, 1, 1), narrowest(low, high)
    index, padding = np.arange(1).reshape(1, 1), (0, 0, 0, 1) if pad else (0, 0, 0, 0)
    around = objects(pad * scale) if pad else None
    given = Levels(
        *(size, index, "x", fmt, low, high, objects(scale), objects(offset), around),
        padding=padding,
    )
    one = objects(F(1))
    quantizer = Quantizer(one, zero, -8, 7, mode, False, one, zero)
    values = [scale * (level + offset) for level in range(low, high + 1)] + [pad * scale] * (
        pad > 0
    )
    codes = quantizer.codes(np.array([values], object))[0]
    expected = all(int(code) - zero == value for code, value in zip(codes, values, strict=True))
    assert _changes_nothing(given, quantizer) == expected


@pytest.mark.parametrize(
    ("scale", "high", "same"),
    [(F(1), 65535, True), (F(1), 65534, False), (F(1, 2), 65535, False), (F(2), 65535, False)],
)
def test_wide_levels_that_are_quantised_again_are_known_by_their_ends(scale, high, same):
    """Nothing is a layer that gives its 65,536 levels as they are; a step more or less is one."""
    index, fmt = np.arange(1).reshape(1, 1), narrowest(0, 65535)
    one = objects(F(1))
    given = Levels(Size(1, 1, 1), index, "x", fmt, 0, 65535, one, objects(F(0)))
    quantizer = Quantizer(objects(scale), F(0), 0, high, "ROUND", False, objects(scale), F(0))
    assert _changes_nothing(given, quantizer) == same


@pytest.mark.parametrize("table", [None, np.array([[F(1), F(2), F(3)]], object)])
def test_numbers_beyond_64_bits(table):
    """A sum that is always 0 makes a huge slope no smaller."""
    steps = many(2, channels=1, table=table)
    huge = replace(steps.transfer, gain=objects(F(1 << 200)), offset=objects(F(5, 2)))
    steps = replace(steps, transfer=huge, low=np.array([0]), high=np.array([0]))
    assert steps.levels(np.array([[0]])).tolist() == [[2]]
    assert steps.thresholds().tolist() == [[0, 0, 1]]


# --- what takes long, and much memory --------------------------------------------------------


def many(bits, accumulator=32, channels=1024, mode="ROUND", dyadic=False, **changes):
    """A layer that uses all levels over all sums, each channel at a scale of its own."""
    chance, farthest = np.random.default_rng(bits), (1 << (accumulator - 1)) - 1
    slopes = (chance.uniform(0.5, 1, channels) * 2.0**bits / farthest).astype(np.float32).tolist()
    gains = [F(1, 1 << (accumulator - bits)) if dyadic else F(each) for each in slopes]
    offsets = [F(float(np.float32(each))) for each in chance.normal(size=channels) * 5]
    transfer = Transfer.linear(objects(*gains), objects(*offsets))
    transfer = changes.get("nonlinear", lambda each: each.clipped(F(0), math.inf))(transfer)
    ones = objects(*[F(1)] * channels)
    table = changes.get("table")
    quantizer = Quantizer(ones, F(0), 0, 2**bits - 1, mode, False, ones, F(0), table=table)
    ends = end_levels(transfer, quantizer)
    reach = np.full(channels, -farthest - 1), np.full(channels, farthest)
    none = np.zeros(channels, bool)
    return Steps("layer", narrowest(*ends), *reach, transfer, quantizer, none, ends)


def solved(steps):
    unsolved = [UnsolvedLayer("layer", NO_ACCUMULATION, steps.output, steps=steps)]
    (solution,) = solve_all(unsolved).values()
    return solution


def tanh(transfer):
    nonlinear: Any = lambda values: 255 * np.tanh(values / 200)  # noqa: E731
    return transfer.then(nonlinear, np.ones(len(transfer.gain), int))


SIZES = [
    (many(8), "thresholds"),
    (many(16, dyadic=True), "multiplier"),
    (many(24), "multiplier"),
    (many(24, dyadic=True, mode="FLOOR"), "shift"),
    (many(8, channels=256, nonlinear=tanh), "thresholds"),
]


@pytest.mark.parametrize(("steps", "method"), SIZES)
def test_the_widest_layers_take_seconds_and_little_memory(steps, method):
    started = time.process_time()
    solution = solved(steps)
    assert time.process_time() - started < 10  # 0.4 to 1.5, and 1 of a nonlinear one
    assert solution.method == method


def test_memory_does_not_grow_with_the_levels():
    steps = many(24, channels=64)
    tracemalloc.start()
    try:
        solved(steps)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 150 << 20  # 64 channels times 2**24 levels would be 8 GiB


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nonlinear": tanh}, "uint16 is too wide for thresholds"),
        ({"mode": "DOWN", "zero": 9}, "no multiplier and shift give its function exactly"),
    ],
)
def test_what_has_no_integers_is_refused_before_levels_are_listed(changes, words):
    steps = many(16, **{key: each for key, each in changes.items() if key != "zero"})
    if "zero" in changes:
        quantizer = replace(steps.quantizer, low=-(1 << 15), high=(1 << 15) - 1)
        steps = replace(steps, transfer=Transfer.linear(steps.transfer.gain, steps.transfer.offset))
        steps = replace(steps, quantizer=quantizer, ends=(-(1 << 15), (1 << 15) - 1))
        steps = replace(steps, output=narrowest(*steps.ends))
    started = time.process_time()
    with pytest.raises(NetworkError, match=f"layer layer: .*{words}"):
        solved(steps)
    assert time.process_time() - started < 10


def test_a_nonlinear_transfer_is_rounded_once_at_any_width():
    """Levels in few passes of float64 are those of the transfer in Fractions."""
    steps = many(8, channels=3, nonlinear=tanh)
    chance = np.random.default_rng(1)
    at = steps.thresholds()[:, 50:90]
    sums = np.concatenate([at, at - 1, chance.integers(-(2**31), 2**31, (3, 99))], axis=1)
    assert steps.levels(sums).tolist() == oracle(steps).levels(sums).tolist()


# --- planted faults --------------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [-1, 1])
def test_a_bias_beyond_its_bounds_is_found_among_16_million_levels(beyond):
    trial = _smallest(many(24, channels=2))
    assert isinstance(trial.solver, ClosedForm)
    integers = trial.integers
    assert integers is not None
    multiplier = int(integers.multiplier[1])
    ends = trial.solver.stairs[1].bounds(multiplier, trial.shift, trial.rounding)
    assert trial.solver.check(integers, trial.rounding) > 1 << 18
    integers.bias[1] = ends[beyond > 0]
    trial.solver.check(integers, trial.rounding)
    integers.bias[1] += beyond
    with pytest.raises(NetworkError, match="layer layer, channel 1: the folded integers are not"):
        trial.solver.check(integers, trial.rounding)


@pytest.mark.parametrize("field", ["rise", "start", "run"])
def test_a_wrong_run_is_found(field):
    """Steps in closed form that are not the graph's: the levels themselves say so."""
    steps = many(16, channels=2)
    closed = steps.closed_form()
    assert closed is not None
    stairs = closed.stairs[1]
    run = stairs.runs[0]
    moved = run._replace(**{field: getattr(run, field) + max(run.run, run.rise) // 2})
    wrong = ClosedForm(steps, [closed.stairs[0], replace(stairs, runs=(moved, *stairs.runs[1:]))])
    trial = _smallest(steps)
    assert trial.integers is not None
    with pytest.raises(NetworkError):
        wrong.check(trial.integers, trial.rounding)


# --- networks --------------------------------------------------------------------------------


def test_convolutions_of_16_bit_activations_are_imported_in_seconds():
    """Of the kind of a public network whose import once took 18 minutes."""
    graph, size = Graph((1, 1, 28, 28)), 28
    x, channels = graph.quant(graph.input, 8, 2.0**-8, signed=False), 1
    for _ in range(3):
        weights = graph.weights((32, channels, 3, 3), 8, 2.0**-8)
        bias = np.round(graph.real(32) * 2**10) / 2**10
        x = graph.node("Relu", graph.conv(x, weights, bias))
        x = graph.max_pool(graph.quant(x, 16, 2.0**-10, signed=False), 2)
        size, channels = (size - 2) // 2, 32
    x = graph.matmul(graph.node("Flatten", x), graph.weights((32 * size * size, 10), 8))
    told: list[str] = []
    started = time.process_time()
    imported = import_model(graph.model(x), name="wide", progress=told.append)
    assert time.process_time() - started < 10
    assert [each.method for each in imported.report if each.method][:3] == ["shift"] * 3
    assert [each.accumulator_bits for each in imported.report][2] == 31
    for place, layer in enumerate(("Conv_0", "Conv_1", "Conv_2"), 1):
        assert f"integers of {layer}, layer {place} of 3" in told
    assert "node Conv_2" in told
