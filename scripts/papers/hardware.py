"""Networks of a study in hardware: simulated on test images, placed and routed."""

from typing import Any

from ...hw.accelerator.top import Accelerator
from ...hw.errors import FitError
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, cost
from ...hw.synth.targets import target as find_target
from ...hw.tools.store import Store
from ..runs.checked import check_levels
from ..runs.loading import input_levels
from .floats import split

__all__ = ["routed", "simulated"]

COST = ("lut", "ff", "bram", "spram", "dsp", "fmax_mhz")


def simulated(program: Program, target: str, dataset: str, images: int) -> dict[str, Any]:
    """Return what a program's accelerator for a target gives on the first test images.

    Returns
    -------
    mapping
        ``right`` of ``images``; ``mismatches``, the images that differ anywhere from the integer
        reference; ``overflows``, sums that a register did not hold; ``run_cycles`` of all images,
        and ``model_cycles`` of one by the cycle model.
    """
    tests, chosen = split(dataset)[0], slice(images)
    levels, labels = input_levels(program.network, tests, chosen), tests.test_labels[chosen]
    accelerator: Accelerator = accelerator_for(program, find_target(target))
    found = check_levels(accelerator, labels, levels, "auto")
    assert found.accuracy_hardware is not None
    return {
        "right": [round(found.accuracy_hardware * found.images)],
        "images": found.images,
        "mismatches": found.mismatches,
        "overflows": found.overflows_reference,
        "run_cycles": found.cycles,
        "model_cycles": round(program.cycles.per_image, 1),
        "engine": found.engine,
    }


def routed(program: Program, target: str, seed: int) -> dict[str, Any]:
    """Return what a program's accelerator takes of a target, placed and routed with a seed.

    Returns
    -------
    mapping
        Cells by kind and ``fmax_mhz``, or ``failure``, why it does not fit; ``model_cycles`` of an
        image, and ``parameter_bits``. Labels nothing: ``right`` is 0 of 1.
    """
    device = find_target(target)
    found: dict[str, Any] = {
        "right": [0],
        "images": 1,
        "model_cycles": round(program.cycles.per_image, 1),
        "parameter_bits": program.network.parameter_bits,
    }
    try:
        # the store of all commands: placements share what is mapped once
        cells = cost(accelerator_for(program, device), device, Store(), [seed])
    except FitError as error:
        return found | {"failure": str(error).splitlines()[0]}
    return found | {name: getattr(cells, name) for name in COST}
