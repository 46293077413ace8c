"""Bounds of sums against every sum of every corner of small layers, and against each other."""

from dataclasses import replace
from itertools import product
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from narrowgauge.hw.network.layers import Dense, MaxPool, Move, Size, Window
from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program import bounds
from narrowgauge.hw.program.bounds import (
    Interval,
    any_order,
    calibrated_bound,
    exact_bound,
    layer_bounds,
)
from narrowgauge.hw.program.mapping import MappedLayer, map_network

from ...hw.networks import FAMILIES, outputs, random_convnet, seeds, specs
from .oracles import one_register, words

WIDE = Accumulator(48)
MOST = 8  # elements whose corners are tried one by one


class Recorder:
    """A register without an end, which keeps what it held."""

    def __init__(self):
        self.held = []

    def overflows(self, level):
        return False

    def fit(self, level):
        self.held.append(level)
        return level


def level_range(network, name):
    """The lowest and the highest level of a tensor, from the definition of its layer."""
    found = [layer for layer in network if layer.name == name]
    if not found:
        return network.input.min_level, network.input.max_level
    (layer,) = found
    if isinstance(layer, MaxPool | Move):
        return level_range(network, network.sources(layer)[0])
    if layer.thresholds is not None:
        return layer.output.min_level, layer.output.min_level + layer.thresholds.shape[1]
    low = layer.output.min_level if layer.low is None else layer.low
    return low, layer.output.max_level if layer.high is None else layer.high


def corners(network, mapped):
    """Tensors whose levels are all at the ends of their ranges."""
    sources = network.sources(mapped.layer)
    sizes = [network.sizes[source] for source in sources]
    ends = [
        level_range(network, each) for each in sources for _ in range(network.sizes[each].elements)
    ]
    for levels in product(*ends):
        flat, tensors = list(levels), []
        for size in sizes:
            tensors.append(np.array(flat[: size.elements]).reshape(size))
            del flat[: size.elements]
        yield tensors


