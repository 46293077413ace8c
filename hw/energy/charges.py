"""What toggles in an accelerator that is placed, and the wires that it charges: joined by net.

The netlist that is simulated is the one that was routed, without its `synth.shell.Shell`
(`unshelled`). nextpnr keeps the names of nets, and adds some of its own, which are followed to the
net whose value they carry. What has no toggles or no wires is kept apart, by the reason; a net that
is neither known nor nextpnr's is refused by name.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..accelerator.top import Accelerator
from ..errors import ToolError
from ..sim.batch.activity import Activity, count_toggles
from ..synth.build import infers_blocks
from ..synth.shell import Shell
from ..synth.targets import Target
from ..tools.store import Store
from .model import Workload
from .placed import Placed, place
from .unshelled import without_shell
from .wires import Wires, net_wires

__all__ = [
    "CONSTANT",
    "INSIDE",
    "OUTSIDE",
    "Accesses",
    "Charges",
    "NetCharge",
    "charges",
    "names_of_bits",
    "place_accelerator",
]

CONSTANT = "constants, the clock and the reset"
OUTSIDE = "the shell around it, which stands still"
INSIDE = "inside a cell, without a wire"

# what nextpnr calls nets: of pins, of those that it puts on global buffers
_GLOBAL = re.compile(r"_\$glb_(clk|ce|sr)$")
_PIN = re.compile(r"\$SB_IO_(IN|OUT)$")
_FIXED = re.compile(r"\$PACKER_(GND|VCC)(_NET)?|clk|rst")
# a cell that nextpnr puts before or behind a chain of carries hands a value on
_HANDS_ON = re.compile(r"(\$nextpnr_ICESTORM_LC_\d+)\$(O|I\d|COUT|CIN)")
_MODEL = ".memory.memory"  # of a memory in the model of its cell
_KINDS = {"SB_RAM40_4K": "bram", "SB_SPRAM256KA": "spram"}
_ROUNDS = 8  # times that a stream fills the accelerator: it idles once, at the end
_BLOCK, _BLOCK_INPUTS = "SB_MAC16", "ABCD"


@dataclass(frozen=True)
class NetCharge:
    """A net: settled toggles over all images, and the wires that each of them charges.

    Attributes
    ----------
    net : str
        As nextpnr calls it.
    component : str
        What it belongs to, as `Activity.components` has it.
    toggles : int
    wires : Wires
    """

    net: str
    component: str
    toggles: int
    wires: Wires


@dataclass(frozen=True)
class Accesses:
    """Reads and writes of the blocks of a memory over all images; ``bram`` or ``spram``.

    A block whose port has no enable reads in every cycle of a long stream.
    """

    component: str
    kind: str
    accesses: float


@dataclass(frozen=True)
class Charges:
    """What images charge in an accelerator that is placed.

    Attributes
    ----------
    placed : Placed
    activity : Activity
        Of the netlist that was placed, without its shell.
    nets : tuple of NetCharge
    apart : dict of str to tuple of str
        Nets that charge nothing that is counted here, by the reason.
    memories : tuple of Accesses
    products : int
        Cycles in which an input of a DSP block changed, over all blocks.
    weights : str
        Format of the network's weights.
    cycles : float
        Of all images in a long stream. Those of the simulation, which begins anew in each lane, are
        some more.
    """

    placed: Placed
    activity: Activity
    nets: tuple[NetCharge, ...]
    apart: dict[str, tuple[str, ...]]
    memories: tuple[Accesses, ...]
    products: int
    weights: str
    cycles: float

    def charged(self) -> dict[str, dict[str, int]]:
        """Return the wires of each kind that are charged or discharged, by component."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for net in self.nets:
            for kind, number in vars(net.wires).items():
                found[net.component][kind] += net.toggles * number
        return {component: dict(kinds) for component, kinds in found.items()}

    def work(self) -> Workload:
        """Return what an `EnergyModel` takes."""
        accesses: dict[str, float] = defaultdict(float)
        for memory in self.memories:
            accesses[memory.kind] += memory.accesses
        return Workload(
            cycles=round(self.cycles),
            images=self.activity.images,
            registers=self.activity.registers,
            charged=self.charged(),
            glitches={},
            accesses=accesses,
            products=self.products,
            weights=self.weights,
        )


def place_accelerator(
    accelerator: Accelerator, on: Target, *, seed: int = 1, store: Store | None = None
) -> tuple[Shell, Placed]:
    """Place an accelerator as `synth.build.cost` does: in a shell, which is returned too.

    Raises
    ------
    FitError, ToolError
        As `place`.
    """
    shell = Shell(accelerator)
    return shell, place(shell, on, seed=seed, dsp=infers_blocks(accelerator), store=store)


