"""What an accelerator takes of a device, and how fast it is, without synthesis.

Terms that `counting` finds in the program's accelerator are weighted by what each cost in
accelerators that were mapped: `estimate.json` has the weights of each family, how they were fitted,
and the errors of designs that the fit had not seen. ``studies estimator`` makes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import log2
from pathlib import Path
from typing import TypedDict

from ..errors import FitError
from ..program.layout import Program
from .build import accelerator_for
from .counting import count_accelerator
from .placement import memory_use
from .targets import Target

__all__ = [
    "PATH",
    "ClockModel",
    "Estimate",
    "FamilyModel",
    "estimate",
    "has_clock",
    "has_estimates",
]

PATH = Path(__file__).with_name("estimate.json")


class ClockModel(TypedDict):
    """The period in ns: ``base``, more a doubling of logic cells, and more a memory block.

    ``designs`` were routed; ``error`` is what 95 of 100 of them kept to, each left out of its fit.
    """

    base: float
    doubling: float
    block: float
    designs: int
    error: float


class FamilyModel(TypedDict):
    """What is known of a family: weights of terms, and how far estimates were off.

    Errors are relative, of designs that were left out of the fit: the median, and what 95 of 100
    kept to. ``random`` designs are those that vary in everything, and not only in array and
    formats. ``largest`` has the most logic cells. Of ``bram_equal`` block RAMs were as estimated,
    and of ``bram_near`` within two.
    """

    lut: dict[str, float]
    ff: dict[str, float]
    designs: int
    largest: int
    lut_median: float
    lut_error: float
    random: int
    random_median: float
    random_error: float
    ff_error: float
    bram_equal: float
    bram_near: float
    clock: ClockModel | None


@dataclass(frozen=True)
class Estimate:
    """What an accelerator should take of a device.

    Attributes
    ----------
    lut, ff, bram, spram, dsp : int
        As in `report.Report`.
    fmax_mhz : float or None
        Clock; None where too few accelerators of the family were routed.
    lut_error, fmax_error : float or None
        Relative errors that 95 of 100 designs kept to that their fit had not seen; of logic cells,
        those of the designs that were harder to estimate.
    remark : str
        In what the design is beyond those that were measured; empty where it is not.
    """

    lut: int
    ff: int
    bram: int
    spram: int
    dsp: int
    fmax_mhz: float | None
    lut_error: float
    fmax_error: float | None
    remark: str = ""


def estimate(program: Program, target: Target, *, multiplier: str = "logic") -> Estimate:
    """Estimate what the accelerator of a program takes of a target, in less than a second.

    Parameters
    ----------
    program : Program
    target : Target
    multiplier : str
        As `build.accelerator_for` takes it.

    Raises
    ------
    FitError
        For a family of which nothing was measured, and for floats, of which nothing was.
    GeometryError
        As `build.accelerator_for` does.
    """
    family = target.family.name
    model = _models().get(family)
    if model is None:
        raise FitError(
            f"no accelerator was measured on {family}, of which {target.name} is, so there is no "
            f"estimate; there is one for {', '.join(_models())}, and synthesize without --estimate"
        )
    if program.network.is_float:
        raise FitError(
            f"network {program.network.name} computes in floats, of which there is no estimate; "
            "synthesize without --estimate"
        )
    found = count_accelerator(accelerator_for(program, target, multiplier=multiplier), target)
    lut = _weighted(model["lut"], found)
    singles = [use.blocks for use in memory_use(program, target) if use.kind == "spram"]
    clock = model["clock"]
    return Estimate(
        lut=round(lut),
        ff=round(_weighted(model["ff"], found)),
        bram=found["bram"],
        spram=sum(singles),
        dsp=found["dsp"],
        fmax_mhz=_fmax(clock, lut, found["bram"]) if clock else None,
        lut_error=max(model["lut_error"], model["random_error"]),
        fmax_error=clock["error"] if clock else None,
        remark=_beyond(model, lut),
    )


def has_estimates(target: Target) -> bool:
    """Tell whether there are estimates for a target."""
    return target.family.name in _models()


def has_clock(target: Target) -> bool:
    """Tell whether estimates for a target have a clock."""
    return has_estimates(target) and _models()[target.family.name]["clock"] is not None


def _weighted(weights: Mapping[str, float], found: Mapping[str, int]) -> float:
    terms = {**found, "one": 1}
    return sum(weight * terms.get(name, 0) for name, weight in weights.items())


def _fmax(clock: ClockModel, lut: float, bram: int) -> float:
    period = clock["base"] + clock["doubling"] * log2(max(lut, 1)) + clock["block"] * bram
    return 1e3 / period


def _beyond(model: FamilyModel, lut: float) -> str:
    """Say where a design is beyond all that were measured."""
    if lut > model["largest"]:
        return f"beyond what was measured, at most {model['largest']:,} logic cells"
    return ""


@cache
def _models() -> dict[str, FamilyModel]:
    return json.loads(PATH.read_text(encoding="utf-8"))["families"]
