"""Claims of a study: they hold of rows that say so, and of no others."""

import random
from dataclasses import replace

import pytest

from narrowgauge.scripts.papers.evidence import share_lost
from narrowgauge.scripts.papers.kept import KeptRows
from narrowgauge.scripts.papers.page import page
from narrowgauge.scripts.papers.study import StudyRow, Verdict
from narrowgauge.scripts.papers.tostado.figures import lost
from narrowgauge.scripts.papers.tostado.plan import DROPOUT, KINDS, SEEDS, formats, levels
from narrowgauge.scripts.papers.tostado.study import STUDY
from narrowgauge.scripts.papers.tostado.winners import chosen

VALUES = ("right", "gained", "lost", "right_validation", "images_validation", "images")
COSTS = {2: 5000, 3: 900, 4: 30}  # images of 10,000 that a width loses


def planted(costs=COSTS, gain=200, dropped=300):
    """Rows in which stochastic rounding gains on the others, and dropout saves at 3 and 4 bits."""
    rows = []
    for kind in KINDS:
        for dropout in DROPOUT:
            for seed in SEEDS:
                for e, m in formats(2, 8):
                    for rounding in ("nearest", "chop", "stochastic"):
                        same = 1 + sum(levels(e, m))
                        lost = costs.get(same, 5) + 2 * seed + levels(e, m)[0]
                        gained = gain * (rounding == "stochastic")
                        gained += dropped * bool(dropout and same in (3, 4))
                        row = {"part": "accuracy", "kind": kind, "dropout": dropout}
                        row |= {"seed": seed, "e": e, "m": m, "rounding": rounding, "made": 0}
                        row |= {"right": [9500 - lost + gained], "gained": [gained], "lost": [lost]}
                        row |= {"images": 10_000, "seconds": 1.0}
                        if rounding == "nearest":
                            row |= {"right_validation": 4750 - lost // 2, "images_validation": 5000}
                        rows.append(row)
    return rows


def verdicts(rows):
    return [finding.verdict for finding in STUDY.findings(rows)]


def test_fewer_than_three_seeds_have_no_deviation():
    """Of one seed a figure would say that networks do not differ."""
    rows = [row for row in planted() if (row["e"], row["m"]) == (0, 3)][:3]
    assert lost(rows) is not None
    assert lost(rows[:2]) is None
    assert lost([]) is None


def test_figures_of_no_rows_are_empty():
    for figure in STUDY.figures:
        assert figure.draw([]).startswith(b"<?xml")


def test_claims_hold_of_rows_that_say_so():
    assert verdicts(planted()) == [Verdict.HOLDS] * 5
    assert chosen(planted(), "MLP, MNIST", 0.0, 4) == (0, 3)  # of equals the cheapest


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_rows_hold_nothing(seed):
    rows = planted()
    for group in (rows, [row for row in rows if row["kind"] == "MLP, MNIST"]):
        shuffled = [dict(row) for row in rows]
        places = [index for index, row in enumerate(rows) if row in group]
        others = random.Random(seed).sample(places, len(places))
        for place, other in zip(places, others, strict=True):
            for name in VALUES:
                shuffled[place].pop(name, None)
                if name in rows[other]:
                    shuffled[place][name] = rows[other][name]
        assert Verdict.HOLDS not in verdicts(shuffled)


def test_false_claims_do_not_hold():
    four_bits = planted(costs={**COSTS, 4: 800, 5: 800})
    assert verdicts(four_bits)[:2] == [Verdict.NOT, Verdict.NOT]
    even = planted(gain=0, dropped=0)
    assert verdicts(even)[2:] == [Verdict.NOT] * 3


def test_some_networks_are_a_condition():
    rows = planted()
    for row in rows:
        if row["kind"] == "MLP, CIFAR-10" and 1 + row["e"] + row["m"] == 4:
            row["lost"] = [2000]
    found = STUDY.findings(rows)
    assert found[0].verdict == Verdict.CONDITIONS
    assert "MLP, CIFAR-10, e0m3: -" in found[0].figures
    whole = [row for row in planted() if row["kind"] != "MLP, CIFAR-10"]
    assert verdicts(whole)[0] == Verdict.CONDITIONS  # a network of the plan is missing


def test_few_seeds_and_no_rows_are_not_tested():
    assert verdicts([]) == [Verdict.UNTESTED] * 5
    two = [row for row in planted() if row["seed"] < 2]
    assert verdicts(two) == [Verdict.UNTESTED] * 5


def test_a_tie_is_below_twice_the_error():
    rows = [row for row in planted() if (row["e"], row["m"]) == (0, 7)][:9:3]
    change = share_lost(rows)
    assert change is not None
    assert (change.seeds, change.images) == (3, 10_000)
    assert change.points == pytest.approx(-0.07)
    assert change.is_tie == (abs(change.points) < 2 * change.error)
    assert not replace(change, points=-2 * change.error).is_tie


def test_the_page_is_written_from_the_rows():
    shown = page(STUDY, KeptRows(planted(), [{"command": "x", "date": "y", "versions": {},
                                              "machine": "z", "data": {}}]))  # fmt: skip
    assert shown.count(": holds.**") == 5
    assert "| MLP, MNIST | 0 | 4 | e0m3 |" in shown


def test_rows_join_by_their_columns(tmp_path):
    made: list[StudyRow] = [{"command": "one"}, {"command": "two"}]
    old = KeptRows([{"kind": "a", "right": [1], "made": 0}, {"kind": "b", "made": 0}], made[:1])
    new = KeptRows([{"kind": "a", "right": [2], "made": 0}], made[1:])
    joined = old.joined(new, ("kind",))
    assert [row["made"] for row in joined.rows] == [1, 0]
    assert joined.rows[0]["right"] == [2]
    joined.write(tmp_path / "rows.json", STUDY)
    assert KeptRows.read(tmp_path / "rows.json") == joined
