"""These call Yosys and nextpnr, on designs of a few hundred cells at most."""

import json
import shlex
from dataclasses import replace

import pytest
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.errors import FitError, ToolError
from narrowgauge.hw.synth.flow import (
    Netlist,
    pack,
    place_and_route,
    routing_limit,
    synthesis_scripts,
    synthesize,
)
from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.synth.report import check_fit, parse
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.targets import TARGETS, target
from narrowgauge.hw.tools import programs as tools
from narrowgauge.hw.tools.rtlil import convert
from narrowgauge.hw.tools.rtlil_names import unambiguous
from narrowgauge.hw.tools.store import Store

from .designs import AlikeSums, Array, Delay, Several, Table, Through

ONE_EACH = ["up5k", "ecp5-25k", "gw1n-9", "xc7"]
ROUTED = [name for name in TARGETS if target(name).family.router]
REAL_YOSYS = shlex.join(tools.find("yosys").command)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store") / "results.sqlite")


def found(design, name, **options):
    """Map and pack, without routing."""
    netlist = synthesize(convert(design), target(name), **options)
    return parse(pack(netlist, target(name)), netlist.cells, target(name).family)


def test_the_script_flattens_after_mapping():
    lines = synthesis_scripts(target("up5k"), dsp=True, options=["-abc9"])[0].splitlines()
    assert lines[1] == "synth_ice40 -spram -dsp -abc9 -run :check"
    assert lines.index("opt_clean") > lines.index("flatten -noscopeinfo") > 1


@pytest.mark.parametrize("name", ROUTED)
def test_budgets_are_what_the_tool_has(name):
    on = target(name)
    available = pack(synthesize(convert(Through(1)), on), on)["utilization"]
    cells = {**on.family.packed, "ff": "DFF", "dsp": "MULT18X18"} if on.pins else on.family.packed
    for resource, number in on.budget.items():
        if resource == "io" and on.pins:
            assert number == len(set(on.pins)) < available["IOB"]["available"]
        else:
            assert available[cells[resource]]["available"] == number


def test_sharing_costs_little():
    each = synthesize(convert(Array(3, 3), share=False), target("up5k")).cells
    shared = synthesize(convert(Array(3, 3)), target("up5k")).cells
    assert shared["SB_LUT4"] <= 1.02 * each["SB_LUT4"]
    registers = [
        sum(n for cell, n in cells.items() if cell.startswith("SB_DFF")) for cells in (each, shared)
    ]
    assert registers[1] <= 1.02 * registers[0]


def carry_targets(netlist):
    """How many carry inputs each carry output drives, where it drives any."""
    (top,) = [m for m in json.loads(netlist.text)["modules"].values() if "top" in m["attributes"]]
    chains = [c["connections"] for c in top["cells"].values() if c["type"] == "CCU2C"]
    inputs = [bit for each in chains for bit in each.get("CIN", [])]
    return [inputs.count(bit) for each in chains for bit in each.get("COUT", []) if bit in inputs]


@pytest.mark.parametrize("merged", [("lut4", "ff"), ("lut4", "carry", "ff")])
def test_ecp5_carry_chains_that_begin_alike_are_packed(merged):
    on = target("ecp5-25k")
    on = replace(on, family=replace(on.family, merged=merged))
    netlist = synthesize(convert(AlikeSums(8)), on)
    if merged == target("ecp5-25k").family.merged:
        assert max(carry_targets(netlist)) == 1
        check_fit(pack(netlist, on), on)
    else:  # what merging would do: two chains leave one cell, which nextpnr cannot place
        assert max(carry_targets(netlist)) > 1


EQUIVALENCE = """
read_rtlil gold.il
proc; memory; flatten; opt_clean; rename -top gold; design -stash gold
read_json gate.json
delete =A:blackbox
read_verilog -overwrite +/ecp5/cells_sim.v
hierarchy -top top; proc; flatten; opt_clean; rename -top gate; design -stash gate
design -copy-from gold -as gold gold
design -copy-from gate -as gate gate
miter -equiv -flatten -make_outputs gold gate miter
hierarchy -top miter
setundef -undriven -zero
sat -verify -prove trigger 0 -seq 4 -set-init-zero miter
"""


