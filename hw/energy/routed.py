"""A routed iCE40 design, read from nextpnr's JSON with its delays, as what the simulator evaluates.

Every net becomes a node, and so does the LUT output inside a logic cell whose register hides it.
A gate is a table of at most four inputs, with the delay of the wire to each and from each to its
output. Registers, memories and multiplier blocks change their outputs at the edge of the one clock.
What has no model is refused by name: other clocks, asynchronous resets, cells and modes of cells.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import EngineRefusal
from .delays import Delays

__all__ = [
    "MAJORITY",
    "ONE",
    "ZERO",
    "RoutedBlock",
    "RoutedCells",
    "RoutedGate",
    "RoutedMemory",
    "RoutedPin",
    "RoutedRegister",
    "read_routed",
]

ZERO, ONE = 0, 1
"""Nodes of the constants."""
BLOCK_DELAY = 8000
"""Picoseconds from an input of a multiplier block to its outputs: an assumption, no tool has it.

nextpnr times these blocks as if their outputs came from registers; the data sheet gives 50 MHz for
a whole product of 16x16 bits.
"""
MAJORITY = 0xE8E8
"""The table of a carry: bit i is the output for the inputs i, of which the first is the lowest."""
_BUFFER = 0xAAAA
_ABC = ("I0", "I1", "I2", "I3")
_CLOCKS = ("CLK", "RCLK", "WCLK")
_NO_CLOCK = "$PACKER_GND_NET"  # of a block without registers
_OPERANDS = tuple(f"{name}_{bit}" for name in "ABCD" for bit in range(16))
_CONTROLS = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT"),
    *("OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CE"),
)
_CHAINED = ("CI", "ACCUMCI", "SIGNEXTIN", "CO", "ACCUMCO", "SIGNEXTOUT")
_MODES = (
    *("C_REG", "A_REG", "B_REG", "D_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG"),
    *("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2", "TOPOUTPUT_SELECT"),
    *("TOPADDSUB_LOWERINPUT", "TOPADDSUB_UPPERINPUT", "TOPADDSUB_CARRYSELECT"),
    *("BOTOUTPUT_SELECT", "BOTADDSUB_LOWERINPUT", "BOTADDSUB_UPPERINPUT"),
    *("BOTADDSUB_CARRYSELECT", "MODE_8x8", "A_SIGNED", "B_SIGNED"),
)
_IGNORED = ("ICESTORM_HFOSC", "ICESTORM_LFOSC")  # nothing but clocks come out of them


class RoutedPin(NamedTuple):
    """An input: the node at it, and picoseconds of the wire and from there to the output."""

    node: int
    wire: int = 0
    cell: int = 0


class RoutedGate(NamedTuple):
    """A table of up to four inputs."""

    output: int
    table: int
    pins: tuple[RoutedPin, ...]


class RoutedRegister(NamedTuple):
    """At an edge with ``enable``, node ``q`` takes ``d``, or ``set_value`` where ``reset`` is 1."""

    q: int
    d: int
    enable: int
    reset: int
    set_value: int
    delay: int


class RoutedMemory(NamedTuple):
    """A block RAM; nodes of its pins, lowest bit first, and 256 words of 16 bits."""

    read_mode: int
    write_mode: int
    read: tuple[int, ...]  # RADDR 0 to 10, RE, RCLKE
    write: tuple[int, ...]  # WADDR 0 to 10, WDATA 0 to 15, MASK 0 to 15, WE, WCLKE
    data: tuple[int, ...]
    words: tuple[int, ...]
    delay: int


class RoutedBlock(NamedTuple):
    """A multiplier block; pins in the order A, B, C, D, controls, and its modes by name."""

    modes: tuple[int, ...]
    pins: tuple[RoutedPin, ...]
    outputs: tuple[int, ...]
    delay: int
    from_clock: int


@dataclass
class RoutedCells:
    """A routed design with one clock.

    Attributes
    ----------
    names : list of str
        Of each node: the net, or ``CELL/lut`` of a LUT that feeds nothing but its own register.
    nets : dict of str to int
        The nodes that are nets; the clock's are not among them.
    inputs, outputs : dict of str to int
        Nodes of the pads, by the port's bit: ``i``, ``i[0]``.
    gates, registers, memories, blocks : list
    clock : tuple of str
        Nets of the clock.
    """

    names: list[str] = field(default_factory=list)
    nets: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    gates: list[RoutedGate] = field(default_factory=list)
    registers: list[RoutedRegister] = field(default_factory=list)
    memories: list[RoutedMemory] = field(default_factory=list)
    blocks: list[RoutedBlock] = field(default_factory=list)
    clock: tuple[str, ...] = ()


def read_routed(design: Mapping[str, Any], delays: Delays) -> RoutedCells:
    """Read a design that nextpnr-ice40 wrote with ``--write``, with the delays of its ``--sdf``.

    Raises
    ------
    EngineRefusal
        For what has no model, by name; for several clocks; for a delay that the SDF lacks.
    """
    modules = design["modules"].values()
    return _Reader(next(iter(modules)), delays).read()


class _Cell:
    """A cell with its connections as nodes."""

    def __init__(self, name: str, cell: Mapping[str, Any]):
        self.name, self.type = name, str(cell["type"])
        self.parameters: Mapping[str, str] = cell["parameters"]
        self.bits = {port: bits[0] for port, bits in cell["connections"].items() if bits}

    def number(self, parameter: str) -> int:
        """Return a parameter as a number; undefined bits and missing ones are 0."""
        text = self.parameters.get(parameter, "0")
        if set(text) <= set("01xz"):
            return int(text.replace("x", "0").replace("z", "0"), 2)
        raise self.refusal(f"{parameter} is {text!r}, and no number")

    def refusal(self, text: str) -> EngineRefusal:
        return EngineRefusal(f"{self.type} {self.name}: {text}")


class _Reader:
    def __init__(self, module: Mapping[str, Any], delays: Delays):
        self.delays = delays
        self.cells = [_Cell(name, cell) for name, cell in module["cells"].items()]
        self.ports: Mapping[str, Any] = module["ports"]
        self.routed = RoutedCells(names=["0", "1"])
        self.wire_names = dict(_bits(module["netnames"]))
        self.nodes: dict[int, int] = {}
        self.clocks = self._clock()

    def read(self) -> RoutedCells:
        """Read every cell."""
        kinds = {
            "ICESTORM_LC": self._logic,
            "ICESTORM_RAM": self._memory,
            "ICESTORM_DSP": self._block,
            "SB_GB": self._buffer,
            "SB_IO": self._pad,
        }
        self.pads = {bit: name for name, bit in _port_bits(self.ports)}
        for cell in self.cells:
            if cell.type in kinds:
                kinds[cell.type](cell)
            elif cell.type not in _IGNORED:
                raise cell.refusal(f"there is a model of {', '.join(kinds)}, and none of this cell")
        self._check_driven()
        self.routed.clock = tuple(sorted(self.wire_names[bit] for bit in self.clocks))
        return self.routed

    def _check_driven(self) -> None:
        routed = self.routed
        driven = {*routed.inputs.values()}
        driven.update(part.output for part in routed.gates)
        driven.update(part.q for part in routed.registers)
        driven.update(node for part in routed.memories for node in part.data)
        driven.update(node for part in routed.blocks for node in part.outputs)
        if missing := sorted(name for name, node in routed.nets.items() if node not in driven):
            raise EngineRefusal(f"nothing that has a model drives {', '.join(missing[:5])}")

    def _clock(self) -> set[int]:
        """Return the nets that carry the one clock."""
        source = {
            cell.bits["GLOBAL_BUFFER_OUTPUT"]: cell.bits["USER_SIGNAL_TO_GLOBAL_BUFFER"]
            for cell in self.cells
            if cell.type == "SB_GB"
        }
        at = {cell.bits[pin] for cell in self.cells for pin in _CLOCKS if pin in cell.bits}
        roots = {bit: source.get(bit, bit) for bit in at}
        names = {self.wire_names[root] for root in roots.values()} - {_NO_CLOCK}
        if len(names) > 1:
            raise EngineRefusal(
                f"the design has the clocks {', '.join(sorted(names))}; one is simulated"
            )
        used = {bit: root for bit, root in roots.items() if self.wire_names[root] != _NO_CLOCK}
        return {*used, *used.values()}

    def _node(self, bit: int | None, absent: int = ZERO) -> int:
        """Return the node of a net; that of a constant where nothing is connected."""
        if bit is None:
            return absent
        if bit not in self.nodes:
            name = self.wire_names[bit]
            self.nodes[bit] = self.routed.nets[name] = self._new(name)
        return self.nodes[bit]

    def _new(self, name: str) -> int:
        self.routed.names.append(name)
        return len(self.routed.names) - 1

    def _wire(self, cell: _Cell, pin: str, absent: int = ZERO, delay: int = 0) -> RoutedPin:
        """Return a pin with the delay of its wire; that of the cell is given."""
        if pin not in cell.bits:
            return RoutedPin(absent)
        if (cell.name, pin) not in self.delays.wires:
            raise cell.refusal(f"the SDF file has no delay of the wire to {pin}")
        return RoutedPin(self._node(cell.bits[pin]), self.delays.wires[cell.name, pin], delay)

    def _path(self, cell: _Cell, pin: str, output: str) -> int:
        try:
            return self.delays.paths[cell.name, pin, output]
        except KeyError as error:
            raise cell.refusal(f"the SDF file has no delay from {pin} to {output}") from error

    def _logic(self, cell: _Cell) -> None:
        registered = cell.number("DFF_ENABLE")
        if cell.number("NEG_CLK") or (cell.number("ASYNC_SR") and "SR" in cell.bits):
            raise cell.refusal("clocks of falling edges and asynchronous resets have no model")
        if "COUT" in cell.bits:
            self._carry(cell)
        if registered:
            inside = self._new(f"{cell.name}/lut")
            self._lut(cell, inside, "")
            self._register(cell, inside)
        elif "O" in cell.bits:
            self._lut(cell, self._node(cell.bits["O"]), "O")
        if "LO" in cell.bits:
            raise cell.refusal("the output LO has no model")

    def _lut(self, cell: _Cell, output: int, port: str) -> None:
        pins, table = [], cell.number("LUT_INIT")
        for index, pin in enumerate(_ABC):
            if pin not in cell.bits or not _matters(table, index):
                pins.append(RoutedPin(ZERO))
            elif port:
                pins.append(self._wire(cell, pin, delay=self._path(cell, pin, port)))
            else:  # to a register: as long as its setup
                pins.append(self._wire(cell, pin, delay=self._setup(cell, pin)))
        self.routed.gates.append(RoutedGate(output, table, tuple(pins)))

    def _setup(self, cell: _Cell, pin: str) -> int:
        try:
            return self.delays.setups[cell.name, pin]
        except KeyError as error:
            raise cell.refusal(f"the SDF file has no setup of {pin}") from error

    def _carry(self, cell: _Cell) -> None:
        if not cell.number("CARRY_ENABLE"):
            raise cell.refusal("COUT is used where CARRY_ENABLE is 0")
        pins = [
            self._wire(cell, pin, delay=self._path(cell, pin, "COUT"))
            if pin in cell.bits
            else RoutedPin(0)
            for pin in ("I1", "I2")
        ]
        if cell.number("CIN_CONST"):
            pins.append(RoutedPin(ONE if cell.number("CIN_SET") else ZERO))
        elif "CIN" in cell.bits:
            pins.append(self._wire(cell, "CIN", delay=self._path(cell, "CIN", "COUT")))
        else:
            pins.append(RoutedPin(ZERO))
        output = self._node(cell.bits["COUT"])
        self.routed.gates.append(RoutedGate(output, MAJORITY, (*pins, RoutedPin(ZERO))))

    def _register(self, cell: _Cell, inside: int) -> None:
        if "O" not in cell.bits:
            raise cell.refusal("a register without an output has no model")
        enable, reset = self._node(cell.bits.get("CEN"), ONE), self._node(cell.bits.get("SR"))
        q, delay = self._node(cell.bits["O"]), self._path(cell, "CLK", "O")
        made = RoutedRegister(q, inside, enable, reset, cell.number("SET_NORESET"), delay)
        self.routed.registers.append(made)

    def _memory(self, cell: _Cell) -> None:
        if cell.number("NEG_CLK_R") or cell.number("NEG_CLK_W"):
            raise cell.refusal("clocks of falling edges have no model")
        bits = cell.bits

        def nodes(*pins: str) -> tuple[int, ...]:
            enables = ("RCLKE", "WCLKE")  # pulled up where nothing is connected
            return tuple(self._node(bits.get(pin), ONE if pin in enables else ZERO) for pin in pins)

        def bus(name: str, width: int) -> tuple[str, ...]:
            return tuple(f"{name}_{bit}" for bit in range(width))

        words = []
        for digit in "0123456789ABCDEF":
            row = cell.number(f"INIT_{digit}")
            words += [row >> 16 * index & 0xFFFF for index in range(16)]
        used = [bit for bit in range(16) if f"RDATA_{bit}" in bits]
        made = RoutedMemory(
            cell.number("READ_MODE"),
            cell.number("WRITE_MODE"),
            nodes(*bus("RADDR", 11), "RE", "RCLKE"),
            nodes(*bus("WADDR", 11), *bus("WDATA", 16), *bus("MASK", 16), "WE", "WCLKE"),
            nodes(*bus("RDATA", 16)),
            tuple(words),
            max((self._path(cell, "RCLK", f"RDATA_{bit}") for bit in used), default=0),
        )
        self.routed.memories.append(made)

    def _block(self, cell: _Cell) -> None:
        if cell.number("NEG_TRIGGER"):
            raise cell.refusal("clocks of falling edges have no model")
        read = {bit for other in self.cells for bit in self._read_by(other)}
        for pin in set(cell.bits) & {*_CHAINED, *_CONTROLS}:
            if pin in _CHAINED[:3] or (pin in _CHAINED and cell.bits[pin] in read):
                raise cell.refusal(f"chains of blocks have no model, and {pin} is connected")
            if "RST" in pin:
                raise cell.refusal(f"asynchronous resets have no model, and {pin} is connected")
        pins = [self._wire(cell, pin) for pin in _OPERANDS]
        pins += [self._wire(cell, pin, ONE if pin == "CE" else ZERO) for pin in _CONTROLS]
        outputs = tuple(self._node(cell.bits.get(f"O_{bit}")) for bit in range(32))
        modes = tuple(cell.number(mode) for mode in _MODES)
        from_clock = self.delays.paths.get((cell.name, "CLK", "O_0"), 100)
        self.routed.blocks.append(RoutedBlock(modes, tuple(pins), outputs, BLOCK_DELAY, from_clock))

    def _read_by(self, cell: _Cell) -> Iterator[int]:
        """Yield the nets at the pins of a cell, but for the outputs of blocks."""
        for pin, bit in cell.bits.items():
            if cell.type != "ICESTORM_DSP" or pin in (*_OPERANDS, *_CONTROLS, *_CHAINED[:3]):
                yield bit

    def _buffer(self, cell: _Cell) -> None:
        if cell.bits["GLOBAL_BUFFER_OUTPUT"] in self.clocks:
            return
        ends = "USER_SIGNAL_TO_GLOBAL_BUFFER", "GLOBAL_BUFFER_OUTPUT"
        pin = self._wire(cell, ends[0], delay=self._path(cell, *ends))
        self.routed.gates.append(RoutedGate(self._node(cell.bits[ends[1]]), _BUFFER, (pin,)))

    def _pad(self, cell: _Cell) -> None:
        mode, name = cell.number("PIN_TYPE"), self.pads.get(cell.bits.get("PACKAGE_PIN", -1))
        known = {"D_IN_0", "D_OUT_0", "PACKAGE_PIN"}
        if more := sorted(set(cell.bits) - known):
            raise cell.refusal(f"pads with {', '.join(more)} have no model")
        if "D_IN_0" in cell.bits and cell.bits["D_IN_0"] not in self.clocks:
            if mode & 3 != 1 or name is None:
                raise cell.refusal(f"an input whose PIN_TYPE is {mode:06b} has no model")
            self.routed.inputs[name] = self._node(cell.bits["D_IN_0"])
        if "D_OUT_0" in cell.bits:
            if mode >> 2 != 6 or name is None:
                raise cell.refusal(f"an output whose PIN_TYPE is {mode:06b} has no model")
            self.routed.outputs[name] = self._node(cell.bits["D_OUT_0"])


def _matters(table: int, index: int) -> bool:
    """Tell whether the output of a LUT depends on an input; others may belong to the carry."""
    step = 1 << index
    return any(table >> i & 1 != table >> (i | step) & 1 for i in range(16) if not i & step)


def _bits(wires: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield every net and its name."""
    for name, wire in wires.items():
        for index, bit in enumerate(wire["bits"]):
            yield bit, name if len(wire["bits"]) == 1 else f"{name}[{index}]"


def _port_bits(ports: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, port in ports.items():
        for index, bit in enumerate(port["bits"]):
            yield name if len(port["bits"]) == 1 else f"{name}[{index}]", bit
