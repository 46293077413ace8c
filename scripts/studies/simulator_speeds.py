"""The engines and Verilator on the same designs and images; run by hand, on an idle machine.

``studies simulator_speeds [--designs int4-4x4x8,...] [--images 262144]`` keeps a row
for each design and simulator in ``docs/results/simulators.json``; ``python docs/update.py`` makes a
table of them. Each simulator runs in a process of its own, with an empty cache, and gives:

- the time to the first result, from the Amaranth design on: translating, compiling, a few images;
- image-cycles a second: cycles, times the images that take one at the same time;
- images a second, and the peak memory of the process that simulates, which for Verilator's is the
  program that it compiles, and for the others this one, with all that it imports.

Networks have the shape and formats of the default run, and random weights. Slow simulators take the
first of the images. Verilator has no trace; the engines have. Levels must be equal: of the images
that all but Amaranth's simulator take, and of its few.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.sim.batch.engine import BatchEngine
from ...hw.sim.compiled import CompiledEngine
from ...hw.sim.interpreted import AmaranthEngine
from ...hw.sim.run import Stimulus
from ...hw.tools.programs import find, run
from ...hw.tools.rtlil import convert
from .engine_speeds import default_network
from .record import MODULE, Row, RowFile, command, output, parser, provenance

__all__ = ["Verilator", "agree", "design", "main", "measure"]

OUTPUT = output("simulators")
GEOMETRIES = {"2x2x4": Geometry(2, 2, 4), "4x4x8": Geometry(4, 4, 8, chains=2)}
DESIGNS = ["bipolar-2x2x4", "int4-4x4x8", "int8-4x4x8"]
FIRST = 8
SHARED = (4, 4096)  # images of which levels are compared, by all that take so many
NAME = "simulator_speeds"
# simulator: what share of the images it takes
SIMULATORS = {
    "batch": 1,
    "batch, 256 bits": 1,
    "batch, 1 core": 1,
    "compiled": 64,
    "verilator": 64,
    "amaranth": 65536,
}
LOOP = r"""
#include "Vtop.h"
#include "verilated.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>
int main(int, char **argv) {
    size_t elements = strtoull(argv[2], nullptr, 0), results = strtoull(argv[3], nullptr, 0);
    std::vector<uint32_t> codes(elements), levels(results);
    FILE *file = fopen(argv[1], "rb");
    if (!file || fread(codes.data(), 4, elements, file) != elements) return 1;
    auto started = std::chrono::steady_clock::now();
    Vtop top;
    size_t accepted = 0, emitted = 0, cycles = 0;
    top.rst = 0, top.o__ready = 1;
    for (; emitted < results; cycles++) {
        bool offered = accepted < elements;
        if (offered) top.i__payload = codes[accepted] | (accepted + 1 == elements) << OFFSET_LAST;
        top.i__valid = offered;
        top.clk = 0, top.eval();
        if (offered && top.i__ready) accepted++;
        if (top.o__valid) levels[emitted++] = top.o__payload & ((1u << WIDTH_LEVEL) - 1);
        top.clk = 1, top.eval();
    }
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    fwrite(levels.data(), 4, results, stdout);
    long memory = 0;  // not that of getrusage, which knows of what called this program
    FILE *status = fopen("/proc/self/status", "r");
    for (char line[256]; status && fgets(line, sizeof line, status);)
        sscanf(line, "VmHWM: %ld", &memory);
    fprintf(stderr, "%zu %f %ld", cycles, seconds.count(), memory);
}
"""


def design(name: str) -> Accelerator:
    """Return a design by its name, such as ``int4-4x4x8``."""
    weight, size = name.split("-")
    return Accelerator(Program(default_network(weight), GEOMETRIES[size]))


class Verilator:
    """An accelerator in Verilator."""

    def __init__(self, accelerator: Accelerator, folder: Path):
        self.accelerator, self.folder = accelerator, folder
        (folder / "top.il").write_text(convert(accelerator, share=False))
        commands = "read_rtlil top.il; proc; clean; write_verilog -noattr top.v"
        run(find("yosys"), ["-q", "-p", commands], folder)
        element, result = accelerator.i.payload.shape(), accelerator.o.payload.shape()
        header = f"#define OFFSET_LAST {element['last'].offset}\n"
        header += f"#define WIDTH_LEVEL {result['level'].width}\n"
        (folder / "loop.cc").write_text(header + re.sub(r"(top\.[io])__", r"\1___05F", LOOP))
        options = ["--cc", "--exe", "--build", "-O3", "-Wno-fatal", "--top-module", "top"]
        options += [
            "-MAKEFLAGS",
            "OPT_FAST='-O3 -march=native'",
            "--x-assign",
            "fast",
            "--x-initial",
            "fast",
        ]
        command = ["verilator", *options, "top.v", "loop.cc"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    def run(self, images: np.ndarray) -> tuple[np.ndarray, int, float, int]:
        """Return levels, cycles, seconds and the peak memory in kilobytes."""
        network = self.accelerator.program.network
        codes = Stimulus(images).codes(self.accelerator).astype(np.uint32)
        (self.folder / "codes").write_bytes(codes.tobytes())
        numbers = str(codes.size), str(len(images) * network.outputs)
        command = [str(self.folder / "obj_dir" / "Vtop"), str(self.folder / "codes"), *numbers]
        done = subprocess.run(command, check=True, capture_output=True)
        cycles, seconds, memory = done.stderr.split()
        raw = np.frombuffer(done.stdout, np.uint32).astype(np.int64)
        levels = network.output.to_level(raw.reshape(len(images), -1))
        return levels, int(cycles), float(seconds), int(memory)


def measure(name: str, simulator: str, images: int) -> dict[str, Any]:
    """Return one simulator's row; in a process of its own."""
    accelerator = design(name)
    levels = np.random.default_rng(1).integers(0, 16, (images, 64))  # the first ones are the same
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if simulator == "verilator":
            tool = Verilator(accelerator, Path(folder))
            tool.run(levels[:FIRST])
            first = time.perf_counter() - started
            found, cycles, seconds, memory = tool.run(levels)
            passed = cycles
        else:
            engine = _engine(simulator, accelerator)
            engine.run(Stimulus(levels[:FIRST]))
            first = time.perf_counter() - started
            result = engine.run(Stimulus(levels))
            found, cycles, seconds = result.levels, result.cycles, result.seconds
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            passed = cycles
            if isinstance(engine, BatchEngine):
                passed = engine.image_cycles
    return {
        "design": name,
        "simulator": simulator,
        "images": images,
        "first_result_seconds": round(first, 2),
        "image_cycles_per_second": round(passed / seconds),
        "images_per_second": round(images / seconds, 1),
        "peak_megabytes": round(memory / 1024),
        "cycles": cycles,
        "digests": {str(count): _digest(found[:count]) for count in SHARED if count <= images},
    }


