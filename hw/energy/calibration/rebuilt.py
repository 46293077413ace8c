"""The measured designs, built and routed again, and what toggles in them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from amaranth.lib import wiring

from ...synth.targets import target
from ...tools.rtlil import convert
from ...tools.store import Store
from ..delays import read_delays
from ..events import EventSimulator
from ..model import charged
from ..placed import Placed, place
from ..routed import ZERO, RoutedCells, read_routed
from ..wires import net_wires
from .designs import Counted, Multiplied, MultiplyAccumulate
from .measured import MeasuredCurrent

__all__ = ["NOTHING_DOES", "Observed", "mean", "observe", "rebuild"]

SEEDS = (1, 2, 3, 4, 5)
WARM_UP = 64  # cycles that are not counted
AIM = 12e6  # Hz: slow enough for all, so that nothing is placed for speed


@dataclass(frozen=True)
class Observed:
    """What a placement of a design does, a cycle on average.

    Attributes
    ----------
    seed, cells, registers : int
        Of the placer; logic cells, and those of them with a register.
    charged : dict of str to float
        Wires that change, by kind, glitches and all.
    total, settled : float
        Toggles of all nets, and those that last.
    products : float
        Blocks of which an input changes.
    reads : float
        Words that block RAM reads.
    latest : int
        Picoseconds after an edge until everything rests.
    """

    seed: int
    cells: int
    registers: int
    charged: dict[str, float]
    total: float
    settled: float
    products: float
    reads: float
    latest: int


def rebuild(measurement: MeasuredCurrent) -> tuple[wiring.Component, bool] | None:
    """Return a measured design, and whether synthesis looks for blocks; None for no design."""
    makers: dict[str, Callable[[], tuple[wiring.Component, bool] | None]] = {
        "nothing": lambda: None,
        "counter": lambda: (Counted(measurement.width), False),
        "product": lambda: (Multiplied(), measurement.block),
        "multiply-accumulate": lambda: (MultiplyAccumulate(), False),
    }
    return makers[measurement.design]()


def observe(
    component: wiring.Component,
    *,
    dsp: bool = False,
    seeds: Sequence[int] = SEEDS,
    cycles: int = 4096,
    on: str = "up5k",
    store: Store | None = None,
) -> list[Observed]:
    """Place a design once a seed, and simulate it with its delays from its start; inputs are 0.

    Raises
    ------
    ToolError
        Where a tool fails, and for what has no model.
    FitError
        Where the design does not fit.
    """
    text, device = convert(component, platform=target(on)), target(on)
    placements = (
        place(text, device, seed=seed, dsp=dsp, frequency=AIM, store=store) for seed in seeds
    )
    return [_observed(each, seed, cycles) for each, seed in zip(placements, seeds, strict=True)]


def _observed(placed: Placed, seed: int, cycles: int) -> Observed:
    routed = read_routed(json.loads(placed.text), read_delays(placed.sdf))
    simulator = EventSimulator(routed)
    still = np.zeros((cycles, len(simulator.inputs)), np.uint8)
    simulator.run(still[:WARM_UP])
    simulator.count_from_here()
    watched = [pin.node for block in routed.blocks for pin in block.pins]
    seen = simulator.run(still, watch=watched)
    toggles = simulator.toggles()
    by_name = toggles.by_name()
    totals = {name: by_name[name][0] for name in routed.nets}
    changes = charged(totals, net_wires(placed.text))
    return Observed(
        seed=seed,
        cells=placed.report["utilization"]["ICESTORM_LC"]["used"],
        registers=len(routed.registers),
        charged={kind: number / cycles for kind, number in changes.items() if number},
        total=float(toggles.total.sum() / cycles),
        settled=float(toggles.settled.sum() / cycles),
        products=_changes(routed, seen) / cycles,
        reads=float(sum(memory.read[11] != ZERO for memory in routed.memories)),
        latest=toggles.latest,
    )


def _changes(routed: RoutedCells, seen: np.ndarray) -> int:
    """Return in how many cycles a block got another input, over all blocks."""
    if not routed.blocks:
        return 0
    pins = seen.reshape(len(seen), len(routed.blocks), -1)
    return int((pins[1:] != pins[:-1]).any(axis=2).sum())


def mean(observed: Sequence[Observed]) -> dict[str, Any]:
    """Return the mean of placements: of each number, and of each kind of wire."""
    rows = [asdict(each) for each in observed]
    kinds = sorted({kind for row in rows for kind in row["charged"]})
    made = {name: float(np.mean([row[name] for row in rows])) for name in _NUMBERS}
    wires = {k: float(np.mean([row["charged"].get(k, 0) for row in rows])) for k in kinds}
    return {**made, "charged": wires}


_NUMBERS = ("cells", "registers", "total", "settled", "products", "reads", "latest")
NOTHING_DOES: Mapping[str, Any] = {**dict.fromkeys(_NUMBERS, 0.0), "charged": {}}
"""What a device does that is configured and empty."""
