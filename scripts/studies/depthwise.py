"""Depthwise convolutions: each group alone against regrouped ones, and shares of arrays; by hand.

``studies depthwise [--channels 64] [--array 4x4x8] [--chains 4] [--images 4]`` builds a keyword
spotter of random int8 weights, of the shape of MLPerf Tiny's DS-CNN: 49x10 inputs, a convolution of
10x4, four pairs of a depthwise convolution of 3x3 and one of 1x1 on 25x5 positions, a pool and a
dense layer. It runs as its layers say, on one chain, since a group of one channel allows no more,
and as programs regroup it. Every sum and level of the simulations is compared with the reference.
For each layer it prints the cycles an image, predicted and simulated, and the products of the
network over the slots of the array in these cycles. Exits with 1 where anything differs.

``studies depthwise --shares 4x4x8x4,2x8x8x2`` simulates one of its depthwise convolutions alone on
arrays of so many rows, columns, lanes and chains, and keeps for each which share of the slots had
products, and which one can have (`ceiling`), in ``docs/results/depthwise.json``.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.network.layers import AveragePool, Conv2d, Dense, Layer, Size, Window
from ...hw.network.network import INPUT, Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed
from ...hw.program.bounds import accumulator_bits
from ...hw.program.layout import Program
from ...hw.sim.batch.engine import BatchEngine
from ...hw.sim.compare import compare
from ...hw.sim.run import Stimulus
from ...model.integers.reference import evaluate
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["ceiling", "keyword_spotter", "main", "measure", "share"]

OUTPUT = output("depthwise")
NAMES = ("rows", "columns", "lanes", "chains")
SAME, POINT = Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((1, 1))
LEVEL, WEIGHT = Fixed(8, signed=False), Fixed(8)


def keyword_spotter(channels: int, lanes: int) -> Network:
    """Return a network of random integers in the shape of MLPerf Tiny's DS-CNN."""
    rng = np.random.default_rng(0)

    def common(name: str, count: int) -> dict[str, Any]:
        multiplier, bias = rng.integers(1, 60, count), rng.integers(-3000, 3000, count)
        scaling = {"multiplier": multiplier, "bias": bias, "shift": 12}
        return {"name": name, "input": LEVEL, "output": LEVEL, **scaling}

    def conv(name: str, window: Window, inputs: int, groups: int = 1) -> Conv2d:
        weights = rng.integers(-127, 128, (channels, *window.kernel, inputs))
        return Conv2d(**common(name, channels), weight=WEIGHT, weights=weights, window=window,
                      groups=groups)  # fmt: skip

    layers: list[Layer] = [conv("first", Window((10, 4), (2, 2), (4, 1, 5, 1)), 1)]
    for index in range(4):
        layers.append(conv(f"depthwise{index}", SAME, 1, channels))
        layers.append(conv(f"pointwise{index}", POINT, channels))
    layers.append(AveragePool(**common("pool", 1)))
    weights = rng.integers(-127, 128, (12, channels))
    layers.append(Dense(**common("last", 12), weight=WEIGHT, weights=weights))
    network = Network("keywords", tuple(layers), Accumulator(32), input_size=Size(49, 10, 1))
    return network.with_accumulator(Accumulator(accumulator_bits(network, lanes)))


def measure(program: Program, images: np.ndarray) -> tuple[list[float], float]:
    """Return the simulated cycles of each layer, and of all, an image.

    Raises
    ------
    SystemExit
        Where hardware and reference differ.
    """
    network, geometry = program.network, program.geometry
    run = BatchEngine(Accelerator(program)).run(Stimulus(images, traced=len(images)))
    expected = evaluate(network, images, geometry.lanes, trace=True)
    comparison = compare(run, expected, network, geometry)
    if not comparison:
        raise SystemExit(str(comparison.first))
    return [cycles / len(images) for cycles in run.layer_cycles], run.cycles / len(images)


def ceiling(geometry: Geometry, width: int, kernel: int) -> float:
    """Return the share of an array's slots that a depthwise convolution can use at most.

    A word that is read has one code of each of some channels, so a product of that many lanes
    counts; it serves the positions of a strip that is a whole row of ``width``; sums leave by
    chains. However many channels a word has, one of these is in the way.
    """
    fetched = kernel * (width + kernel - 1) / width  # words of a position
    products = kernel * kernel
    shares = (
        min(1 / channels, channels * products / fetched / geometry.macs)
        for channels in range(1, geometry.lanes + 1)
    )
    return min(max(shares), products * geometry.chains / geometry.macs, 1)


