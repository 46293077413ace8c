"""The largest array that fits."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.array import Geometry
from narrowgauge.hw.errors import FitError
from narrowgauge.hw.program import Program
from narrowgauge.hw.synth import fit
from narrowgauge.hw.synth.build import accelerator_for, cost
from narrowgauge.hw.synth.fit import largest_geometry
from narrowgauge.hw.synth.store import Store
from narrowgauge.hw.synth.targets import target

from ..networks import random_network

UP5K = target("up5k")
NETWORK = random_network(2, ("int4", "uint4", "uint4"), (16, 8, 4), Accumulator(12))


@pytest.fixture
def measured(monkeypatch):
    """Costs by a formula: 300 + elements * (40 + 12 * lanes), refused beyond the budget."""
    calls = []

    def fake(accelerator, device, store):
        geometry = accelerator.program.geometry
        lut = 300 + geometry.elements * (40 + 12 * geometry.lanes)
        calls.append(geometry)
        if lut > device.budget["lut"]:
            raise FitError(f"it needs {lut} of {device.budget['lut']} logic cells")
        return SimpleNamespace(lut=lut)

    monkeypatch.setattr(fit, "cost", fake)
    return calls


@pytest.mark.parametrize("budget", [800, 1000, 2500, 5280])
def test_no_faster_array_fits(measured, budget):
    device = replace(UP5K, budget={**UP5K.budget, "lut": budget})
    found = largest_geometry(NETWORK, device, Store())
    cycles = Program(NETWORK, found).cycles_per_image
    assert len(measured) == 4  # three to learn from, and the answer
    assert measured[-1] == found
    for rows in fit.ROWS:
        for columns in fit.COLUMNS:
            for lanes in fit.LANES:
                lut = 300 + rows * columns * (40 + 12 * lanes)
                if columns < 16 and lut <= fit.FULL * budget:
                    program = Program(NETWORK, Geometry(rows, columns, lanes))
                    blocks = sum(device.family.brams(*shape) for shape in program.memories.values())
                    assert program.cycles_per_image >= cycles or blocks > device.budget["bram"]


def test_where_probes_do_not_fit_smaller_ones_teach(measured):
    device = replace(UP5K, budget={**UP5K.budget, "lut": 580})  # 2x2x5 takes 700, 2x2x2 takes 556
    assert largest_geometry(NETWORK, device, Store()).macs >= 4
    device = replace(UP5K, budget={**UP5K.budget, "lut": 360})
    assert largest_geometry(NETWORK, device, Store()) == fit.SMALLEST


def test_what_does_not_fit_after_all_is_replaced_by_something_smaller(measured, monkeypatch):
    formula = fit.cost
    refused = []

    def fake(accelerator, device, store):
        if len(measured) >= 3 and len(refused) < 2:
            refused.append(accelerator.program.geometry)
            raise FitError("no place")
        return formula(accelerator, device, store)

    monkeypatch.setattr(fit, "cost", fake)
    found = largest_geometry(NETWORK, UP5K, Store())
    assert len(refused) == 2
    assert found not in refused


def test_a_target_too_small_for_anything_says_so(measured):
    device = replace(UP5K, budget={**UP5K.budget, "lut": 100})
    with pytest.raises(FitError, match="352 of 100 logic cells"):
        largest_geometry(NETWORK, device, Store())


@pytest.mark.slow
def test_it_fits_really(tmp_path):
    store = Store(tmp_path / "results.sqlite")
    device = replace(UP5K, budget={**UP5K.budget, "lut": 900})
    network = random_network(2, ("bipolar", "bipolar", "bipolar"), (16, 8, 4), Accumulator(6))
    geometry = largest_geometry(network, device, store)
    before = store.count()
    found = cost(accelerator_for(Program(network, geometry), device), device, store)
    assert store.count() == before  # it was measured already
    assert found.lut is not None
    assert 450 < found.lut <= 900
    assert geometry.macs > 1
