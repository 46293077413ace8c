"""Models of cells: modes of block RAM; what has no model is refused by name."""

import json

import numpy as np
import pytest

from narrowgauge.boards.proof.routed import plain
from narrowgauge.hw.errors import EngineRefusal
from narrowgauge.hw.sim.batch.lowering import lower
from narrowgauge.hw.sim.batch.netlist import read_netlist

from .test_engines import needs_compiler
from .test_netlists import observed

# i: reset, write, 3 bits of address, 8 bits of data
PORTS = (
    ".CE{0}(1'b1), .OCE{0}(1'b1), .CLK{0}(clk), .RESET{0}(i[12]), .AD{0}({{8'b0, i[10:8], 3'b0}}), "
)
PORTS += ".DI{0}(i[7:0]), .DO{0}(o), .WRE{0}(i[11]), .BLKSEL{0}(3'b000)"
SP = (
    "SP #(.BIT_WIDTH(8), .WRITE_MODE({mode}), .RESET_MODE({reset})) ram (" + PORTS.format("") + ");"
)
DPB = "DPB #(.BIT_WIDTH_{port}(8), .WRITE_MODE{port}({mode}), .RESET_MODE({reset})) ram ("
DPB_A = DPB.replace("{port}", "0") + PORTS.format("A") + ", .CEB(1'b0));"
DPB_B = DPB.replace("{port}", "1") + PORTS.format("B") + ", .CEA(1'b0));"
DP16KD = (
    "DP16KD #(.DATA_WIDTH_A(9), .WRITEMODE_A({mode}), .RESETMODE({reset})) ram (.CEA(1'b1), "
    ".CLKA(clk), .RSTA(i[12]), .WEA(i[11]), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0), .CEB(1'b0), "
    + "".join(f".ADA{n}({f'i[{n + 5}]' if 3 <= n < 6 else 0}), " for n in range(14))
    + ".DIA8(1'b0), "
    + ", ".join(f".DIA{n}(i[{n}]), .DOA{n}(o[{n}])" for n in range(8))
    + ");"
)
KEEPS, SHOWS, READS = range(3)  # what an output does while its port writes


def top(*cells):
    return f"module top(input clk, input [12:0] i, output [7:0] o); {' '.join(cells)} endmodule"


def wanted(stimulus, mode, asynchronous):
    words, word, found = [0] * 8, 0, []
    for given in stimulus.tolist():
        reset, write, address, value = given >> 12, given >> 11 & 1, given >> 8 & 7, given & 255
        found.append(0 if asynchronous and reset else word)
        if write:
            word = {KEEPS: word, SHOWS: value, READS: words[address]}[mode]
            words[address] = value
        else:
            word = words[address]
        word = 0 if reset else word
    return found


@needs_compiler
@pytest.mark.parametrize(
    ("family", "cell", "mode"),
    [
        *(("gowin", cell, mode) for cell in (SP, DPB_A) for mode in (KEEPS, SHOWS, READS)),
        ("gowin", DPB_B, READS),
        ("ecp5", DP16KD, KEEPS),
        ("ecp5", DP16KD, READS),
    ],
)
def test_block_ram_shows_what_its_mode_says(family, cell, mode):
    stimulus = np.random.default_rng(mode).integers(0, 1 << 13, (60, 64))
    stimulus &= ~(np.random.default_rng(9).integers(0, 8, (60, 64)) > 0).astype(int) << 12
    name = mode if family == "gowin" else '"READBEFOREWRITE"' if mode == READS else '"NORMAL"'
    for reset in ('"SYNC"', '"ASYNC"'):
        text = top(cell.replace("{mode}", str(name)).replace("{reset}", reset))
        found = observed(lower(text, "verilog", family), stimulus)
        for lane in (0, 63):
            assert found[:, lane].tolist() == wanted(stimulus[:, lane], mode, "A" in reset)


