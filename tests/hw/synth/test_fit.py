"""The largest array that fits."""

from dataclasses import replace

import pytest

from narrowgauge.hw.errors import FitError, GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth import fit
from narrowgauge.hw.synth.build import accelerator_for, cost
from narrowgauge.hw.synth.estimate import estimate
from narrowgauge.hw.synth.fit import largest_geometry
from narrowgauge.hw.synth.placement import memory_use
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools.store import Store

from ..networks import random_network

UP5K = target("up5k")
HX8K = target("hx8k")  # without memory of another kind
WIDE = random_network(5, ("int4", "uint4", "uint4"), (64, 64, 32), Accumulator(16))
NETWORK = random_network(2, ("int4", "uint4", "uint4"), (16, 8, 4), Accumulator(12))


def linear(geometry):
    return 300 + geometry.elements * (40 + 12 * geometry.lanes)


class Measured:
    """Costs by a formula, refused beyond the budget; ``calls`` are the arrays in order."""

    def __init__(self, lut, formula=linear, *, counted=True):
        self.device = replace(UP5K, budget={**UP5K.budget, "lut": lut})
        self.formula, self.counted = formula, counted
        self.calls, self.refused = [], []

    def __call__(self, program):
        geometry, budget = program.geometry, self.device.budget["lut"]
        self.calls.append(geometry)
        lut = self.formula(geometry)
        if lut > budget:
            self.refused.append(geometry)
            known = lut if self.counted else None
            raise FitError(f"it needs {lut} of {budget} logic cells", lut=known)
        return lut

    def largest(self, network=NETWORK, **options):
        return largest_geometry(network, self.device, self, **options)


@pytest.mark.parametrize("budget", [800, 1000, 2500, 5280])
def test_no_faster_array_fits(budget):
    measured = Measured(budget)
    device, found = measured.device, measured.largest()
    cycles = Program(NETWORK, found).cycles.per_image
    assert len(measured.calls) <= 4  # three to learn from, and the answer
    assert found in measured.calls
    for rows in fit.ROWS:
        for columns in fit.COLUMNS:
            for lanes in fit.LANES:
                geometry = Geometry(rows, columns, lanes)
                if columns < 16 and linear(geometry) <= fit.FULL * budget:
                    program = Program(NETWORK, geometry)
                    blocks = sum(device.family.brams(*shape) for shape in program.memories.values())
                    assert program.cycles.per_image >= cycles or blocks > device.budget["bram"]


@pytest.mark.parametrize("counted", [True, False])
def test_probes_that_do_not_fit_teach_as_well(counted):
    measured = Measured(580, counted=counted)  # 2x2x5 takes 700, 2x2x2 takes 556
    assert measured.largest().macs >= 4
    assert (Geometry(2, 2, 2) in measured.calls) is not counted
    assert Measured(360, counted=counted).largest() == Geometry(1, 1, 1)


def int8(geometry) -> int:
    """What an int8 network takes on an iCE40: a lane of the first element, with its memory, costs
    more than one of the others, so that a plane through three arrays makes elements gain cells."""
    known = {
        (1, 1, 1): 1068,
        (1, 1, 5): 1844,
        (2, 2, 5): 4158,
        (12, 2, 1): 5749,
        (6, 1, 4): 4291,
    }
    shape = geometry.rows, geometry.columns, geometry.lanes
    return known[shape] if shape in known else 750 + 150 * geometry.macs + 60 * geometry.elements


def test_no_element_is_thought_to_gain_cells():
    """The reviewed case: 16x6x1 was predicted to take fewer cells than 1x1x1, and that came out."""
    measured = Measured(5280, int8)
    found = measured.largest(
        random_network(5, ("int8", "uint8", "uint8"), (64, 32), Accumulator(24))
    )
    assert (
        fit._learned({each: int8(each) for each in measured.calls[:3]})(Geometry(16, 6, 1)) > 5280
    )
    assert found.macs >= 20  # of 2x2x5, which was measured
    assert int8(found) <= 5280
    assert len(measured.refused) < fit.TRIES


