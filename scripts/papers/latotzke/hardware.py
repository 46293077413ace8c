"""Hardware of the study: networks on arrays, simulated on test images, placed and routed."""

from collections.abc import Mapping, Sequence
from typing import Any

from ....hw.geometry import Geometry
from ....hw.network.file import from_bytes
from ....hw.numbers.arithmetic import Accumulator
from ....hw.program.bounds import accumulator_bits
from ....hw.program.layout import Program
from ....hw.synth.placement import fits, memory_use
from ....hw.synth.targets import target as find_target
from ..hardware import routed, simulated
from ..resnet8.network import DATASET

__all__ = ["Array", "count_cycles", "program_of", "route_network", "simulate_network"]

Array = Mapping[str, Any]
"""``rows``, ``columns``, ``lanes``, ``chains``, and ``slice`` or None."""


def program_of(content: bytes, array: Array) -> Program:
    """Return the program of a network file on an array, an image at a time."""
    network = from_bytes(content, origin="the store")
    geometry = Geometry(**array)
    bits = accumulator_bits(network, geometry.lanes)
    return Program(network.with_accumulator(Accumulator(bits)), geometry, contexts=1, batch=1)


def count_cycles(content: bytes, array: Array, targets: Sequence[str]) -> dict[str, Any]:
    """Return cycles of an image by the cycle model, and the memory that it takes of targets."""
    program = program_of(content, array)
    found: dict[str, Any] = {"model_cycles": round(program.cycles.per_image, 1)}
    for name in targets:
        device = find_target(name)
        uses = [use for use in memory_use(program, device) if use.certain]
        found[f"{name} blocks"] = sum(use.blocks for use in uses)
        found[f"{name} fits"] = fits(program, device)
    return found | {"right": [0], "images": 1, "bits": program.network.parameter_bits}


def simulate_network(content: bytes, array: Array, target: str, images: int) -> dict[str, Any]:
    """Return what `simulated` says of a network file on an array."""
    return simulated(program_of(content, array), target, DATASET, images)


def route_network(content: bytes, array: Array, target: str, seed: int) -> dict[str, Any]:
    """Return what `routed` says of a network file on an array."""
    return routed(program_of(content, array), target, seed)
