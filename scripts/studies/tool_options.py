"""Options of Yosys and nextpnr on every family, measured; run by hand.

``studies tool_options [--families ice40,ecp5] [--only accelerator] [--seeds 3]``
maps and routes three designs with one option after the other, prints cells, clock and processor
seconds, and keeps them in ``docs/results/options.json``, each as soon as it is there; what is there
for the same design and the same tools is not measured again (``--again`` does). The table of
``docs/synthesis.md`` is made from it by ``python docs/update.py``. One tool runs at a time, so that
its processor seconds are its own.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from statistics import median

import numpy as np

from ...hw.accelerator.implementation import Implementation
from ...hw.accelerator.top import Accelerator
from ...hw.errors import NarrowgaugeError
from ...hw.geometry import Geometry
from ...hw.mac.choice import mac
from ...hw.mac.fabric import Fabric
from ...hw.network.layers import Dense
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed, parse
from ...hw.numbers.operands import Operands
from ...hw.program.bounds import accumulator_bits
from ...hw.program.layout import Program
from ...hw.synth import report
from ...hw.synth.flow import pack, place_and_route, synthesize
from ...hw.synth.shell import Shell
from ...hw.synth.targets import Target, target
from ...hw.tools import programs as tools
from ...hw.tools.rtlil import convert, forget_contents, free_collisions
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["Variant", "abc9", "designs", "main", "measure", "place", "processor", "rows"]

OUTPUT = output("options")
TARGETS = {"ice40": "up5k", "ecp5": "ecp5-25k", "gowin": "gw1n-9", "xc7": "xc7"}


@dataclass(frozen=True)
class Variant:
    """Options instead of those of the family.

    ``less`` are left out, ``more`` are added to Yosys's command; ``before`` is a command before
    it; ``router`` are options of nextpnr.
    """

    name: str
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    before: str = ""
    router: tuple[str, ...] = ()

    def apply(self, on: Target) -> Target:
        """Return the target with these options."""
        command, *rest = (each for each in on.family.synthesis if each not in self.less)
        first = f"{self.before}\n{command}" if self.before else command
        family = replace(
            on.family,
            synthesis=(first, *rest, *self.more),
            router_options=on.family.router_options + self.router,
        )
        return replace(on, family=family)


def abc9(name: str) -> Variant:
    """Return the variant with another of the scripts of Yosys for ABC."""
    script = f"abc9.script.{name}"
    return Variant(f"ABC script {name}", before=f"scratchpad -copy {script} abc9.script")


PLACERS = (
    Variant("nextpnr --placer static", router=("--placer", "static")),
    Variant("nextpnr --tmg-ripup", router=("--tmg-ripup",)),
    Variant("nextpnr --router router2", router=("--router", "router2")),
    Variant("nextpnr --freq 200", router=("--freq", "200")),
    Variant("nextpnr --placer-heap-critexp 4", router=("--placer-heap-critexp", "4")),
    Variant("nextpnr --placer-heap-timingweight 20", router=("--placer-heap-timingweight", "20")),
)
ABC = (abc9("default.area"), abc9("flow3"))
VARIANTS: dict[str, tuple[Variant, ...]] = {
    "ice40": (
        Variant("as chosen"),
        Variant("-device u", more=("-device", "u")),
        Variant("-dff", more=("-dff",)),
        *ABC,
        Variant("nextpnr --opt-timing", router=("--opt-timing",)),
        *PLACERS,
    ),
    "ecp5": (
        Variant("as chosen"),
        Variant("without -nowidelut", less=("-nowidelut",), more=("-widelut",)),
        Variant("-dff", more=("-dff",)),
        *ABC,
        *PLACERS,
    ),
    "gowin": (
        Variant("as chosen"),
        Variant("without -nowidelut", less=("-nowidelut",)),
        Variant("-noalu", more=("-noalu",)),
        Variant("-nolutram", more=("-nolutram",)),
        *ABC,
        *PLACERS,
    ),
    "xc7": (
        Variant("as chosen"),
        Variant("-nowidelut", more=("-nowidelut",)),
        Variant("-dff", more=("-dff",)),
        Variant("without -nosrl", less=("-nosrl",)),
        *ABC,
    ),
}


DESIGNS = ("bipolar MAC, 64 lanes", "int8 MAC, 4 lanes", "accelerator, int4, 1x2x2")


def place(row: Row) -> tuple[int, int, int]:
    """Return where a row stands in the file."""
    options = [variant.name for variant in VARIANTS[row["family"]]]
    family = list(VARIANTS).index(row["family"])
    return family, options.index(row["option"]), DESIGNS.index(row["design"])


def designs(fabric: Fabric) -> dict[str, str]:
    """Return the RTLIL of what is measured on a family, by name."""
    bipolar = Operands(parse("bipolar"), parse("bipolar"))
    integers = Operands(parse("int8"), parse("uint8"))
    shells = (
        Shell(mac(bipolar, 64, Accumulator(16), fabric=fabric), ignore=["o_overflow"]),
        Shell(mac(integers, 4, Accumulator(24), fabric=fabric), ignore=["o_overflow"]),
        Shell(_accelerator(fabric)),
    )
    return {
        name: forget_contents(free_collisions(convert(shell)))
        for name, shell in zip(DESIGNS, shells, strict=True)
    }


def _accelerator(fabric: Fabric) -> Accelerator:
    """Return an accelerator for a network of random int4 weights."""
    rng, geometry, widths = np.random.default_rng(0), Geometry(1, 2, 2), (16, 16, 8)
    layers = tuple(
        Dense(
            name=f"layer{index}",
            weight=parse("int4"),
            input=Fixed(4, signed=False),
            output=Fixed(20) if index else Fixed(4, signed=False),
            weights=rng.integers(-7, 8, (outputs, inputs)),
            bias=rng.integers(-30, 30, outputs),
            multiplier=np.ones(outputs) if index else rng.integers(1, 1000, outputs),
            shift=0 if index else 12,
        )
        for index, (inputs, outputs) in enumerate(pairwise(widths))
    )
    network = Network("random", layers, Accumulator(32))
    network = network.with_accumulator(Accumulator(accumulator_bits(network, geometry.lanes)))
    return Accelerator(Program(network, geometry), Implementation(fabric))


def processor() -> float:
    """Return the processor seconds of all tools that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def measure(text: str, on: Target, seeds: int) -> Row:
    """Return cells, clock over the seeds, and processor seconds."""
    begin = processor()
    netlist = synthesize(text, on)
    row: Row = {"map_seconds": round(processor() - begin, 1)}
    if on.family.router is None:
        return row | _cells(report.parse(None, netlist.cells, on.family))
    row |= _cells(report.parse(pack(netlist, on), netlist.cells, on.family))
    speeds, begin = [], processor()
    for seed in range(1, seeds + 1):
        routed = place_and_route(netlist, on, seed=seed)
        speeds.append(min(report.parse(routed, netlist.cells, on.family).fmax_mhz.values()))
    return row | {
        "route_seconds": round((processor() - begin) / seeds, 1),
        "fmax_mhz": round(median(speeds), 2),
        "fmax_mhz_min": round(min(speeds), 2),
        "fmax_mhz_max": round(max(speeds), 2),
    }


