"""Networks of several widths on arrays of slices: whole test sets, and cycles; run by hand.

``studies mixed_networks MODEL DATA`` takes a float LeNet-5 as ``studies post_training`` does and
quantises it without training, once with layers of 2, 3, 4 and 8 bits, and once with channels of 2,
4 and 8 bits in each layer. Both run on arrays of 2x4 elements with 8 lanes and 2 chains: all test
images on slices of 2 bits, with accumulators that wrap and that saturate; ``--images`` of them on
slices of 1 and 4 bits, and with accumulators that lack two bits, on slices and on whole weights.
Every sum, level and label is compared with the integer reference. Rows are kept in
``docs/results/mixed_networks.json``, each as soon as it is there, with the cycles of each layer,
measured and by the model. Exits with 1 where anything differs, or takes other cycles.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import SLICES, Geometry
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import OVERFLOWS, Accumulator
from ...hw.program.layout import Program
from ...hw.program.ordering import sorted_by_width
from ...hw.program.records import Record
from ...hw.tools.store import Store
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import lowered, quantize
from ..runs.checked import Checked
from ..runs.kept import check
from ..runs.loading import load_images
from .channel_widths import ACTIVATION, places_by_loss
from .post_training import float_network, validation
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["channel_widths", "main", "measured", "mixed", "runs"]

OUTPUT = output("mixed_networks")
TOOLS = ("narrowgauge", "amaranth", "torch", "yosys")
GEOMETRY = Geometry(2, 4, 8, chains=2)  # drains in 4 cycles, which is the least pass of LeNet-5
WHOLE, CALIBRATION, IMAGES = 2, 200, 500
LAYERS = {"conv1": 8, "conv2": 4, "dense1": 2, "dense2": 3}
NARROW, MIDDLE, WIDE = 2, 4, 8
SHORT = 2  # bits that a narrow accumulator lacks


def channel_widths(network: nn.Module, images: NetworkImages) -> dict[str, list[int]]:
    """Return the widths of the channels of each layer, by what they lose at 2 bits.

    The half that loses least, relative to all, has 2 bits, the next quarter 4, the others 8.
    """
    ordered = places_by_loss(network, images, NARROW).items()
    return {name: [_width(at, len(places)) for at in places] for name, places in ordered}


def _width(place: int, channels: int) -> int:
    return NARROW if 2 * place < channels else MIDDLE if 4 * place < 3 * channels else WIDE


def mixed(network: nn.Module, images: NetworkImages) -> Iterator[tuple[str, Network, Row]]:
    """Yield both networks with their names, and what they reach on validation images."""
    held = validation(images)
    layers = [(name, f"int{bits}") for name, bits in LAYERS.items()]
    for name, given in (
        ("layers", PostTraining(activation=ACTIVATION, layers=layers)),
        ("channels", PostTraining(activation=ACTIVATION, channels=channel_widths(network, images))),
    ):
        found = quantize(network, held, given, lanes=GEOMETRY.lanes, figures=False)
        assert found.shares is not None
        reached = {
            "accuracy_float_validation": found.shares.exact,
            "accuracy_validation": found.shares.integer,
            "bits": found.network.mean_weight_bits,
        }
        yield name, sorted_by_width(found.network), reached


def runs(network: Network, images: int) -> Iterator[tuple[Geometry, Network, int | None]]:
    """Yield arrays, the network with an accumulator, and how many images; None is all.

    Accumulators that lack bits saturate on whole weights only: slices pass through other sums.
    """
    exact, small = network.accumulator.width, network.accumulator.width - SHORT
    asked = [(WHOLE, exact, overflow, None) for overflow in OVERFLOWS]
    asked += [(WHOLE, small, "wrap", images)]
    asked += [(bits, exact, "wrap", images) for bits in SLICES if bits != WHOLE]
    asked += [(None, small, overflow, images) for overflow in OVERFLOWS]
    for bits, width, overflow, count in asked:
        accumulator = Accumulator(width, overflow)
        yield replace(GEOMETRY, slice=bits), network.with_accumulator(accumulator), count


def measured(accelerator: Accelerator, result: Checked) -> Row:
    """Return what the images gave, and the cycles beside those of the model."""
    program = accelerator.program
    geometry, accumulator = program.geometry, program.network.accumulator
    modelled = accelerator.cycles.run(result.images)
    return {
        **{name: getattr(geometry, name) for name in ("rows", "columns", "lanes", "chains")},
        "slice": geometry.slice,
        "accumulator_bits": accumulator.width,
        "overflow": accumulator.overflow,
        "images": result.images,
        "mismatches": result.mismatches,
        "first_difference": result.first or None,
        "accuracy_reference": result.accuracy_reference,
        "accuracy_hardware": result.accuracy_hardware,
        "overflows": result.overflows,
        "cycles": result.cycles,
        "cycles_by_model": modelled,
        "cycles_per_image": result.cycles / result.images,
        "layers": [
            _layer(program, record, cycles, result.images)
            for record, cycles in zip(program.records, result.layer_cycles, strict=True)
            if record.on_array
        ],
        "seconds": round(result.seconds, 1),
        "engine": result.engine,
    }


def _layer(program: Program, record: Record, cycles: int, images: int) -> Mapping[str, object]:
    """Return a layer's passes over its input, those of all tiles, and its cycles an image."""
    return {
        "layer": record.mapped.layer.name,
        "runs": [list(run) for run in record.tiles.runs],
        "passes": sum(run.tiles * run.planes for run in record.tiles.runs),
        "steps": record.tiles.steps,
        "cycles_by_model": program.cycles.compute(record) / program.batch,
        "cycles": cycles / images,
    }


def main(arguments: Sequence[str]) -> int:
    """Run the study; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument(
        "--images", type=int, default=IMAGES, help=f"where not all run [default: {IMAGES}]"
    )
    given = options.parse_args(arguments)
    kept = RowFile(given.output, ("widths", "slice", "overflow", "accumulator_bits"), order=_order)
    store, status = Store(), 0
    images = NetworkImages.load(given.data, CALIBRATION)
    exact = lowered(float_network(given.model, given.data, images, store), images)
    made = command("mixed_networks", _name(given.model), given.data)
    for name, network, reached in mixed(exact, images):
        dataset = load_images(network, given.data)
        for geometry, version, count in runs(network, given.images):
            accelerator = Accelerator(Program(version, geometry))
            row = measured(accelerator, check(accelerator, dataset, store, images=slice(count)))
            row = {"widths": name, **reached, **row, **provenance(made, *TOOLS)}
            kept.keep([row])
            print(_said(row), flush=True)
            if row["mismatches"] or row["cycles"] != row["cycles_by_model"]:
                print(f"mixed_networks: {row['first_difference'] or 'cycles'}", file=sys.stderr)
                status = 1
    return status


def _name(model: str) -> str:
    """Return what stands for the network in a command that is kept: no file of a machine's."""
    return "lenet5" if model.endswith(".checkpoint") else model


def _said(row: Row) -> str:
    return (
        f"{row['widths']}, slices of {row['slice']}, {row['accumulator_bits']} bits, "
        f"{row['overflow']}: {row['images']} images, {row['mismatches']} differ, "
        f"{100 * row['accuracy_hardware']:.2f} %, {row['cycles']} cycles, model "
        f"{row['cycles_by_model']}, {row['seconds']} s"
    )


def _order(row: Row) -> tuple[object, ...]:
    slices = [*SLICES, None]
    return (
        row["widths"] != "layers",
        slices.index(row["slice"]),
        -row["accumulator_bits"],
        row["overflow"] != "wrap",
    )
