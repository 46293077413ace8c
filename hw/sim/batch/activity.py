"""Counts the toggles of every net of an accelerator, over images; in RTL and in mapped netlists.

Counted are values that have settled, once a cycle: glitches are not among them.
"""

import ctypes
import json
import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from amaranth.lib import data

from ...accelerator.top import Accelerator
from ...errors import MismatchError, ToolError
from ...tools.programs import STOP, check_interrupt
from ...tools.rtlil import convert, uncollected
from .gates import ONE
from .lanes import Share, equal_shares
from .lowering import lower
from .native import Native, widest
from .netlist import GateNetlist, read_netlist
from .plan import Plan, make_plan

__all__ = ["Activity", "NetActivity", "count_toggles"]

IDLE_LIMIT = 100_000
_OUTPUTS = ("i__ready", "o__valid", "o__payload")
TOP = "accelerator"
"""The component of what belongs to no module inside the accelerator."""


@dataclass(frozen=True)
class NetActivity:
    """Toggles of a wire: of all its bits on which something depends, over all images."""

    name: str
    module: str
    bits: int
    toggles: int


@dataclass(frozen=True)
class Activity:
    """Toggles of nets and components, over images.

    Attributes
    ----------
    images, cycles : int
        Images, and cycles of all of them: where images run side by side, each counts its own.
    registers : int
        Flip-flops.
    nets : tuple of NetActivity
        Wires that have a name in the design.
    components : dict of str to int
        Toggles of each module directly inside the accelerator, of all nets in it and of the gates
        that have no name and lead into it; of ``clock``, two a cycle at each flip-flop.
    """

    images: int
    cycles: int
    registers: int
    nets: tuple[NetActivity, ...]
    components: dict[str, int]

    def row(self) -> dict[str, object]:
        """Return it as plain data."""
        total = sum(self.components.values())
        return {
            "images": self.images,
            "cycles": self.cycles,
            "registers": self.registers,
            "toggles": total,
            "components": [
                {"component": name, "toggles": toggles, "a_cycle": toggles / self.cycles}
                for name, toggles in sorted(self.components.items(), key=lambda each: -each[1])
            ],
            "nets": [vars(net) for net in self.nets],
        }


def count_toggles(
    accelerator: Accelerator,
    codes: np.ndarray,
    levels: np.ndarray,
    *,
    netlist: str = "",
    family: str = "",
) -> Activity:
    """Run images through an accelerator, as many side by side as it takes, and count.

    Parameters
    ----------
    accelerator : Accelerator
    codes : int array
        Of all images, as `Stimulus.codes` gives them.
    levels : int64 array of shape (images, outputs)
        What comes out.
    netlist : str
        The mapped netlist of the accelerator, without its trace, in Yosys's JSON; of its RTL
        otherwise.
    family : str
        Whose cells the netlist has.

    Raises
    ------
    MismatchError
        Where other levels come out.
    ToolError
        Without Yosys or a C++ compiler; for weights that are loaded.
    """
    if accelerator.loads_weights:
        raise ToolError("toggles are counted where weights are part of the design")
    text = convert(accelerator, share=False)
    modules = set(re.findall(r"^module \\top\.(\w+)$", text, re.MULTILINE))
    with uncollected():
        found = read_netlist(lower(netlist, "json", family) if netlist else lower(text))
        if netlist:  # without the names inside models of cells
            own = json.loads(netlist)["modules"]["top"]["netnames"]
            wires = {name: wire for name, wire in found.wires.items() if name in own}
            found = replace(found, wires=wires)
    counter = _Counter(accelerator, found, modules)
    return counter.run(codes.reshape(len(levels), -1), levels)


