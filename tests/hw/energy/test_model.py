"""The model against the measurements that it was fitted to, as they are kept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from narrowgauge.hw.energy.calibration.fit import PowerPoint, fit
from narrowgauge.hw.energy.calibration.measured import MEASUREMENTS, read_measurements
from narrowgauge.hw.energy.calibration.ranges import coefficients
from narrowgauge.hw.energy.model import Energy, EnergyModel, Ranged, Workload
from narrowgauge.hw.errors import DataError, ToolError

ROWS = json.loads(
    (Path(__file__).parents[3] / "docs" / "results" / "energy_calibration.json").read_text()
)
ALLOWED = 0.02  # of the miss of a power
ALL = Ranged(1, 1, 1)  # toggles of these designs were counted with their glitches


def works(charge=lambda kinds: kinds):
    """What the measured designs with a clock do in a cycle, at which frequency, and their power."""
    for row in ROWS:
        does, power = row["does"], row["milliwatts"] - row["parts"]["oscillator"]
        if row["mhz"] and not row["held_out"]:
            charged = {"all": charge(does["charged"])}
            accesses = {"bram": does["reads"]}
            registers, products = does["registers"], does["products"]
            work = Workload(1, 1, registers, charged, {"all": ALL}, accesses, products)
            yield work, 1e6 * row["mhz"], power


def test_the_model_gives_the_measured_powers_and_a_fault_is_seen():
    model = EnergyModel.of("up5k")
    assert model.disagreement(works()) < ALLOWED
    doubled = works(lambda kinds: {kind: 2 * number for kind, number in kinds.items()})
    assert model.disagreement(doubled) > ALLOWED
    ignored = replace(model, lengths=dict.fromkeys(model.lengths, 0.0))
    assert ignored.disagreement(works()) > ALLOWED


def test_coefficients_are_those_of_the_measurements():
    """What is kept follows from the kept rows; of a current that changes, it does not."""
    kept = EnergyModel.of("up5k")
    measured = {each.name: each for each in read_measurements()}
    points = [PowerPoint(measured[row["name"]], row["does"]) for row in ROWS]
    for name, figure in coefficients(points, {}).items():
        if name not in ("glitches", "bram", "spram"):
            assert figure["value"] == pytest.approx(getattr(kept, name).value, rel=0.01)
    wrong = [
        replace(point, measured=replace(point.measured, microampere=1100.0))
        if point.measured.name == "product in LUTs"
        else point
        for point in points
    ]
    found = fit([point for point in wrong if not point.measured.held_out])
    assert found.values["wire"] > 1.2 * kept.wire.value
    with pytest.raises(DataError, match=r"2 measurements leave some of static, .* open: it takes"):
        fit(points[:2])


def test_energy_has_parts_and_ranges():
    model = EnergyModel.of("up5k")
    charged = {"array": {"local": 1000.0, "span4": 100.0}}
    work = Workload(1000, 2, 300, charged, {"array": Ranged(2, 1, 3)}, {"bram": 500.0}, 10.0)
    energy = model.energy(work, 12e6)
    assert set(energy.parts) == {"static", "clock", "memories", "blocks", "array"}
    assert energy.parts["array"].value == pytest.approx(1400 * model.wire.value * 2 / 2 * 1e-6)
    total = energy.microjoules
    assert 0 < total.low < total.value < total.high
    assert energy.milliwatts.value == pytest.approx(total.value / 500 * 12e6 * 1e-3)
    faster = model.energy(work, 24e6)
    assert faster.parts["static"].value == pytest.approx(energy.parts["static"].value / 2)
    assert faster.parts["clock"] == energy.parts["clock"]
    assert isinstance(faster, Energy)
    assert faster.ratio(energy) < 1


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(ToolError, match=r"no energy model of ecp5-25k: .* up5k only"):
        EnergyModel.of("ecp5-25k")
    with pytest.raises(ValueError, match="frequency, cycles and images are positive"):
        EnergyModel.of("up5k").energy(Workload(1, 1, 1, {}, {}, {}), 0)
    content = json.loads(MEASUREMENTS.read_text(encoding="utf-8"))
    file = tmp_path / "measurements.json"
    for change, match in (
        ({"design": "fir"}, "'fir', not of nothing, counter"),
        ({"source": "a friend"}, "'a friend', which is no source"),
        ({"watt": 3}, "measurement 1: there must be design"),
        ({"microampere": -3}, "below its least"),
        ({"name": "clock halted"}, "two measurements have one name"),
    ):
        first = {**content["measurements"][0], **change}
        file.write_text(
            json.dumps({**content, "measurements": [first, *content["measurements"][1:]]})
        )
        with pytest.raises(DataError, match=match):
            read_measurements(file)
