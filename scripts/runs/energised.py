"""Columns of a result row that tell the energy of an image, kept in the result store."""

from dataclasses import asdict

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.energy.model import EnergyModel
from ...hw.errors import ToolError
from ...hw.network.file import to_bytes
from ...hw.synth.measure import tool_versions
from ...hw.synth.targets import Target
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store
from ..rows.row import Energised
from ..terminal.progress import Reporter
from .energies import MEASURED, count_charges, parts, total

__all__ = ["check_measured", "energised"]


def check_measured(device: Target) -> None:
    """Refuse targets that have no coefficients, so no unit of energy.

    Raises
    ------
    ToolError
        With those that have some.
    """
    if device.name not in MEASURED:
        raise ToolError(
            f"there is no energy in microjoules on {device.name}, of which no measurements were "
            f"fitted; there is on {', '.join(MEASURED)}"
        )


def energised(
    accelerator: Accelerator,
    device: Target,
    images: np.ndarray,
    store: Store,
    *,
    seed: int,
    reporter: Reporter | None = None,
    text: str,
) -> Energised:
    """Return what an image takes at the clock that a placement reaches.

    Parameters
    ----------
    images : int array
        Input levels of the images that toggle it.
    seed : int
        Of the placement.
    text : str
        What it is called in progress.

    Raises
    ------
    NarrowgaugeError
        As `energies.count_charges` does.
    """
    program = accelerator.program
    given = {
        "network": to_bytes(program.network),
        "geometry": [str(program.geometry), *vars(program.geometry).values()],
        "groups": [program.contexts, program.batch],
        "implementation": repr(accelerator.implementation),
        "images": images.tobytes(),
        "target": [device.name, seed],
        "tools": tool_versions(device),
        "model": repr(EnergyModel.of(device.name)),
        "sources": source_digest(count_charges),
    }

    def compute() -> dict[str, object]:
        asked = {"seed": seed, "store": store, "reporter": reporter, "text": text}
        found = count_charges(accelerator, device, images, **asked)
        frequency = found.placed.fmax
        each = parts(found, frequency)
        whole, seconds = total(each), found.cycles / found.activity.images / frequency
        columns = Energised(
            energy_uj=whole.value,
            energy_uj_low=whole.low,
            energy_uj_high=whole.high,
            power_mw=1e-3 * whole.value / seconds,
            energy_mhz=frequency / 1e6,
            energy_parts={part.name: part.microjoules.value for part in each},
        )
        return asdict(columns)

    return Energised(**store.compute("energised", given, compute))
