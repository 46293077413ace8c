"""These call Yosys and nextpnr, on designs of a few hundred cells at most."""

import json
from dataclasses import replace

import pytest
from amaranth.lib.wiring import In, Out

from narrowgauge.hw import tools
from narrowgauge.hw.errors import FitError, ToolError
from narrowgauge.hw.rtlil import convert
from narrowgauge.hw.synth.flow import Netlist, pack, synthesis_script, synthesize
from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.synth.report import check_fit, parse
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.store import Store
from narrowgauge.hw.synth.targets import TARGETS, target

from .designs import AlikeSums, Array, Delay, Several, Table, Through


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store") / "results.sqlite")


def found(design, name, **options):
    """Map and pack, without routing."""
    netlist = synthesize(convert(design), target(name), **options)
    return parse(pack(netlist, target(name)), netlist.cells, target(name).family)


def test_the_script_flattens_after_mapping():
    lines = synthesis_script(target("up5k"), dsp=True, options=["-abc9"]).splitlines()
    assert lines[1] == "synth_ice40 -spram -dsp -abc9 -run :check"
    assert lines.index("opt_clean") > lines.index("flatten -noscopeinfo") > 1


@pytest.mark.parametrize("name", TARGETS)
def test_budgets_are_what_the_tool_has(name):
    netlist = synthesize(convert(Through(1)), target(name))
    available = pack(netlist, target(name))["utilization"]
    for resource, number in target(name).budget.items():
        assert available[target(name).family.packed[resource]]["available"] == number


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


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k"])
def test_an_empty_shell_costs_what_it_says(name, store):
    empty = measure(Shell(Through(20)), name, seeds=[], store=store)
    assert (empty.lut4, empty.ff) == (0, 0)
    assert empty.lut in (0, 1, 2)  # what drives constants, once a design
    assert empty.shell["ff"] == 43
    assert not empty.routed


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k"])
def test_a_shell_swallows_no_register_of_what_it_measures(name, store):
    assert measure(Shell(Delay(12), ignore=["one"]), name, seeds=[], store=store).ff == 12


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k"])
def test_memories_become_block_ram(name):
    members = {"at": In(8), "write": In(16), "on": In(1), "o": Out(16).array(1)}
    design = Shell(Several(Table(list(range(256))), **members))
    assert found(design, name).bram == 1


def test_multiplier_blocks_are_inferred_on_request():
    design = Shell(Array(1, 1, width=8))
    assert found(design, "up5k", dsp=True).dsp == 1
    assert found(design, "up5k").dsp == 0


def test_a_design_with_too_many_pins_is_told_so_with_numbers(store):
    with pytest.raises(FitError, match=r"does not fit up5k: it needs 66 of 39 pins"):
        measure(Through(33), "up5k", store=store)


def test_a_design_with_too_many_memories_is_told_so_with_numbers(store):
    tables = [Table([1] * 256) for _ in range(31)]
    members = {"at": In(8), "write": In(16), "on": In(1), "o": Out(16).array(31)}
    with pytest.raises(FitError, match=r"needs 31 of 30 block RAMs$"):
        measure(Shell(Several(*tables, **members)), "up5k", store=store)


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k"])
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
    monkeypatch.setattr("narrowgauge.hw.tools.run", pytest.fail)
    assert measure(Shell(Through(3)), "up5k", seeds=[5], store=store) == first


def test_a_design_that_yosys_refuses():
    with pytest.raises(ToolError, match="yosys failed: ERROR"):
        synthesize("module \\top\n  cell \\nowhere \\x\n  end\nend\n", target("up5k"))


def test_a_netlist_that_nextpnr_refuses():
    with pytest.raises(ToolError, match="nextpnr-ice40 failed"):
        pack(Netlist("{}", {}), target("up5k"))


def test_an_unknown_target():
    with pytest.raises(ToolError, match="unknown target 'zynq'"):
        measure(Through(1), "zynq")
