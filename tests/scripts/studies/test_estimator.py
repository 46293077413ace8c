"""The estimator's fit: its errors are those of designs that it left out, and within the bar."""

import json
import random

import numpy as np
import pytest

from narrowgauge.hw.synth.estimate import PATH
from narrowgauge.hw.synth.targets import target
from narrowgauge.scripts.studies import estimator, estimator_fit
from narrowgauge.scripts.studies.estimator_designs import design, designs

MEDIAN, MOST = 0.10, 0.20  # of logic cells, of half of all designs, and of 95 of 100


def families():
    """Accelerators and elements of each family that are kept."""
    rows = [row for row in estimator.kept() if "counts" in row and "remark" not in row]
    for family in estimator.FAMILIES:
        own = [row for row in rows if target(row["target"]).family.name == family]
        elements = [row for row in own if row["kind"] == estimator.ELEMENT]
        yield family, [row for row in own if row["kind"] != estimator.ELEMENT], elements


@pytest.fixture(scope="module")
def fits():
    return [(*each, estimator_fit.held_out(*each)) for each in families()]


def quantiles(errors):
    errors = np.abs(np.concatenate(errors))
    return np.median(errors), np.quantile(errors, 0.95)


def test_designs_that_were_left_out_are_within_the_bar(fits):
    errors = [found.errors("lut") for *_, found in fits]
    middle, most = quantiles(errors)
    assert sum(map(len, errors)) >= 150
    assert middle <= MEDIAN
    assert most <= MOST
    kept = json.loads(PATH.read_text(encoding="utf-8"))["all"]
    assert (middle, most) == pytest.approx((kept["median"], kept["error"]), abs=5e-4)


def test_gates_of_other_designs_are_far_off(fits):
    """The twin: each design with the gates of another one."""
    errors = []
    for _, accelerators, _, _ in fits:
        counts = [row["counts"] for row in accelerators]
        random.Random(0).shuffle(counts)
        mixed = [row | {"counts": each} for row, each in zip(accelerators, counts, strict=True)]
        weights = estimator_fit.weights("ice40", "lut", accelerators, ())
        found = [estimator_fit.estimated(weights, row) / row["lut"] - 1 for row in mixed]
        errors.append(np.array(found))
    middle, most = quantiles(errors)
    assert middle > MEDIAN
    assert most > MOST


def test_a_design_is_left_out_on_all_devices(monkeypatch, fits):
    """What a fit is given has none of the designs that it is to estimate."""
    family, accelerators, elements, _ = fits[1]
    seen, asked = [], []
    fit, estimated = estimator_fit.weights, estimator_fit.estimated

    def spied(*arguments):
        seen.append({row["design"] for row in arguments[2]})
        return fit(*arguments)

    def noted(weights, row):
        asked.append((row["design"], seen[-1]))
        return estimated(weights, row)

    monkeypatch.setattr(estimator_fit, "weights", spied)
    monkeypatch.setattr(estimator_fit, "estimated", noted)
    estimator_fit.held_out(family, accelerators, elements)
    assert {name for name, _ in asked} == {row["design"] for row in accelerators}
    assert not [name for name, known in asked if name in known]


def test_clocks_of_few_designs_have_no_model():
    rows = [{"lut": 1000 + 100 * at, "bram": at, "fmax_mhz": 50 - at} for at in range(9)]
    model = estimator_fit.clock_model(rows)
    assert model is not None
    assert model["designs"] == 9
    assert model["error"] < 0.05
    assert estimator_fit.clock_model(rows[:5]) is None


def test_designs_are_the_same_every_time():
    first, again = designs(6), designs(6)
    assert [each.text for each in first] == [each.text for each in again]
    assert first[0].geometry == design(first[0].number).geometry
    assert [each.program.memories for each in first] == [each.program.memories for each in again]