def held(mapped, lanes, tensors):
    """Yield the row and all partial sums of every position and channel."""
    for position in np.ndindex(*mapped.patch.positions):
        for channel in range(mapped.channels):
            row = channel % lanes if mapped.shared else channel
            read = words(mapped, lanes, tensors, position, channel // mapped.group_channels)
            recorder = Recorder()
            one_register(mapped, recorder, read, mapped.weights[row].tolist())
            yield row, recorder.held


def brute_force(network, mapped, lanes):
    """The intervals of final and of partial sums over all corners."""
    rows = len(mapped.weights)
    final, partial = ([[] for _ in range(rows)] for _ in range(2))
    for tensors in corners(network, mapped):
        for row, sums in held(mapped, lanes, tensors):
            final[row].append(sums[-1])
            partial[row] += min(sums), max(sums)
    return (
        Interval(*(np.array([end(each) for each in found]) for end in (min, max)))
        for found in (final, partial)
    )


def same(one, two):
    return one.low.tolist() == two.low.tolist() and one.high.tolist() == two.high.tolist()


def assert_attained(network, lanes):
    """Every end of every exact interval is some input's sum, and none is beyond it."""
    for mapped in map_network(network, lanes):
        sizes = [network.sizes[source].elements for source in network.sources(mapped.layer)]
        if not mapped.on_array or sum(sizes) > MOST:
            continue
        exact = exact_bound(mapped)
        final, partial = brute_force(network, mapped, lanes)
        assert same(exact.final, final)
        assert same(exact.partial, partial)


def assert_ordered(network, lanes):
    """Each bound holds the one behind it, in every channel, and none of any order is narrower."""
    for mapped in map_network(network, lanes):
        if not mapped.on_array:
            continue
        found = layer_bounds(mapped)
        assert all(each.is_guarantee for each in found.values())
        for wide, narrow in (("type", "l1"), ("l1", "exact")):
            for which in ("wrap", "saturate"):
                outer, inner = (found[kind].needed(which) for kind in (wide, narrow))
                assert (outer.low <= inner.low).all()
                assert (inner.high <= outer.high).all()
        assert (found["exact"].partial.low <= found["exact"].final.low).all()
        assert (found["exact"].final.high <= found["exact"].partial.high).all()
        low, high = any_order(mapped)
        assert low <= found["exact"].partial.ends[0]
        assert found["exact"].partial.ends[1] <= high


small = specs(max_layers=2, max_pixels=2, max_channels=2)


@settings(max_examples=40)
@given(small, st.sampled_from(FAMILIES), outputs, seeds, st.integers(1, 4), st.booleans())
def test_the_exact_interval_is_attained_and_never_exceeded(
    spec, family, output, seed, lanes, varied
):
    network = random_convnet(seed, family, spec, WIDE, output=output, varied=varied)
    assert_attained(network, lanes)


@given(specs(), st.sampled_from(FAMILIES), outputs, seeds, st.integers(1, 6), st.booleans())
def test_each_bound_holds_the_next(spec, family, output, seed, lanes, varied):
    network = random_convnet(seed, family, spec, WIDE, output=output, varied=varied)
    assert_ordered(network, lanes)


def dense(weight, input, levels):
    ones = np.ones(len(levels))
    layer = Dense(
        name="only", weight=parse(weight), input=parse(input), output=parse("int32"),
        weights=levels, bias=0 * ones, multiplier=ones,
    )  # fmt: skip
    return Network("n", (layer,), WIDE)


@given(
    st.sampled_from(["int4", "int8", "int2"]), st.sampled_from(["uint8", "int8", "uint3", "int4"]),
    st.integers(1, 40), seeds,
)  # fmt: skip
def test_type_and_l1_are_as_narrow_as_their_formulas(weight, input, inputs, seed):
    levels = np.random.default_rng(seed).integers(-3, 4, (2, inputs)).clip(
        parse(weight).min_level, parse(weight).max_level
    )  # fmt: skip
    assume(levels.any(axis=1).all())
    (mapped,) = map_network(dense(weight, input, levels), 2)
    found = layer_bounds(mapped)
    signed, bits, own = input[0] == "i", parse(input).width, parse(weight).width
    for kind, log in (
        ("type", log2(inputs) + bits + own - 1 - signed),
        ("l1", log2(abs(levels).sum(axis=1).max()) + bits - signed),
    ):
        formula = ceil(round(log + log2(1 + 2**-log) + 1, 9))
        assert formula - 1 <= found[kind].final.bits <= formula


def test_the_bounds_by_hand():
    (mapped,) = map_network(dense("int4", "uint2", [[3, -2, 1], [-1, -1, -1]]), 2)
    found = layer_bounds(mapped)
    assert found["type"].final.ends == (-72, 72)
    assert found["l1"].final.high.tolist() == [18, 9]
    assert (found["exact"].final.low.tolist(), found["exact"].final.high.tolist()) == (
        [-6, -9], [12, 0],
    )  # fmt: skip
    assert found["exact"].final.channel_bits == [5, 5]
    assert [each.final.bits for each in found.values()] == [8, 6, 5]


def test_what_wraps_needs_the_last_sum_only():
    # two passes of an average pool: the first one also counts the other channel
    network = random_convnet(1, BIPOLAR, POOL, WIDE)
    bound = exact_bound(map_network(network, 4)[0])
    assert bound.needed("wrap").ends == (-4, 4)
    assert bound.needed("saturate").ends == (-8, 8)
    (odd,) = map_network(dense("bipolar", "bipolar", [[1]]), 4)  # three lanes of -1
    assert exact_bound(odd).final.ends == (-4, -2)


def test_the_last_group_of_a_pool_reads_levels_that_no_channel_has():
    """Two lanes and three channels of 1 to 15: the fourth is 0."""
    network = random_convnet(1, FAMILIES[4], (Size(1, 1, 1), ONE, ("average", None), ONE), WIDE)
    first, *others = network.layers
    network = replace(network, layers=(replace(first, low=1), *others))
    pool = map_network(network, 2)[1]
    assert exact_bound(pool).partial.low.tolist() == [1, 2]
    assert_attained(network, 2)


def test_what_was_seen_is_no_guarantee_and_never_wider_than_what_is_possible():
    (mapped,) = map_network(dense("int4", "uint2", [[3, -2, 1], [-1, -1, -1]]), 2)
    seen = Interval(np.array([-1, -9]), np.array([8, 0]))
    found = calibrated_bound(exact_bound(mapped), seen, seen)
    assert not found.is_guarantee
    assert (found.final.low.tolist(), found.final.high.tolist()) == ([-1, -9], [10, 0])


def test_a_margin_leaves_out_nothing_that_was_seen():
    """Sums of one sign: an end that is times the margin would be beyond what was seen."""
    (mapped,) = map_network(dense("int4", "uint2", [[3, 3, 3], [-1, -1, -1]]), 2)
    seen = Interval(np.array([20, -9]), np.array([27, -8]))
    found = calibrated_bound(exact_bound(mapped), seen, seen)
    assert (found.final.low.tolist(), found.final.high.tolist()) == ([20, -9], [27, -8])


# --- planted faults ------------------------------------------------------------------------------


def nothing_outside(patch):
    patch.setattr(bounds, "_outside", lambda mapped: [np.zeros(bounds._codes(mapped), bool)])


def free_lanes(patch):
    patch.setattr(bounds, "_fixed", lambda mapped, _: np.zeros(mapped.weights.shape[1], bool))


def last_sum_only(patch):
    original = bounds._exact
    patch.setattr(bounds, "_exact", lambda low, high: original(low[:, :, -1:], high[:, :, -1:]))


def whole_formats(patch):
    formats = property(lambda self: tuple((f.min_level, f.max_level) for f in self.layer.inputs))
    patch.setattr(MappedLayer, "ranges", formats)


def one_pass(patch):
    original = bounds._merged

    def merged(mapped, *of):
        return tuple(each * mapped.planes for each in original(mapped, *of))

    patch.setattr(bounds, "_merged", merged)


def no_doubling(patch):
    original = bounds._planes
    patch.setattr(bounds, "_planes", lambda mapped: tuple(each // 2 for each in original(mapped)))


BIPOLAR, PLANES, INT4 = FAMILIES[0], FAMILIES[1], FAMILIES[9]
TINY = (Size(1, 1, 2), ("conv", 2, Window((3, 3), (1, 1), (1, 1, 1, 1)), 1), ("dense", 2))
FLAT = (Size(1, 1, 3), ("dense", 2))
ONE = ("conv", 3, Window((1, 1)), 1)
POOL = (Size(1, 2, 4), ("average", None), ("dense", 2))
FAULTS = [
    (nothing_outside, BIPOLAR, TINY),
    (free_lanes, BIPOLAR, FLAT),
    (free_lanes, PLANES, FLAT),
    (last_sum_only, BIPOLAR, POOL),
    (whole_formats, INT4, (Size(1, 1, 2), ("dense", 3), ("dense", 2))),
    (one_pass, BIPOLAR, POOL),
    (no_doubling, PLANES, FLAT),
]


def assert_all_attained(networks):
    for network in networks:
        assert_attained(network, 4)


@pytest.mark.parametrize(("fault", "family", "spec"), FAULTS)
def test_planted_faults_are_found(fault, family, spec, monkeypatch):
    networks = [
        random_convnet(seed, family, spec, WIDE, output=parse("int12"), varied=True)
        for seed in range(3)
    ]
    assert_all_attained(networks)
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        assert_all_attained(networks)


def largest_instead_of_magnitude(patch):
    patch.setattr(bounds, "_largest", lambda fmt: fmt.max_level)


def a_weight_too_few(patch):
    original = bounds._symmetric
    patch.setattr(
        bounds, "_symmetric", lambda kind, reach: original(kind, reach // (1 + (kind == "type")))
    )


@pytest.mark.parametrize("fault", [largest_instead_of_magnitude, a_weight_too_few])
def test_planted_faults_of_the_wider_bounds_are_found(fault, monkeypatch):
    network = dense("int3", "int3", [[-4, -4], [3, 3]])
    assert_ordered(network, 2)
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        assert_ordered(network, 2)
