"""Arrays of the study, with accumulators of given widths: simulated, and routed."""

from collections.abc import Mapping
from typing import Any

from ....hw.accelerator.top import Accelerator
from ....hw.errors import FitError
from ....hw.geometry import Geometry
from ....hw.network.file import from_bytes
from ....hw.numbers.arithmetic import Accumulator
from ....hw.program.layout import Program
from ....hw.synth.build import accelerator_for, cost
from ....hw.synth.targets import target as find_target
from ....hw.tools.store import Store
from ...runs.checked import check_levels
from ...runs.loading import input_levels
from ..floats import split
from .subjects import SUBJECTS

__all__ = ["route_network", "simulate_network"]


def _program(content: bytes, bits: int, array: Mapping[str, Any]) -> Program:
    network = from_bytes(content, origin="the store").with_accumulator(Accumulator(bits))
    return Program(network, Geometry(**array), contexts=1, batch=1)


def simulate_network(
    content: bytes, name: str, bits: int, array: Mapping[str, Any], target: str, images: int
) -> dict[str, Any]:
    """Return what an accelerator of a target gives on test images.

    ``mismatches`` counts images that differ anywhere from the integer reference, ``overflows`` sums
    that a register did not hold.
    """
    program, (dataset, _) = _program(content, bits, array), split(SUBJECTS[name].dataset)
    chosen = slice(images)
    levels, labels = input_levels(program.network, dataset, chosen), dataset.test_labels[chosen]
    accelerator: Accelerator = accelerator_for(program, find_target(target))
    found = check_levels(accelerator, labels, levels, "auto")
    assert found.accuracy_hardware is not None
    return {
        "right": [round(found.accuracy_hardware * found.images)],
        "images": found.images,
        "mismatches": found.mismatches,
        "overflows": found.overflows_reference,
        "run_cycles": found.cycles,
        "engine": found.engine,
    }


def route_network(
    content: bytes, bits: int, array: Mapping[str, Any], target: str, seed: int
) -> dict[str, Any]:
    """Return what the accelerator takes of a target, placed and routed with a seed.

    What does not fit has the reason in ``failure``.
    """
    program, device = _program(content, bits, array), find_target(target)
    found: dict[str, Any] = {"right": [0], "images": 1}
    found["model_cycles"] = round(program.cycles.per_image, 1)
    try:
        # the store of all commands: placements share what is mapped once
        cells = cost(accelerator_for(program, device), device, Store(), [seed])
    except FitError as error:
        return found | {"failure": str(error).splitlines()[0]}
    names = ("lut", "ff", "bram", "spram", "dsp", "fmax_mhz")
    return found | {name: getattr(cells, name) for name in names}
