"""What channels of two widths take and save on an array of slices; run by hand.

``studies channel_costs`` cuts every other channel of the zoo's LeNet-5 in int4 to 2 bits, and lays
it out for 4x4 elements with 8 lanes and slices of 2 bits: with one width, with the channels as they
come, and sorted. The accelerator is mapped, and packed where the device has a router, without being
placed; on iCE40, whose memories are too small for it, the sequencer alone is. Rows are kept in
``docs/results/channel_costs.json``, each as soon as it is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...hw.accelerator.configure import sequencer_config
from ...hw.accelerator.sequencer import Sequencer
from ...hw.geometry import Geometry
from ...hw.network.layers import Layer, Weighted
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.program.ordering import sorted_by_width
from ...hw.synth.build import accelerator_for
from ...hw.synth.measure import measure
from ...hw.synth.targets import Target, target
from ...hw.tools.store import Store
from ...model.zoo.networks import load
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main", "networks", "row"]

OUTPUT = output("channel_costs")
NETWORK = "mnist-lenet5-int4"
GEOMETRY = Geometry(4, 4, 8, chains=2, slice=2)
NARROW = 2
PARTS = {"ecp5-85k": "accelerator", "xc7": "accelerator", "hx8k": "sequencer"}
CHANNELS = ("one width", "as they come", "sorted")


def networks() -> Mapping[str, Network]:
    """Return the network whose weights are cut, without widths, with widths, and sorted."""
    whole = load(NETWORK)
    cut = replace(whole, layers=tuple(map(_cut, whole)))
    one = replace(cut, layers=tuple(map(_one_width, cut)))
    return dict(zip(CHANNELS, (one, cut, sorted_by_width(cut)), strict=True))


def _cut(layer: Layer) -> Layer:
    if not isinstance(layer, Weighted):
        return layer
    weights, most = layer.weights.copy(), 1 << (NARROW - 1)
    weights[::2] = weights[::2].clip(-most, most - 1)
    widths = np.where(np.arange(layer.channels) % 2, layer.weight.width, NARROW)
    return replace(layer, weights=weights, widths=tuple(widths.tolist()))


def _one_width(layer: Layer) -> Layer:
    return replace(layer, widths=None) if isinstance(layer, Weighted) else layer


def row(channels: str, on: Target) -> Row:
    """Measure one layout of the network, or its sequencer alone."""
    program = Program(networks()[channels], GEOMETRY)
    part = PARTS[on.name]
    if part == "sequencer":
        component = Sequencer(sequencer_config(program, GEOMETRY.drain_cycles))
    else:
        component = accelerator_for(program, on)
    found = measure(component, on, seeds=(), store=Store())
    return {
        "part": part,
        "channels": channels,
        "weight_words": program.weight_words,
        "cycles_per_image": program.cycles.per_image,
        **found.row(),
        **provenance(command("channel_costs")),
    }


def main(arguments: Sequence[str]) -> int:
    """Run the study; return the exit status."""
    options = parser(__doc__, OUTPUT)
    given = options.parse_args(arguments)
    kept = RowFile(given.output, ("target", "channels"), order=_order)
    for name, part in PARTS.items():
        for channels in CHANNELS:
            found = row(channels, target(name))
            kept.keep([found])
            print(f"{name}, {part}, {channels}: {found['lut']} LUT", flush=True)
    return 0


def _order(row: Row) -> tuple[int, int]:
    return list(PARTS).index(row["target"]), CHANNELS.index(row["channels"])
