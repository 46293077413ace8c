"""Counts the toggles of every net of an accelerator, over images; in RTL and in mapped netlists.

Counted are values that have settled, once a cycle: glitches are not among them. Where weights are
loaded, counting begins when they are there.
"""

import ctypes
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from amaranth.lib import data

from ...accelerator.top import Accelerator
from ...errors import MismatchError
from ...tools.programs import STOP, check_interrupt
from ...tools.rtlil import convert, uncollected
from .gates import ONE, ZERO, Operation
from .lanes import Share, equal_shares
from .lowering import lower
from .native import Native, widest, width_for
from .netlist import GateNetlist, Register, read_netlist
from .plan import Plan, make_plan
from .simulate import packed_weights

__all__ = ["Activity", "BitActivity", "MemoryActivity", "NetActivity", "count_toggles"]

IDLE_LIMIT = 100_000
STILL = 1  # what the evaluator returns where nothing moved for so long
_BITS = "narrowgauge_bits"
_OUTPUTS = ("i__ready", "o__valid", "o__payload", "weights__ready", _BITS)
TOP = "accelerator"
"""The component of what belongs to no module inside the accelerator."""
INPUTS = "inputs"
"""The component of what comes from outside."""


@dataclass(frozen=True)
class NetActivity:
    """Toggles of a wire: of all its bits on which something depends, over all images."""

    name: str
    module: str
    bits: int
    toggles: int


@dataclass(frozen=True)
class BitActivity:
    """Toggles of a bit of a mapped netlist, over all images.

    Attributes
    ----------
    component : str
        As in `Activity.components`; `INPUTS` of what comes from outside.
    toggles : int
    """

    component: str
    toggles: int


