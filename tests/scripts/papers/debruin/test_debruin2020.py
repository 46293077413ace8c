"""Claims of the study: they hold of rows that say so; what is proven is what is trained."""

import base64

import numpy as np
import pytest

from narrowgauge.hw.program.bounds import BOUNDS
from narrowgauge.scripts.papers.debruin import choosing, measured, searching, subjects, training
from narrowgauge.scripts.papers.debruin.plan import (
    NARROW,
    PLACEMENTS,
    REGISTERS,
    ROUTED,
    SEARCHED,
    SEEDS,
    TRAINED,
    cells,
    chosen_formats,
    then,
)
from narrowgauge.scripts.papers.debruin.study import STUDY
from narrowgauge.scripts.papers.debruin.subjects import LENET, RESNET, SUBJECTS, Subject
from narrowgauge.scripts.papers.floats import FloatNetwork, train_float
from narrowgauge.scripts.papers.kept import KeptRows
from narrowgauge.scripts.papers.page import page
from narrowgauge.scripts.papers.study import Verdict

IMAGES = 10_000
BESIDE_FLOAT = 4  # claims of the search, before those of the trainings


def row(part, network, wrong, **columns):
    """A row whose first so many test images are labelled wrong."""
    right = np.arange(IMAGES) >= wrong
    return {
        "part": part, "network": network, "seed": 0, "overflow": "wrap", "made": 0, "seconds": 1.0,
        "answers": base64.b64encode(np.packbits(right).tobytes()).decode(), "bits": None,
        "right_validation": 5000 - wrong // 2, "images_validation": 5000,
        "right": [int(right.sum())], "images": IMAGES, "beyond": 0, "watched": 1000,
        "needed": 20 if part == "as it is" else 12, "sparsity": 0.5, "formats": "int4/uint4/uint4",
        **columns,
    }  # fmt: skip


def planted(*, searched=1350, plain=3000, trained=1800, lenet=60, beyond=0, mismatches=0, lut=10):
    """Rows in which every claim that can hold does."""
    rows = []
    for name in SUBJECTS:
        rows.append(row("float", name, 1300 if name == RESNET else 50))
        for bits in REGISTERS:
            wrong = 9000 if bits < 20 else 1320
            rows.append(row("as it is", name, wrong, bits=bits, beyond=7 * (bits < 20)))
        for bits in SEARCHED[name]:
            for bound in BOUNDS:
                rows.append(row(
                    *("searched", name, searched if name == RESNET else 60), bits=bits, bound=bound,
                    tried=9, grid=100, pairs={"conv": [4, 5]}, uniform=[4, 4],
                    validation_fitted=0.9, validation_uniform=0.8, validation_float=0.95,
                ))  # fmt: skip
        for bits, methods in TRAINED[name].items():
            for seed in SEEDS:
                rounded = {"bits": bits, "method": "rounded", "seed": seed, "beyond": beyond}
                rows.append(row("rounded", name, searched if name == RESNET else 60, **rounded))
                for method in methods:
                    wrong = lenet if name == LENET else plain if method == "plain" else trained
                    if name == RESNET and bits == 16:
                        wrong = 2 * searched  # training loses where rounding does not
                    rows.append(row("trained", name, wrong + seed, bits=bits, method=method,
                                    seed=seed, beyond=beyond))  # fmt: skip
        rows.append({"part": "simulated", "network": name, "bits": 16, "mismatches": mismatches,
                     "overflows": 0, "images": 50, "run_cycles": 1e6, "right": [49]})  # fmt: skip
    for bits in ROUTED:
        routed = {"lut": 3000 + lut * bits, "ff": 1000, "fmax_mhz": 40.0 - 0.1 * bits}
        for placement in PLACEMENTS:
            place = {"part": "routed", "network": RESNET, "bits": bits, "placement": placement}
            rows.append({**place, **routed})
    return [{"made": 0, "seconds": 1.0, **each} for each in rows]


def verdicts(rows):
    return [finding.verdict for finding in STUDY.findings(rows)]


def test_claims_hold_of_rows_that_say_so():
    found = verdicts(planted())
    assert found[:BESIDE_FLOAT] == [Verdict.CONDITIONS] * BESIDE_FLOAT  # of one seed
    assert found[BESIDE_FLOAT:-1] == [Verdict.HOLDS] * 6
    assert found[-1] == Verdict.UNTESTED


@pytest.mark.parametrize(
    ("worse", "claim"),
    [
        ({"searched": 1500}, 0),
        ({"searched": 1500}, BESIDE_FLOAT),
        ({"trained": 2500}, BESIDE_FLOAT + 1),
        ({"trained": 2500}, BESIDE_FLOAT + 2),
        ({"lenet": 80}, BESIDE_FLOAT + 3),
        ({"lut": -1}, BESIDE_FLOAT + 5),
    ],
    ids=str,
)
def test_a_claim_fails_of_rows_that_say_so(worse, claim):
    assert verdicts(planted(**worse))[claim] == Verdict.NOT


