"""Channels of 2 and 4 bits beside layers of one width, without training; run by hand.

``studies channel_widths MODEL DATA`` takes a float network as ``studies post_training`` does, and
quantises it with weights of 2, 3, 4 and 8 bits, and with half of the channels of each layer at 2
bits and half at 4: every other one, and those at 2 that lose least of their weights there. It is
tested with 2,000 training images that are not calibrated on, and with no test images. Rows are kept
in ``docs/results/channel_widths.json``, each as soon as it is there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from ...hw.tools.store import Store
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import lowered, quantize, quantize_model
from ..terminal.progress import Reporter
from .post_training import float_network, validation
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["ACTIVATION", "main", "methods", "places_by_loss"]

OUTPUT = output("channel_widths")
UNIFORM = ("int2", "int3", "int4", "int8")
NARROW, WIDE = 2, 4
ACTIVATION = "uint8"
CALIBRATION = 200


def methods(network: nn.Module, images: NetworkImages) -> Iterator[tuple[str, PostTraining]]:
    """Yield what is compared, and its name."""
    for weight in UNIFORM:
        yield weight, PostTraining(weight=weight, activation=ACTIVATION)
    counts = lowered(network, images).channels()
    every = {name: [WIDE if at % 2 else NARROW for at in range(counts[name])] for name in counts}
    for name, widths in (("every other", every), ("least lost", _least_lost(network, images))):
        given = PostTraining(weight=f"int{WIDE}", activation=ACTIVATION, channels=widths)
        yield f"{NARROW} and {WIDE}, {name}", given


def _least_lost(network: nn.Module, images: NetworkImages) -> dict[str, list[int]]:
    """Return widths: narrow are the half of the channels that lose least by it, relative to all."""
    found = {}
    for name, places in places_by_loss(network, images, NARROW).items():
        narrow = (len(places) + 1) // 2
        found[name] = [NARROW if at < narrow else WIDE for at in places]
    return found


@torch.no_grad()
def places_by_loss(network: nn.Module, images: NetworkImages, bits: int) -> dict[str, list[int]]:
    """Return the place of each channel of each layer among those that lose least, from 0 on.

    What a channel loses is the squared error of its weights at so many bits, relative to all.

    Parameters
    ----------
    network : Module
        In float.
    images : NetworkImages
        Some of them tell the ranges.
    bits : int
        Of a weight.
    """
    method = PostTraining(weight=f"int{bits}", activation=ACTIVATION)
    exact = lowered(network, images)
    model, _, _ = quantize_model(lowered(network, images), images, method)
    found = {}
    for (node, step), (_, whole) in zip(model.weighted(), exact.weighted(), strict=True):
        weight = whole.op.weight.flatten(1)
        lost = (step.op.weight.flatten(1) - weight).square().sum(dim=1) / weight.square().sum(dim=1)
        found[node.name] = lost.argsort().argsort().tolist()
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the study; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("model")
    options.add_argument("data")
    given = options.parse_args(arguments)
    kept = RowFile(given.output, ("network", "weights"), order=lambda row: row["bits"])
    with Reporter() as reporter:
        images = NetworkImages.load(given.data, CALIBRATION)
        exact = lowered(float_network(given.model, given.data, images, Store()), images)
        images = validation(images)
        for name, method in methods(exact, images):
            with reporter.step(f"quantise to {name}"):
                found = quantize(exact, images, method, figures=False)
            assert found.shares is not None
            row: Row = {
                "network": Path(given.model).stem,
                "weights": name,
                "activations": ACTIVATION,
                "bits": found.network.mean_weight_bits,
                "parameter_bits": found.network.parameter_bits,
                "accumulator_bits": found.network.accumulator.width,
                "accuracy_float": found.shares.exact,
                "accuracy": found.shares.integer,
                "same": found.shares.same,
                "images": found.shares.images,
            }
            made = command("channel_widths", given.model, given.data)
            kept.keep([row | provenance(made, "narrowgauge", "numpy", "torch")])
            print(f"{name}: {100 * row['accuracy']:.2f} %, {row['bits']:.3g} bits a weight")
    return 0
