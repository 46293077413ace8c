"""A simulation compiled in parts against one compiled as CXXRTL wrote it; run by hand.

``studies compile_time [--format int8] [--array 4x4x8] [--pairs 5]`` compiles the same
accelerator both ways, each anew, and prints the compiler's processor seconds; then both simulate
the same images in turn, and it prints the cycles a second of each and the ratio of each pair.
"""

import os
import resource
import statistics
import tempfile
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.sim import library
from ...hw.sim.compiled import CompiledEngine
from ...hw.sim.run import Stimulus
from ...hw.tools.programs import find
from .engine_speeds import default_network
from .record import parser

__all__ = ["compile_anew", "images", "main"]

IMAGES = 1000


def compile_anew(accelerator: Accelerator) -> tuple[CompiledEngine, float]:
    """Return an engine, and the processor seconds of Yosys and the compiler."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with tempfile.TemporaryDirectory() as cache, patch.dict(os.environ, NARROWGAUGE_CACHE=cache):
        engine = CompiledEngine(accelerator)
        engine.run(Stimulus(images(1)))  # loads the library, which may be deleted then
    return engine, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begin


def images(count: int) -> np.ndarray:
    """Return random images of the default network."""
    return np.random.default_rng(0).integers(0, 16, (count, 64))


def main(arguments: Sequence[str]) -> None:
    """Compile and simulate both ways, and print what it took."""
    options = parser(__doc__)
    options.add_argument("--format", default="int8")
    options.add_argument("--array", default="4x4x8", help="rows x columns x lanes")
    options.add_argument("--pairs", type=int, default=5)
    values = options.parse_args(arguments)
    geometry = Geometry(*map(int, values.array.split("x")))
    accelerator = Accelerator(Program(default_network(values.format), geometry))
    parts, seconds = compile_anew(accelerator)
    with patch.object(library, "in_parts", lambda design: design):
        whole, whole_seconds = compile_anew(accelerator)
    print(f"{find('yosys').name} {find('yosys').version}")
    print(f"compiled in parts: {seconds:.1f} s, whole: {whole_seconds:.1f} s of processor time")
    pairs = []
    for _ in range(values.pairs):
        rates = [engine.run(Stimulus(images(IMAGES))) for engine in (parts, whole)]
        pairs.append([run.cycles / run.seconds for run in rates])
    ratios = [own / other for own, other in pairs]
    for (own, other), ratio in zip(pairs, ratios, strict=True):
        print(f"{own:,.0f} cycles/s in parts, {other:,.0f} whole: {ratio:.2f}")
    print(f"median {statistics.median(ratios):.2f}")