def _cells(found: report.Report) -> Row:
    return {name: getattr(found, name) for name in ("lut", "lut4", "ff", "carry")}


def rows(families: list[str], only: list[str], seeds: int, known: list[Row]) -> Iterator[Row]:
    """Yield a row for each family, design and option that is not known yet.

    Every text of ``only`` is part of the design's name or of the option's.
    """
    for family in families:
        on = target(TARGETS[family])
        for design, text in designs(on.fabric()).items():
            programs = {"yosys": "yosys"}
            programs |= {"nextpnr": on.family.router} if on.family.router else {}
            versions = {name: tools.find(each).version for name, each in programs.items()}
            for variant in VARIANTS[family]:
                if not all(part in f"{design} {variant.name}" for part in only):
                    continue
                row = {
                    **{"family": family, "target": on.name, "design": design},
                    **{"option": variant.name, "seeds": seeds if on.family.router else 0},
                    **{"tools": versions, "rtlil": sha256(text.encode()).hexdigest()[:16]},
                }
                if any(all(each.get(name) == row[name] for name in row) for each in known):
                    continue
                try:
                    yield row | measure(text, variant.apply(on), seeds)
                except NarrowgaugeError as error:
                    yield row | {"failure": str(error)}


def main(arguments: Sequence[str]) -> None:
    """Measure what the command line asks for, and keep it."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--families", default=",".join(VARIANTS))
    options.add_argument("--only", default="", help="parts of design and option, between commas")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--again", action="store_true", help="measure what is known, too")
    values = options.parse_args(arguments)
    record = RowFile(values.output, ("family", "design", "option"), place)
    known = [] if values.again else record.rows()
    words = ["--families", values.families, "--seeds", values.seeds]
    words += ["--only", values.only] if values.only else []
    made = provenance(command("tool_options", *words))
    only = values.only.split(",") if values.only else []
    for row in rows(values.families.split(","), only, values.seeds, known):
        record.keep([row | made])
        speed = "{fmax_mhz_min}..{fmax_mhz}..{fmax_mhz_max} MHz" if "fmax_mhz" in row else ""
        cells = "{lut} LUT ({lut4} mapped, {carry} carry, {ff} FF) {map_seconds} s"
        text = "{target} | {design} | {option}: " + (
            "{failure}" if "failure" in row else f"{cells} {speed}"
        )
        print(text.format(**row), flush=True)
