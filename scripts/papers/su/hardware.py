"""Filled accelerators of the study in simulation, cycle by cycle, beside the reference."""

from collections.abc import Mapping
from typing import Any

from ....model.data import load
from ...pricing.accelerators import accelerator_of
from ...runs.checked import check_levels
from ...runs.loading import input_levels

__all__ = ["simulate_filled"]


def simulate_filled(
    content: bytes, design: Mapping[str, Any], target: str, dataset: str, images: int
) -> dict[str, Any]:
    """Return what the accelerator of a filled device gives on the first test images.

    Returns
    -------
    mapping
        ``right`` of ``images``; ``mismatches``, the images that differ anywhere from the reference;
        ``run_cycles`` of all images, and ``cycles`` of one by the cycle model. Or ``failure``.
    """
    if design["failure"] is not None:
        return {"failure": design["failure"]}
    accelerator = accelerator_of(content, design, target)
    tests, chosen = load(dataset), slice(images)
    network = accelerator.program.network
    levels, labels = input_levels(network, tests, chosen), tests.test_labels[chosen]
    found = check_levels(accelerator, labels, levels, "auto")
    assert found.accuracy_hardware is not None
    return {
        "right": [round(found.accuracy_hardware * found.images)],
        "images": found.images,
        "mismatches": found.mismatches,
        "run_cycles": found.cycles,
        "cycles": round(accelerator.program.cycles.per_image, 1),
        "engine": found.engine,
        "failure": None,
    }
