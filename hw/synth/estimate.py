"""What an accelerator takes of a device, and how fast it is, without synthesis."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.hdl import Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..accelerator.top import Accelerator
from ..array.systolic import PE
from ..errors import FitError
from ..program.layout import Program
from .build import accelerator_for
from .gates import count_gates
from .placement import memory_use
from .targets import Target

__all__ = ["Estimate", "estimate", "features"]


@dataclass(frozen=True)
class Estimate:
    """What an accelerator should take of a device.

    Attributes
    ----------
    lut, ff, bram, spram, dsp : int
        As in `report.Report`.
    fmax_mhz : float or None
        Clock; None where the family is not routed.
    lut_error, fmax_error : float
        Relative errors that 95 of 100 designs kept to that the fit had not seen.
    remark : str
        What of the design was never measured; empty where all was.
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
    """Estimate what the accelerator of a program takes of a target.

    Raises
    ------
    FitError
        Where no design of the family was measured.
    GeometryError
        As `build.accelerator_for`.
    """
    model = _models().get(target.family.name)
    if model is None:
        raise FitError(
            f"no design was measured on {target.family.name}, of which {target.name} is: there is "
            f"nothing to estimate from; families are {', '.join(_models())}; use synthesize"
        )
    accelerator = accelerator_for(program, target, multiplier=multiplier)
    found = features(accelerator, target)
    uses = memory_use(program, target)
    blocks = {
        kind: sum(use.blocks for use in uses if use.kind == kind) for kind in ("bram", "spram")
    }
    return Estimate(
        lut=round(_weighted(model["lut"], found)),
        ff=round(_weighted(model["ff"], found)),
        bram=blocks["bram"],
        spram=blocks["spram"],
        dsp=round(_weighted(model["dsp"], found)),
        fmax_mhz=model["fmax_mhz"],
        lut_error=model["lut_error"],
        fmax_error=model["fmax_error"],
    )


def _weighted(costs: Mapping[str, float], found: Mapping[str, float]) -> float:
    return sum(cost * found.get(name, 0) for name, cost in costs.items())


@cache
def _models() -> dict[str, Any]:
    path = Path(__file__).with_name("estimate.json")
    return json.loads(path.read_text(encoding="utf-8"))["families"]


class _Hole(wiring.Component):
    """The place of a processing element, of which nothing is known but its ports."""

    def __init__(self, element: PE):
        self.mac = element.mac
        super().__init__(element.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports: dict[str, Any] = {}
        for path, member, value in self.signature.flatten(self):
            ports[f"{'i' if member.flow is In else 'o'}_{'_'.join(map(str, path))}"] = value
        m.submodules.hole = Instance("element", **ports)
        return m


def features(accelerator: Accelerator, target: Target) -> dict[str, float]:
    """Return what is counted of an accelerator, by name; those of elements begin with their name.

    The accelerator is elaborated, and has holes for elements afterwards: take another one to build.
    """
    inputs = 6 if target.family.name == "xc7" else 4
    array = accelerator.array
    found: Counter[str] = Counter()
    if not accelerator.implementation.fabric.blocks.used:
        element = array.elements[0][0]
        own, _ = count_gates(element, target, inputs)
        found.update({f"element {name}": count * array.geometry.elements for name, count in own.items()})
        array.elements = [[_Hole(each) for each in row] for row in array.elements]
    rest, memories = count_gates(accelerator, target, inputs)
    rest.pop("cell element", None)
    found.update(rest)
    found["one"] = 1
    for width, depth, ports in memories:
        found["memory_bits_small"] += width * depth if width * depth < 1024 else 0
    return dict(found)
