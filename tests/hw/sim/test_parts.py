"""However finely a design is cut, it stays the same."""

import ctypes
import shutil

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import ToolError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim import parts
from narrowgauge.hw.sim.compiled import CompiledEngine
from narrowgauge.hw.sim.library import LibraryWarning, build_library
from narrowgauge.hw.sim.parts import in_parts
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.hw.tools.rtlil import convert
from narrowgauge.model.integers.reference import evaluate

from ..networks import random_levels, random_network

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler here"
)
WORDS = [(37 * index + 11) % 256 for index in range(16)]
HARNESS = """
extern "C" uint32_t look(uint32_t address) {
    static cxxrtl_design::p_top design;
    design.p_i = value<4>{address};
    for (unsigned cycle = 0; cycle < 2; cycle++) {
        design.p_clk.set(false); design.prev_p_clk = design.p_clk;
        design.p_clk.set(true);
        design.eval(); design.commit();
    }
    return design.p_o.curr.get<uint32_t>();
}
"""


class Table(wiring.Component):
    """Two words of a memory that is read without a clock, and their sum a cycle later."""

    i: Signal
    o: Signal

    def __init__(self):
        super().__init__({"i": In(4), "o": Out(9)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=8, depth=16, init=WORDS)
        one, other = words.read_port(domain="comb"), words.read_port(domain="comb")
        m.d.comb += [one.addr.eq(self.i), other.addr.eq(self.i + 1)]
        m.d.sync += self.o.eq(one.data + other.data)
        return m


@pytest.mark.parametrize("statements", [1, 2, 200])
def test_a_memory_without_a_clock(statements, tmp_path, monkeypatch):
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path))
    monkeypatch.setattr(parts, "STATEMENTS", statements)
    commands = ["read_rtlil top.il", "write_cxxrtl -g0 top.cc"]
    path = build_library({"top.il": convert(Table(), share=False)}, commands, HARNESS)
    look = ctypes.CDLL(str(path)).look
    sums = [look(address) for address in range(16)]
    assert sums == [WORDS[index] + WORDS[(index + 1) % 16] for index in range(16)]


def test_a_damaged_library_is_compiled_again(tmp_path, monkeypatch):
    """Of which a bit has changed; a whole one is kept."""
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path))
    design = {"top.il": convert(Table(), share=False)}
    commands = ["read_rtlil top.il", "write_cxxrtl -g0 top.cc"]
    path = build_library(design, commands, HARNESS)
    whole, written = path.read_bytes(), path.stat().st_mtime_ns
    assert build_library(design, commands, HARNESS) == path
    assert path.stat().st_mtime_ns == written
    path.write_bytes(whole[:2000] + bytes([whole[2000] ^ 4]) + whole[2001:])
    with pytest.warns(LibraryWarning, match=f"{path.name} is damaged"):
        again = build_library(design, commands, HARNESS)
    assert ctypes.CDLL(str(again)).look(0) == WORDS[0] + WORDS[1]
    assert [each.name for each in (tmp_path / "sim").iterdir()] == [again.name]


def test_an_accelerator_a_statement_a_part(tmp_path, monkeypatch):
    network = random_network(4, ("int4", "uint4", "uint4"), (9, 6, 5), Accumulator(7, "saturate"))
    images = random_levels(np.random.default_rng(0), network.input, (20, network.inputs))
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path))
    monkeypatch.setattr(parts, "STATEMENTS", 1)
    engine = CompiledEngine(Accelerator(Program(network, Geometry(1, 2, 3))))
    assert (engine.run(Stimulus(images)).levels == evaluate(network, images, 3).levels).all()


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ToolError, match="combinational loop"):
        in_parts("bool p_top::eval(performer *performer) {\n\tbool converged = false;\n}\n")
    with pytest.raises(ToolError, match="another clock"):
        in_parts(
            "bool p_top::eval(performer *performer) {\n\tbool converged = true;\n"
            "\tif (negedge_p_clk) {\n\t}\n\treturn converged;\n}\n"
        )
