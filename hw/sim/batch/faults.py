"""Single faults in the gates of a netlist that is mapped to iCE40, one in each lane."""

import ctypes
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...accelerator.top import Accelerator
from ...errors import MismatchError, ToolError
from ...tools.programs import STOP, check_interrupt
from ...tools.rtlil import uncollected
from .lowering import lower
from .native import Campaign, Native, widest
from .netlist import Fault, read_netlist
from .plan import make_plan

__all__ = ["Faults", "Gate", "Outcome", "with_points"]

IDLE_LIMIT = 10_000
CYCLE_LIMIT = 4.0
"""Times the cycles of all images after which results are late."""
FAMILY = "ice40"
"""Whose gates are known; those of other families have carries and multiplexers of other kinds."""
_OUTPUTS = {"SB_LUT4": "O", "SB_CARRY": "CO"}
"""Outputs of gates; those of registers are ``Q``."""
_REGISTERS = "SB_DFF"
_INPUTS = {"SB_LUT4": ("I0", "I1", "I2", "I3")}


@dataclass(frozen=True)
class Gate:
    """A gate of a netlist: its name, its cell, and whether it is a table."""

    name: str
    cell: str
    is_table: bool


@dataclass(frozen=True)
class Outcome:
    """Effect of a fault on a test set.

    Attributes
    ----------
    caught : str
        How it was noticed: ``a wrong result``, ``no more results`` or ``late results``; empty where
        it was not.
    images : int
        Images that were right.
    active : bool
        Whether the gate ever gave another value than without the fault.
    moved : bool
        Whether results ever came in other cycles.
    connected : bool
        Whether an output depends on the gate.
    """

    caught: str
    images: int
    active: bool
    moved: bool
    connected: bool = True

    def __str__(self) -> str:
        if self.caught:
            return f"{self.caught} after {self.images} images"
        if not self.connected:
            return "no output depends on the gate"
        if not self.active:
            return "the gate never gave another value"
        if self.moved:
            return "results came in other cycles, and were right"
        return "the gate gave other values, on which no level and no class depended"


def with_points(netlist: str) -> tuple[str, dict[str, Gate]]:
    """Return a netlist with a point behind every gate, at which a fault may be.

    Parameters
    ----------
    netlist : str
        In the JSON of Yosys.

    Returns
    -------
    netlist : str
    gates : dict of str to Gate
        By the names of their points.
    """
    design = json.loads(netlist)
    (top,) = [each for each in design["modules"].values() if "top" in each["attributes"]]
    used = [
        bit
        for cell in top["cells"].values()
        for bits in cell["connections"].values()
        for bit in bits
        if isinstance(bit, int)
    ]
    free, gates, points = max(used) + 1, {}, {}
    for name, cell in top["cells"].items():
        kind = cell["type"]
        port = _OUTPUTS.get(kind, "Q" if kind.startswith(_REGISTERS) else "")
        if not port:
            continue
        (output,) = cell["connections"].get(port) or [free + 1]
        cell["connections"][port] = [free]
        cell["port_directions"][port] = "output"
        inputs = [cell["connections"][each] for each in _INPUTS.get(kind, ())]
        gates[f"point_{len(points)}"] = Gate(name, kind, bool(inputs))
        points[f"point_{len(points)}"] = _point(free, inputs, output)
        free += 2
    top["cells"].update(points)
    return json.dumps(design), gates


def _point(true: int, inputs: Sequence[list], output: int) -> dict[str, Any]:
    ins = {f"I{place}": bits for place, bits in enumerate(inputs)}
    connections = {"A": [true], **ins, "Y": [output]}
    return {
        "hide_name": 0,
        "type": "NARROWGAUGE_POINT",
        "parameters": {},
        "attributes": {},
        "port_directions": {port: "output" if port == "Y" else "input" for port in connections},
        "connections": connections,
    }


