"""Arrays that fit: what is added layer by layer is what whole programs come to."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from narrowgauge.hw.errors import FitError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.synth.estimate import Estimate
from narrowgauge.hw.synth.placement import fits
from narrowgauge.scripts.exploring import arrays
from narrowgauge.scripts.exploring.arrays import ArrayKind, Shape, cycles_of
from narrowgauge.scripts.exploring.candidates import (
    Candidate,
    candidates_of,
    limits_of,
    thinned,
)

from .small import WIDTHS, request, store_path, versions

__all__ = ["store_path"]

SLICED = ArrayKind(2, WIDTHS)
SHAPES = (
    Shape(Geometry(2, 2, 4, slice=2), 1, 1),
    Shape(Geometry(2, 4, 4, chains=2, slice=1), 2, 2),
)


_Plane = arrays._Plane


@pytest.fixture(scope="module", autouse=True)
def plane():
    """No estimates: their own tests are elsewhere."""

    class Plane:
        fmax_mhz, least = 40.0, 100.0

        def __init__(self, *_):
            pass

        def lut(self, geometry):
            return 1000.0 + 20 * geometry.macs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_Plane", Plane)
        patch.setattr(arrays, "KEPT", 3)
        yield Plane()


def test_nothing_costs_less_than_no_cells(store_path, monkeypatch):
    """Estimates that fall with lanes, as of memories that are made of logic, promise nothing."""

    def falling(program, *_):
        return Estimate(2000 - 30 * program.geometry.macs, 0, 0, 0, 0, 40.0, 0.1, 0.1)

    monkeypatch.setattr(arrays, "estimated", falling)
    plane = _Plane(request(store_path), versions(store_path).networks[WIDTHS[0]], SLICED)
    sizes = [plane.lut(Geometry(2, 2, lanes)) for lanes in (2, 8, 64)]
    assert sizes == sorted(sizes)
    assert sizes[0] > 1000


def made(path, plane, shape, objective="images"):
    kind = ArrayKind(shape.geometry.slice, WIDTHS)
    asked = request(path, objective=objective)
    found = arrays._costs(asked, versions(path), kind, shape, plane)
    assert found is not None
    return found


def worst(array, objective="images"):
    """The largest share by which sums over layers miss what programs of all choices come to."""
    misses = []
    for chosen in product(range(len(WIDTHS)), repeat=len(array.versions.names)):
        each = Candidate(array, chosen)
        network = each.versions.mixed(each.widths, array.shape.geometry.lanes)
        program = array.shape.program(network)
        whole = cycles_of(program.cycles, objective)
        misses.append(abs(each.cycles - whole) / whole)
        words = array.words[np.arange(len(chosen)), list(chosen)].sum()
        assert words == program.weight_words
        assert program.network.parameter_bits == each.bits
    return max(misses)


@pytest.mark.parametrize(("shape", "miss"), [(SHAPES[0], 0.0), (SHAPES[1], 0.03)])
def test_layers_add_up_to_the_program(store_path, plane, shape, miss):
    assert worst(made(store_path, plane, shape)) <= miss


def test_the_latency_of_an_image_adds_up(store_path, plane):
    assert worst(made(store_path, plane, SHAPES[0], "latency"), "latency") == 0


def test_costs_of_another_layer_are_found(store_path, plane):
    """The twin: cycles that belong to the layer beside."""
    array = made(store_path, plane, SHAPES[0])
    assert worst(replace(array, cycles=np.roll(array.cycles, 1, axis=0))) > 0.03


def test_what_fits_is_found(store_path):
    asked = request(store_path)
    found = arrays.fitting(asked, versions(store_path), SLICED)
    assert 0 < len(found) <= arrays.KEPT
    fastest = [array.fixed for array in found]
    assert min(fastest) == pytest.approx(fastest[0], rel=0.5)
    for array in found[:3]:
        assert array.lut <= arrays.FULL * asked.device.budget["lut"]
        widest = Candidate(array, (len(WIDTHS) - 1,) * 3)
        program = array.shape.program(widest.versions.mixed(widest.widths, 4))
        words = array.words[:, -1].sum()
        assert fits(program, asked.device) == (words <= array.room)


def test_an_array_of_whole_weights_has_one_width(store_path):
    asked = request(store_path)
    found = arrays.fitting(asked, versions(store_path), ArrayKind(None, (4,)))
    chosen = [each for array in found for each in candidates_of(asked, array)]
    assert {each.formats for each in chosen} == {"int4"}


def test_candidates_meet_their_limits_and_no_choice_is_better(store_path, plane):
    array = made(store_path, plane, SHAPES[0])
    asked = request(store_path)
    array = replace(array, room=int(array.words.max(axis=1).sum() * 0.7))
    every = [Candidate(array, chosen) for chosen in product(range(len(WIDTHS)), repeat=3)]
    (memory,) = limits_of(asked, array)
    rows = np.arange(3)
    possible = [each for each in every if memory.costs[rows, list(each.chosen)].sum() <= array.room]
    found = candidates_of(asked, array)
    assert len(found) > 2
    for each in found:
        assert each.chosen in {one.chosen for one in possible}
        better = [one for one in possible if one.loss <= each.loss and one.cycles < each.cycles]
        assert not better
    few = thinned(found, asked.goal, 2)
    assert {each.chosen for each in few} == {
        min(found, key=lambda one: one.cycles).chosen,
        min(found, key=lambda one: one.loss).chosen,
    }


def test_limits_that_nothing_meets_are_named(store_path, plane):
    array = made(store_path, plane, SHAPES[0])
    needed = int(array.words.min(axis=1).sum())
    with pytest.raises(FitError, match=rf"at most {needed - 1} words, and at least {needed} words"):
        candidates_of(request(store_path), replace(array, room=needed - 1))
    with pytest.raises(FitError, match=r"--accumulator is at most 4 bits, and at least \d+ bits"):
        candidates_of(request(store_path, accumulator=4), array)
    limited = candidates_of(request(store_path, accumulator=14), array)
    rows = np.arange(3)
    for each in limited:
        assert array.accumulators[rows, list(each.chosen)].max() <= 14
