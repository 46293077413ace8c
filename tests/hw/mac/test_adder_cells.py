"""Adders with a choice: what they add, and that the vendor's cells add the same."""

import pytest
from amaranth.sim import Simulator

from narrowgauge.hw.errors import ToolFailure
from narrowgauge.hw.mac import adder_cells
from narrowgauge.hw.mac.adder_cells import ChoosingAdder
from narrowgauge.hw.tools import programs as tools
from narrowgauge.hw.tools.rtlil import convert

from ..fabrics import FABRICS


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("subtracts", [False, True])
def test_adds_one_of_two_or_subtracts(subtracts, width):
    adder, span = ChoosingAdder(width, subtracts=subtracts), 1 << width
    inputs = [
        (a, b, (3 * a + b) % span, other)
        for a in range(span) for b in range(span) for other in (0, 1)
    ]  # fmt: skip

    got = []

    async def testbench(ctx):
        for values in inputs:
            for name, value in zip(("i_a", "i_b", "i_c", "i_other"), values, strict=True):
                if name in adder.signature.members:
                    ctx.set(getattr(adder, name), value)
            await ctx.delay(1e-9)
            got.append(ctx.get(adder.o) % span)

    simulator = Simulator(adder)
    simulator.add_testbench(testbench)
    simulator.run()
    expected = [
        (a + ((-b if other else b) if subtracts else c if other else b)) % span
        for a, b, c, other in inputs
    ]
    assert got == expected


def prove(folder, width, subtracts):
    """See that cells of ECP5 and operators give the same for all operands; raises `ToolFailure`."""
    for name, platform in (("model", None), ("cells", "any")):
        adder = ChoosingAdder(width, subtracts=subtracts, fabric=FABRICS["ecp5"])
        (folder / f"{name}.il").write_text(convert(adder, name=name, platform=platform))
    script = (
        "read_verilog -overwrite +/ecp5/cells_sim.v; read_rtlil cells.il; hierarchy -top cells; "
        "proc; flatten; opt_clean; design -stash cells; read_rtlil model.il; hierarchy -top model; "
        "proc; flatten; design -import cells -as cells; "
        "miter -equiv -flatten model cells miter; hierarchy -top miter; "
        "sat -verify -prove trigger 0 miter"
    )
    tools.run(tools.find("yosys"), ["-q", "-p", script], folder)


@pytest.mark.parametrize("width", [1, 5, 8])
@pytest.mark.parametrize("subtracts", [False, True])
def test_cells_of_ecp5_add_alike(subtracts, width, tmp_path):
    prove(tmp_path, width, subtracts)


@pytest.mark.parametrize("subtracts", [False, True])
def test_another_table_is_found(subtracts, tmp_path, monkeypatch):
    name = "_SUBTRACTING" if subtracts else "_CHOOSING"
    monkeypatch.setattr(adder_cells, name, getattr(adder_cells, name) ^ 1)  # a carry
    with pytest.raises(ToolFailure, match="proof did fail"):
        prove(tmp_path, 5, subtracts)
