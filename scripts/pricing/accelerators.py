"""Whole accelerators of priced networks: the array that fills a device, estimated and routed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...hw.accelerator.top import Accelerator
from ...hw.errors import FitError, GeometryError
from ...hw.geometry import Geometry
from ...hw.network.file import from_bytes
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, cost
from ...hw.synth.estimate import Estimate, estimate
from ...hw.synth.fit import FULL, largest_geometry
from ...hw.synth.measure import Measurement
from ...hw.synth.targets import Target
from ...hw.synth.targets import target as find_target
from ...hw.tools.store import Store

__all__ = ["accelerator_of", "fill", "route_filled"]

CONTEXTS = 2  # groups of images in flight
CHAINS = (2, 4)
"""Ways for sums to leave the array that are tried beside one."""
GEOMETRY = ("rows", "columns", "lanes", "chains")
COST = ("lut", "ff", "bram", "dsp", "fmax_mhz")


def fill(content: bytes, target: str) -> dict[str, Any]:
    """Return the array that makes the most of a device for a network file, by estimate.

    Returns
    -------
    mapping
        ``rows``, ``columns``, ``lanes``, ``chains``; ``cycles`` of an image; ``lut``, ``dsp``,
        ``bram``, ``fmax_mhz``, and the standard errors ``lut_error`` and ``fmax_error``, relative.
        Or ``failure``, why the device holds none.
    """
    network, device = from_bytes(content, origin="the store"), find_target(target)

    try:
        designs = list(_floats(network, device) if network.is_float else _filled(network, device))
    except (FitError, GeometryError) as error:
        return {"failure": str(error).splitlines()[0]}
    if not designs:
        return {"failure": f"no array of {network.name} fits {target}"}
    program, sized = min(
        designs, key=lambda each: each[0].cycles.per_image / (each[1].fmax_mhz or 1)
    )
    geometry = program.geometry
    return {
        **{name: getattr(geometry, name) for name in GEOMETRY},
        "cycles": round(program.cycles.per_image, 1),
        **{name: getattr(sized, name) for name in COST},
        "lut_error": sized.lut_error / 2,  # what 95 of 100 designs kept to
        "fmax_error": (sized.fmax_error or 0.0) / 2,
        "failure": None,
    }


Design = tuple[Program, Estimate]


def _filled(network: Network, device: Target) -> Iterator[Design]:
    """Yield the best array by estimates, with one chain and with more as far as they fit."""

    def cells(program: Program) -> int:
        return estimate(program, device).lut

    found = largest_geometry(network, device, cells, predict=cells)
    for chains in (1, *CHAINS):
        if found.rows % chains:
            continue
        try:
            program = Program(network, replace(found, chains=chains), contexts=CONTEXTS)
        except GeometryError:  # its memory writes fewer codes at once
            continue
        sized = estimate(program, device)
        if chains == 1 or sized.lut <= FULL * device.budget["lut"]:
            yield program, sized


def _floats(network: Network, device: Target) -> Iterator[Design]:
    """Yield the best array of those that are mapped: of floats there are no estimates."""

    def mapped(program: Program) -> Measurement:
        return cost(_accelerator(program, device), device, Store())

    found = largest_geometry(network, device, lambda program: mapped(program).lut or 0)
    program = Program(network, found, contexts=CONTEXTS)
    cells = mapped(program)
    lut, ff, bram, spram, dsp = (
        int(getattr(cells, name) or 0) for name in ("lut", "ff", "bram", "spram", "dsp")
    )
    yield program, Estimate(lut, ff, bram, spram, dsp, None, lut_error=0.0, fmax_error=None)


def _accelerator(program: Program, device: Target) -> Accelerator:
    """Return the accelerator: floats multiply in DSP blocks, as far as there are any."""
    blocks = program.network.is_float and device.budget.get("dsp")
    return accelerator_for(program, device, multiplier="block" if blocks else "logic")


def accelerator_of(content: bytes, design: Mapping[str, Any], target: str) -> Accelerator:
    """Return the accelerator of a network file and a design of `fill`."""
    geometry = Geometry(**{name: design[name] for name in GEOMETRY})
    network = from_bytes(content, origin="the store")
    return _accelerator(Program(network, geometry, contexts=CONTEXTS), find_target(target))


def route_filled(
    content: bytes, design: Mapping[str, Any], target: str, seed: int
) -> dict[str, Any]:
    """Return what the accelerator of a design of `fill` takes, placed and routed with a seed.

    Returns
    -------
    mapping
        ``lut``, ``ff``, ``dsp``, ``bram``, ``fmax_mhz``; ``cycles`` of an image; or ``failure``.
    """
    if design["failure"] is not None:
        return {"failure": design["failure"]}
    accelerator, device = accelerator_of(content, design, target), find_target(target)
    cycles = round(accelerator.program.cycles.per_image, 1)
    try:
        cells = cost(accelerator, device, Store(), [seed])
    except FitError as error:
        return {"failure": str(error).splitlines()[0]}
    found = {name: getattr(cells, name) for name in COST}
    return found | {"cycles": cycles, "failure": None}
