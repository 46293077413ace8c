"""What an image takes on a device: images through the accelerator that is placed, and the model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.energy.charges import Charges, charges, place_accelerator
from ...hw.energy.model import LENGTHS, EnergyModel, Ranged
from ...hw.errors import NarrowgaugeError, ToolError
from ...hw.sim.batch.activity import Activity, count_toggles
from ...hw.sim.run import Stimulus
from ...hw.synth.alone import mapped
from ...hw.synth.placement import check_memories
from ...hw.synth.targets import TARGETS, Target
from ...hw.tools.store import Store
from ..terminal.progress import Reporter, untold
from .checked import reference

__all__ = [
    "MEASURED",
    "EnergyPart",
    "check_target",
    "count_charges",
    "count_mapped",
    "lengths",
    "parts",
    "reads_wires",
    "toggled",
    "total",
]

MEASURED = ("up5k",)
"""Targets whose coefficients rest on measurements."""
_ROUTED = ("ice40",)
"""Families whose routed wires are read."""
_MAPPED = ("ecp5", "gowin")
"""Families of which nothing but the toggles of mapped netlists is known."""
_MEMORIES = {"bram": "block RAM", "spram": "single-port RAM"}


@dataclass(frozen=True)
class EnergyPart:
    """A part of the energy of an image, in microjoules, and what it rests on."""

    name: str
    microjoules: Ranged
    rests_on: str


def check_target(device: Target) -> None:
    """Refuse targets of which nothing is known.

    Raises
    ------
    ToolError
        With the targets of which something is.
    """
    if device.family.name not in (*_ROUTED, *_MAPPED):
        families = {name: TARGETS.find(name).family.name for name in TARGETS}
        relative = [
            name
            for name, family in families.items()
            if family in (*_ROUTED, *_MAPPED) and name not in MEASURED
        ]
        raise ToolError(
            f"there is no energy on {device.name}: its netlists are not simulated; there is on "
            f"{', '.join(MEASURED)}, and in relative units on {', '.join(relative)}"
        )


def reads_wires(device: Target) -> bool:
    """Tell whether the wires of routed nets are known on a device."""
    return device.family.name in _ROUTED


def count_mapped(
    accelerator: Accelerator,
    device: Target,
    images: np.ndarray,
    *,
    reporter: Reporter,
    text: str,
) -> Activity:
    """Return the toggles of the nets of an accelerator that is mapped and not routed.

    Parameters
    ----------
    images, text
        As `count_charges` takes them.

    Raises
    ------
    FitError
        Where its memories do not fit.
    """
    check_memories(accelerator.program, device)
    with reporter.step(f"map {text}"):
        netlist = mapped(accelerator, device).text
    with reporter.step(f"toggles of {text}, {len(images)} images") as step:
        levels = reference(accelerator.program, images, 0).levels
        codes = Stimulus(images).codes(accelerator)
        family = device.family.name
        found = count_toggles(accelerator, codes, levels, netlist=netlist, family=family)
        step.note(f"{len(found.bits):,} nets")
    return found


def toggled(found: Activity) -> dict[str, float]:
    """Return settled toggles of the nets of a mapped netlist an image, by component."""
    toggles = Counter[str]()
    for bit in found.bits.values():
        toggles[bit.component] += bit.toggles
    return {component: count / found.images for component, count in toggles.items()}


def count_charges(
    accelerator: Accelerator,
    device: Target,
    images: np.ndarray,
    *,
    frequency: float | None = None,
    seed: int = 1,
    store: Store | None = None,
    reporter: Reporter | None = None,
    text: str,
) -> Charges:
    """Place and route an accelerator, and count what images charge in it.

    Parameters
    ----------
    images : int array
        Input levels.
    frequency : float, optional
        Hz, which the routed design must reach.
    text : str
        What it is called in progress.

    Raises
    ------
    FitError
        Where it does not fit, or is not routed.
    NarrowgaugeError
        For a frequency above that of the routed design.
    """
    check_target(device)
    program = accelerator.program
    check_memories(program, device)
    step_of = reporter.step if reporter else untold
    with step_of(f"place and route {text} with its wires") as step:
        shell, placed = place_accelerator(accelerator, device, seed=seed, store=store)
        step.note(f"{placed.fmax / 1e6:.1f} MHz")
    if frequency is not None and frequency > placed.fmax:
        raise NarrowgaugeError(
            f"--frequency {frequency / 1e6:g} is above the routed clock: this placement reaches "
            f"{placed.fmax / 1e6:.2f} MHz; give that or less"
        )
    with step_of(f"toggles of {text}, {len(images)} images") as step:
        levels = reference(program, images, 0).levels
        found = charges(shell, placed, Stimulus(images).codes(accelerator), levels)
        step.note(f"{len(found.nets):,} nets with wires")
    return found


def lengths(found: Charges) -> dict[str, float]:
    """Return tiles of wire that an image charges or discharges, by component; without glitches."""
    return {
        component: sum(LENGTHS[kind] * kinds[kind] for kind in LENGTHS) / found.activity.images
        for component, kinds in found.charged().items()
    }


def parts(found: Charges, frequency: float) -> Sequence[EnergyPart]:
    """Return the parts of an image's energy at a frequency in Hz, the largest first; none of 0.

    Memories are told apart by the component that they belong to.

    Raises
    ------
    ToolError
        For a target without coefficients.
    """
    model = EnergyModel.of(found.placed.target.name)
    energy = model.energy(found.work(), frequency)
    rests = model.rests_on
    wires = f"toggles, wires: {rests['wire']}; glitches: {rests['glitches']}"
    known = {"static": rests["static"], "clock": f"{rests['clock']}; {rests['register']}"}
    known["blocks"] = rests["block"]
    result = [
        EnergyPart(name, figure, known.get(name, wires))
        for name, figure in energy.parts.items()
        if name != "memories"
    ]
    for memory in found.memories:
        picojoules = (memory.accesses / found.activity.images) * model.memory[memory.kind]
        name = f"{memory.component}, {_MEMORIES[memory.kind]}"
        result.append(EnergyPart(name, 1e-6 * picojoules, rests[memory.kind]))
    there = (part for part in result if part.microjoules.value)
    return sorted(there, key=lambda part: -part.microjoules.value)


def total(each: Sequence[EnergyPart]) -> Ranged:
    """Return all parts together: low and high where all err in the same direction."""
    return sum((part.microjoules for part in each), Ranged(0, 0, 0))
