"""Groups of channels: what they add up to is what programs of networks with such widths come to."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from narrowgauge.hw.errors import FitError
from narrowgauge.hw.geometry import SLICES, Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.ordering import free_orders
from narrowgauge.scripts.exploring import arrays, groups
from narrowgauge.scripts.exploring.arrays import ArrayKind, Shape, cycles_of
from narrowgauge.scripts.exploring.candidates import Candidate, candidates_of, limits_of
from narrowgauge.scripts.exploring.choice import Limit, choose_widths
from narrowgauge.scripts.exploring.costs import Convex
from narrowgauge.scripts.exploring.groups import cut, orders_of, whole
from narrowgauge.scripts.exploring.quantised import SharedFormats, Versions

from ...hw.accelerator.test_widths import check as simulated
from ...hw.networks import FAMILIES, random_convnet, seeds, weighted, with_widths
from .small import request, store_path

__all__ = ["store_path"]

WIDTHS = (2, 3, 8)
SAME, POINT = Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((1, 1))
RESIDUAL = (
    Size(4, 4, 2), ("conv", 10, SAME, 1), ("conv", 10, POINT, 1), ("add", "layer0", (2, 1)),
    ("conv", 9, POINT, 1), ("average", None), ("dense", 5),
)  # fmt: skip


class Plane(arrays._Plane):
    """No estimates: their own tests are elsewhere."""

    fmax_mhz = 40.0

    def __init__(self):
        pass

    def lut(self, geometry):
        return 1000.0


def versions_of(network, seed=0):
    """The network at each width, with losses by chance that wider weights have fewer of."""
    rng, names = np.random.default_rng(seed), tuple(each.name for each in weighted(network))
    network = network.with_accumulator(Accumulator(24))
    channels = {
        each.name: np.sort(rng.random((each.channels, len(WIDTHS))), axis=1)[:, ::-1]
        for each in weighted(network)
    }
    free = free_orders(network)
    return Versions(
        SharedFormats("uint4", "uint4"),
        names,
        WIDTHS,
        {width: with_widths(seed, network, [width]) for width in WIDTHS},
        np.array([channels[name].sum(axis=0) for name in names]),
        {name: channels[name] for name in free},
        orders_of(free, channels),
    )


def array_of(path, versions, shape, objective="images"):
    kind = ArrayKind(shape.geometry.slice, WIDTHS)
    found = arrays._costs(request(path, objective=objective), versions, kind, shape, Plane())
    assert found is not None
    return found


def check(array, chosen, objective="images"):
    """Compare a candidate with the program of a network with its widths."""
    each = Candidate(array, chosen)
    network = each.versions.mixed(each.widths, array.shape.geometry.lanes)
    program = array.shape.program(network)
    rows = np.arange(len(chosen))
    assert each.cycles == pytest.approx(cycles_of(program.cycles, objective), abs=1e-6)
    words = array.words[rows, list(chosen)].sum() + arrays._others(program, each.versions.names)
    assert words == program.weight_words
    assert program.network.parameter_bits == each.bits


def drawn(array, seed):
    """Choices by chance, one for each layer."""
    return tuple(np.random.default_rng(seed).integers([len(own.choices) for own in array.groups]))


def check_some(array, objective="images"):
    for seed in range(12):
        check(array, drawn(array, seed), objective)


def residual():
    return versions_of(random_convnet(1, ("int8", "uint4", "uint4"), RESIDUAL, Accumulator(24)))


@pytest.mark.parametrize("objective", ["images", "latency"])
def test_groups_of_a_residual_network_add_up(store_path, objective):
    array = array_of(store_path, residual(), Shape(Geometry(2, 3, 4, slice=2), 1, 1), objective)
    assert [own.sizes for own in array.groups] == [(3, 3, 3, 1), (3, 3, 3, 1), (3, 3, 3), (5,)]
    check_some(array, objective)


@st.composite
def specs(draw):
    """Small networks with layers whose channels may move, some of them added."""
    size = Size(draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3)))
    spec: list[Any] = [size]
    windows = st.sampled_from([SAME, POINT])
    for _ in range(draw(st.integers(1, 2))):
        channels = draw(st.integers(2, 9))
        spec.append(("conv", channels, draw(windows), 1))
        if draw(st.booleans()):
            source = f"layer{len(spec) - 2}"
            spec += [("conv", channels, draw(windows), 1), ("add", source, (1, 1))]
    return (*spec, ("dense", draw(st.integers(1, 4))))


@settings(max_examples=20)
@given(
    spec=specs(),
    family=st.sampled_from(FAMILIES),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    lanes=st.integers(1, 4),
    bits=st.sampled_from(SLICES),
    seed=seeds,
)
def test_groups_of_any_network_add_up(store_path, spec, family, rows, columns, lanes, bits, seed):
    versions = versions_of(random_convnet(seed, family, spec, Accumulator(24)), seed)
    shape = Shape(Geometry(rows, columns, lanes, slice=bits), 1, 1)
    array = array_of(store_path, versions, shape)
    chosen = drawn(array, seed)
    each = Candidate(array, chosen)
    assume(np.isfinite(each.cycles))
    # strips of one layer may depend on another one's width
    programs = [
        shape.program(network)
        for network in (each.versions.mixed(each.widths, lanes), versions.networks[WIDTHS[0]])
    ]
    assume(len({tuple(way.patch for way in program.mapped) for program in programs}) == 1)
    check(array, chosen)


def test_groups_that_are_no_whole_tiles_are_found(store_path, monkeypatch):
    """The twin: groups of single channels on an array of three columns."""
    monkeypatch.setattr(groups, "GROUPS", 10)
    monkeypatch.setattr(
        Versions,
        "groups_on",
        lambda self, columns, own=Versions.groups_on: own(self, 1),
    )
    array = array_of(store_path, residual(), Shape(Geometry(2, 3, 4, slice=2), 1, 1))
    with pytest.raises(AssertionError):
        check_some(array)


def test_what_is_predicted_is_simulated(store_path):
    """Levels, sums and cycles of a network of groups, on gates."""
    shape = Shape(Geometry(2, 3, 4, slice=2), 1, 1)
    array = array_of(store_path, residual(), shape, "latency")
    each = Candidate(array, drawn(array, 3))
    network = each.versions.mixed(each.widths, 4)
    assert len({len(set(layer.channel_widths)) for layer in weighted(network)}) > 1
    program, _, comparison = simulated(network, shape.geometry, 1, contexts=1, batch=1)
    assert comparison, str(comparison.first)
    assert cycles_of(program.cycles, "latency") == each.cycles


def test_cycles_of_two_groups_of_images_are_near(store_path):
    shape = Shape(Geometry(2, 3, 4, slice=1), 2, 2)
    array = array_of(store_path, residual(), shape)
    for seed in range(6):
        each = Candidate(array, drawn(array, seed))
        whole = cycles_of(shape.program(each.versions.mixed(each.widths, 4)).cycles, "images")
        assert each.cycles == pytest.approx(whole, rel=0.03)


def test_lines_are_certain_or_measured():
    def hinge(steps):
        return 7.0 + 3 * max(0, steps - 25)

    points, asked = {at: hinge(at) for at in (10, 20, 30, 40, 50)}, []

    def at(line, steps):
        return line.at(steps, lambda: asked.append(steps) or hinge(steps))

    exact = Convex(points, exact=True)
    assert all(at(exact, steps) == hinge(steps) for steps in range(1, 60))
    assert {*range(12, 20), *range(31, 50)}.isdisjoint(asked)
    assert {24, 25} <= set(asked)
    near = Convex(points, exact=False)
    assert at(near, 26) == pytest.approx(7 + 15 * 0.6)


def test_choices_are_staircases_along_the_order():
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    own = cut(order, (1, 2, 4), 3)
    assert own.sizes == (3, 3, 1)
    widths = [own.chosen(index) for index in range(len(own.choices))]
    assert widths[:3] == [1, 2, 4]
    assert (4, 2, 2, 4, 2, 2, 4) in widths
    assert len(set(widths)) == len(widths) == 3 + 2
    for each in widths[3:]:
        assert isinstance(each, tuple)
        along = [each[channel] for channel in order]
        assert along == sorted(along, reverse=True)
    many = cut(np.arange(64), tuple(range(1, 17)), 2)
    assert (len(many.channels), len(many.choices) <= 1016) == (3, True)
    assert whole(5, (2, 4)).choices.tolist() == [[0], [1]]


def test_layers_that_are_added_have_one_order_and_others_one_width():
    versions = residual()
    assert set(versions.orders) == {"layer0", "layer1", "layer3"}
    assert (versions.orders["layer0"] == versions.orders["layer1"]).all()
    lost = versions.channels["layer0"] + versions.channels["layer1"]
    assert (np.diff(lost.sum(axis=1)[versions.orders["layer0"]]) <= 0).all()


def test_no_choice_of_layers_is_better(store_path):
    """Whatever layers may have, their groups may, too; and they are faster at the same losses."""
    asked, shape = request(store_path, widths=WIDTHS), Shape(Geometry(2, 2, 4, slice=1), 1, 1)
    versions, faster = residual(), False
    channels = array_of(store_path, versions, shape)
    for one in candidates_of(asked, array_of(store_path, replace(versions, orders={}), shape)):
        lost = Limit("losses", channels.losses, one.loss)
        chosen = choose_widths(channels.cycles, [*limits_of(asked, channels), lost])
        assert chosen is not None
        each = Candidate(channels, chosen)
        assert each.cycles <= one.cycles + 1e-6
        faster |= each.cycles < one.cycles
    assert faster


def test_limits_that_no_groups_meet_are_named(store_path):
    array = array_of(store_path, residual(), Shape(Geometry(2, 3, 4, slice=2), 1, 1))
    asked, needed = request(store_path, widths=WIDTHS), int(array.words.min(axis=1).sum())
    with pytest.raises(FitError, match=rf"at most {needed - 1} words, and at least {needed} words"):
        candidates_of(asked, replace(array, room=needed - 1))
    mixed = array.accumulators[0, len(WIDTHS) :]
    most = array.accumulators[:, 0].max()
    with pytest.raises(FitError, match=rf"and at least {most:.0f} bits with any widths"):
        candidates_of(request(store_path, widths=WIDTHS, accumulator=int(most) - 1), array)
    assert array.accumulators[0, 0] <= mixed.min() < mixed.max()
    assert mixed.max() <= array.accumulators[0, len(WIDTHS) - 1]
