"""Cycles, images a second and footprint of ResNet-18 and ResNet-152 at 224x224; run by hand.

``studies resnet_shapes`` lays both networks out with random weights, of 8, 4 and 2 bits, and of
several widths by layer and by channel whose means are those of Latotzke et al. (2022), for an array
of slices of 2 bits on two devices. Cycles are the cycle model's; logic is estimated of the same
array with a small residual network, whose memories fit; images a second follow at a clock that is
estimated, or stated, and at stated bandwidths of a memory outside, which no accelerator here has a
port to (`resnet_traffic`). There are no trained weights, and no accuracy.

``studies resnet_shapes --layers`` simulates single layers of these networks cycle by cycle, on a
smaller array and at fewer positions, with several widths, beside the reference and the cycle model;
it exits with 1 where anything differs.
Rows are kept in ``docs/results/resnet_shapes.json``, each as soon as it is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ...hw.geometry import Geometry
from ...hw.network.layers import Conv2d, Layer, Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.layout import Program
from ...hw.program.records import Record
from ...hw.synth.estimate import estimate
from ...hw.synth.targets import Target, target
from .record import Row, RowFile, command, output, parser, provenance
from .resnet_layers import SimulatedLayers, cut, simulated
from .resnet_networks import DEPTHS, ResNet, Widths, by_channel, by_layer, uniform
from .resnet_traffic import traffic

__all__ = [
    "DEVICES",
    "LAYERS",
    "MEANS",
    "ShapeDevice",
    "accelerator_row",
    "main",
    "shape_row",
    "widths_of",
]

OUTPUT = output("resnet_shapes")
MEANS = {18: 6.5, 152: 3.4}
"""Mean bits of a weight: 32 over 4.9 and 9.4, by which Latotzke et al. say that memory shrinks."""
BY_LAYER = {18: (8, 6), 152: (4, 2)}
BY_CHANNEL = (8, 4, 2)
BANDWIDTHS = (1, 4, 16)
"""Of a memory outside, in GB/s."""
SMALL = ResNet(152, size=32, classes=10, channels=32, blocks=(1, 1, 1))
"""What logic and clock are estimated with: layers of all kinds, in most of the ECP5's memory."""


@dataclass(frozen=True)
class ShapeDevice:
    """A device, and the array that the study takes there.

    Attributes
    ----------
    name : str
    target : Target
        What the estimate is of.
    memory : int
        Bits of all memory blocks.
    clock : float or None
        In MHz, where it is stated; None takes the estimate.
    geometry : Geometry
    """

    name: str
    target: Target
    memory: int
    clock: float | None
    geometry: Geometry


_LARGE = {"lut": 400_000, "ff": 800_000, "bram": 2_800, "dsp": 220}
DEVICES = {
    each.name: each
    for each in (
        ShapeDevice(
            "ecp5-85k", target("ecp5-85k"), 208 * 18 * 1024, None,
            Geometry(5, 8, 32, chains=5, slice=2),
        ),
        ShapeDevice(
            "large", replace(target("xc7"), name="large", budget=_LARGE), 2_800 * 18 * 1024, 200.0,
            Geometry(12, 16, 64, chains=12, slice=2),
        ),
    )
}  # fmt: skip

SIMULATED = Geometry(3, 8, 16, chains=3, slice=2)
"""The array on which single layers are simulated: a smaller one, whose gates are fewer."""
LAYERS = (
    SimulatedLayers("7x7, stride 2, and max pool", 18, ("stem", "pool"), 8, 12, "by layer"),
    SimulatedLayers("3x3 of 64", 18, ("s1b1conv1",), 4, 5, "by channel"),
    SimulatedLayers("classifier", 18, ("classifier",), 1, 1, "by layer"),
    SimulatedLayers("3x3, stride 2, of 128", 152, ("s2b1conv2",), 4, 6, "by channel"),
    SimulatedLayers("1x1 of 2048", 152, ("s4b2conv1",), 1, 3, "by channel"),
    SimulatedLayers("1x1 to 2048", 152, ("s4b2conv3",), 1, 3, "by layer"),
    SimulatedLayers(
        "bottleneck of 64 and its sum", 152,
        ("s1b1conv1", "s1b1conv2", "s1b1conv3", "s1b1down", "s1b1add"), 3, 4, "by channel",
    ),
)  # fmt: skip
ACCUMULATORS = {"by layer": Accumulator(28, "saturate"), "by channel": Accumulator(16)}
"""What single layers are simulated with, by how their widths are given."""