ALIKE = r"""
module \top
  wire width 8 input 1 \a
  wire input 2 \b
  wire input 3 \clk
  wire output 4 \y
  wire width 8 \w
  wire \w[3]
  cell $dff $1
    parameter \CLK_POLARITY 1
    parameter \WIDTH 8
    connect \CLK \clk
    connect \D \a
    connect \Q \w
  end
  cell $dff $2
    parameter \CLK_POLARITY 1
    parameter \WIDTH 1
    connect \CLK \clk
    connect \D \b
    connect \Q \w[3]
  end
  cell $xor $3
    parameter \A_SIGNED 0
    parameter \A_WIDTH 1
    parameter \B_SIGNED 0
    parameter \B_WIDTH 1
    parameter \Y_WIDTH 1
    connect \A \w [3]
    connect \B \w[3]
    connect \Y \y
  end
end
"""


@pytest.mark.parametrize("always_abc", [False, True])
def test_a_wire_called_like_a_bit_of_another_stays_another(tmp_path, monkeypatch, always_abc):
    """Yosys 0.60 to 0.70 compute 0 otherwise; and ABC computes what ABC9 does."""
    if always_abc:
        second = synthesis_scripts(target("ecp5-25k"))[1]
        monkeypatch.setattr(
            "narrowgauge.hw.synth.flow.synthesis_scripts", lambda *_, **__: [second]
        )
    netlist = synthesize(unambiguous(ALIKE), target("ecp5-25k"))
    (tmp_path / "gate.json").write_text(netlist.text)
    (tmp_path / "equal.ys").write_text(EQUIVALENCE)
    (tmp_path / "gold.il").write_text(ALIKE)
    tools.run(tools.find("yosys"), ["-q", "-s", "equal.ys"], tmp_path, timeout=120)
    (tmp_path / "gold.il").write_text(ALIKE.replace("$xor", "$and"))
    with pytest.raises(ToolError, match="proof did fail"):
        tools.run(tools.find("yosys"), ["-q", "-s", "equal.ys"], tmp_path, timeout=120)


# The same proof for iCE40, whose cell models are harder on the solver, takes minutes: it passed.
def test_the_mapped_netlist_does_what_the_design_does(tmp_path):
    design, other = (Array(6, 1, width=3, offsets={(0, 0): offset}) for offset in (0, 1))
    netlist = synthesize(convert(design), target("ecp5-25k"))
    (tmp_path / "gate.json").write_text(netlist.text)
    (tmp_path / "equal.ys").write_text(EQUIVALENCE)
    (tmp_path / "gold.il").write_text(convert(design, share=False))
    tools.run(tools.find("yosys"), ["-q", "-s", "equal.ys"], tmp_path, timeout=120)
    (tmp_path / "gold.il").write_text(convert(other, share=False))
    with pytest.raises(ToolError, match="proof did fail"):
        tools.run(tools.find("yosys"), ["-q", "-s", "equal.ys"], tmp_path, timeout=120)


@pytest.mark.parametrize("name", ONE_EACH)
def test_an_empty_shell_costs_what_it_says(name, store):
    empty = measure(Shell(Through(20)), name, seeds=[], store=store)
    assert (empty.lut4, empty.ff) == (0, 0)
    assert empty.lut in (0, 1, 2)  # what drives constants, once a design
    assert empty.shell["ff"] == 43
    assert not empty.routed


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_shell_swallows_no_register_of_what_it_measures(name, store):
    assert measure(Shell(Delay(12), ignore=["one"]), name, seeds=[], store=store).ff == 12


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k", "gw1n-9"])
def test_memories_become_block_ram(name):
    members = {"at": In(8), "write": In(16), "on": In(1), "o": Out(16).array(1)}
    design = Shell(Several(Table(list(range(256))), **members))
    assert found(design, name).bram == 1


