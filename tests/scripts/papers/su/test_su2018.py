"""Claims of the study: they hold of rows that say so, and change with a cost or an accuracy."""

import pytest

from narrowgauge.scripts.papers.kept import KeptRows
from narrowgauge.scripts.papers.page import page
from narrowgauge.scripts.papers.study import Verdict
from narrowgauge.scripts.papers.su.plan import ELEMENTS, EPOCHS, LONG, NAMES, TARGETS, cells, then
from narrowgauge.scripts.papers.su.priced import FLOAT, contenders, near, standings
from narrowgauge.scripts.papers.su.study import STUDY

IMAGES = 10_000
FORMATS = {  # LUTs of a lane, blocks of an element, MHz, and points that are lost
    FLOAT: (1000, 4, 75.0, 0.0),
    "int8/uint8": (400, 0, 150.0, 0.0),
    "int4/uint4": (45, 0, 160.0, 0.05),
    "int2/uint2": (12, 0, 170.0, 0.5),
    "int2/uint4": (20, 0, 170.0, 0.4),
    "bipolar/uint8": (28, 0, 150.0, 1.4),
    "bipolar/bipolar": (20, 0, 180.0, 1.5),
}
SIZES = {"mlp": (64, 256, 1024), "lenet5": (0.25, 0.5, 1.0), "cifar10_full": (0.5, 1.0, 2.0)}
BEST = {"mlp": 99.0, "lenet5": 99.4, "cifar10_full": 78.0}


def element(fmt, lut, dsp, clock, sums):
    clocks = {"fmax_mhz": clock, "fmax_mhz_min": clock - 2, "fmax_mhz_max": clock + 2}
    return {
        **dict.fromkeys(NAMES),
        **{"part": "element", "format": fmt, "target": ELEMENTS, "lanes": 1, "sums": sums},
        **{"multiplier": "block" if dsp else "logic", "lut": lut, "dsp": dsp, **clocks},
        **{"failure": None, "made": 0, "seconds": 1.0},
    }


def accuracy(family, size, fmt, share, *, seed=0, epochs=8):
    dataset = "cifar10" if family == "cifar10_full" else "mnist"
    right = round(share / 100 * IMAGES)
    return {
        **dict.fromkeys(NAMES),
        **{"part": "accuracy", "dataset": dataset, "family": family, "size": float(size)},
        **{"format": fmt, "epochs": epochs, "seed": seed, "made": 0, "seconds": 1.0},
        **{"right": [right], "images": IMAGES},
        **{"right_validation": right, "images_validation": IMAGES},
    }


def planted(**lost):
    """Rows in which 2 and 4 bits are cheapest; ``lost`` are points that a format loses instead."""
    rows = []
    for fmt, (lut, dsp, clock, points) in FORMATS.items():
        rows.append(element(fmt, lut, dsp, clock, 4 if fmt == FLOAT else 1))
        points = lost.get(fmt.replace("/", "_"), points)
        for family, sizes in SIZES.items():
            for index, size in enumerate(sizes):
                share = BEST[family] - points - 0.6 + 0.6 * index
                rows.append(accuracy(family, size, fmt, share))
    rows.append(element(FLOAT, 980, 4, 28.0, 1))
    return rows


def verdicts(rows):
    return [finding.verdict for finding in STUDY.findings(rows)]


def test_claims_hold_of_rows_that_say_so():
    # nothing of one bit reaches 99 % of MNIST
    assert verdicts(planted()) == [Verdict.HOLDS] * 4 + [Verdict.UNTESTED]


def test_an_accuracy_that_is_better_turns_the_first_claim():
    rows = planted(bipolar_bipolar=0.0, bipolar_uint8=0.0)
    assert verdicts(rows)[1] == Verdict.NOT


def test_a_cost_that_is_worse_turns_the_trade_off():
    rows = planted()
    for row in rows:
        if row["part"] == "element" and str(row["format"]).startswith("int"):
            row["lut"] = 100_000
    assert verdicts(rows)[2:4] == [Verdict.NOT, Verdict.NOT]


@pytest.mark.parametrize(
    ("planting", "text"),
    [
        ({"part": "element", "format": "int8/uint8", "lut": 1}, "wider integers"),
        ({"part": "accuracy", "family": "mlp", "size": 1024.0, "right_validation": 1}, "widest"),
    ],
)
def test_rows_that_fail_a_control_say_nothing(planting, text):
    rows = planted()
    place = dict(list(planting.items())[:-1])
    (name, value), *_ = list(planting.items())[-1:]
    for row in rows:
        if all(row.get(key) == each for key, each in place.items()):
            row[name] = value
    findings = STUDY.findings(rows)
    assert all(each.verdict == Verdict.UNTESTED for each in findings)
    assert text in findings[0].figures


def test_a_shorter_training_of_one_size_fails_no_control():
    rows = [row for row in planted() if row["family"] != "mlp"]
    rows += [accuracy("mlp", 64, FLOAT, 98.0 - epochs, epochs=epochs) for epochs in (0, 1)]
    assert Verdict.UNTESTED not in verdicts(rows)[1:4]


def test_the_better_float_training_counts():
    rows = [*planted(), accuracy("lenet5", 0.25, FLOAT, 99.3, epochs=LONG["lenet5"])]
    found = [each for each in contenders(rows, "mnist", ("lenet5",)) if each.format == FLOAT]
    assert max(each.share.mean for each in found if each.fields["size"] == 0.25) == 0.993
    # the other one has more seeds, and is worse
    rows += [accuracy("lenet5", 0.25, FLOAT, 98.8, seed=seed) for seed in (1, 2)]
    (exact,) = [
        each for each in standings(rows, "mnist", ("lenet5",), 99.0) if each.format == FLOAT
    ]
    assert exact.chosen is not None
    assert exact.chosen.fields["size"] == 0.25


def test_more_seeds_follow_near_the_target():
    rows = [accuracy("lenet5", 0.5, "int4/uint4", 99.1, epochs=EPOCHS["lenet5"].others)]
    assert near(rows, "mnist", 0.99) == [("lenet5", 0.5, "int4/uint4", 3)]
    seeds = [cell.columns["seed"] for cell in then(rows) if cell.columns["part"] == "accuracy"]
    assert seeds == [1, 2]
    far = [{**rows[0], "right_validation": 9800}]
    assert not [cell for cell in then(far) if cell.columns["part"] == "accuracy"]


def test_the_plan_names_every_cell_once():
    places = [tuple(cell.columns.get(name) for name in NAMES) for cell in cells(False)]
    assert len(set(places)) == len(places)
    assert {str(cell.columns["part"]) for cell in cells(False)} == {"element", "accuracy"}
    assert len(cells(True)) == 2


def test_the_page_has_prices_ties_and_what_is_missing():
    text = page(STUDY, KeptRows(planted(), [MADE]))
    for target in TARGETS["mnist"]:
        assert f"Price of {target:g} % of MNIST" in text
    assert "In the plan and not measured yet" in text
    figures = [each.draw(planted()) for each in STUDY.figures]
    assert all(each.startswith(b"<?xml") for each in figures)


MADE = {
    "command": "narrowgauge study su2018",
    "date": "2026-01-01",
    "versions": {},
    "machine": "planted",
    "data": {},
}