def widths_of(depth: int) -> Mapping[str, Widths]:
    """Return all ways to give a network's weights their widths, by what they are called."""
    plain, mean = ResNet(depth).network(), MEANS[depth]
    found = {f"int{bits}": uniform(plain, bits) for bits in (8, 4, 2)}
    found["by layer"] = by_layer(plain, mean, BY_LAYER[depth])
    found["by channel"] = by_channel(plain, mean, BY_CHANNEL)
    return found


# ------------------------------------------------------------------ rows


def _about(part: str, device: str, geometry: Geometry) -> Row:
    names = ("rows", "columns", "lanes", "chains", "slice")
    return {"part": part, "device": device} | {each: getattr(geometry, each) for each in names}


def accelerator_row(device: ShapeDevice) -> Row:
    """Estimate what the array takes, with a small network, and how fast it is."""
    program = Program(_small(), device.geometry, contexts=1, batch=1)
    found = estimate(program, device.target)
    return _about("accelerator", device.name, device.geometry) | {
        "macs": device.geometry.macs,
        "lut": found.lut,
        "lut_error": found.lut_error,
        "luts": device.target.budget["lut"],
        "ff": found.ff,
        "bram": found.bram,
        "memory_bits": device.memory,
        "remark": found.remark,
        "clock_mhz": device.clock or found.fmax_mhz,
        "clock_error": None if device.clock else found.fmax_error,
        "clock": "stated" if device.clock else "estimated",
    }


def _small() -> Network:
    return SMALL.network(by_channel(SMALL.network(), MEANS[152], BY_CHANNEL))


def shape_row(device: ShapeDevice, name: str, network: Network, clock_mhz: float) -> Row:
    """Return what a network takes on a device's array, at a clock."""
    program = Program(network, device.geometry, contexts=1, batch=1)
    cycles, clock = program.cycles.per_image, 1e6 * clock_mhz
    macs = sum(map(network.macs, network))
    row = _about("shape", device.name, device.geometry) | {
        "network": network.name,
        "weights": name,
        "bits": network.mean_weight_bits,
        "parameters": network.parameters,
        "parameter_bits": network.parameter_bits,
        "gmacs": macs / 1e9,
        "cycles": cycles,
        "least": sum(_layer_cycles(program, record) for record in program.records),
        "used": _products(program.records, device.geometry) / (device.geometry.macs * cycles),
        "clock_mhz": clock_mhz,
        "images_per_second": clock / cycles,
        "tops": 2 * macs * clock / cycles / 1e12,
        "kinds": list(_kinds(program)),
    }
    moved = traffic(program, device.memory)
    if moved is None:
        return row
    return row | {
        "maps_inside": moved.inside,
        "weight_mbytes": moved.weights / 8e6,
        "map_mbytes": moved.maps / 8e6,
        "parts": max(layer.parts for layer in moved.layers),
        "more_cycles": moved.more,
        "bandwidths": list(BANDWIDTHS),
        "rates": [moved.rate(cycles, clock, 1e9 * each) for each in BANDWIDTHS],
        "unhidden": [moved.unhidden(cycles, clock, 1e9 * each) for each in BANDWIDTHS],
    }


def _layer_cycles(program: Program, record: Record) -> int:
    return max(program.cycles.fetch(record), program.cycles.compute(record))


