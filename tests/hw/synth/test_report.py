from dataclasses import replace

import pytest

from narrowgauge.hw.errors import FitError, ToolError
from narrowgauge.hw.synth.report import Report, check_budget, check_fit, parse
from narrowgauge.hw.synth.targets import target

ICE40 = target("up5k").family


def step(kind, delay, start, end):
    return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}


def nextpnr(lut=10, bram=0):
    """A report like nextpnr's, cut down."""
    clock = "posedge clk$SB_IO_IN_$glb_clk"
    register, end = "pe.a_SB_DFF_Q_2_DFFLC", "pe.total_SB_DFFSR_Q_9_D_SB_LUT4_O_LC"
    path = [
        step("clk-to-q", 1.0, register, register),
        step("routing", 2.0, register, "x_LC"),
        step("logic", 0.5, "x_LC", "x_LC"),
        step("routing", 1.5, "x_LC", end),
        step("setup", 0.25, end, end),
    ]
    return {
        "utilization": {
            "ICESTORM_LC": {"used": lut, "available": 5280},
            "ICESTORM_RAM": {"used": bram, "available": 30},
            "SB_IO": {"used": 7, "available": 39},
            "SB_GB": {"used": 9, "available": 8},
        },
        "fmax": {"clk$SB_IO_IN_$glb_clk": {"achieved": 31.5, "constraint": 12.0}},
        "critical_paths": [
            {"from": "<async>", "to": clock, "path": [step("routing", 99.0, "a", "b")]},
            {"from": clock, "to": clock, "path": path},
        ],
    }


def test_packed_counts_come_from_nextpnr_and_the_others_from_yosys():
    cells = {"SB_LUT4": 8, "SB_DFF": 3, "SB_DFFESR": 2, "SB_CARRY": 4, "$scopeinfo": 1}
    found = parse(nextpnr(), cells, ICE40)
    assert (found.lut, found.lut4, found.ff, found.carry, found.io) == (10, 8, 5, 4, 7)
    assert found.fmax_mhz == {"clk": 31.5}


def test_the_critical_path_is_the_slowest_between_registers():
    found = parse(nextpnr(), {}, ICE40)
    assert found.critical_path == "pe.a -> pe.total: 5.2 ns, 1 cells, 3.5 ns in wires"


def test_what_is_only_mapped_has_no_speed_and_no_packed_cells():
    found = parse(None, {"SB_LUT4": 8}, ICE40)
    assert found == Report(lut4=8, ff=0, carry=0, bram=0, spram=0, dsp=0)


@pytest.mark.parametrize("report", [{}, {"utilization": 3}, {"utilization": {}, "fmax": []}])
def test_an_unknown_form_is_refused(report):
    with pytest.raises(ToolError, match="nextpnr-ice40 wrote a report of unknown form"):
        parse(report, {}, ICE40)


def test_every_exhausted_resource_is_told_with_both_numbers():
    report = nextpnr(lut=6012, bram=34)
    report["utilization"]["SB_GB"]["used"] = 8
    text = "does not fit up5k: it needs 6012 of 5280 logic cells and 34 of 30 block RAMs$"
    with pytest.raises(FitError, match=text) as refused:
        check_fit(report, target("up5k"))
    assert refused.value.lut == 6012
    check_fit({"utilization": {"SB_GB": {"used": 8, "available": 8}}}, target("up5k"))


def test_what_takes_no_place_is_not_exhausted():
    check_fit({"utilization": {"DUMMY_CELL": {"used": 4, "available": 0}}}, target("gw1n-9"))


def test_a_budget_is_kept_where_no_tool_looks():
    check_budget(Report(lut=53_200, lut4=99_999, bram=280), target("xc7"))
    on = replace(target("xc7"), budget={**target("xc7").budget, "dsp": 2})
    with pytest.raises(FitError, match=r"needs 53201 of 53200 logic cells and 3 of 2 DSP blocks$"):
        check_budget(Report(lut=53_201, dsp=3), on)


def test_a_resource_without_a_common_word_has_its_cell_name():
    with pytest.raises(FitError, match=r"needs 9 of 8 SB_GB$"):
        check_fit(nextpnr(), target("up5k"))
