"""What the report's figures show, and what they leave to the table: rows with known values."""

import math
from itertools import pairwise

import pytest

from narrowgauge.hw.synth.targets import target
from narrowgauge.scripts.reporting.assemble import figures
from narrowgauge.scripts.reporting.interactive import panels
from narrowgauge.scripts.reporting.quantities import density, has_range, in_blocks
from narrowgauge.scripts.reporting.roofline import memory_bits, spaced
from narrowgauge.scripts.reporting.tables import cells, hover
from narrowgauge.scripts.rows.row import ResultRow

from .reports import ROWS

MAC = ResultRow(
    **{"weight": "int8", "activation": "uint8", "accumulator_bits": 16, "lanes": 1},
    **{"multiplier": "logic", "target": "up5k", "lut": 168, "bram": 0, "dsp": 0, "routed": True},
    **{"fmax_mhz": 70.0, "fmax_mhz_min": 69.0, "fmax_mhz_max": 71.0, "seeds": [1, 2, 3]},
)
BLOCK = MAC | {"multiplier": "block", "lut": 5, "dsp": 1, "fmax_mhz": 131.0}
BLOCK |= {"fmax_mhz_min": 131.0, "fmax_mhz_max": 131.0, "seeds": [1]}
NETWORK = MAC | {"rows": 2, "columns": 2, "network": "digits", "lut": 3000, "bram": 27}
NETWORK |= {"fmax_mhz": 43.0, "fmax_mhz_min": 42.0, "fmax_mhz_max": 45.0}


def drawn(name, rows):
    """The figure called ``name``, and its marks by the numbers of their rows."""
    (figure,) = [figure for figure in figures(rows) if figure.name == name]
    return figure, {mark.row: mark for _, _, mark in figure.marks()}


# --- DSP blocks ---------------------------------------------------------------------------


def test_throughput_is_of_what_multiplies_in_logic():
    figure, marks = drawn("throughput", [MAC, BLOCK])
    assert set(marks) == {0}
    assert "in blocks of the device is left out" in figure.caption
    assert density(BLOCK) is None
    assert "per kLUT" not in hover(BLOCK)
    assert "per kLUT" in hover(MAC)


def test_a_row_that_used_no_block_is_one_of_logic():
    without = BLOCK | {"dsp": 0, "lut": 42}
    assert (in_blocks(BLOCK), in_blocks(without), in_blocks(MAC)) == (True, False, False)
    _, marks = drawn("cost", [MAC, BLOCK, without])
    assert [marks[row].hollow for row in range(3)] == [False, True, False]


def test_captions_say_what_clocks_of_blocks_leave_out():
    words = "Gowin leave out all paths through blocks"
    assert words in drawn("clock", [MAC, BLOCK])[0].caption
    assert words not in drawn("clock", [MAC])[0].caption
    in_block = NETWORK | {"multiplier": "block", "dsp": 8}
    assert words in drawn("roofline", [MAC, in_block])[0].caption
    assert words not in drawn("roofline", [MAC, BLOCK, NETWORK])[0].caption


def test_one_placement_has_no_range():
    assert (has_range(MAC), has_range(BLOCK)) == (True, False)
    figure, marks = drawn("clock", [MAC, BLOCK])
    assert (marks[0].low, marks[0].high) == (69.0, 71.0)
    assert (marks[1].low, marks[1].high) == (None, None)
    traces = panels(figure, [""] * 2)[0]["data"]
    assert [(trace["customdata"], "error_y" in trace) for trace in traces] == [
        ([0], True),
        ([1], False),
    ]
    assert "Fmax 131.0 MHz, seeds 1" in hover(BLOCK)
    names, _, body = cells([MAC, BLOCK])
    assert [line[names.index("range")] for line in body] == [("69.0 to 71.0", 69.0), ("", "")]


# --- structures ----------------------------------------------------------------------------------


