"""Hardware of the study: networks on arrays, simulated on test images, placed and routed."""

from collections.abc import Mapping, Sequence
from typing import Any

from ....hw.accelerator.top import Accelerator
from ....hw.errors import FitError
from ....hw.geometry import Geometry
from ....hw.network.file import from_bytes
from ....hw.numbers.arithmetic import Accumulator
from ....hw.program.bounds import accumulator_bits
from ....hw.program.layout import Program
from ....hw.synth.build import accelerator_for, cost
from ....hw.synth.placement import fits, memory_use
from ....hw.synth.targets import target as find_target
from ....hw.tools.store import Store
from ...runs.checked import check_levels
from ...runs.loading import input_levels
from ..floats import split
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
    """Return what the accelerator of a target gives on test images, and its cycles.

    ``mismatches`` counts images that differ anywhere from the integer reference.
    """
    program = program_of(content, array)
    dataset, _ = split(DATASET)
    chosen = slice(images)
    levels, labels = input_levels(program.network, dataset, chosen), dataset.test_labels[chosen]
    accelerator: Accelerator = accelerator_for(program, find_target(target))
    found = check_levels(accelerator, labels, levels, "auto")
    assert found.accuracy_hardware is not None
    return {
        "right": [round(found.accuracy_hardware * found.images)],
        "images": found.images,
        "mismatches": found.mismatches,
        "run_cycles": found.cycles,
        "model_cycles": round(program.cycles.per_image, 1),
        "engine": found.engine,
    }


def route_network(content: bytes, array: Array, target: str, seed: int) -> dict[str, Any]:
    """Return what the accelerator takes of a target, placed and routed with a seed.

    What does not fit has the reason in ``failure``.
    """
    program, device = program_of(content, array), find_target(target)
    found: dict[str, Any] = {
        "right": [0],
        "images": 1,
        "model_cycles": round(program.cycles.per_image, 1),
        "bits": program.network.parameter_bits,
    }
    try:
        # the store of all commands: placements share what is mapped once
        cells = cost(accelerator_for(program, device), device, Store(), [seed])
    except FitError as error:
        return found | {"failure": str(error).splitlines()[0]}
    names = ("lut", "ff", "bram", "dsp", "fmax_mhz")
    return found | {name: getattr(cells, name) for name in names}