def share(shape: Sequence[int], channels: int, images: int) -> Row:
    """Simulate a depthwise convolution of 3x3 on 25x5 positions; return its row.

    Before it 1 channel becomes all of them, so that none waits for elements to stream in.
    """
    spotter = keyword_spotter(channels, shape[2])
    first, depthwise, *_, pool, last = spotter
    assert isinstance(first, Conv2d)
    first = replace(first, window=POINT, weights=first.weights[:, :1, :1])
    size = spotter.sizes[first.name]
    network = Network(
        "depthwise", (first, depthwise, pool, last), spotter.accumulator,
        input_size=Size(size.height, size.width, 1),
    )  # fmt: skip
    program = Program(network, Geometry(*shape[:3], chains=shape[3]), batch=1)
    inputs = np.random.default_rng(1).integers(0, 256, (images, *network.sizes[INPUT]))
    cycles = measure(program, inputs)[0][1]
    record, geometry = program.records[1], program.geometry
    return {
        **dict(zip(NAMES, shape, strict=True)),
        "channels": channels,
        "together": record.mapped.group_channels,
        "strip": record.place.shifts,
        "fetch": program.cycles.fetch(record),
        "compute": program.cycles.compute(record),
        "cycles": cycles,
        "share": network.macs(depthwise) / (geometry.macs * cycles),
        "ceiling": ceiling(geometry, size.width, SAME.kernel[0]),
    }


def _keep_shares(given: argparse.Namespace) -> int:
    """Measure arrays, and keep a row of each; return the exit status."""
    for each in given.shares.split(","):
        made_by = command("depthwise", "--images", given.images, "--shares", given.shares)
        row = share([int(size) for size in each.split("x")], given.channels, given.images)
        RowFile(given.output, NAMES).keep([row | provenance(made_by, "narrowgauge", "amaranth")])
        print(f"{each}: {row['share']:.1%} of the slots, of at most {row['ceiling']:.1%}")
    return 0


def _predicted(program: Program) -> list[float]:
    """Return the cycles of each layer an image: the longer one of fetching and computing."""
    model = program.cycles
    each = [max(model.fetch(record), model.compute(record)) for record in program.records]
    return [cycles / program.batch for cycles in each]


def main(arguments: Sequence[str]) -> int:
    """Run both ways and print a table."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--channels", type=int, default=64)
    options.add_argument("--array", default="4x4x8", help="rows x columns x lanes")
    options.add_argument("--chains", type=int, default=4)
    options.add_argument("--images", type=int, default=4)
    options.add_argument("--shares", help="arrays: rows x columns x lanes x chains, with commas")
    values = options.parse_args(arguments)
    if values.shares:
        return _keep_shares(values)
    sizes = [int(each) for each in values.array.split("x")]
    network = keyword_spotter(values.channels, sizes[2])
    images = np.random.default_rng(1).integers(0, 256, (values.images, *network.sizes[INPUT]))
    alone = Program(network, Geometry(*sizes), batch=1, regroup=False)
    together = Program(network, Geometry(*sizes, chains=values.chains), batch=1)
    columns, totals = [], []
    for program in (alone, together):
        cycles, total = measure(program, images)
        columns += [_predicted(program), cycles]
        totals += [sum(_predicted(program)), total]
    print(f"{'':12} {'alone: predicted':>16} {'simulated':>10} {'regrouped':>10} {'simulated':>10}"
          f" {'times':>6} {'of the slots, before and after':>32}")  # fmt: skip
    for layer, before, was, after, now in zip(network, *columns, strict=True):
        slots = [network.macs(layer) / (alone.geometry.macs * cycles) for cycles in (was, now)]
        print(f"{layer.name:12} {before:16,.0f} {was:10,.0f} {after:10,.0f} {now:10,.0f}"
              f" {was / now:6.1f} {slots[0]:22.1%} {slots[1]:9.1%}")  # fmt: skip
    before, was, after, now = totals
    print(f"{'an image':12} {before:16,.0f} {was:10,.0f} {after:10,.0f} {now:10,.0f}"
          f" {was / now:6.1f}")  # fmt: skip
    print(f"weights: {alone.weight_words} words and {together.weight_words}")
    return 0
