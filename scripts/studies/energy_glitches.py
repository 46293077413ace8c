"""How many changes of routed designs do not last: products and accelerators on a UP5K.

``studies energy_glitches [--designs bipolar,int8] [--seeds 1,2]`` places each design with these
seeds, simulates it with routed delays, and keeps a row each in
``docs/results/energy_glitches.json``: the factor of toggles and of energy, both with inertial and
with transport delays of cells, toggles by the depth of their LUTs, and the wires that change.

Designs are the calibration's product in LUTs, and accelerators of the default network (64-64-32-10,
trained on the digits) on 2x2 elements of 4 lanes, whose pins are the device's. They run test images
one after the other, and the levels that come out are those of the batch engine. What was routed
before is taken from the result store, and a row that is kept is not made again.
"""

import json
from collections.abc import Sequence

import numpy as np

from ...hw.energy.calibration.designs import Multiplied
from ...hw.energy.delays import read_delays
from ...hw.energy.events import EventSimulator
from ...hw.energy.glitches import Glitches, find_glitches, run_stream
from ...hw.energy.placed import Placed, place
from ...hw.energy.routed import RoutedCells, read_routed
from ...hw.energy.wires import net_wires
from ...hw.errors import MismatchError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.sim.engine import make_engine
from ...hw.sim.run import Stimulus
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.targets import target
from ...hw.tools.store import Store
from ...model.data import load
from ..runs.loading import input_levels
from .peaks import train
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main"]

OUTPUT = output("energy_glitches")
NAMES = ("design", "seed")
TARGET = "up5k"
GEOMETRY = Geometry(2, 2, 4)
PRODUCT = "product"
FORMATS = {  # weights: activations of the default run, images (a batch has two)
    "bipolar": ("bipolar", 4),
    "pow2_4": ("uint8", 8),
    "int4": ("uint4", 8),
    "int8": ("uint8", 8),
}
SEEDS = (1, 2, 3, 4, 5)
CYCLES = 4096  # of the product
IDLE = 4000  # cycles beyond those of the images until a stream has stopped


def _product(seed: int, inertial: bool) -> Glitches:
    """Simulate the product in LUTs."""
    placed = place(Multiplied(), target(TARGET), seed=seed, frequency=12e6)
    routed = _routed(placed)
    simulator = EventSimulator(routed, inertial=inertial)
    still = np.zeros((CYCLES, len(simulator.inputs)), np.uint8)
    simulator.run(still[:16])
    simulator.count_from_here()
    simulator.run(still)
    return find_glitches(routed, simulator.toggles(), net_wires(placed.text))


def _accelerator(network: Network, images: int, seed: int, inertial: bool) -> Glitches:
    """Simulate an accelerator; its levels must be those of the batch engine.

    Raises
    ------
    MismatchError
        Where they are not.
    """
    device = target(TARGET)
    built = accelerator_for(Program(network, GEOMETRY), device)
    placed = place(built, device, seed=seed, dsp=infers_blocks(built))
    stimulus = Stimulus(input_levels(network, load("digits"), slice(images)))
    routed = _routed(placed)
    simulator = EventSimulator(routed, inertial=inertial)
    limit = built.cycles.run(images) + IDLE
    codes, outputs = stimulus.codes(built), images * network.outputs
    found = run_stream(simulator, codes, network.input.width, outputs, limit)
    wanted = make_engine(built, "batch").run(stimulus).levels
    levels = network.output.to_level(found & (1 << network.output.width) - 1)
    if not np.array_equal(levels.reshape(wanted.shape), wanted):
        raise MismatchError(f"{network.name}: the routed design gives other levels than it should")
    return find_glitches(routed, simulator.toggles(), net_wires(placed.text))


def _routed(placed: Placed) -> RoutedCells:
    return read_routed(json.loads(placed.text), read_delays(placed.sdf))


def _network(weight: str) -> Network:
    recipe: Row = {
        "dataset": "digits",
        "network": "mlp",
        "weight": weight,
        "activation": FORMATS[weight][0],
        "accumulator": None,
    }
    return train(recipe, GEOMETRY.lanes, Store())


def _row(design: str, seed: int) -> Row:
    """Return a row: of both kinds of delay."""
    network = None if design == PRODUCT else _network(design)

    def simulated(inertial: bool) -> Glitches:
        if network is None:
            return _product(seed, inertial)
        return _accelerator(network, FORMATS[design][1], seed, inertial)

    found, free = simulated(True), simulated(False)
    return {
        "design": design,
        "seed": seed,
        "images": FORMATS[design][1] if network else 0,
        "cycles": found.cycles,
        "registers": found.registers,
        "toggles": round(found.toggles, 4),
        "factor": round(found.factor, 4),
        "transport_toggles": round(free.toggles, 4),
        "transport_factor": round(free.factor, 4),
        "classes": {kind: list(pair) for kind, pair in found.classes.items()},
        "charged": found.charged,
        "settled": found.settled,
        "latest_ns": round(found.latest / 1000, 2),
        **provenance(command("energy_glitches"), "yosys", "nextpnr-ice40"),
    }


def main(arguments: Sequence[str]) -> None:
    """Simulate what is asked for and is not kept."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--designs", default=",".join([PRODUCT, *FORMATS]))
    options.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    values = options.parse_args(arguments)
    kept = RowFile(values.output, NAMES)
    for design in values.designs.split(","):
        for seed in map(int, values.seeds.split(",")):
            if not kept.has({"design": design, "seed": seed}):
                new = _row(design, seed)
                kept.keep([new])
                print(design, seed, new["toggles"], new["factor"], flush=True)