class _Counter:
    """A design of which every net is kept, and its streams."""

    def __init__(self, accelerator: Accelerator, netlist: GateNetlist, modules: set[str]):
        self.accelerator, self.modules = accelerator, modules
        ports = netlist.ports
        outputs = [net for name in _OUTPUTS for net in ports[name]]
        self.netlist = netlist.live(outputs)
        self.plan: Plan = make_plan(self.netlist, outputs, None, whole=True)
        self.evaluator = Native(self.plan, widest())
        element, result = accelerator.i.payload.shape(), accelerator.o.payload.shape()

        def slots(port: str, layout: data.Layout, name: str) -> np.ndarray:
            field = layout[name]
            nets = ports[port][field.offset :][: field.width]
            return np.array([self.plan.slot[net] for net in nets], np.uint32)

        single = ("i_valid", "i_ready", "o_valid", "o_ready")
        fields = {
            "code": slots("i__payload", element, "code"),
            "level": slots("o__payload", result, "level"),
            "label": slots("o__payload", result, "label"),
        }
        self.widths = {name: len(each) for name, each in fields.items()}
        self.streams = {
            **fields,
            **{f"{name}_width": width for name, width in self.widths.items()},
            "i_last": int(slots("i__payload", element, "last")[0]),
            "o_last": int(slots("o__payload", result, "last")[0]),
            **{name: self.plan.slot[ports[f"{name[0]}_{name[1:]}"][0]] for name in single},
        }

    def run(self, codes: np.ndarray, levels: np.ndarray) -> Activity:
        """Count, in lanes that have equally many images."""
        toggles, cycles = np.zeros(self.plan.slots, np.uint64), 0
        batch = self.accelerator.program.batch
        for share in equal_shares(len(levels), self.evaluator.width, batch):
            images = slice(share.start, share.stop)
            cycles += self._pass(share, codes[images], levels[images], toggles)
        return self._activity(toggles.astype(np.int64), len(levels), cycles)

    def _pass(
        self, share: Share, codes: np.ndarray, levels: np.ndarray, toggles: np.ndarray
    ) -> int:
        """Add the toggles of a pass whose lanes are full; return the cycles of all its lanes."""
        program, width = self.accelerator.program, self.evaluator.width
        outputs, words, masks = program.network.outputs, width // 64, share.masks()
        raw, labels = (
            np.zeros((share.length * count, bits, words), np.uint64)
            for count, bits in (
                (outputs, self.widths["level"]),
                (len(program.network.ends), self.widths["label"]),
            )
        )
        job = {
            "codes": self.evaluator.pack(share, codes, self.widths["code"]),
            "masks": masks,
            "elements": share.length * program.network.inputs,
            "inputs": program.network.inputs,
            "images": share.length,
            "results": share.length * outputs,
            "ends": len(program.network.ends),
            "idle_limit": IDLE_LIMIT + program.cycles.longest_job,
            "work_limit": 1 << 62,
            "levels": raw,
            "labels": labels,
            "layer_cycles": np.zeros(1, np.uint64),
            "toggles": toggles,
            "counted": masks[-1],
            "stop": ctypes.addressof(STOP),
            "progress": np.zeros(1, np.uint64),
        }
        status, reply = self.evaluator.simulate(self.streams, job)
        check_interrupt()
        found = self.evaluator.unpack(raw).reshape(share.length, outputs, width)
        found = program.network.output.to_level(share.gather(found))
        if status or not np.array_equal(found, levels):
            raise MismatchError("the design whose toggles are counted gives other levels")
        return reply.cycles * share.lanes

    def _activity(self, toggles: np.ndarray, images: int, cycles: int) -> Activity:
        counts = {net: int(toggles[slot]) for net, slot in self.plan.slot.items()}
        components = Counter[str]()
        for net, component in _components(self.netlist, self.modules).items():
            components[component] += counts.get(net, 0)
        components["clock"] = 2 * cycles * len(self.netlist.registers)
        nets = []
        for name, wire in sorted(self.netlist.wires.items()):
            reached = [net for net in wire.nets if net in counts and net > ONE]
            if reached and not wire.hidden:
                module, _, short = _path(name).rpartition(".")
                total = sum(counts[net] for net in reached)
                nets.append(NetActivity(short, module, len(reached), total))
        return Activity(images, cycles, len(self.netlist.registers), tuple(nets), dict(components))


def _path(name: str) -> str:
    """Return a name with the modules inside the accelerator before it."""
    return name.removeprefix(f"{TOP}.")


def _component(name: str) -> str:
    """Return the first module that a name is in; empty where in none."""
    first, dot, _ = _path(re.sub(r"^\$flatten|\\", "", name)).partition(".")
    return first if dot else ""


def _components(netlist: GateNetlist, modules: set[str]) -> dict[int, str]:
    """Return the component of every net that something drives, one of ``modules``.

    A net with names is where the deepest of them is; one without leads into others.
    """
    driven = [net for op in netlist.operations for net in op.results]
    driven += [register.q for register in netlist.registers]
    driven += [net for memory in netlist.memories for port in memory.reads for net in port.data]
    found: dict[int, tuple[int, str]] = {}
    for name, wire in netlist.wires.items():
        component = _component(name)
        for net in wire.nets if component in modules else ():
            if net is not None:
                key = name.count("."), component
                found[net] = max(found.get(net, key), key)
    named = {net: component for net, (_, component) in found.items()}
    for memory in netlist.memories:
        for port in memory.reads:
            named.update(dict.fromkeys(port.data, _component(memory.name) or TOP))
    readers: dict[int, str] = {}  # where a net leads to
    for register in netlist.registers:
        for net in (register.d, register.enable):
            readers.setdefault(net, named.get(register.q, TOP))
    for memory in netlist.memories:
        nets = [n for port in memory.reads for n in (port.enable, *port.address)]
        nets += [n for port in memory.writes for n in (*port.enable, *port.address, *port.data)]
        for net in nets:
            readers.setdefault(net, _component(memory.name) or TOP)
    for op in reversed(netlist.operations):
        component = next((named[net] for net in op.results if net in named), "")
        component = component or next((readers[n] for n in op.results if n in readers), TOP)
        for net in op.results:
            named.setdefault(net, component)
        for net in op.operands:
            readers.setdefault(net, component)
    return {net: named.get(net, TOP) for net in driven}
