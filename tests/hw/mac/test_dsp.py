"""DSP blocks: the models against Yosys's, and what is built of them against the integers."""

import ctypes
import json
import random

import pytest
from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.array.differences import Differences
from narrowgauge.hw.array.systolic import SystolicArray
from narrowgauge.hw.errors import GeometryError, ToolError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.mac import dsp_packed as blocks_dot
from narrowgauge.hw.mac.choice import macs
from narrowgauge.hw.mac.dsp import Mac16
from narrowgauge.hw.mac.dsp_cells import Mult18x18D, SbMac16
from narrowgauge.hw.mac.dsp_packed import PackedMultiply, packing
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.numbers.operands import Operands
from narrowgauge.hw.sim.compiler import compile_library, cxxrtl_headers, find_compiler
from narrowgauge.hw.synth.family import ECP5, GOWIN, ICE40
from narrowgauge.hw.synth.flow import synthesize
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools import programs as tools
from narrowgauge.hw.tools.rtlil import convert

from ..array.test_systolic import drive, expected_sums, feed, random_tiles, schedule
from ..simulation import clocked, run

HARNESS = """
#include <random>
extern "C" int first_difference(int cycles) {
  cxxrtl_design::p_miter top;
  std::mt19937_64 random(1);
  for (int cycle = 0; cycle < cycles; cycle++) {
    uint32_t rare = random() & random() & random(), enabled = random() % 8 != 0;
    top.p_in__words.set<uint64_t>(random());
    top.p_in__controls.set<uint32_t>((rare << 1 | enabled) & 0x7ff);
    top.p_in__clk.set<uint32_t>(0);
    top.step();
    if (top.p_trigger.get<uint32_t>()) return cycle;
    top.p_in__clk.set<uint32_t>(1);
    top.step();
  }
  return -1;
}
"""


ice40, ecp5, gowin = (family.fabric.using_blocks for family in (ICE40, ECP5, GOWIN))


class Side(wiring.Component):
    """Blocks of several parameters, on the same inputs."""

    words: Signal
    controls: Signal
    o: Signal

    def __init__(self, all_parameters):
        self.blocks = [SbMac16(**parameters) for parameters in all_parameters]
        super().__init__({"words": In(64), "controls": In(11), "o": Out(32 * len(self.blocks))})

    def elaborate(self, platform):
        m = Module()
        for index, block in enumerate(self.blocks):
            m.submodules[f"block_{index}"] = block
            controls = Cat(block.ce, *(getattr(block, name) for name in block.CONTROLS))
            m.d.comb += [
                Cat(block.a, block.b, block.c, block.d).eq(self.words),
                controls.eq(self.controls),
            ]
        m.d.comb += self.o.eq(Cat(block.o for block in self.blocks))
        return m


def first_difference(models, cells, folder):
    """Compare the models with Yosys's over random cycles; return the first that differs, or -1."""
    yosys = tools.find("yosys")
    headers = cxxrtl_headers(yosys)
    text = (headers.parents[3] / "ice40" / "cells_sim.v").read_text()
    start = text.index("module SB_MAC16 (")
    (folder / "cell.v").write_text(text[start : text.index("endmodule", start)] + "endmodule\n")
    (folder / "model.il").write_text(convert(Side(models), name="model"))
    (folder / "cells.il").write_text(convert(Side(cells), name="cells", platform="any"))
    script = (
        "read_rtlil cells.il; read_verilog cell.v; hierarchy -top cells; flatten; proc; "
        "design -stash cells; read_rtlil model.il; hierarchy -top model; flatten; proc; "
        "design -import cells -as cells; miter -equiv -flatten model cells miter; "
        "hierarchy -top miter; opt -full; write_cxxrtl -g0 miter.cc"
    )
    tools.run(yosys, ["-q", "-p", script], folder)
    source, library = folder / "compare.cc", folder / "compare.so"
    source.write_text((folder / "miter.cc").read_text() + HARNESS)
    compile_library(find_compiler(), source, library, headers, optimise="-O0")
    return ctypes.CDLL(str(library)).first_difference(20_000)


def random_parameters(count):
    """Random parameters of SB_MAC16 that are modelled, the same ones each time."""
    chance, found = random.Random(0), []
    while len(found) < count:
        parameters = {n: chance.choice(v) for n, (_, v) in SbMac16.PARAMETERS.items()}
        if parameters["MODE_8x8"]:
            parameters |= {f"PIPELINE_16x16_MULT_REG{stage}": 0 for stage in (1, 2)}
        found.append(parameters)
    return found


def used_parameters():
    """What `Mac16` makes of the block: both shapes, each sign of the activations."""
    for wide in (False, True):
        for activation in ("uint8", "int8"):
            operands = Operands(parse("int8"), parse(activation))
            accumulator = Accumulator(32 if wide else 16)
            _, blocks = macs(operands, 1, accumulator, 2, fabric=ice40())
            yield blocks[0].block.parameters


def test_the_model_of_sb_mac16_equals_that_of_yosys(tmp_path):
    parameters = [*used_parameters(), *random_parameters(5)]
    assert first_difference(parameters, parameters, tmp_path) == -1


