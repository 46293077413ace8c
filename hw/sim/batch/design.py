"""An accelerator as plans: one with all that it computes, one with its control alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...accelerator.top import Accelerator
from ...accelerator.traced import Traced, entry_layout, trace_layout
from ...tools.rtlil import convert, uncollected
from .lowering import lower
from .netlist import GateNetlist, read_netlist
from .order import CHUNK
from .plan import Plan, make_plan
from .uniform import Taint, taint

__all__ = ["Design", "Ports"]


@dataclass(frozen=True)
class Ports:
    """Nets of an accelerator's ports, by what they mean.

    ``valid``, ``image``, ``element`` and ``data`` have an entry a chain; ``data`` is the sum, its
    overflow flag and the level, one behind the other.
    """

    code: list[int]
    i_valid: int
    i_last: int
    i_ready: int
    o_ready: int
    o_valid: int
    o_last: int
    level: list[int]
    label: list[int]
    weights: list[int]
    weights_valid: int
    layer: list[int]
    current: list[int]
    step: int
    running: int
    valid: list[int]
    image: list[list[int]]
    element: list[list[int]]
    data: list[list[int]]

    @classmethod
    def of(cls, accelerator: Accelerator, nets: dict[str, list[int]]) -> "Ports":
        """Find the ports in a netlist by Amaranth's names and layouts."""
        trace = trace_layout(accelerator.program)
        entry = entry_layout(accelerator.program)

        def part(port: str, layout, name: str, base: int = 0) -> list[int]:
            field = layout[name]
            return nets[port][base + field.offset : base + field.offset + field.width]

        bases = [
            trace["sums"].offset + chain * entry.size
            for chain in range(accelerator.program.geometry.chains)
        ]
        element, result = accelerator.i.payload.shape(), accelerator.o.payload.shape()
        loads = accelerator.loads_weights
        return cls(
            code=part("i__payload", element, "code"),
            i_valid=nets["i__valid"][0],
            i_last=part("i__payload", element, "last")[0],
            i_ready=nets["i__ready"][0],
            o_ready=nets["o__ready"][0],
            o_valid=nets["o__valid"][0],
            o_last=part("o__payload", result, "last")[0],
            level=part("o__payload", result, "level"),
            label=part("o__payload", result, "label"),
            weights=nets["weights__payload"] if loads else [],
            weights_valid=nets["weights__valid"][0] if loads else 0,
            layer=part("trace", trace, "layer"),
            current=part("trace", trace, "current"),
            step=part("trace", trace, "step")[0],
            running=part("trace", trace, "running")[0],
            valid=[part("trace", entry, "valid", base)[0] for base in bases],
            image=[part("trace", entry, "image", base) for base in bases],
            element=[part("trace", entry, "element", base) for base in bases],
            data=[
                [
                    net
                    for name in ("sum", "overflow", "level")
                    for net in part("trace", entry, name, base)
                ]
                for base in bases
            ],
        )

    @property
    def control(self) -> list[int]:
        """Nets that say when something happens; the same in all lanes."""
        single = (self.i_ready, self.o_valid, self.o_last, self.step, self.running)
        return [*single, *self.layer, *self.current, *self.valid]

    @property
    def places(self) -> list[int]:
        """Nets that say which partial sum it is; the same in all lanes."""
        return [net for nets in (*self.image, *self.element) for net in nets]

    @property
    def values(self) -> list[int]:
        """Nets that differ between lanes."""
        return [*self.level, *self.label, *(net for nets in self.data for net in nets)]


class Design:
    """An accelerator, read and proven to run in lanes.

    Attributes
    ----------
    chunk : int
        Operations that plans put in order together.

    Raises
    ------
    ToolError
        Without Yosys, for what is not understood, and for control that depends on data.
    """

    def __init__(self, accelerator: Accelerator):
        self.chunk = CHUNK
        text = convert(Traced(accelerator), share=False)
        with uncollected():
            netlist = read_netlist(lower(text))
        self.ports = ports = Ports.of(accelerator, netlist.ports)
        self.netlist = netlist.live([*ports.control, *ports.places, *ports.values])
        self.taint: Taint = taint(self.netlist, ports.code)
        self.taint.check_memories(self.netlist)
        outputs = [*ports.control, *ports.places]
        self.taint.require_uniform(self.netlist, outputs, "the signal")

    @cached_property
    def whole(self) -> Plan:
        """All that it computes."""
        outputs = [*self.ports.control, *self.ports.places, *self.ports.values]
        return make_plan(self.netlist, outputs, self.taint, self.chunk)

    @cached_property
    def _timing(self) -> GateNetlist:
        return self.netlist.live([*self.ports.control, *self.ports.places])

    @cached_property
    def timing(self) -> Plan:
        """Its control alone: the same cycle by cycle, for one lane."""
        outputs = [*self.ports.control, *self.ports.places]
        return make_plan(self._timing, outputs, self.taint, self.chunk)

    @cached_property
    def periodic(self) -> np.ndarray:
        """Slots in `timing` of the state that decides what happens when.

        Images' numbers, which never repeat, decide nothing. Empty where a memory that is written
        belongs to it.
        """
        netlist = self._timing.live(self.ports.control)
        if any(memory.writes for memory in netlist.memories):
            return np.zeros(0, np.uint32)
        nets = [register.q for register in netlist.registers]
        nets += [net for memory in netlist.memories for port in memory.reads for net in port.data]
        slots = sorted({self.timing.slot[net] for net in nets})
        return np.array(slots, np.uint32)
