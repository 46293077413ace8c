"""A mapped netlist in lanes: its toggles, and single faults in its gates."""

import json
import random
import re
from contextlib import nullcontext

import numpy as np
import pytest

from narrowgauge.hw.errors import MismatchError, ToolError
from narrowgauge.hw.sim.batch.activity import count_toggles
from narrowgauge.hw.sim.batch.faults import Faults
from narrowgauge.hw.sim.batch.netlist import FAULTS, Fault
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.hw.synth.alone import mapped
from narrowgauge.hw.synth.targets import target
from narrowgauge.model.integers.reference import evaluate

from .planted import planted
from .test_activity import small
from .test_engines import images_for, needs_compiler

pytestmark = [needs_compiler, pytest.mark.slow]


@pytest.fixture(scope="module")
def netlist():
    return mapped(small(), target("up5k")).text


@pytest.fixture
def work():
    """An accelerator, the codes of images, and what comes out."""
    design = small()
    images = images_for(design, 70)
    found = evaluate(design.program.network, images, 2)
    return design, Stimulus(images).codes(design), found.levels.numpy(), found.labels.numpy()


def test_a_mapped_netlist_has_the_toggles_of_its_streams(netlist, work):
    """What it computes in between is other gates; what comes out toggles alike."""
    design, codes, levels, _ = work
    found = count_toggles(design, codes, levels, netlist=netlist, family="ice40")
    rtl = count_toggles(design, codes, levels)
    ports = [
        {net.name: net.toggles for net in each.nets if not net.module} for each in (found, rtl)
    ]
    for name in ("i__payload", "i__ready", "o__payload", "o__valid"):
        assert ports[0][name] == ports[1][name] > 0
    assert (found.images, found.cycles) == (rtl.images, rtl.cycles)
    assert {"array", "feeder", "clock"} <= set(found.components)
    json.dumps(found.row())
    with pytest.raises(MismatchError, match="gives other levels"):
        count_toggles(design, codes, levels[::-1], netlist=netlist, family="ice40")


def test_faults_in_lanes_do_what_they_do_alone(netlist, work):
    """Lanes with other addresses, other streams and no results, too."""
    design, codes, levels, labels = work
    faults = Faults(netlist, design, "ice40")
    chance = random.Random(1)
    every = [
        (point, Fault(kind, chance.randrange(16) if kind == FAULTS[3] else 0))
        for point, gate in faults.gates.items()
        for kind in FAULTS
        if gate.is_table or kind != FAULTS[3]
    ]
    together = list(faults.run(every, codes, levels, labels))
    assert {"a wrong result", "no more results", ""} == {each.caught for each in together}
    assert any(each.moved and not each.caught for each in together)
    shares = [bool(each.caught) for each in together]
    assert 0.5 < np.mean(shares) < 1
    assert not any(each.caught and not each.active for each in together)
    chosen = [index for index, each in enumerate(together) if each.moved][:4]
    chosen += chance.sample(range(len(every)), 4)
    for index in chosen:
        (alone,) = faults.run([every[index]], codes, levels, labels)
        assert alone == together[index]


def test_a_fault_is_that_of_a_changed_netlist(netlist, work):
    """An entry of a table flipped in the file, or in a lane."""
    design, codes, levels, labels = work
    faults = Faults(netlist, design, "ice40")
    tables = [point for point, gate in faults.gates.items() if gate.is_table]
    chance = random.Random(2)
    for point in chance.sample(tables, 3):
        entry = chance.randrange(16)
        (outcome,) = faults.run([(point, Fault(FAULTS[3], entry))], codes, levels, labels)
        changed = json.loads(netlist)
        parameters = changed["modules"]["top"]["cells"][faults.gates[point].name]["parameters"]
        table = int(parameters["LUT_INIT"], 2) ^ 1 << entry
        parameters["LUT_INIT"] = f"{table:016b}"
        other = Faults(json.dumps(changed), design, "ice40")
        said = re.escape(f"the netlist without a fault: {outcome}")
        with pytest.raises(MismatchError, match=said) if outcome.caught else nullcontext():
            list(other.run([(point, Fault(FAULTS[3], entry))], codes, levels, labels))


def test_a_gate_on_which_no_output_depends_is_told_from_others(netlist, work):
    changed = json.loads(netlist)
    cells = changed["modules"]["top"]["cells"]
    (lut, *_) = [cell for cell in cells.values() if cell["type"] == "SB_LUT4"]
    cells["open"] = json.loads(json.dumps(lut))
    cells["open"]["connections"]["O"] = []
    faults = Faults(json.dumps(changed), work[0], "ice40")
    (point,) = [point for point, gate in faults.gates.items() if gate.name == "open"]
    other = next(iter(faults.gates))
    found = faults.run([(point, Fault("inverted")), (other, Fault("inverted"))], *work[1:])
    assert [each.connected for each in found] == [False, True]
    (outcome,) = faults.run([(point, Fault("stuck at 1"))], *work[1:])
    assert str(outcome) == "no output depends on the gate"


def test_results_at_the_limit_of_cycles_are_late(netlist, work, monkeypatch):
    """Some have come, and more would: those are not missing."""
    cycles = 70 * work[0].program.cycles.per_image
    monkeypatch.setattr("narrowgauge.hw.sim.batch.faults.IDLE_LIMIT", 1000)
    monkeypatch.setattr("narrowgauge.hw.sim.batch.faults.CYCLE_LIMIT", 0.5 - 1000 / cycles)
    faults = Faults(netlist, work[0], "ice40")
    with pytest.raises(MismatchError, match=r"late results after [1-9]\d images$"):
        list(faults.run([(next(iter(faults.gates)), Fault("inverted"))], *work[1:]))


@pytest.mark.parametrize("family", ["ecp5", "gowin"])
def test_faults_in_gates_of_other_families_are_refused(family, work):
    with pytest.raises(ToolError, match=f"netlists of {family}.*; those of ice40 are"):
        Faults("", work[0], family)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("each_lane(elsewhere(address, bits) & read.enable", "each_lane(V{}"),
        ("each_lane(others & any,", "each_lane(V{},"),
        ("leave &= alive & ~strays;", "leave = V{};"),
    ],
)
def test_a_fault_in_what_lanes_do_apart_is_seen(right, wrong, netlist, work):
    """The twin: lanes read, write and stream as the first one does."""
    design, codes, levels, labels = work
    faults = Faults(netlist, design, "ice40")
    every = [(point, Fault("inverted")) for point in list(faults.gates)[:500]]
    true = list(faults.run(every, codes, levels, labels))
    with planted(right, wrong):
        assert list(faults.run(every, codes, levels, labels)) != true
