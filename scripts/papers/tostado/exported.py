"""Rounded networks as integers, in hardware: simulated on test images, and routed.

Activations become uint8 on the way, calibrated on training images; weights are those that
`rounded` gives, where the levels of the format are used to the largest.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ....hw.accelerator.top import Accelerator
from ....hw.errors import FitError
from ....hw.geometry import Geometry
from ....hw.program.layout import Program
from ....hw.synth.build import accelerator_for, cost
from ....hw.synth.targets import target as find_target
from ....hw.tools.store import Store
from ....model.post_training.images import NetworkImages
from ....model.post_training.method import PostTraining
from ....model.post_training.quantization import quantize
from ...runs.checked import check_levels
from ...runs.loading import input_levels
from ..floats import FloatNetwork, split

__all__ = ["route_exported", "simulate_exported"]

CALIBRATION = 200  # training images that say the ranges of activations
SEEDS = (1,)  # placements


def simulate_exported(
    content: bytes, network: Mapping[str, Any], weight: str, images: int, geometry: list[int]
) -> dict[str, Any]:
    """Return how many test images the accelerator of an exported network labels right.

    ``mismatches`` counts those that differ anywhere from the integer reference.
    """
    given = FloatNetwork.of(network)
    program = _program(content, given, weight, geometry)
    dataset, _ = split(given.dataset)
    chosen = slice(images)
    levels = input_levels(program.network, dataset, chosen)
    labels = dataset.test_labels[chosen]
    found = check_levels(Accelerator(program), labels, levels, "auto")
    assert found.accuracy_hardware is not None
    return {
        "right": [round(found.accuracy_hardware * found.images)],
        "images": found.images,
        "mismatches": found.mismatches,
        "cycles": round(found.cycles / found.images, 1),
        "accumulator": program.network.accumulator.width,
    }


def route_exported(
    content: bytes, network: Mapping[str, Any], weight: str, target: str, geometry: list[int]
) -> dict[str, Any]:
    """Return what the accelerator of an exported network takes of a target, placed and routed.

    What does not fit has the reason in ``failure``.
    """
    program = _program(content, FloatNetwork.of(network), weight, geometry)
    device = find_target(target)
    found: dict[str, Any] = {"placements": len(SEEDS), "geometry": str(program.geometry)}
    found["parameter_bits"] = program.network.parameter_bits
    with TemporaryDirectory() as folder:
        try:
            cells = cost(
                accelerator_for(program, device), device, Store(Path(folder) / "store"), SEEDS
            )
        except FitError as error:
            return found | {"failure": str(error).splitlines()[0]}
    names = ("lut", "ff", "bram", "spram", "dsp", "fmax_mhz")
    return found | {name: getattr(cells, name) for name in names}


def _program(content: bytes, given: FloatNetwork, weight: str, geometry: list[int]) -> Program:
    rows, columns, lanes = geometry
    method = PostTraining(
        weight=weight,
        activation="uint8",
        scales="tensor",
        weight_range="minmax",
        bias_correction=False,
    )
    found = quantize(
        given.trained(content),
        _images(given.dataset),
        method,
        name=f"{given.dataset}-{given.network}-{weight}",
        lanes=lanes,
        figures=False,
    )
    return Program(found.network, Geometry(rows, columns, lanes))


@cache
def _images(dataset: str) -> NetworkImages:
    return NetworkImages.of_dataset(split(dataset)[0], CALIBRATION)
