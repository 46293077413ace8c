"""The most multiply-accumulates a second that whole accelerators reach; run by hand.

``studies peaks [NAME...] [--seeds 3] [--images 200]`` builds the accelerator of
a real network for each of `CONFIGURATIONS`, or for those that are named. It runs test images
through it and compares each with the integer reference, places and routes it with every seed, and
keeps a row in ``docs/results/peaks.json``, with the command that made it; rows of other
configurations stay. The peak is products a cycle times the median clock. Exits with 1 where an
image differs. On two cores an iCE40 takes minutes, the largest ECP5 an hour. With ``--images 0``
an accelerator is routed only: the largest takes a C++ compiler 4 GB and ten minutes.

MARLANN is what others have reached with the same tools: its own sources, routed by nextpnr, 16
products of 8 bits a cycle in the eight blocks of a UP5K.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...hw.errors import NarrowgaugeError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, cost
from ...hw.synth.placement import memory_use
from ...hw.synth.targets import target
from ...hw.tools.store import Store
from ..rows.row import ResultRow, geometry_columns
from ..runs.kept import check
from ..runs.loading import load_images, load_network
from ..runs.row_parts import row_parts
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["Configuration", "main", "measure", "train"]

OUTPUT = output("peaks")
MARLANN = {
    "name": "MARLANN",
    "weight": "int8",
    "activation": "int8",
    "accumulator_bits": 32,
    "target": "up5k",
    "macs": 16,
    "lut4": 3008,
    "fmax_mhz": 27.9,
    "gmacs": 0.446,
    "source": "github.com/YosysHQ/marlann, with Yosys 0.70 and nextpnr 0.11.1, one seed",
}


@dataclass(frozen=True)
class Configuration:
    """An accelerator whose peak is measured.

    Attributes
    ----------
    network : str or mapping
        A network of the zoo; or what `model.training.recipe.Recipe` takes, with ``weight``,
        ``activation`` and ``accumulator`` beside it, for one that is trained in seconds.
    geometry : Geometry
        Its array.
    target : str
        The device.
    multiplier : str
        ``logic`` or ``block``.
    grouping : mapping
        ``contexts`` and ``batch``, as `Program` takes them, where they are not its defaults.
    """

    network: str | Row
    geometry: Geometry
    target: str = "up5k"
    multiplier: str = "logic"
    grouping: Row = field(default_factory=dict)


# sums of 64 products of 8 and 6 bits keep within 16 bits here, those of wider activations do not
INT8 = {
    "dataset": "digits",
    "widths": (32, 32),
    "weight": "int8",
    "activation": "uint6",
    "accumulator": 16,
}
BIPOLAR = {
    "dataset": "digits",
    "widths": (128, 128),
    "weight": "bipolar",
    "activation": "bipolar",
    "accumulator": 16,
}
CONFIGURATIONS = {
    "up5k-int8": Configuration(INT8, Geometry(4, 4, 1), multiplier="block"),
    "up5k-int8-mixed": Configuration(INT8, Geometry(4, 6, 1), multiplier="block"),
    "up5k-bipolar": Configuration(BIPOLAR, Geometry(4, 4, 32)),
    "up5k-bipolar-large": Configuration(BIPOLAR, Geometry(4, 8, 32)),
    "ecp5-85k-bipolar": Configuration(
        "mnist-bipolar-256-256-256",
        Geometry(16, 16, 64, hop=4),
        target="ecp5-85k",
        grouping={"contexts": 1},
    ),
}


def train(recipe: Row, lanes: int, store: Store) -> Network:
    """Train a network, or take it from the store."""
    from ...model.training.recipe import Recipe
    from ..runs.loading import set_accumulator
    from ..runs.pipeline import Trainer
    from ..terminal.progress import Reporter

    given = dict(recipe)
    weight, activation, bits = (given.pop(name) for name in ("weight", "activation", "accumulator"))
    with Reporter() as reporter:
        network = Trainer(Recipe(**given), store, reporter).network(weight, activation, lanes)
    return set_accumulator(network, bits, "wrap")


def measure(name: str, seeds: range, images: int, store: Store) -> Row:
    """Return a configuration's row.

    Raises
    ------
    NarrowgaugeError
        Where it does not fit, or is not routed.
    """
    chosen = CONFIGURATIONS[name]
    geometry, device = chosen.geometry, target(chosen.target)
    if isinstance(chosen.network, str):
        network = load_network(Path(chosen.network), geometry.lanes)
    else:
        network = train(chosen.network, geometry.lanes, store)
    program = Program(network, geometry, **chosen.grouping)
    accelerator = accelerator_for(program, device, multiplier=chosen.multiplier)
    simulated: Row = {}
    if images:
        checked = check(accelerator, load_images(network, name), store, images=slice(0, images))
        print(f"{name}: {checked.images} images, {checked.mismatches} differ", file=sys.stderr)
        compared, sized = row_parts(checked, program)
        found = ResultRow(weight="") | compared | sized
        simulated = {"first_difference": checked.first or None, **found.plain()}
        del simulated["weight"]
    measured = cost(accelerator, device, store, seeds)
    assert measured.fmax_mhz is not None
    if simulated:
        simulated["images_per_second"] = measured.fmax_mhz * 1e6 / simulated["cycles_per_image"]
    return {
        "name": name,
        "network": network.name,
        "dataset": network.about.get("dataset"),
        "weight": str(program.operands.weight),
        "activation": str(program.operands.activation),
        "accumulator_bits": network.accumulator.width,
        "overflow": network.accumulator.overflow,
        "multiplier": chosen.multiplier,
        **geometry_columns(geometry),
        "contexts": program.contexts,
        "batch": program.batch,
        "macs": geometry.macs,
        "gmacs": geometry.macs * measured.fmax_mhz / 1e3,
        **simulated,
        **measured.row(),
        "memories": {use.name: f"{use.blocks} {use.kind}" for use in memory_use(program, device)},
    }


def main(arguments: Sequence[str]) -> int:
    """Measure the chosen configurations; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CONFIGURATIONS))
    options.add_argument("--seeds", type=int, default=3, help="placements (default 3)")
    options.add_argument(
        "--images", type=int, default=200, help="test images (default 200); 0 routes only"
    )
    given = options.parse_args(arguments)
    names = given.names or list(CONFIGURATIONS)
    if unknown := [name for name in names if name not in CONFIGURATIONS]:
        options.error(
            f"no configuration {', '.join(unknown)}; there are {', '.join(CONFIGURATIONS)}"
        )
    order = list(CONFIGURATIONS)
    record = RowFile(
        given.output, ("name",), lambda row: order.index(row["name"]), {"baseline": MARLANN}
    )
    failed = False
    for name in names:
        try:
            row = measure(name, range(1, given.seeds + 1), given.images, Store())
        except NarrowgaugeError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
            continue
        words = [name, "--seeds", given.seeds, "--images", given.images]
        failed |= row.get("mismatches", 0) > 0
        record.keep([row | provenance(command("peaks", *words))])
        print(
            f"{name}: {row['macs']} products a cycle, {row['fmax_mhz']:.1f} MHz "
            f"({row['fmax_mhz_min']:.1f} to {row['fmax_mhz_max']:.1f}), {row['gmacs']:.3f} GMAC/s; "
            f"{row['lut']} cells, {row['bram']} block RAM, {row.get('dsp', 0)} blocks",
            flush=True,
        )
    return int(failed)
