"""Adversarial inputs against guaranteed accumulators, in reference and hardware; run by hand.

``studies adversarial_sums NETWORK...`` takes networks whose accumulators no input can overflow:
names of the zoo, network files, or ``NETWORK/DATA/METHOD/BITS`` for int4 weights that are trained
by ``a2q`` or ``a2q+``, or ``rounded``, for an accumulator. It counts overflows of any step over the
whole test set in the reference, and over ``--simulate`` test images in hardware. Then each layer is
driven alone, by inputs that follow the signs of its weights: in hardware every sum has to stay
within the bits of the exact interval and to reach both of its ends, and on a bit less some have to
overflow, on a register that wraps and on one that saturates. Of large layers hardware can be given
``--driven`` inputs alone, those that reach furthest; the reference gets all. Rows are kept in
``docs/results/adversarial_sums.json``. Exits with 1 where anything of this fails.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.errors import NetworkError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import OVERFLOWS, Accumulator
from ...hw.program.bounds import exact_bound
from ...hw.program.layout import Program
from ...hw.program.mapping import MappedLayer, map_network
from ...hw.tools.store import Store
from ...model.integers.extremes import drive
from ...model.integers.guarantee import prove_sums
from ...model.integers.partial_sums import seen_sums
from ...model.integers.reference import evaluate
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import quantize
from ..runs.checked import simulate_and_compare
from ..runs.loading import input_levels, load_images, load_network
from .constrained import Trainings
from .post_training import float_network
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["failures", "main", "row"]

OUTPUT = output("adversarial_sums")
ARRAY = Geometry(2, 2, 4)
CALIBRATION = 300
WIDE = Accumulator(48)
TOOLS = ("narrowgauge", "numpy", "torch")


def _network(source: str) -> Network:
    """Return a network of the zoo, of a file, or made for an accumulator."""
    parts = source.split("/")
    if len(parts) != 4 or Path(source).exists():
        return load_network(Path(source), ARRAY.lanes)
    name, data, method, bits = parts
    if method != "rounded":
        trainings = Trainings(name, data, None, 0, "constrained", 0)
        return trainings.trained(data, "int4/uint4/uint4", method, int(bits))
    images = NetworkImages.load(data, CALIBRATION)
    limits = PostTraining(
        weight="int4", activation="uint4", input="uint4", accumulator_bits=int(bits)
    )
    model = float_network(name, data, images, Store())
    return quantize(model, images, limits, name=f"{name}-{bits}", figures=False).network


def row(network: Network, simulated: int, driven: int | None) -> Row:
    """Return what a network's sums do, without provenance and without its source.

    Hardware gets so many test images, and so many adversarial inputs of each layer, or all.

    Raises
    ------
    NetworkError
        For a network whose accumulator some input can overflow.
    """
    needed = prove_sums(network, ARRAY.lanes)
    levels = input_levels(network, load_images(network, network.name))
    saturating = network.with_accumulator(Accumulator(network.accumulator.width, "saturate"))
    seen = seen_sums(saturating, levels, ARRAY.lanes)
    mapped = [each for each in map_network(network, ARRAY.lanes) if each.on_array]
    return {
        "bits": network.accumulator.width,
        "needed": int(max(bits.max() for bits in needed.values())),
        "images": len(levels),
        "seen_bits": max(each.partial.bits for each in seen.values()),
        "overflows": sum(each.beyond for each in seen.values()),
        "array": str(ARRAY),
        "simulated": _simulated(network, levels[:simulated]),
        "layers": [_driven(network, each, driven) for each in mapped],
    }


def _simulated(network: Network, levels: np.ndarray) -> Row:
    """Return what images do in hardware."""
    accelerator = Accelerator(Program(network, ARRAY))
    run, comparison, _ = simulate_and_compare(accelerator, levels, "auto", traced=len(levels))
    return {
        "images": len(levels),
        "mismatches": max(comparison.mismatches, int(comparison.first is not None)),
        "overflows": sum(run.overflows),
        "last_overflows": run.overflows[-1],
    }


def _driven(network: Network, mapped: MappedLayer, count: int | None) -> Row:
    """Return what a layer's own sums do at the bits of its interval, and at one less."""
    exact, name = exact_bound(mapped), mapped.layer.name
    bits = exact.partial.bits
    about: Row = {"layer": name, "bits": bits, "interval": list(exact.final.ends)}
    try:
        driven = drive(network, name, ARRAY.lanes)
    except NetworkError as error:
        return about | {"refused": str(error)}
    wide = driven.network.with_accumulator(WIDE)
    sums = evaluate(wide, driven.images, ARRAY.lanes, trace=True).layers[-1].accumulators
    assert sums is not None
    low, high = (each.numpy() for each in (sums.amin(dim=1), sums.amax(dim=1)))
    half = len(low) if count is None else count // 2
    furthest = np.unique([*low.argsort()[:half], *high.argsort()[-half:]])
    runs: Row = {"images": len(driven.images), "sums": [int(low.min()), int(high.max())]}
    for overflow in OVERFLOWS:
        held, narrower = (
            _simulated(driven.network.with_accumulator(register), driven.images[furthest])
            if register is not None
            else None
            for register in (
                Accumulator(bits, overflow),
                Accumulator(bits - 1, overflow) if bits > driven.least_bits else None,
            )
        )
        runs[overflow] = {"held": held, "narrower": narrower}
    return about | runs


def failures(found: Row) -> list[str]:
    """Return what a row has that a guarantee must not have, and what it lacks."""
    said = []
    if found["overflows"] or found["simulated"]["overflows"]:
        said.append("sums of test images overflow")
    if found["simulated"]["mismatches"]:
        said.append("hardware differs from the reference on test images")
    for layer in found["layers"]:
        if "refused" in layer:
            continue
        if layer["sums"] != layer["interval"]:
            said.append(f"layer {layer['layer']}: sums reach {layer['sums']}")
        for overflow in OVERFLOWS:
            held, narrower = (layer[overflow][each] for each in ("held", "narrower"))
            where = f"layer {layer['layer']}, {overflow}, {layer['bits']} bits"
            if held["mismatches"] or (narrower and narrower["mismatches"]):
                said.append(f"{where}: hardware differs from the reference")
            if held["overflows"]:
                said.append(f"{where}: sums overflow")
            if narrower and not narrower["last_overflows"]:
                said.append(f"{where}: with a bit less nothing overflows")
    return said


def main(arguments: Sequence[str]) -> int:
    """Drive each network; return the exit status, 1 where a guarantee does not hold."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("networks", nargs="+", metavar="NETWORK")
    options.add_argument("--simulate", type=int, default=50, help="test images [default: 50]")
    options.add_argument("--driven", type=int, help="adversarial inputs of a layer [default: all]")
    given = options.parse_args(arguments)
    kept, status = RowFile(given.output, ("network",)), 0
    words = [
        f"--{name}={getattr(given, name)}"
        for name in ("simulate", "driven")
        if getattr(given, name) != options.get_default(name)
    ]
    for source in given.networks:
        found = {"network": source, **row(_network(source), given.simulate, given.driven)}
        made = command("adversarial_sums", source, *words)
        kept.keep([found | provenance(made, *TOOLS)])
        said = failures(found)
        print(f"{source}, {found['bits']} bits: {'; '.join(said) or 'holds'}", flush=True)
        status |= bool(said)
    if status:
        print("adversarial_sums: a guarantee does not hold", file=sys.stderr)
    return status
