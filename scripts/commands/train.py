"""``narrowgauge train``: one network, one network file."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runs.sums import register_text
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

if TYPE_CHECKING:
    from ...hw.network.network import Network

__all__ = ["LayerFormats", "TrainOptions", "command"]

RECIPE = (
    *("dataset", "network", "widths", "width", "first", "last", "layers", "input"),
    *("weight", "activation", "epochs", "batch", "rate", "multiplier_bits", "seed"),
    *("accumulator_bits", "constrain", "ends"),
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
    accumulator_bits: int | None
    constrain: str | None
    ends: str
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
  narrowgauge train --weight int8 --channels widths.json -o mixed.safetensors
  narrowgauge train --weight int4 --accumulator-bits 10 --constrain a2q+ -o ten.safetensors""",
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
@click.option(
    "--accumulator-bits",
    type=int,
    metavar="BITS",
    help="Train weights so that an accumulator of so many bits holds every sum; with --constrain.",
)
@click.option("--constrain", metavar="HOW", help="a2q, or a2q+, which centres weights about 0.")
@click.option(
    "--ends",
    default="constrained",
    show_default=True,
    help="Whether the first and the last layer are constrained, or free.",
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
    if given.constrain is not None:
        options.refuse("accumulator", "is chosen by --accumulator-bits in a constrained training")
    Geometry(rows=1, columns=1, lanes=lanes)  # what no array has is refused
    if bits is not None:
        Accumulator(bits)  # refuses what there is none of
    with Reporter() as reporter:
        with reporter.step("load PyTorch"):
            from ...model.data import load
            from ...model.integers.reference import accuracy, evaluate
            from ...model.training.recipe import Recipe
            from ..runs.loading import check_overflow, set_accumulator
            from ..runs.pipeline import Trainer
            from ..runs.sums import SEEN, calibration_levels, print_sums, sums_rows

        recipe = Recipe(
            **{name: getattr(given, name) for name in RECIPE},
            channels=options.channel_widths(given.channels),
        )
        check_overflow(recipe.activation_format, given.overflow)
        trainer = Trainer(recipe, Store(), reporter, checkpoints=given.checkpoints)
        network = trainer.network(given.weight, given.activation, lanes, bits=bits)
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
    levels = calibration_levels(network, given.output, given.dataset, SEEN)
    sums = sums_rows(network, given.lanes, levels)
    if given.as_json:
        print(json.dumps({**_summary(given, network, share), "sums": sums}, indent=2))
    else:
        _print(given, network, share)
        print_sums(sums, standard_output())
    return 0


def _summary(given: TrainOptions, network: "Network", share: float) -> dict[str, object]:
    """Return what is said of the network, without its sums."""
    return {
        "file": str(given.output),
        "network": network.name,
        "accumulator_bits": network.accumulator.width,
        "parameter_bits": network.parameter_bits,
        "mean_weight_bits": network.mean_weight_bits,
        "sparsity": network.sparsity,
        "constraint": network.about.get("constraint"),
        "accuracy_float": network.about["accuracy_float"],
        "accuracy_reference": share,
    }


def _print(given: TrainOptions, network: "Network", share: float) -> None:
    """Print the same in words."""
    print(
        f"{given.output}: {network.name}, {100 * share:.2f} % "
        f"(float {100 * network.about['accuracy_float']:.2f} %), "
        f"{register_text(network.accumulator)}, {network.parameter_bits:,} bits of "
        f"weights, {network.mean_weight_bits:.3g} each, {100 * network.sparsity:.0f} % of them 0"
    )
    proven = network.about.get("constraint")
    if proven:
        free = " and ".join(proven["free"])
        also = f"; {free} are free, and the register is as wide as it has to be" if free else ""
        print(
            f"{proven['kind']}: proven for every channel that no input overflows {proven['bits']} "
            f"bits, at the end or on the way, so that wrapping and saturating are the same{also}"
        )