def _products(records: Sequence[Record], geometry: Geometry) -> int:
    """Return the products of slices that layers with weights need an image, without any waste."""
    total = 0
    for record in records:
        layer = record.mapped.layer
        if isinstance(layer, Weighted):
            assert geometry.slice is not None
            slices = sum(-(-width // geometry.slice) for width in layer.channel_widths)
            positions = record.mapped.patch.count * record.place.shifts
            total += positions * slices * (layer.weights.size // layer.channels)
    return total


def _kinds(program: Program) -> Iterator[Row]:
    """Yield what layers of a kind take: those of a stage that have equal windows."""
    found = sorted(program.records, key=lambda record: _kind(record.mapped.layer))
    for (stage, kind), group in groupby(found, lambda record: _kind(record.mapped.layer)):
        records = list(group)
        cycles = sum(_layer_cycles(program, record) for record in records)
        yield {
            "stage": stage,
            "kind": kind,
            "layers": len(records),
            "macs": sum(program.network.macs(record.mapped.layer) for record in records),
            "fetch": sum(map(program.cycles.fetch, records)),
            "compute": sum(map(program.cycles.compute, records)),
            "cycles": cycles,
            "used": _products(records, program.geometry) / (program.geometry.macs * cycles),
        }


def _kind(layer: Layer) -> tuple[int, str]:
    """Return the stage of a layer, 0 in front of the first one and 9 behind the last, and kind."""
    stage = int(layer.name[1]) if layer.name[0] == "s" and layer.name[1].isdigit() else 9
    if layer.name in ("stem", "pool"):
        stage = 0
    if isinstance(layer, Conv2d):
        (height, width), stride = layer.window.kernel, layer.window.stride[0]
        return stage, f"{height}x{width}" + (f", stride {stride}" if stride > 1 else "")
    return stage, layer.kind.replace("_", " ")


# ------------------------------------------------------------------ running


def _keep_shapes(kept: RowFile, devices: Sequence[str]) -> None:
    made = provenance(command("resnet_shapes"), "narrowgauge", "numpy")
    accelerators = {name: accelerator_row(DEVICES[name]) for name in devices}
    kept.keep([row | made for row in accelerators.values()])
    for depth in DEPTHS:
        for name, widths in widths_of(depth).items():
            network = ResNet(depth).network(widths)
            for device in devices:
                clock = accelerators[device]["clock_mhz"]
                row = shape_row(DEVICES[device], name, network, clock)
                kept.keep([row | made])
                rate = f"{row['images_per_second']:.3g} images/s"
                print(f"{device}: {network.name}, {name}: {rate}", flush=True)


def _layer(network: Network, name: str) -> Layer:
    return next(layer for layer in network if layer.name == name)


def _keep_layers(kept: RowFile) -> int:
    """Simulate single layers on the first device's array; return the exit status."""
    made = provenance(command("resnet_shapes", "--layers"), "narrowgauge", "amaranth", "yosys")
    networks: dict[tuple[int, str], Network] = {}
    equal = True
    for layers in LAYERS:
        key = layers.depth, layers.way
        if key not in networks:
            networks[key] = ResNet(layers.depth).network(widths_of(layers.depth)[layers.way])
        network = networks[key]
        own = cut(network, layers, ACCUMULATORS[layers.way])
        whole = network.sizes[network.sources(_layer(network, layers.names[0]))[0]]
        about = {"network": network.name, "layers": layers.text, "way": layers.way}
        row = _about("layer", "simulated", SIMULATED) | about | {"whole": list(whole)}
        row |= simulated(own, SIMULATED)
        kept.keep([row | made])
        same = row["cycles"] == row["predicted"] and not row["mismatches"]
        equal &= same
        cycles = f"{row['cycles']:,} cycles, {row['predicted']:,} predicted"
        print(f"{network.name}, {layers.text}: {cycles}; {row['mismatches']} differ", flush=True)
    return int(not equal)


def main(arguments: Sequence[str]) -> int:
    """Run the study; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--layers", action="store_true", help="simulate single layers")
    options.add_argument("--devices", default=",".join(DEVICES))
    given = options.parse_args(arguments)
    kept = RowFile(given.output, ("part", "device", "network", "weights", "layers"), _order)
    if given.layers:
        return _keep_layers(kept)
    _keep_shapes(kept, given.devices.split(","))
    return 0


def _order(row: Row) -> tuple[object, ...]:
    """Return what rows are sorted by: as they are made."""
    ways = ["int8", "int4", "int2", "by layer", "by channel", None]
    texts = [None, *(layers.text for layers in LAYERS)]
    return (
        row["part"], row.get("network", ""), [*DEVICES, "simulated"].index(row["device"]),
        texts.index(row.get("layers")), ways.index(row.get("weights")),
    )  # fmt: skip