def test_multiplier_blocks_are_inferred_on_request():
    design = Shell(Array(1, 1, width=8))
    for name in ("up5k", "gw1n-9"):
        assert found(design, name, dsp=True).dsp == 1
        assert found(design, name).dsp == 0


def test_registers_that_follow_no_gowin_lut_take_one(store):
    """The tool counts them only when it has routed: then it has, but for a few beside carries."""
    design = Shell(Array(2, 1), ignore=["trace"])
    on = target("gw1n-9")
    netlist = synthesize(convert(design), on)
    packed = pack(netlist, on)["utilization"]["LUT4"]["used"]
    routed = place_and_route(netlist, on)["utilization"]
    assert packed <= routed["LUT4"]["used"] + routed["ALU"]["used"] <= 1.02 * packed
    uncounted = pack(netlist, replace(on, family=replace(on.family, feeds={})))
    assert uncounted["utilization"]["LUT4"]["used"] < 0.9 * packed


def test_no_path_through_a_narrow_gowin_lut_is_left_out():
    """Without its LUTs widened, nextpnr does not see the sums, and is twice as fast."""
    design = convert(Shell(Array(2, 1), ignore=["trace"]))
    on = target("gw1n-9")
    pads = tuple(command for command in on.family.finish if command.startswith("iopadmap"))
    speeds = []
    for each in (on, replace(on, family=replace(on.family, finish=pads))):
        netlist = synthesize(design, each)
        routed = parse(place_and_route(netlist, each), netlist.cells, each.family)
        speeds.append(routed.fmax_mhz["clk"])
    assert speeds[1] > 1.5 * speeds[0]


def test_pads_are_those_of_the_top_module_alone():
    cells = synthesize(convert(Shell(Array(3, 3), ignore=["trace"])), target("gw1n-9")).cells
    assert (cells["IBUF"], cells["OBUF"]) == (5, 1)


def test_what_is_only_mapped_is_marked_as_not_routed(store, monkeypatch):
    design = Shell(Array(2, 1), ignore=["trace"])
    monkeypatch.delenv("NEXTPNR_ECP5", raising=False)
    row = measure(design, "xc7", seeds=[1, 2], store=store).row()
    assert row["routed"] is False
    assert row["lut"] == row["lut4"] > 0
    assert {"fmax_mhz", "seeds", "failed"}.isdisjoint(row)
    assert row["tools"].keys() == {"yosys", "amaranth", "narrowgauge"}
    with pytest.raises(ToolError, match="xc7 can be mapped but not routed"):
        place_and_route(Netlist("{}", {}), target("xc7"))


def test_a_design_that_is_only_mapped_may_not_fit_either(store):
    on = replace(target("xc7"), budget={"lut": 100, "ff": 30, "io": 125})
    with pytest.raises(
        FitError, match=r"fit xc7: it needs \d+ of 100 logic cells and \d+ of 30 reg"
    ):
        measure(Shell(Array(2, 1), ignore=["trace"]), on, store=store)


def test_a_routing_that_does_not_end_has_failed_and_is_not_begun_again(store, monkeypatch):
    design = Shell(Array(2, 1), ignore=["trace"])
    whole, calls = place_and_route, []

    def slow(*arguments, seed, timeout, **options):
        calls.append(seed)
        timeout = 0.05 if seed == 8 else timeout
        return whole(*arguments, seed=seed, timeout=timeout, **options)

    monkeypatch.setattr("narrowgauge.hw.synth.measure.place_and_route", slow)
    reason = "up5k was not placed and routed within 0.05 s with seed 8"
    for _ in range(2):
        result = measure(design, "up5k", seeds=[7, 8], store=store)
        assert (result.seeds, result.failed) == ((7,), {8: reason})
        assert result.row()["failed"] == {8: reason}
        with pytest.raises(FitError, match=f"^{reason}$"):
            measure(design, "up5k", seeds=[8], store=store)
    assert sorted(calls) == [7, 8]
    monkeypatch.undo()
    assert measure(design, "up5k", seeds=[8], timeout=300, store=store).seeds == (8,)


