"""A design as single-bit operations, registers and memories, read from Yosys's JSON."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import EngineRefusal
from .gates import ONE, ZERO, Gates, Operation

__all__ = [
    "FAULTS",
    "Fault",
    "GateNetlist",
    "Memory",
    "ReadPort",
    "Register",
    "Wire",
    "WritePort",
    "read_netlist",
]


@dataclass(frozen=True)
class Register:
    """A flip-flop: net ``q`` takes net ``d`` where net ``enable`` is 1, and begins as ``init``."""

    q: int
    d: int
    enable: int
    init: int


@dataclass(frozen=True)
class ReadPort:
    """Nets ``data`` take the word at ``address``, lowest bit first, where ``enable`` is 1."""

    enable: int
    address: tuple[int, ...]
    data: tuple[int, ...]


@dataclass(frozen=True)
class WritePort:
    """The word at ``address`` takes each bit of ``data`` whose bit of ``enable`` is 1."""

    enable: tuple[int, ...]
    address: tuple[int, ...]
    data: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Memory:
    """``init`` is a bool array of shape (depth, width); a read gives the word before a write."""

    name: str
    init: np.ndarray
    reads: tuple[ReadPort, ...]
    writes: tuple[WritePort, ...]


@dataclass(frozen=True)
class Wire:
    """A name that the design or Yosys gave, and its nets; None for bits that nothing needs."""

    hidden: bool
    nets: list[int | None]


@dataclass(eq=False)
class GateNetlist:
    """A design with one clock.

    Attributes
    ----------
    count : int
        Nets; 0 and 1 are the constants.
    operations : list of Operation
        Operands before their users, depth first.
    registers : list of Register
    memories : list of Memory
    ports : dict of str to list of int
        Nets of every port, lowest bit first.
    inputs : set of int
        Nets that come from outside.
    wires : dict of str to Wire
        By their names, with those of modules before them.
    masks : list of int
        Of each fault, the net that says in which lanes it is.
    active : int
        The net that is 1 where a fault changes the output of its gate.
    """

    count: int = 0
    operations: list[Operation] = field(default_factory=list)
    registers: list[Register] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    ports: dict[str, list[int]] = field(default_factory=dict)
    inputs: set[int] = field(default_factory=set)
    wires: dict[str, Wire] = field(default_factory=dict)
    masks: list[int] = field(default_factory=list)
    active: int = ZERO

    def name(self, net: int) -> str:
        """Return a name of a net: the shortest of those that the design gives it."""
        found = [
            (wire.hidden, len(name), name if len(wire.nets) == 1 else f"{name}[{index}]")
            for name, wire in self.wires.items()
            for index, each in enumerate(wire.nets)
            if each == net
        ]
        return min(found)[2] if found else f"net {net}"

    def operands(self) -> set[int]:
        """Return the nets on which operations, registers and memories depend."""
        found = {net for op in self.operations for net in op.operands}
        found.update(net for register in self.registers for net in (register.d, register.enable))
        for memory in self.memories:
            for read in memory.reads:
                found.update((read.enable, *read.address))
            for write in memory.writes:
                found.update((*write.enable, *write.address, *write.data))
        return found

    def live(self, roots: Iterable[int]) -> "GateNetlist":
        """Return what ``roots`` depend on, over any number of cycles; nets keep their numbers."""
        drivers = {result: op for op in self.operations for result in op.results}
        registers = {register.q: register for register in self.registers}
        words = {
            net: (memory, port)
            for memory in self.memories
            for port in memory.reads
            for net in port.data
        }
        seen = bytearray(self.count)
        pending = list(roots)
        kept: set[int] = set()  # memories, by identity
        while pending:
            net = pending.pop()
            if seen[net]:
                continue
            seen[net] = 1
            if net in drivers:
                pending += drivers[net].operands
            elif net in registers:
                pending += (registers[net].d, registers[net].enable)
            elif net in words:
                memory, port = words[net]
                pending += (port.enable, *port.address, *port.data)
                if id(memory) not in kept:
                    kept.add(id(memory))
                    for written in memory.writes:
                        pending += (*written.enable, *written.address, *written.data)
        return GateNetlist(
            self.count,
            [_needed(op, seen) for op in self.operations if any(seen[net] for net in op.results)],
            [register for register in self.registers if seen[register.q]],
            [
                replace(memory, reads=tuple(port for port in memory.reads if seen[port.data[0]]))
                for memory in self.memories
                if id(memory) in kept
            ],
            self.ports,
            self.inputs,
            self.wires,
            self.masks,
            self.active,
        )


def _needed(op: Operation, seen: bytearray) -> Operation:
    """Return an operation without the half of a full adder that nothing needs."""
    if op.kind != "ADD" or all(seen[net] for net in op.results):
        return op
    total, carry = op.results
    kind, result = ("XOR3", total) if seen[total] else ("MAJORITY", carry)
    return Operation(kind, op.operands, (result,))


@dataclass(frozen=True)
class Fault:
    """A single fault at the output of a gate.

    ``kind`` is one of `FAULTS`; ``entry`` that of the table whose output is flipped.
    """

    kind: str
    entry: int = 0

    def __str__(self) -> str:
        return f"entry {self.entry} flipped" if self.kind == FAULTS[3] else self.kind


FAULTS = ("stuck at 0", "stuck at 1", "inverted", "entry flipped")


def read_netlist(
    top: dict[str, Any], *, clock: str = "clk", faults: Sequence[tuple[str, Fault]] = ()
) -> GateNetlist:
    """Read a module of Yosys's JSON whose cells `lowering.lower` leaves.

    Parameters
    ----------
    top : dict
    clock : str
        The port.
    faults : sequence of pairs of str and Fault
        At which ``NARROWGAUGE_POINT`` there is which. The netlist's ``masks`` say in which lanes.

    Raises
    ------
    EngineRefusal
        For a combinational loop, another clock, a net that nothing drives, or a cell or a mode of
        one that is not understood; by name. The reset is never given: the input ``rst`` is 0.
    """
    return _Reader(top, clock, faults).read()


_GATES: dict[str, Callable[[Gates, dict[str, int]], int]] = {
    "$_NOT_": lambda g, p: g.invert(p["A"]),
    "$_BUF_": lambda g, p: p["A"],
    "$_AND_": lambda g, p: g.both(p["A"], p["B"]),
    "$_OR_": lambda g, p: g.either(p["A"], p["B"]),
    "$_NAND_": lambda g, p: g.invert(g.both(p["A"], p["B"])),
    "$_NOR_": lambda g, p: g.invert(g.either(p["A"], p["B"])),
    "$_ANDNOT_": lambda g, p: g.both(p["A"], g.invert(p["B"])),
    "$_ORNOT_": lambda g, p: g.either(p["A"], g.invert(p["B"])),
    "$_XOR_": lambda g, p: g.differ(p["A"], p["B"]),
    "$_XNOR_": lambda g, p: g.differ(p["A"], p["B"], True),
    "$_MUX_": lambda g, p: g.choose(p["S"], p["A"], p["B"]),
}
_ADDER, _TABLE, _POINT = "NARROWGAUGE_FA", "NARROWGAUGE_LUT", "NARROWGAUGE_POINT"
_REGISTERS = ("$_DFF_P_", "$_DFFE_PP_")
_REFUSED = "NARROWGAUGE_REFUSED"


def _refusal(name: str, parameters: dict[str, str]) -> EngineRefusal:
    """Return an error about a mode of a cell; ``A`` to ``F`` are those that have models."""
    mode, given, *allowed = (_value(parameters[key]) for key in ("MODE", "GIVEN", *"ABCDEF"))
    path = re.sub(r"\.genblk\d+", "", name.rpartition(".only_")[0])
    return EngineRefusal(
        f"{path}: {mode} is {given or 'empty'}; the batch engine has models of "
        f"{', '.join(dict.fromkeys(each or 'none' for each in allowed))}"
    )


def _value(parameter: str) -> str:
    """Return what a parameter in Yosys's JSON is: a text, or a number."""
    if set(parameter) - set("01"):
        return parameter.rstrip(" ")
    number = int(parameter or "0", 2)
    octets = number.to_bytes(-(-len(parameter) // 8), "big").lstrip(b"\0")
    return octets.decode() if octets.isalnum() and number > 255 else str(number)


class _Reader:
    """One reading: what is reached from the ports becomes nets, sources first."""

    def __init__(self, top: dict[str, Any], clock: str, faults: Sequence[tuple[str, Fault]]):
        self.top, self.gates = top, Gates()
        self.faults: dict[str, list[tuple[int, Fault]]] = defaultdict(list)
        for index, (point, fault) in enumerate(faults):
            self.faults[point].append((index, fault))
        self.masks = [self.gates.source() for _ in faults]
        self.active: list[int] = []
        self.nets: dict[Any, int] = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}
        (self.clock,) = top["ports"][clock]["bits"] if clock in top["ports"] else (None,)
        self.drivers: dict[int, tuple[str, str, int]] = {}
        for name, cell in top["cells"].items():
            if cell["type"] == _REFUSED:
                raise _refusal(name, cell["parameters"])
            for port, bits in cell["connections"].items():
                if cell["port_directions"].get(port) == "output":
                    for index, bit in enumerate(bits):
                        self.drivers[bit] = (name, port, index)
        self.pending: list[Callable[[], None]] = []  # what sources need, later
        self.registers: list[Register] = []
        self.memories: list[Memory] = []
        self.undriven: list[int] = []
        self.initial = {
            bit: int(value)
            for wire in top["netnames"].values()
            if "init" in wire.get("attributes", {})
            for bit, value in zip(wire["bits"], reversed(wire["attributes"]["init"]), strict=False)
            if value in "01"
        }

    def read(self) -> GateNetlist:
        """Return all that the ports reach."""
        ports = self.top["ports"]
        inputs = set()
        if ports.get("rst", {}).get("direction") == "input":
            self.nets.update(dict.fromkeys(ports["rst"]["bits"], ZERO))
        for name, port in ports.items():
            if port["direction"] == "input" and name != "rst":
                for bit in port["bits"]:
                    self.nets[bit] = self.gates.source()
                    inputs.add(self.nets[bit])
        for port in ports.values():
            for bit in port["bits"]:
                self.net(bit)
        while self.pending:
            self.pending.pop()()
        active = self.active or [ZERO]
        while len(active) > 1:  # as a tree, whose operations do not wait for each other
            pairs = zip(active[::2], active[1::2], strict=False)
            active = [self.gates.either(*pair) for pair in pairs] + active[len(active) & ~1 :]
        inputs.update(self.masks)
        netlist = GateNetlist(
            self.gates.count,
            self.gates.operations,
            self.registers,
            self.memories,
            {name: [self.nets[bit] for bit in port["bits"]] for name, port in ports.items()},
            inputs,
            self._wires(),
            masks=self.masks,
            active=active[0],
        )
        if self.undriven:
            self._check_undriven(netlist)
        return netlist

    def _check_undriven(self, netlist: GateNetlist) -> None:
        """Refuse nets without a driver on which outputs depend, now that all is simplified."""
        ports = self.top["ports"].items()
        outputs = [n for name, port in ports if port["direction"] == "output"
                   for n in netlist.ports[name]]  # fmt: skip
        read = set(outputs) | netlist.live(outputs).operands()
        for net in self.undriven:
            if net in read:
                raise EngineRefusal(
                    f"nothing drives {netlist.name(net)}, on which an output depends; the batch "
                    "engine simulates netlists in which something drives every such net"
                )

    def net(self, root: Any) -> int:
        """Return the net of a bit, with all operations that it needs."""
        stack, open_ = [root], set()
        while stack:
            bit = stack[-1]
            if bit in self.nets:
                stack.pop()
                continue
            needs = self._needs(bit)
            missing = [each for each in needs.values() if each not in self.nets]
            if not missing:
                self._settle(bit, {port: self.nets[each] for port, each in needs.items()})
            elif bit in open_:
                raise EngineRefusal(
                    f"the design has a combinational loop through {self._name(bit)}"
                )
            else:
                open_.add(bit)
                stack += missing
        return self.nets[root]

    def _wires(self) -> dict[str, Wire]:
        """Return the wires, with the nets of all bits that were reached."""
        return {
            name: Wire(bool(wire["hide_name"]), [self.nets.get(bit) for bit in wire["bits"]])
            for name, wire in self.top["netnames"].items()
        }

    def _name(self, bit: Any) -> str:
        self.nets[bit] = self.gates.source()
        return GateNetlist(wires=self._wires()).name(self.nets[bit])

    def _needs(self, bit: Any) -> dict[str, Any]:
        """Return the bits at the inputs of the gate that drives ``bit``; none of a source."""
        if bit not in self.drivers:
            return {}
        cell = self.top["cells"][self.drivers[bit][0]]
        if cell["type"] not in _GATES and cell["type"] not in (_ADDER, _TABLE, _POINT):
            return {}
        directions = cell["port_directions"]
        connections = cell["connections"].items()
        return {port: bits[0] for port, bits in connections if directions[port] == "input"}

    def _settle(self, bit: Any, operands: dict[str, int]) -> None:
        """Make the net of a bit whose operands are there."""
        if bit not in self.drivers:  # refused where something depends on it
            self.nets[bit] = self.gates.source()
            self.undriven.append(self.nets[bit])
            return
        name = self.drivers[bit][0]
        cell = self.top["cells"][name]
        kind, connections = cell["type"], cell["connections"]
        if kind in _GATES:
            self.nets[bit] = _GATES[kind](self.gates, operands)
        elif kind == _ADDER:
            results = self.gates.add(operands["A"], operands["B"], operands["C"])
            for port, net in zip(("S", "CO"), results, strict=True):
                for each in connections.get(port, ()):
                    self.nets.setdefault(each, net)
        elif kind == _TABLE:
            table = int(cell["parameters"]["TABLE"], 2)
            self.nets[bit] = self.gates.look_up(table, [operands[port] for port in "ABCD"])
        elif kind == _POINT:
            self.nets[bit] = self._point(name, operands)
        elif kind in _REGISTERS:
            self._check_clock(name, connections["C"])
            self.nets[bit] = self.gates.source()
            self.pending.append(lambda: self._register(bit, connections))
        elif kind == "$mem_v2":
            for each in connections["RD_DATA"]:
                self.nets[each] = self.gates.source()
            self.pending.append(lambda: self._memory(name, cell))
        else:
            raise EngineRefusal(f"the batch engine has no model of {name}, a {kind}")

    def _point(self, name: str, operands: dict[str, int]) -> int:
        """Return the net behind a point, at which there may be faults, each in its own lanes."""
        result, true, gates = operands["A"], operands["A"], self.gates
        for index, fault in self.faults.get(name, ()):
            active = mask = self.masks[index]
            if fault.kind == "stuck at 0":
                active = gates.both(true, mask)
                result = gates.both(result, gates.invert(mask))
            elif fault.kind == "stuck at 1":
                active = gates.both(gates.invert(true), mask)
                result = gates.either(result, mask)
            else:
                for place in range(4 if fault.kind == "entry flipped" else 0):
                    net = operands[f"I{place}"]
                    wanted = net if fault.entry >> place & 1 else gates.invert(net)
                    active = gates.both(active, wanted)
                result = gates.differ(result, active)
            self.active.append(active)
        return result

    def _check_clock(self, name: str, bits: list[Any]) -> None:
        if any(bit != self.clock for bit in bits):
            raise EngineRefusal(f"{name} has another clock; the batch engine simulates one")

    def _register(self, bit: Any, connections: dict[str, Any]) -> None:
        enable = self.net(connections["E"][0]) if "E" in connections else ONE
        d = self.net(connections["D"][0])
        self.registers.append(Register(self.nets[bit], d, enable, self.initial.get(bit, 0)))

    def _memory(self, name: str, cell: dict[str, Any]) -> None:
        number = {
            key: int(text.replace("x", "0") or "0", 2)
            for key, text in cell["parameters"].items()
            if key not in ("MEMID", "INIT")
        }
        bits = {
            key: [self.net(bit) for bit in value]
            for key, value in cell["connections"].items()
            if not key.endswith("CLK")
        }
        reads, writes = number["RD_PORTS"], number["WR_PORTS"]
        clocked = all(
            number[f"{kind}_{what}"] == (1 << count) - 1
            for kind, count in (("RD", reads), ("WR", writes))
            for what in ("CLK_ENABLE", "CLK_POLARITY")
        )
        plain = not (
            number["RD_TRANSPARENCY_MASK"] or number["RD_WIDE_CONTINUATION"]
            or number["WR_WIDE_CONTINUATION"] or number["RD_INIT_VALUE"]
            or any(bits["RD_ARST"]) or any(bits["RD_SRST"])
        )  # fmt: skip
        if not (clocked and plain):
            raise EngineRefusal(
                f"memory {name} has a port that the batch engine does not simulate; it simulates "
                "those on the rising edge that give the word before a write"
            )
        width, depth, wide = number["WIDTH"], number["SIZE"], number["ABITS"]
        clocks = cell["connections"]["RD_CLK"], cell["connections"]["WR_CLK"]
        enabled = [bits["RD_EN"][index] for index in range(reads)]
        written = [any(bits["WR_EN"][index * width :][:width]) for index in range(writes)]
        for clock, used in zip(clocks, (enabled, written), strict=True):
            used_clocks = [bit for bit, use in zip(clock, used, strict=False) if use != ZERO]
            self._check_clock(name, used_clocks)
        text = cell["parameters"]["INIT"].rjust(width * depth, "0")
        init = (np.frombuffer(text.encode(), np.uint8) == ord("1"))[::-1].reshape(depth, width)

        def part(key: str, index: int, size: int) -> tuple[int, ...]:
            return tuple(bits[key][index * size : (index + 1) * size])

        self.memories.append(
            Memory(
                name,
                init,
                tuple(
                    ReadPort(
                        bits["RD_EN"][index],
                        part("RD_ADDR", index, wide),
                        part("RD_DATA", index, width),
                    )
                    for index in range(reads)
                ),
                tuple(
                    WritePort(
                        part("WR_EN", index, width),
                        part("WR_ADDR", index, wide),
                        part("WR_DATA", index, width),
                    )
                    for index in range(writes)
                    if written[index]
                ),
            )
        )
