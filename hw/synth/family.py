"""The families of devices, as data: how each is synthesised and routed, and what counts as what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import ceil
from typing import TypeAlias

from ..gates.popcount import Structure
from ..mac.fabric import Blocks, Fabric

__all__ = ["ECP5", "GOWIN", "ICE40", "XC7", "Cells", "Family"]

Cells: TypeAlias = str | Mapping[str, float]
"""Cells of one resource: a pattern (``*`` is any text), or patterns with how much each takes."""


@dataclass(frozen=True)
class Family:
    """Devices that share cells and tools.

    Attributes
    ----------
    name : str
        ``ice40``, ``ecp5``, ``gowin``, ``xc7``.
    fabric : Fabric
        What components choose their structures by.
    synthesis : tuple of str
        Yosys command and options; the command has a step ``check``, as all of Yosys do.
    with_dsp, without_dsp : tuple of str
        Options that let Yosys infer DSP blocks, or keep it from that.
    mapped : mapping of str to Cells
        Resource to the cells that Yosys maps it to; `report.Report` says what each resource means.
    router : str or None
        The place and route tool; None where there is none, so that only mapping is measured.
    router_options : tuple of str
        What it needs on every device.
    packed : mapping of str to Cells
        Resource to its cells in the report of the place and route tool. That of ``lut`` is one.
    lone_ff_takes_lut : bool
        Whether a register that shares no logic cell with a LUT counts as one in ``lut``.
    bram_shapes : tuple of (int, int)
        Widths and depths that one memory block can have, with a read and a write port.
    merged : tuple of str
        Resources of which cells that do the same become one. Not carries where two chains cannot
        leave one cell.
    finish : tuple of str
        Yosys commands on the flat netlist.
    without_abc9 : tuple of str
        Yosys commands in place of the step ``map_luts``, with Yosys's older ABC instead of ABC9.
    after_luts : str
        The step that follows it.
    lut_inputs : int
        Of the LUT that it is made of.
    feeds : mapping of str to str
        Cells, and their output that a register in the same logic cell takes, where registers that
        are fed by others take a cell that the tool does not count before it has routed.
    """

    name: str
    fabric: Fabric
    synthesis: tuple[str, ...]
    with_dsp: tuple[str, ...]
    without_dsp: tuple[str, ...]
    mapped: Mapping[str, Cells] = field(hash=False)
    router: str | None
    router_options: tuple[str, ...]
    packed: Mapping[str, Cells] = field(hash=False)
    lone_ff_takes_lut: bool
    bram_shapes: tuple[tuple[int, int], ...]
    merged: tuple[str, ...] = ("lut4", "carry", "ff")
    finish: tuple[str, ...] = ()
    without_abc9: tuple[str, ...] = ("abc -dress -lut 4", "clean")
    after_luts: str = "map_cells"
    lut_inputs: int = 4
    feeds: Mapping[str, str] = field(default_factory=dict, hash=False)

    def brams(self, width: int, depth: int) -> int:
        """Return the memory blocks that a memory of ``depth`` words of ``width`` bits takes."""
        return min(-(-width // w) * -(-depth // d) for w, d in self.bram_shapes)

    def count_mapped(self, cells: Mapping[str, int]) -> dict[str, int]:
        """Return the resources that Yosys mapped to, from its cells by type."""
        return {name: _count(each, cells) for name, each in self.mapped.items()}

    def count_packed(self, used: Mapping[str, int]) -> dict[str, int]:
        """Return the resources that the place and route tool reports; others are absent."""
        return {
            name: _count(each, used)
            for name, each in self.packed.items()
            if any(fnmatchcase(cell, pattern) for pattern in _weights(each) for cell in used)
        }

    def selection(self, *names: str) -> str:
        """Return Yosys's selection of all cells of some resources, as mapped."""
        patterns = [pattern for name in names for pattern in _weights(self.mapped[name])]
        return " ".join(f"t:{pattern}" for pattern in patterns)


def _weights(cells: Cells) -> Mapping[str, float]:
    return {cells: 1} if isinstance(cells, str) else cells


def _count(cells: Cells, found: Mapping[str, int]) -> int:
    """Count a resource; a block that is used in part is used."""
    return ceil(
        sum(
            weight * number
            for pattern, weight in _weights(cells).items()
            for cell, number in found.items()
            if fnmatchcase(cell, pattern)
        )
    )


ICE40 = Family(
    name="ice40",
    # 16 cells are two tiles; the first one has no bit of the sum
    fabric=Fabric(
        popcount=Structure(alternating=True), output_registers=16, blocks=Blocks(accumulate=True)
    ),
    synthesis=("synth_ice40",),
    with_dsp=("-dsp",),
    without_dsp=(),
    mapped={
        "lut4": "SB_LUT4",
        "ff": "SB_DFF*",
        "carry": "SB_CARRY",
        "bram": "SB_RAM40_4K*",
        "spram": "SB_SPRAM256KA",
        "dsp": "SB_MAC16",
    },
    router="nextpnr-ice40",
    router_options=(),
    packed={
        "lut": "ICESTORM_LC",
        "bram": "ICESTORM_RAM",
        "spram": "ICESTORM_SPRAM",
        "dsp": "ICESTORM_DSP",
        "io": "SB_IO",
    },
    lone_ff_takes_lut=True,
    bram_shapes=((16, 256), (8, 512), (4, 1024), (2, 2048)),
    without_abc9=(
        *("abc -dress -lut 4", "ice40_wrapcarry -unwrap", "techmap -map +/ice40/ff_map.v"),
        *("clean", "opt_lut -tech ice40"),
    ),
)

