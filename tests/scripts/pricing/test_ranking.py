"""Formats are ranked by their cheapest network that reaches a target; errors make ties."""

from dataclasses import replace
from math import inf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.scripts.pricing.ranking import Contender, MeasuredShare, front, ranked

IMAGES = 10_000


def network(fmt, size, share, cost, *, error=0.0, seeds=1):
    found = MeasuredShare.of([share] * seeds, IMAGES)
    return Contender(fmt, f"mlp {size}", found, found, cost, error, {})


PLANTED = [
    network("fp32", 1, 0.97, 100),
    network("fp32", 2, 0.996, 400),
    network("int4", 1, 0.97, 10),
    network("int4", 2, 0.9955, 40),
    network("bipolar", 2, 0.98, 5),
    network("bipolar", 4, 0.9945, 60),
]


def test_the_cheapest_network_that_reaches_the_target_counts():
    found = ranked(PLANTED, 0.99)
    assert [(each.format, each.rank, each.tied) for each in found] == [
        ("int4", 1, ()),
        ("bipolar", 2, ()),
        ("fp32", 3, ()),
    ]
    assert [each.chosen and each.chosen.cost for each in found] == [40, 60, 400]


@pytest.mark.parametrize(
    ("place", "changed", "order"),
    [
        (3, {"cost": 80.0}, ["bipolar", "int4", "fp32"]),
        (3, {"share": MeasuredShare.of([0.98], IMAGES)}, ["bipolar", "fp32", "int4"]),
    ],
    ids=["a cost", "an accuracy"],
)
def test_what_is_worse_changes_the_ranking(place, changed, order):
    rows = [*PLANTED]
    rows[place] = replace(rows[place], **changed)
    assert [each.format for each in ranked(rows, 0.99)] == order


def test_shares_within_their_errors_of_the_target_are_ties():
    # 98.95 % may be 99 %, and 99.05 % may not
    near = [network("a", 1, 0.9895, 10), network("a", 2, 0.999, 30), network("b", 1, 0.9905, 20)]
    first, second = ranked(near, 0.99)
    assert (first.format, first.rank, first.tied) == ("b", 1, ("a",))
    assert (second.format, second.rank, second.low, second.high) == ("a", 1, 10, 30)
    assert first.high == inf


def test_costs_within_their_errors_are_ties():
    rows = [network("a", 1, 0.999, 100, error=0.05), network("b", 1, 0.999, 115, error=0.05)]
    assert [each.rank for each in ranked(rows, 0.99)] == [1, 1]
    assert [each.rank for each in ranked([replace(each, error=0.01) for each in rows], 0.99)] == [
        1,
        2,
    ]


def test_what_does_not_reach_the_target_is_last_with_its_best():
    missed = ranked([*PLANTED, network("int2", 9, 0.95, 1), network("int2", 3, 0.9, 1)], 0.99)[-1]
    assert (missed.format, missed.rank, missed.chosen) == ("int2", None, None)
    assert (missed.best.name, missed.low) == ("mlp 9", inf)


def test_the_error_of_a_share_holds_images_and_seeds():
    one = MeasuredShare.of([0.99], IMAGES)
    assert one.error == pytest.approx(sqrt(0.99 * 0.01 / IMAGES))
    spread = MeasuredShare.of([0.98, 0.99, 1.0], IMAGES)
    assert spread.error == pytest.approx(sqrt(0.01**2 / 3 + 0.99 * 0.01 / IMAGES))
    assert MeasuredShare.of([1.0], IMAGES).error > 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.floats(0.9, 1.0),
            st.floats(1.0, 1e6),
            st.floats(0.0, 0.2),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_ranks_agree_with_bounds(drawn):
    rows = [network(fmt, 1, share, cost, error=error) for fmt, share, cost, error in drawn]
    found = ranked(rows, 0.95)
    reached = [each for each in found if each.chosen is not None]
    for each in reached:
        assert each.chosen is not None
        assert each.low <= each.chosen.cost <= each.high or each.chosen.error > 0
        assert each.rank == 1 + sum(other.high < each.low for other in reached)
        for other in reached:
            surely = other.high < each.low or each.high < other.low
            assert (other.format in each.tied) == (not surely and other is not each)
    best = front(rows)
    assert [each.cost for each in best] == sorted(each.cost for each in best)
    for each in rows:
        assert any(b.cost <= each.cost and b.share.mean >= each.share.mean for b in best)
