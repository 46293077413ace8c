"""Measures random accelerators, and fits the estimator to them; run by hand.

``studies estimator [--measure 240] [--targets up5k,ecp5-25k] [--seconds 600]``.
"""

import random
import time
from collections.abc import Sequence
from hashlib import sha256

from ...hw.errors import FitError, GeometryError, NarrowgaugeError
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.flow import pack, synthesize
from ...hw.synth.measure import _shell_cost
from ...hw.synth.report import RESOURCES, parse
from ...hw.synth.shell import Shell
from ...hw.synth.targets import Target, target
from ...hw.tools.rtlil import convert, forget_contents, free_collisions
from .estimator_designs import SampledDesign, designs
from .record import Row, RowFile, output, parser

__all__ = ["main"]

OUTPUT = output("estimator")
NAMES = ("number", "target")


def about(made: SampledDesign) -> Row:
    geometry = made.geometry
    return {
        "number": made.number,
        "kind": made.kind,
        "formats": " ".join(made.formats),
        "rows": geometry.rows,
        "columns": geometry.columns,
        "lanes": geometry.lanes,
        "hop": geometry.hop,
        "chains": geometry.chains,
        "slice": geometry.slice,
        **made.options,
    }


def target_of(made: SampledDesign, name: str) -> Target:
    """ice40 has two devices, with and without DSP blocks"""
    if name == "up5k" and random.Random(f"target {made.number}").random() < 0.3:
        name = "hx8k"
    return target(name)


def built(made: SampledDesign, on: Target):
    try:
        return accelerator_for(made.program, on, multiplier=made.multiplier), made.multiplier
    except GeometryError:
        return accelerator_for(made.program, on), "logic"


def measured(made: SampledDesign, on: Target) -> Row:
    accelerator, multiplier = built(made, on)
    shell = Shell(accelerator)
    text = free_collisions(convert(shell, platform=on))
    row = about(made) | {"target": on.name, "multiplier": multiplier}
    row["rtlil"] = sha256(text.encode()).hexdigest()[:16]
    began = time.perf_counter()
    try:
        netlist = synthesize(forget_contents(text), on, dsp=infers_blocks(accelerator), timeout=180)
        packed = pack(netlist, on) if on.family.router else None
        found = parse(packed, netlist.cells, on.family)
    except NarrowgaugeError as error:
        return row | {"failure": str(error)[:200]}
    for name in RESOURCES:
        value = getattr(found, name)
        if value is not None and name != "io":
            row[name] = value - _shell_cost(shell, on).get(name, 0)
    if netlist.remark:
        row["remark"] = netlist.remark
    return row | {"seconds": round(time.perf_counter() - began, 1)}


def main(arguments: Sequence[str]) -> None:
    options = parser(__doc__, OUTPUT)
    options.add_argument("--measure", type=int, default=0)
    options.add_argument("--targets", default="up5k,ecp5-25k")
    values = options.parse_args(arguments)
    record = RowFile(values.output, NAMES)
    known = {(row["number"], row["target"]) for row in record.rows()}
    for made in designs(values.measure):
        for name in values.targets.split(","):
            on = target_of(made, name)
            if (made.number, on.name) in known:
                continue
            row = measured(made, on)
            record.keep([row])
            print(*(row.get(n) for n in ("number", "target", "kind", "lut", "ff", "bram", "dsp", "seconds", "failure")), made.geometry, flush=True)