ECP5 = Family(
    name="ecp5",
    fabric=Fabric(
        popcount=Structure(chained=2),
        chooses=True,
        adder_cell="CCU2C",
        blocks=Blocks(packing=18),
    ),
    # Without -nowidelut, popcounts and multipliers take up to half as many LUTs again.
    synthesis=("synth_ecp5", "-nowidelut"),
    with_dsp=(),
    without_dsp=("-nodsp",),
    mapped={
        "lut4": "LUT4",
        "ff": "TRELLIS_FF",
        "carry": "CCU2C",
        "bram": "*P*16KD",
        "dsp": "MULT18X18D",
    },
    router="nextpnr-ecp5",
    router_options=("--lpf-allow-unconstrained",),
    packed={
        "lut": "TRELLIS_COMB",
        "ff": "TRELLIS_FF",
        "bram": "DP16KD",
        "dsp": "MULT18X18D",
        "io": "TRELLIS_IO",
    },
    lone_ff_takes_lut=False,
    bram_shapes=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    merged=("lut4", "ff"),
)

# A DSP block holds a product of 18x18 or two of 9x9; the wider cells take several blocks.
_GOWIN_DSP = {
    "MULT9X9": 0.5,
    "MULT18X18": 1,
    "MULT*ALU*": 2,
    "MULT36X36": 4,
}
GOWIN = Family(
    name="gowin",
    fabric=Fabric(popcount=Structure(chained=2), blocks=Blocks(halves=9)),
    # Pads come after flattening: Yosys would put some at the ports of every module that is kept.
    synthesis=("synth_gowin", "-family", "gw1n", "-noiopads", "-nowidelut"),
    with_dsp=(),
    without_dsp=("-nodsp",),
    mapped={
        "lut4": "LUT?",
        "ff": "DFF*",
        "carry": "ALU",
        "bram": {"SP": 1, "SPX9": 1, "SDP*": 1, "DPB": 1, "DPX9B": 1, "pROM*": 1},
        "dsp": _GOWIN_DSP,
    },
    router="nextpnr-himbaechel-gowin",
    router_options=("--vopt", "cst=pins.cst"),
    packed={"lut": "LUT4", "bram": "BSRAM", "dsp": _GOWIN_DSP, "io": "IOB"},
    lone_ff_takes_lut=True,
    bram_shapes=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    merged=("lut4", "ff"),
    # nextpnr 0.11 knows the delay of a LUT4 only, and leaves paths through narrower ones out.
    finish=(
        "iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O A:top",
        "design -push",
        "read_verilog <<END",
        *(
            f"module LUT{n}(output F, {', '.join(f'input I{i}' for i in range(n))}); "
            f"parameter INIT = 0; LUT4 #(.INIT({{{16 >> n}{{INIT[{(1 << n) - 1}:0]}}}})) "
            f"_TECHMAP_REPLACE_ (.F(F), {', '.join(f'.I{i}(I{i})' for i in range(n))}); endmodule"
            for n in (1, 2, 3)
        ),
        "END",
        "design -stash wide",
        "design -pop",
        "techmap -map %wide t:LUT1 t:LUT2 t:LUT3",
    ),
    feeds={"LUT?": "F", "ALU": "SUM"},
)

# An inverter is a LUT, and so is a shift register; small memories take as many as they have bits
# for a LUT each. Two LUTs of shared inputs that a packer would put into one cell count as two.
_XC7_LUT = {
    "LUT[1-6]": 1,
    "LUT6_2": 1,
    "INV": 1,
    "SRL*": 1,
    **{"RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4},
    **{"RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4},
}
XC7 = Family(
    name="xc7",
    fabric=Fabric(popcount=Structure(wide=True), chooses=True),
    # A chain of registers stays one: a shift register in a LUT is found in no other family.
    synthesis=("synth_xilinx", "-family", "xc7", "-flatten", "-nosrl"),
    with_dsp=(),
    without_dsp=("-nodsp",),
    mapped={
        "lut": _XC7_LUT,
        "lut4": _XC7_LUT,
        "ff": "FD*",
        "carry": "CARRY4",
        "bram": {"RAMB18E1": 1, "RAMB36E1": 2},
        "dsp": "DSP48E1",
        "io": {"IBUF": 1, "OBUF": 1},
    },
    router=None,
    router_options=(),
    packed={},
    lone_ff_takes_lut=False,
    bram_shapes=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    merged=("lut4", "ff"),
    without_abc9=(
        "opt_expr -mux_undef -noclkinv",
        "abc -dress -luts 2:2,3,6:5",
        "clean",
        "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
        "xilinx_dffopt",
        "opt_lut_ins -tech xilinx",
    ),
    after_luts="finalize",
    lut_inputs=6,
)
