"""A design mapped, placed and routed, with all that its tools tell of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from amaranth.lib import wiring

from ..synth.measure import map_design, route_design
from ..synth.targets import Target
from ..tools.store import Store

__all__ = ["Placed", "place"]


@dataclass(frozen=True)
class Placed:
    """A placed and routed design.

    Attributes
    ----------
    target : Target
    netlist : str
        The mapped netlist, with contents of memories, in Yosys's JSON.
    text : str
        nextpnr's JSON (``--write``): cells with their places, nets with their wires.
    sdf : str
        nextpnr's delays.
    report : mapping
        nextpnr's report.
    """

    target: Target = field(repr=False)
    netlist: str = field(repr=False)
    text: str = field(repr=False)
    sdf: str = field(repr=False)
    report: Mapping[str, Any] = field(repr=False, hash=False)

    @property
    def fmax(self) -> float:
        """Highest frequency in Hz of its slowest clock; 0 where nothing is clocked."""
        clocks = [clock["achieved"] for clock in self.report["fmax"].values()]
        return 1e6 * min(clocks, default=0.0)


def place(
    design: wiring.Component | str,
    on: Target,
    *,
    seed: int = 1,
    dsp: bool = False,
    frequency: float | None = None,
    store: Store | None = None,
) -> Placed:
    """Map, place and route a design once: as `synth.measure.measure` does with this seed.

    Parameters
    ----------
    design : wiring.Component or str
        A component, whose ports become pins, or RTLIL.
    on : Target
    seed : int
        Of the placer.
    dsp : bool
        Let Yosys infer DSP blocks.
    frequency : float, optional
        Clock to aim for, in Hz.
    store : Store, optional
        Where steps are looked up and kept; `Store()` by default.

    Raises
    ------
    FitError
        With numbers, where the design needs more than the target has; with the tool's reason, where
        it was not routed. It is kept, too.
    ToolError
        Where a tool is missing or fails; for a target that nothing routes.
    """
    netlist = map_design(design, on, dsp=dsp, store=store)
    routed = route_design(netlist, on, seed=seed, frequency=frequency, store=store)
    return Placed(on, netlist.text, routed.text, routed.sdf, routed.report)
