"""Measures what mapping each distinct module once saves; run by hand.

``studies hierarchy [--targets up5k,ecp5-85k] [--without 8x8x4:int8]`` maps an
8x8 array of 64 bipolar lanes with Yosys and prints seconds, of the clock and of the processor, and
cells. Then it does so with an array that is small enough to be mapped without sharing modules, too,
where every element is mapped by itself, and prints the ratios. Yosys has run once before.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.lib import wiring

from ...hw.array.systolic import SystolicArray
from ...hw.errors import ToolTimeout
from ...hw.geometry import Geometry
from ...hw.mac.fabric import Fabric
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import parse
from ...hw.numbers.operands import Operands
from ...hw.synth.flow import synthesize
from ...hw.synth.shell import Shell
from ...hw.synth.targets import target
from ...hw.tools.programs import warm
from ...hw.tools.rtlil import convert
from .record import parser

__all__ = ["Mapped", "array", "main", "measure"]

ACTIVATIONS = {"bipolar": "bipolar", "int8": "uint8", "int4": "uint4"}
BAR = 20.0  # seconds, of the array of 8x8 elements with 64 bipolar lanes


@dataclass(frozen=True)
class Mapped:
    """Cost of mapping: seconds of the clock and of the processor, and LUTs, or None."""

    wall: float
    processor: float
    lut: int | None

    def __str__(self) -> str:
        cells = "did not end" if self.lut is None else f"{self.lut} LUT"
        return f"{self.wall:.1f} s ({self.processor:.1f} s of processor time), {cells}"


def array(text: str, fabric: Fabric) -> wiring.Component:
    """Return the array of ``ROWSxCOLUMNSxLANES:WEIGHT``, in a shell; accumulators have 16 bits."""
    sizes, _, weight = text.partition(":")
    rows, columns, lanes = map(int, sizes.split("x"))
    geometry = Geometry(rows, columns, lanes)
    operands = Operands(parse(weight), parse(ACTIVATIONS[weight]))
    return Shell(SystolicArray(geometry, operands, Accumulator(16), fabric=fabric))


def measure(design: Any, name: str, *, share: bool, limit: float) -> Mapped:
    """Map a design for a target."""
    on = target(name)
    begin, used = time.monotonic(), os.times()
    try:
        netlist = synthesize(convert(design, share=share), on, timeout=limit)
        lut = on.family.count_mapped(netlist.cells)["lut4"]
    except ToolTimeout:
        lut = None
    now = os.times()
    children = now.children_user + now.children_system - used.children_user - used.children_system
    own = now.user + now.system - used.user - used.system
    return Mapped(time.monotonic() - begin, children + own, lut)


def main(arguments: Sequence[str]) -> None:
    """Measure what the command line asks for."""
    options = parser(__doc__)
    options.add_argument("--targets", default="up5k,ecp5-85k")
    options.add_argument("--array", default="8x8x64:bipolar", help="mapped with shared modules")
    options.add_argument("--without", default="8x8x1:int8", help="mapped with and without")
    options.add_argument("--limit", type=float, default=900.0, help="processor seconds for each")
    values = options.parse_args(arguments)
    (yosys,) = warm(["yosys"])
    print(f"yosys {yosys.version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in values.targets.split(","):
        fabric = target(name).fabric()
        once = measure(array(values.array, fabric), name, share=True, limit=values.limit)
        verdict = "within" if once.processor <= BAR else "NOT within"
        print(f"{name}, {values.array}: {once}; {verdict} {BAR:g} s", flush=True)
        each = {
            share: measure(array(values.without, fabric), name, share=share, limit=values.limit)
            for share in (True, False)
        }
        ratio = each[False].processor / each[True].processor
        print(f"{name}, {values.without}: {each[True]}; every element by itself: {each[False]}")
        shared, single = each[True].lut, each[False].lut
        if shared and single:
            cells = 100 * (shared / single - 1)
            print(f"{name}: {ratio:.1f} times as fast, {cells:+.1f} % LUT", flush=True)
        else:
            print(f"{name}: more than {ratio:.0f} times as fast", flush=True)