def _digest(levels: np.ndarray) -> str:
    return hashlib.sha256(levels.astype("<i8").tobytes()).hexdigest()[:16]


def agree(rows: Sequence[Row]) -> bool:
    """Tell whether all simulators gave the same levels, of as many images as two of them share."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for count, digest in row["digests"].items():
            found.setdefault(count, set()).add(digest)
    return all(len(each) == 1 for each in found.values())


def _engine(simulator: str, accelerator: Accelerator):
    if simulator == "compiled":
        return CompiledEngine(accelerator)
    if simulator == "amaranth":
        return AmaranthEngine(accelerator)
    width = 256 if "256" in simulator else None
    return BatchEngine(accelerator, width=width, workers=1 if "1 core" in simulator else None)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--designs", default=",".join(DESIGNS))
    options.add_argument("--images", type=int, default=262144)
    options.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args(arguments)
    if given.one:
        print(json.dumps(measure(given.one[0], given.one[1], given.images)))
        return 0
    words = ["--designs", given.designs, "--images", given.images]
    made = provenance(command(NAME, *words), "narrowgauge", "amaranth", "yosys")
    told = subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=True)
    made["versions"]["verilator"] = told.stdout.split()[1]
    record, status = RowFile(given.output, ("design", "simulator"), _order), 0
    for name in given.designs.split(","):
        tried = [_apart(name, each, given.images // share) for each, share in SIMULATORS.items()]
        mine = [row for row in tried if row]
        record.keep([{**row, "cores": os.cpu_count(), **made} for row in mine])
        if len(mine) < len(tried) or not agree(mine):
            print(f"simulators: {name}: one failed, or they do not agree", file=sys.stderr)
            status = 1
    return status


def _order(row: Row) -> tuple[str, int]:
    return row["design"], list(SIMULATORS).index(row["simulator"])


def _apart(name: str, simulator: str, images: int) -> dict[str, Any] | None:
    """Run a simulator in a process of its own, and return its row; None where it fails."""
    with tempfile.TemporaryDirectory() as cache:
        words = ["--one", name, simulator, "--images", str(images)]
        called = [sys.executable, "-m", MODULE, NAME, *words]
        environment = {**os.environ, "NARROWGAUGE_CACHE": cache}
        done = subprocess.run(called, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(f"simulators: {name}, {simulator} failed:\n{done.stderr}", file=sys.stderr)
        return None
    row = json.loads(done.stdout)
    print(
        f"{name}, {simulator}: first result {row['first_result_seconds']} s, "
        f"{row['image_cycles_per_second']:,} image-cycles/s, "
        f"{row['images_per_second']:,} images/s, {row['peak_megabytes']} MB",
        flush=True,
    )
    return row