@dataclass(frozen=True)
class MemoryActivity:
    """Cycles, over all images, in which a memory reads, and in which it writes: of all its ports.

    A memory whose read port has no enable reads in every cycle.
    """

    name: str
    component: str
    reads: int
    writes: int


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
    memories : tuple of MemoryActivity
    changes : dict of str to int
        Cycles in which a bit of each group changed that was asked for.
    bits : dict of int to BitActivity
        Of a mapped netlist, by the numbers of bits in its JSON: all but the clock.
    """

    images: int
    cycles: int
    registers: int
    nets: tuple[NetActivity, ...]
    components: dict[str, int]
    memories: tuple[MemoryActivity, ...] = ()
    changes: dict[str, int] = field(default_factory=dict)
    bits: dict[int, BitActivity] = field(default_factory=dict, repr=False)

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
    groups: Mapping[str, Iterable[int]] = MappingProxyType({}),
    lanes: int | None = None,
) -> Activity:
    """Run images through an accelerator, many side by side, and count.

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
    groups : mapping of str to iterable of int
        Bits of the netlist, by their numbers in its JSON, of which the cycles are counted in which
        any of a group changes.
    lanes : int, optional
        How many streams of images run side by side at most; as many as a vector of the processor
        has bits by default. Each fills and drains the accelerator.

    Raises
    ------
    MismatchError
        Where other levels come out.
    ToolError
        Without Yosys or a C++ compiler.
    """
    text = convert(accelerator, share=False)
    modules = set(re.findall(r"^module \\top\.(\w+)$", text, re.MULTILINE))
    with uncollected():
        if netlist:
            own, every, text = _with_bits(netlist)
            found = read_netlist(lower(text, "json", family))
            bits = dict(zip(every, found.ports[_BITS], strict=True))
            nets = {name: [bits[bit] for bit in each] for name, each in groups.items()}
            # without the names inside models of cells
            wires = {name: wire for name, wire in found.wires.items() if name in own}
            found = replace(found, wires=wires)
        else:
            found, bits, nets = read_netlist(lower(text)), {}, {}
    most = min(lanes or widest(), widest())
    counter = _Counter(accelerator, found, modules, bits, nets, most)
    return counter.run(codes.reshape(len(levels), -1), levels)


def _with_bits(netlist: str) -> tuple[set[str], list[int], str]:
    """Return the names of a netlist's wires, the bits that something drives, and it with a port.

    The port has all of these bits, so that Yosys leaves them, whatever depends on them.
    """
    found = json.loads(netlist)
    top = found["modules"]["top"]
    names, ports = top["netnames"], top["ports"]
    driven = {
        bit for port in ports.values() for bit in port["bits"] if port["direction"] == "input"
    }
    for cell in top["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                driven.update(bits)
    every = sorted(driven.difference(ports["clk"]["bits"]))
    ports[_BITS] = {"direction": "output", "bits": every}
    own = set(names)
    names[_BITS] = {"hide_name": 0, "bits": every, "attributes": {}}
    return own, every, json.dumps(found)


class _Counter:
    """A design of which every net is kept, and its streams."""

    def __init__(
        self,
        accelerator: Accelerator,
        netlist: GateNetlist,
        modules: set[str],
        bits: dict[int, int],
        groups: dict[str, list[int]],
        lanes: int,
    ):
        self.accelerator, self.modules, self.bits = accelerator, modules, bits
        ports = netlist.ports
        outputs = [net for name in _OUTPUTS for net in ports.get(name, ())]
        self.netlist = netlist.live(outputs)
        watched, self.accesses = _with_accesses(self.netlist)
        watched, self.changes = _with_changes(watched, groups)
        self.plan: Plan = make_plan(watched, outputs, None, whole=True)
        self.lanes, self.evaluator = lanes, Native(self.plan, width_for(lanes))
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
            **self._loading(ports),
            "i_last": int(slots("i__payload", element, "last")[0]),
            "o_last": int(slots("o__payload", result, "last")[0]),
            **{name: self.plan.slot[ports[f"{name[0]}_{name[1:]}"][0]] for name in single},
        }

    def _loading(self, ports: dict[str, list[int]]) -> dict[str, Any]:
        """Return where the stream of weights is in the plan's state."""
        if not self.accelerator.loads_weights:
            return {}
        word = np.array([self.plan.slot[net] for net in ports["weights__payload"]], np.uint32)
        valid = self.plan.slot[ports["weights__valid"][0]]
        return {"weights": word, "weights_width": len(word), "weights_valid": valid}

    def run(self, codes: np.ndarray, levels: np.ndarray) -> Activity:
        """Count, in lanes that have equally many images."""
        toggles, cycles = np.zeros(self.plan.slots, np.uint64), 0
        highs = np.zeros(len(self.accesses) + len(self.changes), np.uint64)
        batch = self.accelerator.program.batch
        for equal in equal_shares(len(levels), self.lanes, batch):
            share = replace(equal, width=self.evaluator.width)
            images = slice(share.start, share.stop)
            cycles += self._pass(share, codes[images], levels[images], toggles, highs)
        return self._activity(toggles.astype(np.int64), highs.tolist(), len(levels), cycles)

    def _pass(
        self,
        share: Share,
        codes: np.ndarray,
        levels: np.ndarray,
        toggles: np.ndarray,
        highs: np.ndarray,
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
        weights = packed_weights(self.accelerator)
        nets = [*(access.enable for access in self.accesses), *self.changes.values()]
        watched = np.array([self.plan.slot[net] for net in nets], np.uint32)
        job = {
            "codes": self.evaluator.pack(share, codes, self.widths["code"]),
            "masks": masks,
            "elements": share.length * program.network.inputs,
            "inputs": program.network.inputs,
            "images": share.length,
            "results": share.length * outputs,
            "ends": len(program.network.ends),
            # without a trace nothing tells that an image is being computed
            "idle_limit": IDLE_LIMIT + program.cycles.all_jobs,
            "work_limit": 1 << 62,
            "levels": raw,
            "labels": labels,
            "layer_cycles": np.zeros(1, np.uint64),
            "toggles": toggles,
            "counted": masks[-1],
            "watched": watched,
            "watched_count": len(watched),
            "highs": highs,
            "weights": weights,
            "weight_words": len(weights),
            "stop": ctypes.addressof(STOP),
            "progress": np.zeros(1, np.uint64),
        }
        status, reply = self.evaluator.simulate(self.streams, job)
        check_interrupt()
        if status == STILL:
            raise MismatchError(
                f"the design whose toggles are counted stood still for {job['idle_limit']} cycles"
            )
        found = self.evaluator.unpack(raw).reshape(share.length, outputs, width)
        found = program.network.output.to_level(share.gather(found))
        if status or not np.array_equal(found, levels):
            raise MismatchError("the design whose toggles are counted gives other levels")
        return reply.cycles * share.lanes

    def _activity(
        self, toggles: np.ndarray, highs: list[int], images: int, cycles: int
    ) -> Activity:
        counts = {net: int(toggles[slot]) for net, slot in self.plan.slot.items()}
        components, owners = Counter[str](), _components(self.netlist, self.modules)
        for net, component in owners.items():
            components[component] += counts.get(net, 0)
        components["clock"] = 2 * cycles * len(self.netlist.registers)
        nets = []
        for name, wire in sorted(self.netlist.wires.items()):
            reached = [net for net in wire.nets if net in counts and net > ONE]
            if reached and not wire.hidden:
                module, _, short = _path(name).rpartition(".")
                total = sum(counts[net] for net in reached)
                nets.append(NetActivity(short, module, len(reached), total))
        return Activity(
            images=images,
            cycles=cycles,
            registers=len(self.netlist.registers),
            nets=tuple(nets),
            components=dict(components),
            memories=self._memories(highs[: len(self.accesses)]),
            changes=dict(zip(self.changes, highs[len(self.accesses) :], strict=True)),
            bits={
                bit: BitActivity(owners.get(net, INPUTS if net > ONE else TOP), counts[net])
                for bit, net in self.bits.items()
            },
        )

    def _memories(self, highs: list[int]) -> tuple[MemoryActivity, ...]:
        reads, writes = Counter[str](), Counter[str]()
        for access, cycles in zip(self.accesses, highs, strict=True):
            (writes if access.writes else reads)[access.memory] += cycles
        names = [memory.name for memory in self.netlist.memories]
        return tuple(
            MemoryActivity(name, _component(name) or TOP, reads[name], writes[name])
            for name in names
        )


class _Access(NamedTuple):
    """A port of a memory, and the net that is 1 where it reads or writes."""

    memory: str
    writes: bool
    enable: int


def _with_accesses(netlist: GateNetlist) -> tuple[GateNetlist, list[_Access]]:
    """Return a netlist in which each port of a memory has a net that is 1 where it is used."""
    operations, accesses, count = [*netlist.operations], [], netlist.count
    for memory in netlist.memories:
        accesses += [_Access(memory.name, False, port.enable) for port in memory.reads]
        for port in memory.writes:
            any_bit, count = _any(dict.fromkeys(port.enable), operations, count)
            accesses.append(_Access(memory.name, True, any_bit))
    return replace(netlist, operations=operations, count=count), accesses


def _with_changes(
    netlist: GateNetlist, groups: Mapping[str, Iterable[int]]
) -> tuple[GateNetlist, dict[str, int]]:
    """Return a netlist in which each group has a net that is 1 where a net of it has changed."""
    operations, registers, count = [*netlist.operations], [*netlist.registers], netlist.count
    there = netlist.inputs.union(_driven(netlist))
    changes, begun = {}, count  # no value comes before the first
    registers.append(Register(begun, ONE, ONE, 0))
    count += 1
    for name, nets in groups.items():
        changed = []
        for net in there.intersection(nets):
            registers.append(Register(count, net, ONE, 0))
            operations.append(Operation("XOR", (count, net), (count + 1,)))
            changed.append(count + 1)
            count += 2
        any_net, count = _any(changed or [ZERO], operations, count)
        operations.append(Operation("AND", (any_net, begun), (count,)))
        changes[name], count = count, count + 1
    netlist = replace(netlist, operations=operations, registers=registers, count=count)
    return netlist, changes


def _any(nets: Iterable[int], operations: list[Operation], count: int) -> tuple[int, int]:
    """Return the net of what is 1 where any of some is, and the number of nets that there are."""
    found, *others = nets
    for other in others:
        operations.append(Operation("OR", (found, other), (count,)))
        found, count = count, count + 1
    return found, count


def _path(name: str) -> str:
    """Return a name with the modules inside the accelerator before it."""
    return name.removeprefix(f"{TOP}.")


def _component(name: str) -> str:
    """Return the first module that a name is in; empty where in none."""
    first, dot, _ = _path(re.sub(r"^\$flatten|\\", "", name)).partition(".")
    return first if dot else ""


def _driven(netlist: GateNetlist) -> list[int]:
    """Return the nets that operations, registers and memories drive."""
    driven = [net for op in netlist.operations for net in op.results]
    driven += [register.q for register in netlist.registers]
    return driven + [n for memory in netlist.memories for port in memory.reads for n in port.data]


def _components(netlist: GateNetlist, modules: set[str]) -> dict[int, str]:
    """Return the component of every net that something drives, one of ``modules``.

    A net with names is where the deepest of them is; one without leads into others.
    """
    driven = _driven(netlist)
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