def test_another_parameter_is_found(tmp_path):
    parameters = next(used_parameters())
    wrong = parameters | {"B_SIGNED": 1 - parameters["B_SIGNED"]}
    assert first_difference([parameters], [wrong], tmp_path) > 0


def test_wrong_parameters_are_refused():
    with pytest.raises(GeometryError, match="no parameter NEG_TRIGGER"):
        SbMac16(NEG_TRIGGER=1)
    with pytest.raises(GeometryError, match="BOTADDSUB_LOWERINPUT of SB_MAC16 is 0 to 2, not 3"):
        SbMac16(BOTADDSUB_LOWERINPUT=3)
    with pytest.raises(GeometryError, match="never loads with MODE_8x8"):
        SbMac16(MODE_8x8=1, PIPELINE_16x16_MULT_REG2=1)


@pytest.mark.parametrize("registers", [1, 2, 3])
def test_mult18x18d_multiplies(registers):
    chance = random.Random(registers)
    ends = [-(1 << 17), (1 << 17) - 1, -1, 0]
    pairs = [
        [chance.choice([*ends, chance.randrange(-(1 << 17), 1 << 17)]) for _ in "ab"]
        for _ in range(50)
    ]
    block = Mult18x18D(registers)

    def set_pair(ctx, pair):
        ctx.set(block.a, pair[0])
        ctx.set(block.b, pair[1])

    seen = clocked(block, set_pair, lambda ctx: ctx.get(block.o), pairs, block.latency)
    assert seen == [a * b for a, b in pairs]


def test_mult18x18d_is_the_cell_that_yosys_infers(tmp_path):
    """Yosys has no model of it: its own map tells which operand bit goes where."""
    (tmp_path / "own.il").write_text(convert(Mult18x18D(), platform=target("ecp5-25k")))
    inferred = "module top(input signed [17:0] a, b, output signed [35:0] o); assign o = a * b;"
    (tmp_path / "inferred.v").write_text(f"{inferred} endmodule")
    for name, reader in (("own", "read_rtlil own.il"), ("inferred", "read_verilog inferred.v")):
        script = f"{reader}; synth_ecp5 -noiopad -top top; write_json {name}.json"
        tools.run(tools.find("yosys"), ["-q", "-p", script], tmp_path)
    own, yosys = (connections(tmp_path / f"{name}.json") for name in ("own", "inferred"))
    assert {port: own[port] for port in yosys} == yosys


def connections(path):
    """Return what each port of the only MULT18X18D is connected to: a port's bit, or a constant."""
    top = json.loads(path.read_text())["modules"]["top"]
    names = {
        bit: (name, place)
        for name, port in top["ports"].items()
        for place, bit in enumerate(port["bits"])
    }
    (cell,) = (cell for cell in top["cells"].values() if cell["type"] == "MULT18X18D")
    return {port: names.get(bits[0], bits[0]) for port, bits in cell["connections"].items()}


PACKED = [
    ("int4", "uint4", 5, 2),
    ("int2", "uint2", 4, 3),
    ("int3", "int3", 5, 3),
    ("uint4", "uint4", 2, 2),
    ("int8", "uint8", 3, 1),
    ("int16", "uint16", 1, 1),
]


@pytest.mark.parametrize(("weight", "activation", "lanes", "together"), PACKED)
def test_packed_lanes_are_exact(weight, activation, lanes, together):
    operands = Operands(parse(weight), parse(activation))
    dot = PackedMultiply(operands, lanes, fabric=ecp5())
    assert dot.count == together
    chance = random.Random(lanes)

    def word(fmt):
        ends = fmt.min_level, fmt.max_level
        return [chance.choice([*ends, chance.randint(*ends)]) for _ in range(lanes)]

    words = [(word(operands.weight), word(operands.activation)) for _ in range(200)]

    def set_words(ctx, pair):
        for lane in range(lanes):
            ctx.set(dot.i_weights[lane], pair[0][lane])
            ctx.set(dot.i_activations[lane], pair[1][lane])

    seen = clocked(dot, set_words, lambda ctx: ctx.get(dot.o), words, dot.latency)
    assert seen == [sum(w * a for w, a in zip(*pair, strict=True)) for pair in words]


def test_a_narrower_field_would_not_be_exact(monkeypatch):
    def narrow(operands, lanes, *, width):
        count, field = packing(operands, lanes, width=width)
        return count, field - 1

    monkeypatch.setattr(blocks_dot, "packing", narrow)
    with pytest.raises(AssertionError):
        test_packed_lanes_are_exact("int4", "uint4", 5, 2)


def test_too_wide_for_a_block():
    assert packing(Operands(parse("int19"), parse("uint8")), 1, width=18) == (0, 0)
    with pytest.raises(GeometryError, match="too narrow for int19 x uint8"):
        PackedMultiply(Operands(parse("int19"), parse("uint8")), 1, fabric=ecp5())


