"""What the chain of proof would notice: faults in single gates of a mapped netlist; run by hand.

``studies mutations NETWORK [--faults 200] [--images 20]`` maps the accelerator
of a network as ``narrowgauge synthesize`` does by default, plants faults in gates drawn at random,
and simulates the netlist with each. A fault is caught where a level or a class differs from the
integer reference, or results are missing. What survives runs again with all images of the test
set, and the simulation tells why: the gate never gave another value than without the fault, or it
did and nothing that came out depended on it. The result is kept in
``docs/results/mutations.json``, with the command that made it.

All faults are in one netlist, and an input chooses one; so it is compiled once.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...boards.proof.netlist_run import StreamSimulation
from ...hw.accelerator.top import Accelerator
from ...hw.errors import NarrowgaugeError
from ...hw.files import write_atomically
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.sim.run import Stimulus
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.flow import Netlist, synthesize
from ...hw.synth.targets import target
from ...hw.tools import rtlil
from ...hw.tools.programs import find
from ..runs.checked import reference
from ..runs.loading import load_inputs, load_network
from .record import Row, command, output, provenance

__all__ = ["main", "mapped", "measure", "plant"]

OUTPUT = output("mutations")
KINDS = ("stuck at 0", "stuck at 1", "inverted", "one entry of the table flipped")


def mapped(accelerator: Accelerator, name: str) -> Netlist:
    """Return the netlist of an accelerator alone."""
    device = target(name)
    text = rtlil.convert(accelerator, platform=device)
    text = rtlil.forget_contents(rtlil.free_collisions(text))
    return synthesize(text, device, dsp=infers_blocks(accelerator))


def plant(netlist: str, count: int, seed: int) -> tuple[str, list[Row]]:
    """Return the netlist with ``count`` faults that an input chooses from, and what they are."""
    design = json.loads(netlist)
    (top,) = [each for each in design["modules"].values() if "top" in each["attributes"]]
    cells = top["cells"]
    gates = [name for name, cell in cells.items() if cell["type"] == "SB_LUT4"]
    gates += [name for name, cell in cells.items() if cell["type"].startswith("SB_DFF")]
    chance = random.Random(seed)
    planter = _Planter(top, width=count.bit_length())
    faults: list[Row] = []
    for number, name in enumerate(chance.sample(sorted(gates), count), start=1):
        is_table = cells[name]["type"] == "SB_LUT4"
        kind = chance.choice(KINDS if is_table else KINDS[:3])
        planter.add(number, cells[name], kind, chance)
        faults.append({"gate": name, "cell": cells[name]["type"], "fault": kind})
    planter.finish()
    return json.dumps(design), faults


class _Planter:
    """Adds faults to a module in the JSON of Yosys."""

    def __init__(self, module: Row, width: int):
        self.module, self.added = module, 0
        used = [
            bit
            for cell in module["cells"].values()
            for bits in cell["connections"].values()
            for bit in bits
        ]
        used += [bit for port in module["ports"].values() for bit in port["bits"]]
        self.next = 1 + max(bit for bit in used if isinstance(bit, int))
        self.fault = [self.net() for _ in range(width)]
        self.active: list[Any] = []

    def net(self) -> int:
        self.next += 1
        return self.next - 1

    def cell(self, kind: str, a: list[Any], b: list[Any], output: int | None = None) -> int:
        """Add a cell with an output of one bit, and return that."""
        y = self.net() if output is None else output
        widths = {"A_WIDTH": len(a), "B_WIDTH": len(b), "Y_WIDTH": 1}
        parameters = {"A_SIGNED": 0, "B_SIGNED": 0, **widths}
        self.module["cells"][f"fault_{self.added}"] = {
            "hide_name": 0,
            "type": kind,
            "parameters": {name: f"{value:032b}" for name, value in parameters.items()},
            "attributes": {},
            "port_directions": {"A": "input", "B": "input", "Y": "output"},
            "connections": {"A": a, "B": b, "Y": [y]},
        }
        self.added += 1
        return y

    def add(self, number: int, gate: Row, kind: str, chance: random.Random) -> None:
        port = "O" if gate["type"] == "SB_LUT4" else "Q"
        (output,) = gate["connections"][port]
        true = self.net()
        gate["connections"][port] = [true]
        here = self.cell("$eq", self.fault, list(f"{number:0{len(self.fault)}b}"[::-1]))
        if kind == "stuck at 0":
            changes = [true]
        elif kind == "stuck at 1":
            changes = [self.cell("$eq", [true], ["0"])]
        elif kind == "inverted":
            changes = ["1"]
        else:
            inputs = [gate["connections"][f"I{index}"][0] for index in range(4)]
            entry = f"{chance.randrange(16):04b}"
            changes = [self.cell("$eq", inputs, list(entry))]
        wrong = self.cell("$and", [here], changes)
        self.active.append(wrong)
        self.cell("$xor", [true], [wrong], output)

    def finish(self) -> None:
        """Make the ports."""
        any_active = self.cell("$ne", self.active, ["0"] * len(self.active))
        for name, bits, way in (("fault", self.fault, "input"), ("active", [any_active], "output")):
            self.module["ports"][name] = {"direction": way, "bits": bits}
            self.module["netnames"][name] = {"hide_name": 0, "bits": bits, "attributes": {}}


def measure(network: Path, count: int, few: int, seed: int) -> Row:
    """Return the result: how many faults were caught, and every fault with its outcome."""
    geometry = Geometry(2, 2, 4)
    loaded = load_network(network, geometry.lanes)
    program = Program(loaded, geometry)
    accelerator = accelerator_for(program, target("up5k"))
    levels, _ = load_inputs(loaded, network, None, None)
    expected = reference(program, levels, 0)
    codes = Stimulus(levels).codes(accelerator)
    planted, faults = plant(mapped(accelerator, "up5k").text, count, seed)
    simulation = StreamSimulation(planted, accelerator, "ice40", faults=True)

    def differs(fault: int, images: int) -> tuple[str, int]:
        found = simulation.run(codes[: images * loaded.inputs], images, fault=fault)
        if found.failure:
            return found.failure, found.active
        wrong = (found.levels != expected.levels[:images]).any(axis=1)
        wrong |= found.labels != expected.labels[:images]
        return (
            f"{int(wrong.sum())} of {images} images differ" if wrong.any() else ""
        ), found.active

    if differs(0, len(levels))[0]:
        raise NarrowgaugeError("the netlist without a fault differs from the reference")
    for number, fault in enumerate(faults, start=1):
        for images in (few, len(levels)):
            outcome, active = differs(number, images)
            if outcome:
                break
        fault["caught"] = bool(outcome)
        fault["outcome"] = outcome or _reason(active, len(levels))
    caught = sum(bool(fault["caught"]) for fault in faults)
    return {
        "network": loaded.name,
        "faults": len(faults),
        "caught": caught,
        "share": round(caught / len(faults), 4),
        "images": few,
        "images_of_survivors": len(levels),
        "survivors": dict(Counter(each["outcome"] for each in faults if not each["caught"])),
        "list": faults,
    }


def _reason(active: int, images: int) -> str:
    if not active:
        return f"the gate never gave another value, over {images} images"
    return "the gate gave other values, on which no level and no class depended"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("network", type=Path)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--images", type=int, default=20, help="for every fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        result = measure(given.network, given.faults, given.images, given.seed)
    except NarrowgaugeError as error:
        print(f"mutations: {error}", file=sys.stderr)
        return 1
    words = [given.network, "--faults", given.faults, "--images", given.images]
    result |= {"seconds": round(time.perf_counter() - started, 1), "yosys": find("yosys").version}
    result |= provenance(command("mutations", *words, "--seed", given.seed))
    write_atomically(given.output, (json.dumps(result, indent=1) + "\n").encode())
    print(f"{result['caught']} of {result['faults']} faults caught; {result['survivors']}")
    return 0