def test_what_does_not_fit_is_learned_from():
    """Beyond 4 elements each takes far more, which no small array shows."""

    def bent(geometry):
        return linear(geometry) + 1500 * max(0, geometry.elements - 4)

    measured = Measured(5280, bent)
    found = measured.largest(WIDE)
    assert 1 <= len(measured.refused) < fit.TRIES
    assert found not in measured.refused
    assert found.macs > 20  # of the largest small array


def test_where_no_try_fits_the_best_of_the_small_arrays_is_taken():
    def small(geometry):
        return linear(geometry) if geometry.elements <= 4 and geometry.macs <= 20 else 99999

    measured = Measured(5280, small, counted=False)
    assert measured.largest(WIDE) == Geometry(2, 2, 5)
    assert len(measured.refused) == fit.TRIES


def test_hop_and_chains_are_those_that_were_asked_for():
    measured = Measured(5280)
    found = measured.largest(hop=2, chains=2)
    assert (found.hop, found.chains) == (2, 2)
    assert {each.hop for each in measured.calls} == {2}
    with pytest.raises(FitError, match="no array that was seen to fit up5k has --chains 2"):
        Measured(360).largest(chains=2)


def test_slices_are_those_that_were_asked_for():
    measured = Measured(800)
    found = measured.largest(slice=2)
    assert {each.slice for each in [found, *measured.calls]} == {2}
    assert Measured(800).largest(slice=1, predict=predicted()).slice == 1
    saturating = NETWORK.with_accumulator(Accumulator(6, "saturate"))
    with pytest.raises(GeometryError, match="slices of 2 bits would do it elsewhere"):
        Measured(800).largest(saturating, slice=2)


def predicted(ratio=1.0):
    return lambda program: linear(program.geometry) * ratio


@pytest.mark.parametrize("budget", [800, 2500, 5280])
def test_estimates_choose_the_same_and_one_array_is_measured(budget):
    measured, by_measuring = Measured(budget), Measured(budget).largest()
    assert measured.largest(predict=predicted()) == by_measuring
    assert measured.calls == [by_measuring]


def test_estimates_that_are_too_low_are_learned_from():
    measured = Measured(1500)
    found = measured.largest(predict=predicted(0.7))
    assert 1 <= len(measured.refused) < fit.TRIES
    assert found in measured.calls
    assert linear(found) <= 1500


def test_where_estimates_find_nothing_arrays_are_measured():
    """Planted: by the estimates not even the smallest array fits."""
    assert Measured(800).largest(predict=predicted(100)) == Measured(800).largest()
    with pytest.raises(FitError, match="352 of 100 logic cells"):
        Measured(100).largest(predict=predicted())


def test_memory_of_others_is_left_free():
    """What is not in the target's budget is not taken."""

    def blocks(geometry):
        return sum(
            each.blocks for each in memory_use(Program(WIDE, geometry), HX8K) if each.certain
        )

    measured = Measured(5280)
    taken = blocks(largest_geometry(WIDE, HX8K, measured))
    left = replace(HX8K, budget={**HX8K.budget, "bram": taken - 1})
    assert 0 < blocks(largest_geometry(WIDE, left, measured)) < taken


def test_a_target_too_small_for_anything_says_so():
    with pytest.raises(FitError, match="352 of 100 logic cells"):
        Measured(100).largest()


@pytest.mark.slow
def test_it_fits_really(tmp_path):
    store = Store(tmp_path / "results.sqlite")
    device = replace(UP5K, budget={**UP5K.budget, "lut": 900})
    network = random_network(2, ("bipolar", "bipolar", "bipolar"), (16, 8, 4), Accumulator(6))

    def cells(program):
        return cost(accelerator_for(program, device), device, store).lut or 0

    def predicted(program):
        return estimate(program, device).lut

    geometry = largest_geometry(network, device, cells, predict=predicted)
    before = store.count()
    found = cells(Program(network, geometry))
    assert store.count() == before  # it was measured already
    assert 450 < found <= 900
    assert geometry.macs > 1