ARRAYS = [
    (("int8", "uint8"), 16, Geometry(4, 4, 1), ice40(8)),
    (("int4", "uint8"), 12, Geometry(2, 3, 1, hop=1), ice40()),
    (
        ("int8", "int8"),
        16,
        Geometry(3, 3, 1, hop=2),
        ice40(2),
    ),  # 4 of 9 in blocks
    (
        ("int8", "uint8"),
        16,
        Geometry(2, 2, 3),
        ice40(4),
    ),  # lanes, 2 of 4 in blocks
    (("int8", "uint8"), 20, Geometry(2, 2, 1, chains=2), ice40(2)),  # wide
    (("uint8", "int8"), 16, Geometry(1, 1, 1), ice40(1)),
    (
        ("int4", "uint4"),
        16,
        Geometry(2, 2, 5, hop=1),
        ecp5(6),
    ),  # 2 of 4 in blocks
    (("int8", "uint8"), 16, Geometry(2, 2, 1), gowin(1)),
]


@pytest.mark.parametrize(("formats", "width", "geometry", "fabric"), ARRAYS)
def test_arrays_of_blocks_drain_the_sums_of_all_elements(formats, width, geometry, fabric):
    chance, operands = random.Random(width), Operands(*map(parse, formats))
    accumulator = Accumulator(width)
    array = SystolicArray(geometry, operands, accumulator, fabric=fabric)
    tiles = [
        [(*step[:2], False) for step in tile] for tile in random_tiles(chance, geometry, operands)
    ]
    cycles = schedule(chance, tiles, array.interval)
    seen = drive(array, cycles)
    expected = list(expected_sums(tiles, geometry, accumulator))
    flags = array.observes_overflow
    assert [pair for _, pair in seen] == [(total, flag * flags) for total, flag in expected]
    first_last = next(cycle for cycle, step in enumerate(cycles) if step and step[-1])
    assert seen[0][0] == first_last + array.latency


@pytest.mark.parametrize(("formats", "width", "geometry", "fabric"), ARRAYS[2:4])
def test_totals_are_not_sums(formats, width, geometry, fabric, monkeypatch):
    """Where nothing is subtracted only the first tile is right."""
    monkeypatch.setattr(Differences, "_previous", lambda self, m, index, total, valid: 0)
    with pytest.raises(AssertionError):
        test_arrays_of_blocks_drain_the_sums_of_all_elements(formats, width, geometry, fabric)


@pytest.mark.parametrize("cut", [3, 8, 12])
def test_an_array_can_be_reset_at_any_time(cut):
    geometry, operands = Geometry(2, 2, 1), Operands(parse("int8"), parse("uint8"))
    array = SystolicArray(geometry, operands, Accumulator(16), fabric=ice40(2))
    chance, reset = random.Random(cut), Signal()
    tiles = [
        [(*step[:2], False) for step in tile] for tile in random_tiles(chance, geometry, operands)
    ]
    cycles = schedule(chance, tiles, array.interval)
    seen = []

    async def testbench(ctx):
        await feed(ctx, array, cycles[:cut])
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        seen.extend(await feed(ctx, array, cycles))

    run(ResetInserter(reset)(array), testbench)
    expected = [(total, 0) for total, _ in expected_sums(tiles, geometry, Accumulator(16))]
    assert [pair for _, pair in seen] == expected


REFUSED = [
    (("bipolar", "uint8"), Accumulator(16), {}, "multiply integers, not bipolar by uint8"),
    (("int8", "uint8"), Accumulator(16, "saturate"), {}, "they do not saturate"),
    (("int8", "uint17"), Accumulator(16), {}, "16x16 bits and an accumulator of 32"),
    (("int8", "uint8"), Accumulator(33), {}, "16x16 bits and an accumulator of 32"),
    (("int8", "uint8"), Accumulator(16), {"doubling": True}, "do not double"),
    (("int8", "uint8"), Accumulator(16), {"lanes": 17}, "too few for one element of 17 lanes"),
]


@pytest.mark.parametrize(("formats", "accumulator", "options", "message"), REFUSED)
def test_what_blocks_do_not_have_is_refused(formats, accumulator, options, message):
    operands, lanes = Operands(*map(parse, formats)), options.pop("lanes", 1)
    with pytest.raises(GeometryError, match=message):
        macs(operands, lanes, accumulator, 4, fabric=ice40(8), **options)


def test_two_elements_share_a_block_and_take_no_logic_for_arithmetic():
    operands = Operands(parse("int8"), parse("uint8"))
    array = SystolicArray(Geometry(4, 4, 1), operands, Accumulator(16), fabric=ice40(8))
    assert [type(block) for block in array.blocks] == [Mac16] * 8
    text = convert(Shell(array), platform=target("up5k"))
    cells = synthesize(text, target("up5k")).cells
    assert cells["SB_MAC16"] == 8
    # the carries are those of one subtraction of totals, and of the drain's counter
    assert cells["SB_CARRY"] <= 16 + 4
    with pytest.raises(ToolError, match="does not keep the parameters of SB_MAC16"):
        synthesize(text, target("up5k"), dsp=True)
