"""``narrowgauge train``: one network, one network file."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from ..terminal import options
from ..terminal.progress import Reporter, standard_output

__all__ = ["LayerFormats", "TrainOptions", "command"]

RECIPE = (
    *("dataset", "network", "widths", "width", "first", "last", "layers", "input"),
    *("weight", "activation", "epochs", "batch", "rate", "multiplier_bits", "seed"),
)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of the command."""

    dataset: str
    network: str
    widths: tuple[int, ...]
    width: float
    weight: str
    activation: str | None
    first: str | None
    last: str | None
    layers: tuple[tuple[str, str], ...]
    channels: Path | None
    input: str | None
    accumulator: int | None
    overflow: str | None
    lanes: int
    epochs: int | None
    batch: int | None
    rate: float | None
    multiplier_bits: int
    seed: int
    checkpoints: Path | None
    output: Path
    as_json: bool


class LayerFormats(click.ParamType):
    """``NAME=WEIGHT/ACTIVATION``."""

    name = "NAME=W/A"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return name and formats."""
        if isinstance(value, tuple):
            return value
        name, separator, formats = value.partition("=")
        if not (name and separator and formats):
            self.fail(f"{value!r} is not a layer and its formats such as conv1=int8/uint8")
        return name, formats


@click.command(
    "train",
    epilog="""\b
Examples:
  narrowgauge train --weight int4 -o digits.safetensors
  narrowgauge train --weight bipolar --widths 256,256 --accumulator 12 -o wide.safetensors
  narrowgauge train --dataset mnist --network lenet5 --weight int4 --first int8 -o l.safetensors
  narrowgauge train --weight int8 --channels widths.json -o mixed.safetensors""",
)
@click.option("--dataset", default="digits", show_default=True, help="Data set, or FILE.npz.")
@click.option(
    "--network",
    default="mlp",
    show_default=True,
    help="mlp, lenet5, cifar10_full, all_cnn_c, resnet8 or resnet18.",
)
@click.option(
    "--widths",
    type=options.Numbers(),
    default="64,32",
    show_default=True,
    help="Widths of the hidden layers of mlp.",
)
@click.option("--width", default=1.0, show_default=True, help="Multiplies all channels.")
@click.option("--weight", default="int8", show_default=True, help="Weight format.")
@click.option("--activation", help="Activation format [default: what goes with the weights].")
@click.option("--first", metavar="W/A", help="Formats of the first layer with weights.")
@click.option("--last", metavar="W/A", help="Formats of the last layer with weights.")
@click.option(
    "--layer", "layers", type=LayerFormats(), multiple=True, help="Formats of a layer; repeatable."
)
@options.channels
@click.option("--input", help="Format of the pixels [default: the data set's].")
@options.accumulator
@options.accumulator_lanes
@click.option("--epochs", type=int, help="Training epochs [default: the recipe's].")
@click.option("--batch", type=int, help="Images a step [default: the recipe's].")
@click.option("--rate", type=float, help="Peak learning rate [default: the recipe's].")
@click.option(
    "--multiplier-bits",
    type=int,
    default=10,
    show_default=True,
    help="Bits of the multipliers that rescale sums.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the training.")
@click.option(
    "--checkpoints",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder from which a killed training goes on [default: in the cache].",
)
@options.output_file("Network file to write.")
@options.json_output
@options.gathered(TrainOptions)
def command(given: TrainOptions) -> int:
    """Train a float network, then its version in one number format, and write the integers."""
    from ...hw.geometry import Geometry
    from ...hw.network.file import save
    from ...hw.numbers.arithmetic import Accumulator
    from ...hw.program.ordering import sorted_by_width
    from ...hw.tools.store import Store

    bits, lanes = given.accumulator, given.lanes
    if given.network != "mlp":
        options.refuse("widths", f"is for mlp, and --network is {given.network}")
    Geometry(rows=1, columns=1, lanes=lanes)  # what no array has is refused
    if bits is not None:
        Accumulator(bits)  # refuses what there is none of
    with Reporter() as reporter:
        with reporter.step("load PyTorch"):
            from ...model.data import load
            from ...model.integers.reference import accuracy, evaluate
            from ...model.training.recipe import Recipe
            from ..runs.loading import set_accumulator
            from ..runs.pipeline import Trainer
            from ..runs.sums import SEEN, calibration_levels, print_sums, sums_rows

        recipe = Recipe(
            **{name: getattr(given, name) for name in RECIPE},
            channels=options.channel_widths(given.channels),
        )
        trainer = Trainer(recipe, Store(), reporter, checkpoints=given.checkpoints)
        network = trainer.network(given.weight, given.activation, lanes)
        network = set_accumulator(network, bits, given.overflow)
        share = network.about["accuracy_reference"]
        if bits is not None:  # the accumulator decides what its overflows do
            dataset = load(given.dataset)
            with reporter.step("evaluate the integers"):
                levels = dataset.levels(dataset.test_images, network.input)
                share = accuracy(evaluate(network, levels, lanes), dataset.test_labels)
            network = replace(network, about={**network.about, "accuracy_reference": share})
    network = sorted_by_width(network)
    save(network, given.output)
    for remark in network.about.get("remarks", ()):
        print(remark, file=sys.stderr)
    summary = {
        "file": str(given.output),
        "network": network.name,
        "accumulator_bits": network.accumulator.width,
        "parameter_bits": network.parameter_bits,
        "mean_weight_bits": network.mean_weight_bits,
        "accuracy_float": network.about["accuracy_float"],
        "accuracy_reference": share,
    }
    levels = calibration_levels(network, given.output, given.dataset, SEEN)
    sums = sums_rows(network, given.lanes, levels)
    if given.as_json:
        print(json.dumps({**summary, "sums": sums}, indent=2))
    else:
        print(
            f"{given.output}: {network.name}, {100 * summary['accuracy_reference']:.2f} % "
            f"(float {100 * summary['accuracy_float']:.2f} %), "
            f"{network.accumulator.width}-bit accumulator, {network.parameter_bits:,} bits of "
            f"weights, {network.mean_weight_bits:.3g} each"
        )
        print_sums(sums, standard_output())
    return 0