REFUSED = {
    "ecp5": {
        'TRELLIS_FF #(.CLKMUX("INV"))': "CLKMUX is INV; the batch engine has models of CLK",
        'TRELLIS_FF #(.SRMODE("ASYNC"))': "SRMODE is ASYNC; .* LSR_OVER_CE",
        'TRELLIS_FF #(.LSRMODE("PRLD"))': "LSRMODE is PRLD; .* LSR",
        'TRELLIS_COMB #(.MODE("DPRAM"), .WCKMUX("INV"))': "WCKMUX is INV; .* WCK",
        'TRELLIS_COMB #(.MODE("ODD"))': "MODE is ODD; .* LOGIC, CCU2, DPRAM, RAMW_BLOCK",
        'DP16KD #(.REGMODE_A("OUTREG"))': "REGMODE_A is OUTREG; .* NOREG",
        'DP16KD #(.RESETMODE("ODD"))': "RESETMODE is ODD; .* SYNC, ASYNC",
        'DP16KD #(.CLKBMUX("INV"))': "CLKBMUX is INV; .* CLKB",
        'DP16KD #(.WRITEMODE_B("WRITETHROUGH"))': "WRITEMODE_B is WRITE.* NORMAL, READBEFOREWRITE",
        "DP16KD #(.DATA_WIDTH_A(12))": "width of port A is 12; .* 1, 2, 4, 9, 18, 36",
        'MULT18X18D #(.REG_INPUTA_CLK("CLK0"))': "REG_INPUTA_CLK is CLK0; .* NONE",
    },
    "gowin": {
        "SP #(.WRITE_MODE(3))": "WRITE_MODE is 3; .* 0, 1, 2",
        "SPX9 #(.READ_MODE(1))": "READ_MODE is 1; .* 0",
        'SDPB #(.RESET_MODE("ODD"))': "RESET_MODE is ODD; .* SYNC, ASYNC",
        "DPX9B #(.WRITE_MODE1(3))": "WRITE_MODE1 is 3; .* 0, 1, 2",
        "pROM #(.READ_MODE(1))": "READ_MODE is 1; .* 0",
        "MULT9X9 #(.AREG(1))": "AREG is 1; .* 0",
        "MULT36X36 #(.OUT1_REG(1))": "OUT1_REG is 1; .* 0",
    },
    "ice40": {
        "SB_RAM40_4K #(.READ_MODE(4))": "READ_MODE is 4; .* 0, 1, 2, 3",
        'SB_RAM40_4K #(.INIT_FILE("words.hex"))': "INIT_FILE is words.hex; .* none",
    },
}


@pytest.mark.parametrize("family", REFUSED)
def test_a_mode_without_a_model_is_refused_with_those_that_have_one(family):
    cells, messages = zip(*REFUSED[family].items(), strict=True)
    instances = [f"{cell} cell_{index} ();" for index, cell in enumerate(cells)]
    whole = lower(top(*instances), "verilog", family)
    for index, message in enumerate(messages):
        mine = {name: cell for name, cell in whole["cells"].items() if f"cell_{index}." in name}
        with pytest.raises(EngineRefusal, match=rf"^cell_{index}\S*: {message}$"):
            read_netlist({**whole, "cells": mine})


@pytest.mark.parametrize(
    ("family", "text", "named"),
    [
        ("ice40", "SB_LUT4 #(.LUT_INIT(16'hFF00)) lut (.I3(w), .O(o[0]));", "o"),
        ("ice40", "SB_DFFE ff (.C(clk), .D(i[0]), .E(w), .Q(o[0]));", "w"),
        ("gowin", "MULT9X9 m (.A(i[8:0]), .B(9'd3), .ASEL(1'b1), .BSEL(1'b0), .DOUT(o));", "o"),
        ("ecp5", "MULT18X18D m (.A0(i[0]), .B0(i[1]), .SOURCEB(i[2]), .P0(o[0]));", "m.SRIB"),
        ("", "assign o = {i[6:0], w};", "o"),
    ],
)  # fmt: skip
def test_a_net_that_nothing_drives_is_refused_where_an_output_depends_on_it(family, text, named):
    if family == "ice40":  # others have bits of the output that nothing drives
        text += " assign o[7:1] = 0;"
    if family == "ecp5":
        text = text.replace(
            "m (",
            "m ("
            + "".join(
                f".{p}{n}(1'b0), " for p in "AB" for n in range(18) if n > (p == "B") - 1 and n
            )
            + ".SIGNEDA(1'b0), .SIGNEDB(1'b0), .SOURCEA(1'b0), ",
        )
        text += " assign o[7:1] = 0;"
    with pytest.raises(EngineRefusal, match=rf"^nothing drives \S*\b{named}\b.*something drives"):
        read_netlist(lower(top("wire w;", text), "verilog", family))