def test_large_designs_have_longer_to_route():
    assert routing_limit(Netlist("{}", {"LUT4": 100})) < 140
    assert routing_limit(Netlist("{}", {"LUT4": 50_000, "TRELLIS_FF": 30_000})) > 4000


@pytest.mark.parametrize("given", ["environment", "nothing"])
def test_a_target_whose_tool_is_missing(given, store, monkeypatch, tmp_path):
    if given == "environment":
        monkeypatch.setenv("NEXTPNR_HIMBAECHEL_GOWIN", "/nowhere/nextpnr")
        match = "NEXTPNR_HIMBAECHEL_GOWIN is '/nowhere/nextpnr'"
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
        monkeypatch.setenv("YOSYS", REAL_YOSYS)
        match = r"nextpnr-himbaechel-gowin was not found: run `pip install 'narrowgauge\[gowin\]'`"
    with pytest.raises(ToolError, match=match):
        measure(Shell(Through(3)), "gw1n-9", store=store)


def test_a_design_with_too_many_pins_is_told_so_with_numbers(store):
    with pytest.raises(FitError, match=r"does not fit up5k: it needs 66 of 39 pins"):
        measure(Through(33), "up5k", store=store)


def test_a_design_with_more_pins_than_the_package_is_told_so_with_numbers(store):
    with pytest.raises(FitError, match=r"does not fit gw1n-9: it needs 66 of 63 pins$"):
        measure(Through(33), "gw1n-9", store=store)


def test_a_design_with_too_many_memories_is_told_so_with_numbers(store):
    tables = [Table([1] * 256) for _ in range(31)]
    members = {"at": In(8), "write": In(16), "on": In(1), "o": Out(16).array(31)}
    with pytest.raises(FitError, match=r"needs 31 of 30 block RAMs$"):
        measure(Shell(Several(*tables, **members)), "up5k", store=store)


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k", "gw1n-9"])
def test_a_routed_design_is_measured_over_its_seeds(name, store):
    design = Shell(Array(2, 1), ignore=["trace"])
    result = measure(design, name, seeds=[1, 2], store=store)
    assert result.routed
    assert result.seeds == (1, 2)
    speeds = result.row()
    assert 5 < speeds["fmax_mhz_min"] <= speeds["fmax_mhz"] <= speeds["fmax_mhz_max"] < 1000
    assert "element" in result.critical_path
    assert result.tools.keys() == {"yosys", "nextpnr", "amaranth", "narrowgauge"}
    row = result.row()
    assert row["target"] == name
    assert "failed" not in row
    assert measure(design, name, seeds=[1, 2], store=store) == result


def test_results_are_looked_up_before_they_are_measured(store, monkeypatch):
    first = measure(Shell(Through(3)), "up5k", seeds=[5], store=store)
    monkeypatch.setattr("narrowgauge.hw.tools.programs.run", pytest.fail)
    assert measure(Shell(Through(3)), "up5k", seeds=[5], store=store) == first


def test_a_design_that_yosys_refuses():
    with pytest.raises(ToolError, match=r"yosys failed: ERROR.*in pass .*, design and log are in"):
        synthesize("module \\top\n  cell \\nowhere \\x\n  end\nend\n", target("up5k"))


def test_a_netlist_that_nextpnr_refuses():
    with pytest.raises(ToolError, match="nextpnr-ice40 failed"):
        pack(Netlist("{}", {}), target("up5k"))


def test_an_unknown_target():
    with pytest.raises(ToolError, match="unknown target 'zynq'"):
        measure(Through(1), "zynq")