def test_structures_beside_the_default_are_only_in_the_table():
    bipolar = MAC | {"weight": "bipolar", "activation": "bipolar", "lanes": 16}
    names = ("counters", "plain tree", "pipelined tree")
    rows = [bipolar, *(bipolar | {"structure": name} for name in names)]
    for figure in ("cost", "throughput", "clock"):
        found, marks = drawn(figure, rows)
        assert set(marks) == {0, 1}
        assert "plain trees and pipelined trees are only in the table" in found.caption
        assert "only in the table" not in drawn(figure, rows[:2])[0].caption
    heads, _, body = cells(rows)
    assert [line[heads.index("structure")][0] for line in body] == ["", *names]
    assert all(name in hover(row) for name, row in zip(names, rows[1:], strict=True))


def test_a_limit_is_of_what_would_be_built():
    rows = [MAC, MAC | {"structure": "plain tree", "lut": 1}, BLOCK]
    (panel,) = drawn("roofline", rows)[0].panels
    (limit,) = [line for line in panel.lines if line.label]
    assert limit.points[0][1] == pytest.approx(0.07 * 5280 / 168)


# --- the roofline --------------------------------------------------------------------------------


def slope(panel):
    x, y = panel.lines[0].points[0]
    return y / x


def test_the_slope_has_the_clock_of_a_design_with_block_ram():
    bits = memory_bits(target("up5k"))
    (panel,) = drawn("roofline", [MAC, BLOCK, NETWORK])[0].panels
    assert slope(panel) == pytest.approx(bits * 45.0 / 1000)
    assert panel.note == "block RAM: 544 bits at 45 MHz"
    (panel,) = drawn("roofline", [MAC, BLOCK])[0].panels
    assert slope(panel) == pytest.approx(bits * 131.0 / 1000)
    assert panel.note == "block RAM: 544 bits at 131 MHz (lone MAC)"


def test_a_device_with_nothing_to_draw_has_no_panel():
    nothing = BLOCK | {"target": "ecp5-25k"}  # a block is no limit, and a MAC no mark
    assert [panel.target for panel in drawn("roofline", [MAC, nothing])[0].panels] == ["up5k"]
    assert drawn("roofline", [nothing])[0].panels == ()


def test_labels_stand_apart_and_their_leaders_begin_at_their_lines():
    near = {"e3m2": 141, "e4m3": 143, "int8": 140, "int16": 142, "pow2_4": 139}
    rows = [MAC | {"weight": name, "lut": lut} for name, lut in near.items()]
    rows.append(MAC | {"weight": "bipolar", "lut": 1})
    (panel,) = drawn("roofline", rows)[0].panels
    lines = {line.format: line for line in panel.lines if line.label}
    leaders = {line.format: line for line in panel.lines if line.role == "leader"}
    assert lines.keys() == leaders.keys() == {*near, "bipolar"}
    for name, line in lines.items():
        assert leaders[name].points == (line.points[-1], line.place)
    places = [math.log10(lines[name].place[1]) for name in ("e4m3", "int16", "e3m2", "int8")]
    assert panel.y_range is not None
    bottom, top = map(math.log10, panel.y_range)
    assert all(b - a >= 0.05 * (top - bottom) for a, b in pairwise(places))
    assert all(bottom <= place <= top for place in places)
    heights = {name: math.log10(line.points[0][1]) for name, line in lines.items()}
    assert math.log10(lines["e4m3"].place[1]) < heights["e4m3"]  # both ways from their lines
    assert math.log10(lines["pow2_4"].place[1]) > heights["pow2_4"]
    assert lines["bipolar"].place[1] == pytest.approx(lines["bipolar"].points[0][1])


def test_spacing_moves_only_what_is_too_near():
    assert spaced([], 1) == []
    assert spaced([0, 10, 20], 3) == [0, 10, 20]
    assert spaced([0, 0, 20], 3) == [-1.5, 1.5, 20]
    assert spaced([0, 4, 4, 4], 3) == pytest.approx([-1.5, 1.5, 4.5, 7.5])


def test_real_rows_have_slopes_of_accelerators_where_there_are_some():
    notes = {panel.target: panel.note for panel in drawn("roofline", ROWS)[0].panels}
    fastest = max(row.fmax_mhz_max or 0 for row in ROWS if row.network and row.target == "up5k")
    assert notes["up5k"].endswith(f" {fastest:.0f} MHz")
    assert notes["ecp5-25k"].endswith("(lone MAC)")
