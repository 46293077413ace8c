"""The comparison names what differs, and only that."""

from unittest.mock import patch

from narrowgauge.hw.mac import dot

from .__main__ import differences, digest, replay
from .designs import DESIGNS

TWO = [design for design in DESIGNS if design.name.startswith("xc7: int4 x uint4, 16 wrap, 4")]
TWO += [design for design in DESIGNS if design.name.startswith("xc7: bipolar x bipolar, 8 wrap, 1")]


def replayed():
    return replay(TWO, known={}, mapped=False, everything=False)


def test_designs_are_many_and_have_names_of_their_own():
    assert len({design.name for design in DESIGNS}) == len(DESIGNS) >= 40
    assert {design.on.family.name for design in DESIGNS} == {"ice40", "ecp5", "gowin", "xc7"}


def test_the_same_gates_are_equal():
    assert differences(replayed(), replayed()) == []


def test_a_planted_change_of_gates_is_named():
    before = replayed()
    real = dot.adder_tree

    def swapped(m, terms, *arguments, **options):
        return real(m, terms[::-1], *arguments, **options)

    with patch.object(dot, "adder_tree", swapped):
        after = replayed()
    assert differences(before, after) == [f"{TWO[0].name}: its RTLIL differs"]


def test_cells_that_differ_are_told():
    before = {"a": {"digest": "1", "cells": {"LUT": 4, "FF": 1}}, "b": {"digest": "1"}}
    after = {"a": {"digest": "2", "cells": {"LUT": 5, "FF": 1}}, "c": {"digest": "1"}}
    assert differences(before, after) == [
        "a: its RTLIL differs; LUT 4 -> 5",
        "b: is gone",
        "c: is new",
    ]
    after["a"]["digest"] = "1"
    assert differences(before, after)[0] == "a: its cells differ; LUT 4 -> 5"
    after["a"] = before["a"] | {"digest": "2"}
    assert differences(before, after)[0] == "a: its RTLIL differs, its cells do not"


def test_a_digest_is_of_the_text():
    assert digest("module") != digest("module ")
