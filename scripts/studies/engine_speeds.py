"""Compiled engine against Amaranth's simulator, on the default accelerator; run by hand.

``studies engine_speeds [--formats int8,bipolar] [--pairs 5]`` simulates the same
images on both engines in turn and prints the cycles a second of each, and the ratio of each pair.
Networks have the shape and formats of the default run, and random weights: time does not depend on
what they are.
"""

import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.network.layers import Dense
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Bipolar, Fixed, parse
from ...hw.program.bounds import accumulator_bits
from ...hw.program.layout import Program
from ...hw.sim.compiled import CompiledEngine
from ...hw.sim.compiler import find_compiler
from ...hw.sim.interpreted import AmaranthEngine
from ...hw.sim.run import Stimulus
from ...hw.tools.programs import find
from .record import parser

__all__ = ["default_network", "main", "measure"]

WIDTHS = (64, 64, 32, 10)
ACTIVATIONS = {"bipolar": "bipolar", "pow2_4": "uint8", "int4": "uint4", "int8": "uint8"}
GEOMETRY = Geometry(2, 2, 4)


def default_network(name: str) -> Network:
    """Return a network of random integers in the shape of the default run."""
    rng = np.random.default_rng(0)
    weight, hidden = parse(name), parse(ACTIVATIONS[name])
    layers = []
    for index, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        last = index == len(WIDTHS) - 2
        scaled = not last and hidden != Bipolar()
        layers.append(
            Dense(
                name=f"layer{index}",
                weight=weight,
                input=hidden if index else Fixed(4, signed=False),
                output=Fixed(20) if last else hidden,
                weights=weight.to_level(rng.integers(0, 1 << weight.width, (outputs, inputs))),
                bias=rng.integers(-30, 30, outputs),
                multiplier=rng.integers(1, 1000, outputs) if scaled else np.ones(outputs),
                shift=12 if scaled else 0,
            )
        )
    network = Network(name, tuple(layers), Accumulator(32))
    return network.with_accumulator(Accumulator(accumulator_bits(network, GEOMETRY.lanes)))


def measure(name: str, pairs: int) -> None:
    """Time both engines in turn and print what came out."""
    network = default_network(name)
    images = np.random.default_rng(1).integers(0, 16, (1000, WIDTHS[0]))
    program = Program(network, GEOMETRY)
    fast, slow = CompiledEngine(Accelerator(program)), AmaranthEngine(Accelerator(program))
    ratios = []
    for _ in range(pairs):
        compiled = fast.run(Stimulus(images))
        interpreted = slow.run(Stimulus(images[:10]))
        assert (compiled.levels[:10] == interpreted.levels).all()
        speeds = [run.cycles / run.seconds for run in (compiled, interpreted)]
        ratios.append(speeds[0] / speeds[1])
        print(
            f"{name}: compiled {speeds[0]:,.0f} cycles/s, Amaranth {speeds[1]:,.0f} cycles/s, "
            f"ratio {ratios[-1]:,.0f}"
        )
    print(f"{name}: median ratio {statistics.median(ratios):,.0f}")


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--formats", default=",".join(ACTIVATIONS))
    options.add_argument("--pairs", type=int, default=5)
    values = options.parse_args(arguments)
    print(
        f"amaranth {version('amaranth')}, yosys {find('yosys').version}, "
        f"compiler {' '.join(find_compiler())}, python {platform.python_version()}, "
        f"array {GEOMETRY}, layers {WIDTHS}"
    )
    for name in values.formats.split(","):
        measure(name, values.pairs)
