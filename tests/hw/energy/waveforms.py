"""Waveforms of a mapped netlist, by CXXRTL and Yosys's own models of cells: a path of their own."""

import ctypes
import json
from collections import Counter

from narrowgauge.hw.sim.compiler import compile_library, cxxrtl_headers, find_compiler
from narrowgauge.hw.tools.programs import find, run

PART = 32  # bits of a signal: of wide ones, C++ takes minutes

HARNESS = r"""
#include <cxxrtl/cxxrtl_vcd.h>
#include <cstdio>
extern "C" int waves(const char *path, unsigned cycles) {
    cxxrtl_design::p_bench top;
    cxxrtl::debug_items items;
    cxxrtl::vcd_writer vcd;
    top.debug_info(&items, nullptr, "");
    vcd.add_without_memories(items);
    FILE *file = fopen(path, "w");
    for (unsigned cycle = 0; cycle < cycles; cycle++) {
        top.p_clk.set<bool>(false);
        top.step();
        vcd.sample(cycle);  // what has settled before the edge
        top.p_clk.set<bool>(true);
        top.step();
    }
    fwrite(vcd.buffer.data(), 1, vcd.buffer.size(), file);
    return fclose(file);
}
"""
COMMANDS = (
    "read_json netlist.json",
    "delete =A:blackbox =A:whitebox",
    "read_verilog -defer +/ice40/cells_sim.v",
    "read_verilog bench.v",
    "hierarchy -check -top bench",
    "proc",
    "flatten",
    "memory_collect",
    "setundef -undriven -zero",
    "write_cxxrtl -g1 top.cc",
)


def toggles_in_waveforms(netlist, codes, cycles, folder):
    """Toggles of each bit of a netlist while it takes the elements of an image, by number."""
    found = json.loads(netlist)
    top = found["modules"]["top"]
    wires = top["netnames"].values()
    bits = sorted({bit for wire in wires for bit in wire["bits"] if isinstance(bit, int)})
    parts = {f"every_{at}": bits[at : at + PART] for at in range(0, len(bits), PART)}
    for name, part in parts.items():
        top["ports"][name] = {"direction": "output", "bits": part}
        top["netnames"][name] = {"hide_name": 0, "bits": part, "attributes": {}}
    (folder / "netlist.json").write_text(json.dumps(found))
    (folder / "bench.v").write_text(bench(parts, codes, len(top["ports"]["i__payload"]["bits"])))
    (folder / "write.ys").write_text("\n".join([*COMMANDS, ""]))
    run(find("yosys"), ["-q", "-s", "write.ys"], folder)
    source, made = folder / "waves.cc", folder / "waves.so"
    source.write_text((folder / "top.cc").read_text() + HARNESS)
    headers = cxxrtl_headers(find("yosys"))
    compile_library(find_compiler(), source, made, headers, optimise="-O0")
    waves = folder / "waves.vcd"
    assert ctypes.CDLL(str(made)).waves(str(waves).encode(), cycles + 1) == 0
    toggles = toggles_of(waves)
    return {
        bit: toggles[f"seen_{name}", at]
        for name, part in parts.items()
        for at, bit in enumerate(part)
    }


def bench(parts, codes, width):
    """Verilog around a netlist: gives the elements, one after the other, and takes all results.

    What has settled in a cycle is in registers in the next one.
    """
    last = len(codes) - 1
    words = [f"{at}: word = {code | (at == last) << width - 1};" for at, code in enumerate(codes)]
    nets = " ".join(
        f"wire [{len(part) - 1}:0] {name}; reg [{len(part) - 1}:0] seen_{name} = 0; "
        f"always @(posedge clk) seen_{name} <= {name};"
        for name, part in parts.items()
    )
    connected = ", ".join(f".{name}({name})" for name in parts)
    return f"""
        module bench(input clk);
          {nets}
          reg [31:0] at = 0;
          reg [{width - 1}:0] word;
          wire ready, more = at <= {last};
          always @* case (at) {" ".join(words)} default: word = {codes[-1] | 1 << width - 1};
          endcase
          always @(posedge clk) if (ready & more) at <= at + 1;
          top dut(.clk(clk), .rst(1'b0), .i__payload(word), .i__valid(more), .i__ready(ready),
                  .o__ready(1'b1), {connected});
        endmodule
    """


def toggles_of(path):
    """Toggles of each bit of the signals in a file of waveforms, by name and place.

    Those from the beginning of registers to the values of the first cycle are none.
    """
    names, now, found, cycle = {}, {}, Counter(), 0
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["$var"]:
            names[words[3]] = words[4]
        elif line.startswith("#"):
            cycle = int(line[1:])
        elif line[:1] in "01b" and line:
            value, key = words if line[0] == "b" else (line[0], line[1:])
            number = int(value.removeprefix("b"), 2)
            changed = now.get(key, number) ^ number
            now[key] = number
            for at in range(changed.bit_length() if cycle > 1 else 0):
                found[names[key], at] += changed >> at & 1
    return found
