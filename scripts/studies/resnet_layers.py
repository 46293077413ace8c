"""Single layers of large networks, simulated cycle by cycle beside the reference and the model."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.network.layers import AveragePool, Dense, Layer, Size, Weighted
from ...hw.network.network import INPUT, Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed
from ...hw.program.layout import Program
from ...hw.sim.batch.engine import BatchEngine
from ...hw.sim.compare import compare
from ...hw.sim.engine import Engine
from ...hw.sim.run import Stimulus
from ...model.integers.reference import Result, evaluate
from .record import Row

__all__ = ["SimulatedLayers", "cut", "simulated"]


@dataclass(frozen=True)
class SimulatedLayers:
    """Layers of a network that follow each other, on fewer positions than they have there.

    Attributes
    ----------
    text : str
        What they are.
    depth : int
        Of the residual network.
    names : tuple of str
        The layers.
    height, width : int
        Of the input that they get.
    way : str
        How the widths of their weights are given.
    """

    text: str
    depth: int
    names: tuple[str, ...]
    height: int
    width: int
    way: str = ""


def cut(network: Network, wanted: SimulatedLayers, accumulator: Accumulator) -> Network:
    """Return the layers alone; behind images comes an average, so that few levels come out."""
    layers: list[Layer] = [layer for layer in network if layer.name in wanted.names]
    outside = network.sources(layers[0])[0]
    for index, layer in enumerate(layers):
        sources = tuple(INPUT if name == outside else name for name in network.sources(layer))
        layers[index] = replace(layer, sources=sources)
    channels = network.sizes[outside].channels
    size = Size(wanted.height, wanted.width, channels)
    if not isinstance(layers[-1], Dense):
        zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
        layers.append(
            AveragePool(
                name="average", input=layers[-1].output, output=Fixed(16), bias=zero,
                multiplier=one, shift=1,
            )
        )  # fmt: skip
    return Network(f"{network.name} {wanted.text}", tuple(layers), accumulator, input_size=size)


def simulated(
    network: Network,
    geometry: Geometry,
    *,
    images: int = 1,
    engine: Callable[[Accelerator], Engine] = BatchEngine,
) -> Row:
    """Simulate random images; return cycles as predicted and as they were, and what differs."""
    program = Program(network, geometry, contexts=1, batch=1)
    accelerator = Accelerator(program)
    shape = (images, *network.sizes[INPUT])
    levels = np.random.default_rng(0).integers(-128, 128, shape)
    run = engine(accelerator).run(Stimulus(levels, traced=images))
    sliced = geometry.slice is not None
    expected = evaluate(network, levels, geometry.lanes, sliced=sliced, trace=True)
    comparison = compare(run, expected, network, geometry)
    return {
        "input": list(network.sizes[INPUT]),
        "bits": _widths(network),
        "accumulator_bits": network.accumulator.width,
        "overflow": network.accumulator.overflow,
        "images": images,
        "sums": images * program.sums,
        "mismatches": comparison.mismatches,
        "wrapped": _wrapped(network, levels, geometry.lanes, expected),
        "cycles": run.cycles,
        "predicted": accelerator.cycles.run(images),
    }


def _wrapped(network: Network, images: np.ndarray, lanes: int, expected: Result) -> int:
    """Return how many sums are not those of a register that is wide enough."""
    shapes = {layer.name: (len(images), *network.sizes[layer.name]) for layer in network}
    own = [layer.levels for layer in expected.layers]
    replaced = {
        name: levels.reshape(shape)
        for (name, shape), levels in zip(shapes.items(), own, strict=True)
    }
    wide = evaluate(
        network.with_accumulator(Accumulator(40)), images, lanes, sliced=True, trace=True,
        replaced=replaced,
    )  # fmt: skip
    pairs = zip(wide.layers, expected.layers, strict=True)
    return sum(
        int((one.accumulators != other.accumulators).sum())
        for one, other in pairs
        if one.accumulators is not None and other.accumulators is not None
    )


def _widths(network: Network) -> str:
    """Return the widths of all weights, the widest first."""
    widths = {width for layer in network if isinstance(layer, Weighted)
              for width in layer.channel_widths}  # fmt: skip
    return ", ".join(map(str, sorted(widths, reverse=True)))
