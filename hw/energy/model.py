"""What a design that is placed and routed on a UP5K takes, from what toggles in it.

::

    energy = static power x time + cycles x (clock + registers x register)
           + for each net: settled toggles x glitches x length of its wires x wire
           + accesses of memories x memory + products in multiplier blocks x block

The length of a wire is that of what it spans, in tiles: 1 of a local wire or one to a neighbour, 4
and 12 of the spans, an eighth of a carry. Global nets are charged like the clock, a net of the same
kind, whose energy is that of two changes. All coefficients stand in ``coefficients.json`` with the
range that they may have and what they rest on; `calibration` makes it.

Two designs of the same device share these coefficients, so that the ratio of their energies is far
better known than either.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ToolError
from .wires import Wires

__all__ = ["LENGTHS", "Energy", "EnergyModel", "Ranged", "Workload", "charged"]

COEFFICIENTS = Path(__file__).with_name("coefficients.json")
LENGTHS: Mapping[str, float] = {
    "local": 1.0,
    "neighbour": 1.0,
    "span4": 4.0,
    "span12": 12.0,
    "carry": 0.125,
}
"""Tiles that a wire of each kind spans."""


@dataclass(frozen=True)
class Ranged:
    """A number, and the range in which it may be.

    >>> Ranged(2, 1, 4) + 3 * Ranged(1, 0.5, 2)
    Ranged(value=5, low=2.5, high=10)
    """

    value: float
    low: float
    high: float

    def __add__(self, other: "Ranged") -> "Ranged":
        return Ranged(self.value + other.value, self.low + other.low, self.high + other.high)

    def __rmul__(self, factor: float) -> "Ranged":
        return Ranged(factor * self.value, factor * self.low, factor * self.high)

    def times(self, other: "Ranged") -> "Ranged":
        """Return the product of two figures that are not negative."""
        return Ranged(self.value * other.value, self.low * other.low, self.high * other.high)


NOTHING = Ranged(0, 0, 0)


def charged(toggles: Mapping[str, int], wires: Mapping[str, Wires]) -> dict[str, int]:
    """Return how many wires of each kind nets charge and discharge: toggles times wires.

    Parameters
    ----------
    toggles : mapping of str to int
        Of nets, by name.
    wires : mapping of str to Wires
        Of all of these nets.

    >>> charged({"a": 3, "b": 1}, {"a": Wires(local=2), "b": Wires(local=1, span4=1)})
    {'local': 7, 'neighbour': 0, 'span4': 1, 'span12': 0, 'global_': 0, 'carry': 0}
    """
    kinds = [field.name for field in fields(Wires)]
    return {
        kind: sum(count * getattr(wires[name], kind) for name, count in toggles.items())
        for kind in kinds
    }


@dataclass(frozen=True)
class Workload:
    """What a design did in some cycles.

    Attributes
    ----------
    cycles, images : int
        How long, and for what.
    registers : int
        Of the whole design.
    charged : mapping of str to mapping of str to float
        By component: wires of each kind that were charged or discharged, as `charged` gives them.
    glitches : mapping of str to Ranged
        By component: changes for each that lasts; `EnergyModel.glitches_of` the weights where
        there is none. 1 where toggles were counted with delays.
    accesses : mapping of str to float
        Reads and writes of ``bram`` and ``spram``, of 16 bits each.
    products : float
        Cycles in which an input of a multiplier block changed, over all blocks.
    weights : str
        Format of the weights, where it is known.
    """

    cycles: int
    images: int
    registers: int
    charged: Mapping[str, Mapping[str, float]]
    glitches: Mapping[str, Ranged]
    accesses: Mapping[str, float]
    products: float = 0
    weights: str = ""


@dataclass(frozen=True)
class Energy:
    """What an image takes.

    Attributes
    ----------
    parts : dict of str to Ranged
        Microjoules an image: ``static``, ``clock``, ``memories``, ``blocks`` and each component.
    frequency : float
        Hz.
    seconds : float
        That an image takes.
    """

    parts: dict[str, Ranged]
    frequency: float
    seconds: float

    @property
    def microjoules(self) -> Ranged:
        """All parts together: low and high where all coefficients err in the same direction."""
        return sum(self.parts.values(), NOTHING)

    @property
    def milliwatts(self) -> Ranged:
        """The power while images are computed."""
        return (1e-3 / self.seconds) * self.microjoules

    def ratio(self, other: "Energy") -> float:
        """Return how many times what another design takes this one does."""
        return self.microjoules.value / other.microjoules.value


@dataclass(frozen=True)
class EnergyModel:
    """The coefficients of a device.

    Attributes
    ----------
    target : str
    static : Ranged
        Milliwatts.
    clock, register, wire, block : Ranged
        Picojoules: of the clock a cycle, of a register a cycle, of a change on a tile's length of
        wire, of a product in a block.
    memory : dict of str to Ranged
        Picojoules an access of ``bram`` and ``spram``.
    glitches : Ranged
        Changes for each that lasts, by the length of wires, where a design's own were not measured.
    glitches_by : dict of str to Ranged
        The same of designs whose weights have a format.
    lengths : mapping of str to float
        Of wires, in tiles.
    rests_on : dict of str to str
        What each of them rests on.
    """

    target: str
    static: Ranged
    clock: Ranged
    register: Ranged
    wire: Ranged
    block: Ranged
    memory: dict[str, Ranged]
    glitches: Ranged
    glitches_by: dict[str, Ranged]
    lengths: Mapping[str, float]
    rests_on: dict[str, str]

    @classmethod
    def of(cls, target: str) -> "EnergyModel":
        """Return the model of a target.

        Raises
        ------
        ToolError
            For a target of which nobody has published measurements that were fitted.
        """
        known = _kept()
        if target not in known:
            raise ToolError(
                f"there is no energy model of {target}: measurements were fitted of "
                f"{', '.join(known)} only; for others there are toggles, as relative units"
            )
        return cls.read(target, known[target])

    @classmethod
    def read(cls, target: str, kept: Mapping[str, Any]) -> "EnergyModel":
        """Return the model that ``coefficients.json`` has under ``target``."""

        def figure(entry: Mapping[str, Any]) -> Ranged:
            return Ranged(entry["value"], entry["low"], entry["high"])

        names = "static", "clock", "register", "wire", "block", "glitches"
        plain = {name: figure(kept[name]) for name in names}
        memory = {name: figure(kept[name]) for name in ("bram", "spram")}
        rests_on = {name: kept[name]["rests_on"] for name in (*names, *memory)}
        by = {name: figure(entry) for name, entry in kept["glitches"]["of"].items()}
        return cls(
            target,
            **plain,
            memory=memory,
            glitches_by=by,
            lengths=LENGTHS,
            rests_on=rests_on,
        )

    def glitches_of(self, weights: str) -> Ranged:
        """Return the factor of designs with such weights, or that of all where none was measured.

        >>> model = EnergyModel.of("up5k")
        >>> model.glitches_of("float8_23") == model.glitches
        True
        """
        return self.glitches_by.get(weights, self.glitches)

    def energy(self, work: Workload, frequency: float) -> Energy:
        """Return what an image takes at a clock of ``frequency`` Hz.

        Raises
        ------
        ValueError
            For a frequency, or numbers of cycles and images, that are not positive.
        """
        if min(frequency, work.cycles, work.images) <= 0:
            raise ValueError(
                "frequency, cycles and images are positive, not "
                f"{frequency:g}, {work.cycles} and {work.images}"
            )
        seconds, an_image = work.cycles / frequency / work.images, 1e-6 / work.images
        clocked = self.clock + work.registers * self.register
        accesses = ((number * self.memory[name]) for name, number in work.accesses.items())
        parts = {
            "static": (1e3 * seconds) * self.static,
            "clock": (an_image * work.cycles) * clocked,
            "memories": an_image * sum(accesses, NOTHING),
            "blocks": (an_image * work.products) * self.block,
        }
        for name, kinds in work.charged.items():
            changes = work.glitches.get(name) or self.glitches_of(work.weights)
            parts[name] = an_image * (self.of_wires(kinds).times(changes) + self.of_global(kinds))
        return Energy(parts, frequency, seconds)

    def of_wires(self, kinds: Mapping[str, float]) -> Ranged:
        """Return picojoules of wires that change, by kind; without glitches and global nets."""
        length = sum(self.lengths[kind] * kinds.get(kind, 0) for kind in self.lengths)
        return length * self.wire

    def of_global(self, kinds: Mapping[str, float]) -> Ranged:
        """Return picojoules of global nets that change; the factors of glitches know none."""
        return kinds.get("global_", 0) * Ranged(self.clock.value / 2, 0, self.clock.high / 2)

    def disagreement(self, works: Iterable[tuple[Workload, float, float]]) -> float:
        """Return the largest miss of powers that were measured, as a share of them.

        Parameters
        ----------
        works : iterable of (Workload, float, float)
            What a design did, its frequency in Hz, and the milliwatts that were measured.
        """
        return max(
            abs(self.energy(work, frequency).milliwatts.value / measured - 1)
            for work, frequency, measured in works
        )


@cache
def _kept() -> dict[str, Any]:
    content = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    return content["targets"]