def test_what_cannot_be_told_from_a_point_holds_with_conditions():
    assert verdicts(planted(searched=1395))[BESIDE_FLOAT] == Verdict.CONDITIONS


@pytest.mark.parametrize("broken", [{"beyond": 1}, {"mismatches": 1}], ids=str)
def test_rows_that_fail_a_control_test_nothing(broken):
    """A sum that overflows although it is proven to fit, and hardware that differs."""
    assert set(verdicts(planted(**broken))) == {Verdict.UNTESTED}


def test_registers_that_hold_all_sums_give_one_answer():
    rows = planted()
    wide = next(each for each in rows if each["part"] == "as it is" and each["bits"] == 24)
    wide["answers"] = rows[0]["answers"]
    assert set(verdicts(rows)) == {Verdict.UNTESTED}


def test_no_rows_are_not_tested():
    assert set(verdicts([])) == {Verdict.UNTESTED}
    for figure in STUDY.figures:
        assert figure.draw([]).startswith(b"<?xml")


def test_the_plan_has_no_cell_twice():
    choices = [
        {"part": "choice", "network": name, "bits": bits, "method": method, "images": 1000,
         "shares": {"int4/uint4/uint4": 900, "int2/uint2/uint2": 800}, "refused": {}}
        for name, by_bits in TRAINED.items() for bits in by_bits for method in ("a2q+", "plain")
    ]  # fmt: skip
    planned = [*cells(False), *then(choices)]
    places = [tuple(cell.columns.get(name) for name in STUDY.names) for cell in planned]
    assert len(set(places)) == len(places)
    assert then([]) == []
    assert len(cells(True)) == 1
    assert chosen_formats(choices, RESNET, NARROW, "a2q+") == "int4/uint4/uint4"
    assert chosen_formats(choices[:-1], LENET, 10, "plain") is None


def test_the_page_is_written_from_the_rows():
    made = [{"command": "x", "date": "y", "versions": {}, "machine": "z", "data": {}}]
    shown = page(STUDY, KeptRows(planted(), made))
    assert "| 12 | a2q+ | int4/uint4/uint4 | 3 | 81.99 % | 0.01 |" in shown
    assert "| 16 | exact | 4/5 | 9 of 100 | 86.50 % | 12 | 0 |" in shown
    assert "| 12 | 3,120 | 1000 | 38.8, 38.8 |" in shown


@pytest.fixture
def digits(monkeypatch):
    """A subject that takes a second, and its float network."""
    floats = FloatNetwork("digits", "mlp", 4, widths=(16,))
    schedule = {"epochs": 2, "widths": (16,)}
    subject = Subject("mlp", "digits", floats, lanes=4, schedule=schedule)
    monkeypatch.setattr(subjects, "SUBJECTS", {"mlp": subject})
    for module in (choosing, measured, searching, training):
        monkeypatch.setattr(module, "SUBJECTS", {"mlp": subject})
    return train_float(floats.plain())


def test_a_training_for_an_accumulator_overflows_nothing(digits):
    given = {"bits": 8, "formats": "int4/uint3/uint3", "seed": 0}
    found = {
        method: measured.measure_network(
            training.train_network(digits, "mlp", {**given, "method": method}),
            *("mlp", 8, "wrap", [100, 200, 200]),
        )
        for method in ("a2q+", "projected", "plain")
    }
    for method in ("a2q+", "projected"):
        assert found[method]["needed"] <= 8 < found["plain"]["needed"]
        assert found[method]["beyond"] == 0 < found["plain"]["beyond"]


def test_formats_are_chosen_among_those_that_fit(digits):
    formats = ["int4/uint4/uint4", "int2/uint2/uint2"]
    rounded = choosing.choose_rounded(digits, "mlp", 9, formats, 100)
    assert rounded["shares"].keys() == set(formats)
    plain = choosing.choose_trained(digits, "mlp", "plain", 9, formats, 100)
    assert plain["refused"].keys() == {"int4/uint4/uint4"}
    assert plain["shares"].keys() == {"int2/uint2/uint2"}


def test_the_search_says_what_no_pair_fits(digits):
    given = {"bits": 10, "bound": "exact", "seed": 0, "validation": 50}
    found = searching.measure_fitted(digits, "mlp", given, [100, 200, 200])
    assert found["needed"] <= 10
    assert found["beyond"] == 0
    assert found["tried"] < found["grid"]
    refused = searching.measure_fitted(digits, "mlp", {**given, "bits": 3}, [100, 200, 200])
    assert "layer" in refused["refused"]