def test_an_open_input_that_no_entry_of_its_table_asks_for_is_none():
    cell = "SB_LUT4 #(.LUT_INIT(16'hAAAA)) lut (.I0(i[3]), .O(o[0])); assign o[7:1] = 0;"
    netlist = read_netlist(lower(top(cell), "verilog", "ice40"))
    assert netlist.ports["o"][0] == netlist.ports["i"][3]


def test_a_memory_on_the_falling_edge_is_refused():
    text = top(
        "reg [7:0] words [15:0]; reg [7:0] q; assign o = q;",
        "always @(EDGE clk) begin q <= words[i[3:0]]; if (i[12]) words[i[3:0]] <= i[11:4]; end",
    )
    assert read_netlist(lower(text.replace("EDGE", "posedge"), "verilog")).memories
    with pytest.raises(EngineRefusal, match=r"memory words has a port .* on the rising edge"):
        read_netlist(lower(text.replace("EDGE", "negedge"), "verilog"))


WIRES = "module \\top\nwire input 1 \\clk\nwire input 2 \\i\nwire output 3 \\o\n"

REGISTER = r"""
attribute \init 1'1
wire \rst
cell $dff \ff
  parameter \WIDTH 1
  parameter \CLK_POLARITY 1
  connect \CLK \clk
  connect \D \i
  connect \Q \rst
end
"""


def test_only_an_input_that_is_called_rst_is_a_reset():
    """It is 0; another signal of that name had been as well."""
    text = WIRES + REGISTER + "connect \\o \\rst\nend\n"
    netlist = read_netlist(lower(text))
    assert [register.init for register in netlist.registers] == [1]
    given = WIRES + "wire input 4 \\rst\nconnect \\o \\rst\nend\n"
    assert read_netlist(lower(given)).ports["o"] == [0]
    given = "module top(input clk, i, rst, output o); assign o = i ^ rst; endmodule"
    netlist = read_netlist(lower(given, "verilog"))
    assert netlist.ports["o"] == netlist.ports["i"]


def routed(cell):
    ports = {"clk": {"direction": "input", "bits": [2]}}
    return json.dumps(
        {"modules": {"top": {"attributes": {}, "ports": ports, "cells": {"x": cell}}}}
    )


@pytest.mark.parametrize(
    ("kind", "parameters", "connections", "message"),
    [
        ("DP16KD", {"WEAMUX": "INV"}, {"WEA": [3]},
         "x: WEAMUX is INV; .* models of WEA for a port that is connected"),
        ("DP16KD", {"CLKAMUX": "INV"}, {"CLKA": [2]}, "x: CLKAMUX is INV; .* models of CLKA for"),
        ("MULT18X18D", {"A0MUX": "ODD"}, {"A0": []},
         "x: A0MUX is ODD; .* A0, INV, 0, 1 for a port that is open"),
        ("TRELLIS_IO", {"DIR": "BIDIR"}, {"B": [3], "T": []}, "x: .* has the direction BIDIR;"),
        ("TRELLIS_IO", {"DIR": "OUTPUT"}, {"B": [3], "I": [4], "T": [5]}, "OUTPUT and an enable;"),
    ],
)  # fmt: skip
def test_what_a_routed_netlist_inverts_is_refused(kind, parameters, connections, message):
    cell = {
        "type": kind,
        "parameters": parameters,
        "connections": connections,
        "port_directions": {},
    }
    with pytest.raises(EngineRefusal, match=message):
        plain(routed(cell))


def test_open_ports_of_a_block_are_what_their_parameters_say():
    parameters = {"CEAMUX": "CEA", "WEAMUX": "INV", "ADA0MUX": "0 ", "CLKAMUX": "CLKA"}
    cell = {"type": "DP16KD", "parameters": parameters, "connections": {"CLKA": [2], "CEA": []}}
    cell["connections"] |= {"DIA3": [], "DOA3": [], "CLKB": []}
    (found,) = json.loads(plain(routed(cell)))["modules"]["top"]["cells"].values()
    assert found["connections"] == {
        "CLKA": [2],
        "CEA": ["1"],
        "WEA": ["0"],
        "ADA0": ["0"],
        "DIA3": ["1"],
    }