def charges(shell: Shell, placed: Placed, codes: np.ndarray, levels: np.ndarray) -> Charges:
    """Run images through an accelerator that is placed, and count what they charge.

    Parameters
    ----------
    shell, placed
        What `place_accelerator` gives.
    codes, levels : array
        Images and what comes out, as `count_toggles` takes them.

    Raises
    ------
    MismatchError
        Where other levels come out.
    ToolError
        Without a C++ compiler; for a net that has wires and no known name.
    """
    netlist = without_shell(placed.netlist, shell)
    top = json.loads(netlist)["modules"]["top"]
    activity = count_toggles(
        shell.component,
        codes,
        levels,
        netlist=netlist,
        family=placed.target.family.name,
        groups=_block_inputs(top["cells"]),
        lanes=max(1, len(levels) // (_ROUNDS * shell.component.program.images)),
    )
    nets, apart = _joined(placed, activity)
    cycles = shell.component.cycles.per_image * activity.images
    return Charges(
        placed=placed,
        activity=activity,
        nets=nets,
        apart=apart,
        memories=_memories(activity, top["cells"], cycles),
        products=sum(activity.changes.values()),
        weights=str(shell.component.program.operands.weight),
        cycles=cycles,
    )


def _block_inputs(cells: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the bits at the inputs of every DSP block, by its name."""
    return {
        name: [
            bit
            for port in _BLOCK_INPUTS
            for bit in cell["connections"].get(port, ())
            if isinstance(bit, int)
        ]
        for name, cell in cells.items()
        if cell["type"] == _BLOCK
    }


def _memories(activity: Activity, cells: Mapping[str, Any], cycles: float) -> tuple[Accesses, ...]:
    found: dict[tuple[str, str], float] = defaultdict(float)
    known = {memory.name.removesuffix(_MODEL) for memory in activity.memories}
    unknown = [name for name, cell in cells.items() if cell["type"] in _KINDS and name not in known]
    if unknown:
        raise ToolError(f"accesses of {unknown[0]} were not counted; it is a memory of the netlist")
    for memory in activity.memories:
        cell = cells.get(memory.name.removesuffix(_MODEL))
        if cell is None or cell["type"] not in _KINDS:
            raise ToolError(
                f"memory {memory.name} is in none of {', '.join(_KINDS)}, whose accesses are known"
            )
        always = memory.reads == activity.cycles
        reads = cycles if always else memory.reads
        found[memory.component, _KINDS[cell["type"]]] += reads + memory.writes
    return tuple(Accesses(*key, accesses) for key, accesses in sorted(found.items()))


def _joined(
    placed: Placed, activity: Activity
) -> tuple[tuple[NetCharge, ...], dict[str, tuple[str, ...]]]:
    """Return the nets of which toggles and wires are known, and the others by the reason."""
    names, wires = _Names(placed), net_wires(placed.text)
    nets, apart, seen = [], defaultdict(list), set()
    for name, taken in wires.items():
        bit = names.bit(name)
        if bit is None:
            apart[CONSTANT].append(name)
        elif bit not in activity.bits:
            apart[OUTSIDE].append(name)
        else:
            found = activity.bits[bit]
            nets.append(NetCharge(name, found.component, found.toggles, taken))
            seen.add(bit)
    apart[INSIDE] = [names.of(bit) for bit in activity.bits if bit not in seen]
    return tuple(nets), {reason: tuple(found) for reason, found in apart.items()}


def names_of_bits(netnames: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bits of a netlist by what nextpnr calls them.

    A bit has its number, but that of a wire of a single bit which is number 0.

    >>> wires = {"a": {"bits": [2, 3]}, "b": {"bits": [4]}, "c": {"bits": [5], "offset": 15}}
    >>> names_of_bits(wires)
    {'a[0]': 2, 'a[1]': 3, 'b': 4, 'c[15]': 5}
    """
    found = {}
    for name, wire in netnames.items():
        first = wire.get("offset", 0)
        numbered = len(wire["bits"]) > 1 or first
        for index, bit in enumerate(wire["bits"], first):
            found[f"{name}[{index}]" if numbered else name] = bit
    return found


class _Names:
    """Which bit of the netlist a routed net carries."""

    def __init__(self, placed: Placed):
        mapped = json.loads(placed.netlist)["modules"]["top"]
        routed = json.loads(placed.text)["modules"]["top"]
        self.bits = names_of_bits(mapped["netnames"])
        self.cells = routed["cells"]
        self.nets = {wire["bits"][0]: name for name, wire in routed["netnames"].items()}

    def of(self, bit: int) -> str:
        """Return a name of a bit of the netlist."""
        return next((name for name, each in self.bits.items() if each == bit), str(bit))

    def bit(self, net: str, followed: Sequence[str] = ()) -> int | None:
        """Return the bit that a net carries; None where it is constant, the clock or the reset.

        Raises
        ------
        ToolError
            For a net that is not known, by name.
        """
        plain = _PIN.sub("", _GLOBAL.sub("", net))
        if _FIXED.fullmatch(_PIN.sub("", plain)):
            return None
        found = self.bits.get(plain)
        if found is not None:
            return found if isinstance(found, int) else None
        cell = _HANDS_ON.fullmatch(net)
        if cell is not None and net not in followed:
            connections = self.cells[cell[1]]["connections"].values()
            others = {self.nets[bits[0]] for bits in connections if bits} - {net}
            for other in sorted(others - set(followed)):
                if not _FIXED.fullmatch(_PIN.sub("", _GLOBAL.sub("", other))):
                    return self.bit(other, (*followed, net))
            return None
        raise ToolError(f"nextpnr routed net {net}, which the mapped netlist does not have")