class Faults:
    """The mapped netlist of an accelerator alone, in which faults are planted.

    Parameters
    ----------
    netlist : str
        In the JSON of Yosys; a module ``top`` with the ports of the accelerator but its trace.
    accelerator : Accelerator
        What was mapped.
    family : str
        `FAMILY`.

    Attributes
    ----------
    gates : dict of str to Gate
        By the names of their points, at which faults are planted.

    Raises
    ------
    ToolError
        Without Yosys or a C++ compiler; for weights that are loaded, for a network of several
        outputs, and for another family.
    """

    def __init__(self, netlist: str, accelerator: Accelerator, family: str):
        if family != FAMILY:
            raise ToolError(
                f"faults are not planted in netlists of {family}, whose gates are not known; "
                f"those of {FAMILY} are"
            )
        if accelerator.loads_weights:
            raise ToolError("faults are planted where weights are part of the netlist")
        if len(accelerator.program.network.ends) > 1:
            raise ToolError("faults are planted in networks with a single output")
        self.accelerator = accelerator
        text, self.gates = with_points(netlist)
        with uncollected():
            self._top = lower(text, "json", family)

    def run(
        self,
        faults: Sequence[tuple[str, Fault]],
        codes: np.ndarray,
        levels: np.ndarray,
        labels: np.ndarray,
    ) -> Iterator[Outcome]:
        """Yield what each fault does to images; as many passes at a time as there are cores.

        Parameters
        ----------
        faults : sequence of pairs of str and Fault
            Each with its point; it is alone in its lane.
        codes : int array
            Of all images, as `Stimulus.codes` gives them.
        levels, labels : int64 arrays of shape (images, outputs) and (images,)
            What is right.

        Raises
        ------
        MismatchError
            Where something is wrong without a fault.
        """
        results = self._results(levels, labels)
        codes = np.array(codes, np.uint64)
        elements = self.accelerator.i.payload.shape()
        codes[-1] |= np.uint64(1 << elements["last"].offset)
        lanes = widest() - 1  # one has no fault

        def run(start: int) -> list[Outcome]:
            return self._pass(faults[start : start + lanes], codes, results)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for found in pool.map(run, range(0, len(faults), lanes)):
                yield from found

    def _ordered(self, payload: list[int]) -> list[int]:
        """Return the nets of a result: level, last, and the label, which counts at the last."""
        shape = self.accelerator.o.payload.shape()
        fields = (shape[name] for name in ("level", "last", "label"))
        return [net for each in fields for net in payload[each.offset :][: each.width]]

    def _results(self, levels: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the bits of all results, in the order of `_ordered`."""
        output = self.accelerator.program.network.output
        found = output.to_code(levels).astype(np.uint64)
        width = np.uint64(self.accelerator.o.payload.shape()["level"].width)
        found[:, -1] |= (np.uint64(1) | labels.astype(np.uint64) << np.uint64(1)) << width
        return np.ascontiguousarray(found.reshape(-1))

    def _pass(
        self, faults: Sequence[tuple[str, Fault]], codes: np.ndarray, results: np.ndarray
    ) -> list[Outcome]:
        netlist = read_netlist(self._top, faults=faults)
        ports, program = netlist.ports, self.accelerator.program
        single = {
            name: ports[f"{name[0]}__{name[2:]}"][0]
            for name in ("i_valid", "i_ready", "o_valid", "o_ready")
        }
        shape = self.accelerator.o.payload.shape()
        payload = self._ordered(ports["o__payload"])
        outputs = [*payload, *single.values(), netlist.active]
        connected = netlist.live(outputs[:-1]).operands()
        plan = make_plan(netlist.live(outputs), outputs, None)
        native = Native(plan, widest(), "campaign")
        masks = np.array([plan.slot[net] for net in netlist.masks], np.uint32)
        arrays = {
            "code": np.array([plan.slot[net] for net in ports["i__payload"]], np.uint32),
            "payload": np.array([plan.slot[net] for net in payload], np.uint32),
            "codes": codes,
            "results": results,
            "masks": masks,
            "outcomes": np.zeros(widest(), np.uint32),
            "images": np.zeros(widest(), np.uint64),
            "activated": np.zeros(widest() // 64, np.uint64),
            "strayed": np.zeros(widest() // 64, np.uint64),
        }
        cycles = len(results) // program.network.outputs * program.cycles.per_image
        campaign = Campaign(
            **{name: array.ctypes.data for name, array in arrays.items()},
            **{name: plan.slot[net] for name, net in single.items()},
            active=plan.slot[netlist.active],
            code_width=len(arrays["code"]),
            payload_width=len(payload),
            label_offset=len(payload) - shape["label"].width,
            elements=len(codes),
            count=len(results),
            outputs=program.network.outputs,
            lanes=len(faults) + 1,
            idle_limit=IDLE_LIMIT + program.cycles.longest_job,
            cycle_limit=int(IDLE_LIMIT + CYCLE_LIMIT * cycles),
            stop=ctypes.addressof(STOP),
        )
        native.campaign(campaign)
        check_interrupt()
        found = _outcomes(arrays)[: 1 + len(faults)][1:]
        return [
            outcome if mask in connected else replace(outcome, connected=False)
            for outcome, mask in zip(found, netlist.masks, strict=True)
        ]


def _outcomes(arrays: Mapping[str, np.ndarray]) -> list[Outcome]:
    """Return what happened in each lane; raises `MismatchError` for the one without a fault."""
    ways = ("", "a wrong result", "no more results", "late results")
    bits = [
        np.unpackbits(arrays[name].astype("<u8").view(np.uint8), bitorder="little")
        for name in ("activated", "strayed")
    ]
    columns = arrays["outcomes"], arrays["images"], *bits
    found = [
        Outcome(ways[way], int(images), bool(active), bool(moved))
        for way, images, active, moved in zip(*columns, strict=True)
    ]
    if found[0].caught:
        raise MismatchError(f"the netlist without a fault: {found[0]}")
    return found
