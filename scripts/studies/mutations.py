"""Tests the chain of proof with faults in single gates of a mapped netlist; run by hand.

``studies mutations NETWORK [--faults 1000]`` maps the accelerator of a network
as ``narrowgauge synthesize`` does by default, and plants faults in its gates: every output of a
LUT, a carry and a register stuck at 0, stuck at 1 and inverted, and of every LUT's table an entry
flipped. Each has a lane of its own in the batch engine, and gets the whole test set. A fault is
caught where a level or a class differs from the integer reference, or results are missing. The
simulation tells why a fault survives: the gate never gave another value than without it, or it did
and nothing that came out depended on it. The result is kept in ``docs/results/mutations.json``,
with the command that made it.
"""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from ...hw.files import write_atomically
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.sim.batch.faults import Faults
from ...hw.sim.batch.netlist import FAULTS, Fault
from ...hw.sim.run import Stimulus
from ...hw.synth.alone import mapped
from ...hw.synth.build import accelerator_for
from ...hw.synth.targets import target
from ...hw.tools.programs import find
from ..runs.checked import reference
from ..runs.loading import load_inputs, load_network
from .record import Row, command, output, parser, provenance

__all__ = ["main", "measure", "planted"]

OUTPUT = output("mutations")


def planted(faults: Faults, count: int | None, seed: int) -> list[tuple[str, Fault]]:
    """Return all faults, or as many as are wanted, in their order; with their gates' points."""
    chance = random.Random(seed)
    every = [
        (point, Fault(kind, chance.randrange(16) if kind == FAULTS[3] else 0))
        for point, gate in faults.gates.items()
        for kind in FAULTS
        if gate.is_table or kind != FAULTS[3]
    ]
    return every if count is None else chance.sample(every, count)


def measure(network: Path, count: int | None, seed: int) -> Row:
    """Return the result: how many faults were caught, and every survivor with its reason."""
    geometry = Geometry(2, 2, 4)
    loaded = load_network(network, geometry.lanes)
    program = Program(loaded, geometry)
    accelerator = accelerator_for(program, target("up5k"))
    levels, _ = load_inputs(loaded, network, None, None)
    expected = reference(program, levels, 0)
    codes = Stimulus(levels).codes(accelerator)
    faults = Faults(mapped(accelerator, target("up5k")).text, accelerator, "ice40")
    every = planted(faults, count, seed)
    started = time.perf_counter()
    outcomes = list(faults.run(every, codes, expected.levels, expected.labels))
    seconds = time.perf_counter() - started
    survivors: dict[str, list[str]] = defaultdict(list)
    for (point, fault), outcome in zip(every, outcomes, strict=True):
        if not outcome.caught:
            gate = faults.gates[point]
            survivors[str(outcome)].append(f"{gate.name} ({gate.cell}) {fault}")
    caught = [outcome for outcome in outcomes if outcome.caught]
    return {
        "network": loaded.name,
        "images": len(levels),
        "gates": len(faults.gates),
        "faults": len(every),
        "caught": len(caught),
        "share": round(len(caught) / len(every), 4),
        "caught_with_20_images": sum(outcome.images < 20 for outcome in caught),
        "caught_as": dict(Counter(outcome.caught for outcome in caught)),
        "survivors": {reason: len(each) for reason, each in survivors.items()},
        "by_fault": {
            kind: {
                "faults": sum(fault.kind == kind for _, fault in every),
                "caught": sum(
                    bool(outcome.caught)
                    for (_, fault), outcome in zip(every, outcomes, strict=True)
                    if fault.kind == kind
                ),
            }
            for kind in FAULTS
        },
        "seconds_of_faults": round(seconds, 1),
        "list": survivors,
    }


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("network", type=Path)
    options.add_argument("--faults", type=int, help="drawn at random [default: all]")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args(arguments)
    started = time.perf_counter()
    result = measure(given.network, given.faults, given.seed)
    words = [given.network.name]
    words += [] if given.faults is None else ["--faults", given.faults, "--seed", given.seed]
    result |= {"seconds": round(time.perf_counter() - started, 1), "yosys": find("yosys").version}
    result |= provenance(command("mutations", *words))
    write_atomically(given.output, (json.dumps(result, indent=1) + "\n").encode())
    print(f"{result['caught']} of {result['faults']} faults caught; {result['survivors']}")
    return 0
