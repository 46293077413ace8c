"""The points of a plan: one design on one target, which becomes one row."""

import threading
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

from ...hw.errors import GeometryError
from ...hw.mac.choice import multiplied
from ...hw.numbers.formats import Format
from ...hw.synth.measure import Measurement, measure
from ...hw.synth.shell import Shell
from ...hw.synth.targets import Target
from ...hw.synth.targets import target as find_target
from ...hw.tools.store import Store
from ..rows.row import Ended, Hardware, ResultRow

__all__ = ["BUILDING", "GEOMETRY", "Built", "Point", "check_blocks", "measured", "shape"]

BUILDING = threading.Lock()
"""Held while components are made and elaborated: Amaranth numbers its signals one process wide,
and two threads at once can give a number twice."""

GEOMETRY = ("rows", "columns", "lanes", "hop", "chains", "slice")
"""The fields that are an array's geometry, in the order of `Geometry`."""


@dataclass(frozen=True)
class Built:
    """A design as RTLIL, and the shell that is part of it."""

    text: str
    shell: Shell
    dsp: bool = False

    def measure(self, on: Target, seeds: int, store: Store, executor: Executor) -> Measurement:
        """Return what synthesis gives.

        Raises
        ------
        FitError, ToolError
            As `synth.measure.measure`.
        """
        return measure(
            self.text,
            on,
            seeds=range(1, seeds + 1),
            dsp=self.dsp,
            store=store,
            executor=executor,
            shell=self.shell,
        )


def measured(row: ResultRow, found: Measurement) -> ResultRow:
    """Return a row with what a measurement gives; seeds that failed are its failure."""
    return row | Hardware.of_measurement(found) | Ended.of_measurement(found)


def shape(sizes: Mapping[str, Any]) -> str:
    """Return the text of an array's geometry, also of one that cannot be."""
    usual = {"hop": 8, "chains": 1}
    unusual = [f"{name} {sizes[name]}" for name in sorted(usual) if sizes[name] != usual[name]]
    if (bits := sizes["slice"]) is not None:
        unusual.append(f"slices of {bits} bit{'s' * (bits > 1)}")
    return ", ".join(["{rows}x{columns}x{lanes}".format(**sizes), *unusual])


def check_blocks(weight: Format, device: Target) -> None:
    """Raise `GeometryError` where a device's DSP blocks have nothing to do."""
    if not multiplied(weight):
        raise GeometryError(f"{weight} weights are not multiplied, and need no blocks")
    if not device.budget.get("dsp"):
        raise GeometryError(f"{device.name} has no DSP blocks")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A design on a target.

    Parameters
    ----------
    target : str
        Name of the target.
    seeds : int
        Placements, with the seeds 1 to so many; with 0 it is mapped and packed.
    """

    target: str
    seeds: int

    @property
    def device(self) -> Target:
        """The target."""
        return find_target(self.target)

    @property
    def text(self) -> str:
        """Name of the point in progress and errors, without its target."""
        raise NotImplementedError

    @property
    def group(self) -> Any:
        """Key that points built from one design share."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise `FormatError`, `GeometryError` or `NetworkError` where there is no such design."""
        raise NotImplementedError

    def parts(self) -> dict[str, Any]:
        """Return what the point's result depends on beside sources and tools; see `store.key`."""
        return {"kind": type(self).__name__} | asdict(self)

    def made_by(self) -> tuple[type, ...]:
        """Return the classes whose code makes the result; what that can run is in its key, too."""
        return (type(self),)

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        raise NotImplementedError

    def build(self, store: Store) -> Any:
        """Return the design, for all points of the `group`.

        Raises
        ------
        NarrowgaugeError
            Where it cannot be built.
        """
        raise NotImplementedError

    def measure(self, built: Any, store: Store, executor: Executor) -> ResultRow:
        """Return the row with what is measured.

        Raises
        ------
        NarrowgaugeError
            As `build` and `synth.measure.measure`.
        """
        return measured(self.row(), built.measure(self.device, self.seeds, store, executor))
