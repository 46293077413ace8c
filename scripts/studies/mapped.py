"""Does every accelerator pass through Yosys? Formats x arrays x chains x families; run by hand.

``studies mapped [--targets up5k,xc7] [--part 0/2]`` maps the accelerator of the
default network, with random weights, and keeps a row each in ``docs/results/mapped.json``: what it
takes, and the remark of one that was mapped in another way, or the failure. Nothing is routed. What
the result store has is not mapped again, and a row of the same design and tools is not made again.
"""

import time
from collections.abc import Sequence
from hashlib import sha256
from itertools import product

from ...hw.errors import NarrowgaugeError
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.measure import measure
from ...hw.synth.shell import Shell
from ...hw.synth.targets import Target, target
from ...hw.tools.rtlil import convert
from .engine_speeds import default_network
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main", "row"]

OUTPUT = output("mapped")
NAMES = ("target", "weight", "rows", "columns", "lanes", "chains")
TARGETS = ("up5k", "ecp5-25k", "gw1n-9", "xc7")
FORMATS = ("bipolar", "pow2_4", "int4", "int8")
GEOMETRIES = (  # rows, columns, lanes, chains
    *((1, 1, 1, 1), (1, 2, 2, 1), (2, 1, 3, 1), (2, 2, 4, 1), (2, 2, 4, 2), (3, 2, 8, 1)),
    *((1, 4, 8, 1), (4, 2, 4, 2), (3, 3, 6, 3), (4, 4, 8, 1), (4, 4, 4, 2), (2, 4, 16, 1)),
    (1, 1, 16, 1),
)


def row(weight: str, shape: tuple[int, int, int, int], on: Target, known: RowFile) -> Row | None:
    """Map one of them; None where a row of the same design and tools is there."""
    program = Program(default_network(weight), Geometry(*shape[:3], chains=shape[3]))
    accelerator = accelerator_for(program, on)
    shell = Shell(accelerator)
    text = convert(shell, platform=on)
    about: Row = dict(zip(NAMES, (on.name, weight, *shape), strict=True))
    about["rtlil"] = sha256(text.encode()).hexdigest()[:16]
    about |= provenance(command("mapped", "--targets", on.name), *_programs(on))
    if known.has(about, "rtlil", "versions"):
        return None
    began = time.perf_counter()
    dsp = infers_blocks(accelerator)
    try:
        found = measure(text, on, seeds=[], dsp=dsp, shell=shell).row()
    except NarrowgaugeError as error:
        return about | {"failure": str(error)}
    found.pop("shell")
    return about | found | {"seconds": round(time.perf_counter() - began, 1)}


def _programs(on: Target) -> tuple[str, ...]:
    return ("yosys", on.family.router) if on.family.router else ("yosys",)


def main(arguments: Sequence[str]) -> None:
    """Map what is asked for and is not there yet."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--targets", default=",".join(TARGETS))
    options.add_argument("--formats", default=",".join(FORMATS))
    options.add_argument("--part", default="0/1", help="INDEX/PARTS, to share the work")
    values = options.parse_args(arguments)
    index, parts = map(int, values.part.split("/"))
    formats: list[str] = values.formats.split(",")
    targets = [target(name) for name in values.targets.split(",")]
    record = RowFile(values.output, NAMES)
    wanted = list(product(GEOMETRIES, formats, targets))
    for shape, weight, on in wanted[index::parts]:
        new = row(weight, shape, on, record)
        if new is None:
            continue
        told = [new[name] for name in NAMES]
        print(*told, *(f"{name}: {new[name]}" for name in _SHOWN if name in new), flush=True)
        record.keep([new])


_SHOWN = ("lut", "seconds", "remark", "failure")
