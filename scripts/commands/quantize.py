"""``narrowgauge quantize``: a float network becomes a network file without training."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...hw.network import file as network_file
from ...hw.numbers.arithmetic import OVERFLOWS
from ..runs.imports import Values, short
from ..runs.sums import SEEN, print_sums, register_text, sums_rows
from ..terminal import options
from ..terminal.given import given_command
from ..terminal.progress import ReportedStep, Reporter, standard_output, time_left
from .train import LayerFormats

if TYPE_CHECKING:
    from torch import nn

    from ...model.post_training.figures import LayerFigures
    from ...model.post_training.images import NetworkImages
    from ...model.post_training.progress import Progress
    from ...model.post_training.quantization import Quantised, Shares

__all__ = [
    "FloatNetworkOptions",
    "QuantizeOptions",
    "accuracies",
    "command",
    "float_network",
    "float_network_options",
    "shown_progress",
    "stem",
]

INFINITY = float("inf")

METHOD = (
    *("weight", "activation", "input", "first", "last", "layers", "scales"),
    *("weight_range", "norms", "equalize", "activation_range", "percentile", "bias_correction"),
    *("rounding", "seed", "multiplier_bits", "accumulator_bits", "overflow"),
)


@dataclass(frozen=True, kw_only=True)
class FloatNetworkOptions:
    """Options that `float_network_options` gives, and what names the network and its data."""

    model: str
    data: str
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None
    widths: tuple[int, ...]
    width: float
    epochs: int | None


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions(FloatNetworkOptions):
    """Options of the command."""

    output: Path
    calibration: int
    weight: str
    activation: str | None
    input: str | None
    first: str | None
    last: str | None
    layers: tuple[tuple[str, str], ...]
    channels: Path | None
    scales: str
    weight_range: str
    norms: str
    equalize: bool
    activation_range: str
    percentile: float
    bias_correction: bool
    rounding: str
    seed: int
    multiplier_bits: int
    accumulator_bits: int | None
    overflow: str
    name: str | None
    lanes: int
    as_json: bool


def float_network_options(function: Callable) -> Callable:
    """Add the options that say how images become the input, and how MODEL is trained first."""
    for option in reversed(
        (
            click.option(
                "--mean", type=Values(), help="Taken off pixels, 0 to 1; one, or one a channel."
            ),
            click.option(
                "--deviation",
                type=Values(positive=True),
                help="What they are divided by then; likewise.",
            ),
            click.option(
                "--widths",
                type=options.Numbers(),
                default="64,32",
                show_default=True,
                help="Widths of the hidden layers of MODEL mlp.",
            ),
            click.option(
                "--width",
                default=1.0,
                show_default=True,
                help="Multiplies the channels of a trained MODEL.",
            ),
            click.option(
                "--epochs", type=int, help="Training epochs of MODEL [default: the recipe's]."
            ),
        )
    ):
        function = option(function)
    return function


@click.command(
    "quantize",
    epilog="""\b
Examples:
  narrowgauge quantize net.onnx -o net.safetensors --data mnist --weight int8
  narrowgauge quantize nets:small -o small.safetensors --data digits --weight int4 --first int8
  narrowgauge quantize resnet8 -o r.safetensors --data digits --epochs 10 --weight int6
  narrowgauge quantize lenet5.checkpoint -o l.safetensors --data mnist --weight e2m1
  narrowgauge quantize mlp -o m.safetensors --data digits --weight int4 --accumulator-bits 12""",
)
@click.argument("model", metavar="MODEL")
@options.output_file("Network file to write.")
@click.option(
    "--data",
    required=True,
    help="Data set, or a .npy or .npz file of images as the network reads them.",
)
@click.option(
    "--calibration",
    default=200,
    show_default=True,
    metavar="N",
    help="Images that ranges come from: training images, or else the first test images.",
)
@click.option("--weight", default="int8", show_default=True, help="Weight format.")
@click.option("--activation", help="Activation format [default: what goes with the weights].")
@click.option("--input", help="Format of the images [default: the data's].")
@click.option("--first", metavar="W/A", help="Formats of the first layer with weights.")
@click.option("--last", metavar="W/A", help="Formats of the last layer with weights.")
@click.option(
    "--layer", "layers", type=LayerFormats(), multiple=True, help="Formats of a layer; repeatable."
)
@options.channels
@click.option(
    "--scales",
    type=click.Choice(("channel", "tensor")),
    default="channel",
    show_default=True,
    help="One scale of weights a channel, or one a layer.",
)
@click.option(
    "--weight-range",
    type=click.Choice(("mse", "minmax", "output")),
    default="mse",
    show_default=True,
    help="How scales of weights are chosen: least error of weights, or of what their layer gives.",
)
@click.option(
    "--norms",
    type=click.Choice(("kept", "folded")),
    default="kept",
    show_default=True,
    help="BatchNorm as part of multipliers and offsets, or folded into weights.",
)
@click.option(
    "--equalize/--no-equalize",
    default=False,
    show_default=True,
    help="Equalise channels across layers; folds BatchNorm.",
)
@click.option(
    "--activation-range",
    type=click.Choice(("percentile", "mse", "minmax", "kl", "loss")),
    default="percentile",
    show_default=True,
    help="How scales of activations are chosen.",
)
@click.option(
    "--percentile",
    type=float,
    default=99.9,
    show_default=True,
    help="Per cent of the values within the range.",
)
@click.option(
    "--bias-correction/--no-bias-correction",
    default=True,
    show_default=True,
    help="Take off offsets what rounding moves means by.",
)
@click.option(
    "--rounding",
    type=click.Choice(("nearest", "stochastic", "chop", "learned")),
    default="nearest",
    show_default=True,
    help="Rounding of weights.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of stochastic and of learned rounding."
)
@click.option(
    "--multiplier-bits",
    type=int,
    default=16,
    show_default=True,
    help="Bits of the multipliers that rescale sums.",
)
@click.option(
    "--accumulator-bits",
    type=int,
    metavar="P",
    help="Round weights so that no input overflows an accumulator of P bits [default: as wide as "
    "sums need].",
)
@click.option(
    "--overflow",
    type=click.Choice(OVERFLOWS),
    default="wrap",
    show_default=True,
    help="What that accumulator does, though no input makes it.",
)
@float_network_options
@click.option("--name", help="Name of the network [default: made of model and formats].")
@options.accumulator_lanes
@options.json_output
@options.gathered(QuantizeOptions)
def command(given: QuantizeOptions) -> int:
    """Turn a float network into integers of one number format, without training.

    MODEL is a torch module (PACKAGE.MODULE:FUNCTION), a float .onnx file, a .checkpoint that a
    float training left, or the name of a network that is trained in float first (mlp, lenet5,
    cifar10_full, all_cnn_c, resnet8, resnet18). Ranges come from images of the data; the accuracy
    is that of the integers.
    """
    if given.activation_range != "percentile":
        options.refuse("percentile", "is for --activation-range percentile")
    if given.rounding in ("nearest", "chop"):
        options.refuse("seed", "is for --rounding stochastic and learned")
    if given.accumulator_bits is None:
        options.refuse("overflow", "is for --accumulator-bits; otherwise nothing overflows")
    if given.equalize and given.norms == "kept":
        options.refuse("norms", "is what --equalize folds")
    with Reporter() as reporter:
        with reporter.step("load the libraries"):
            from ...hw.program.ordering import sorted_by_width
            from ...model.post_training.images import NetworkImages
            from ...model.post_training.method import PostTraining
            from ...model.post_training.quantization import quantize

        method = PostTraining(
            **{name: getattr(given, name) for name in METHOD},
            channels=options.channel_widths(given.channels),
        )
        with reporter.step("load the images"):
            images = NetworkImages.load(given.data, given.calibration)
        network = float_network(given, images, reporter)
        name = given.name or "-".join(
            map(str, (stem(given.model), method.weight, method.common.activation, *_bits(given)))
        )
        with reporter.step("quantise") as step:
            found = quantize(
                network,
                images,
                method,
                name=name,
                lanes=given.lanes,
                progress=shown_progress(step),
                about={"network": stem(given.model), "command": given_command(("as_json",))},
            )
            step.note(f"{len(images.calibration)} images to calibrate on")
    network_file.save(sorted_by_width(found.network), given.output)
    seen = images.calibration[:SEEN]
    levels = images.levels(seen, found.network.input, found.model.input_scale)
    sums = sums_rows(found.network, given.lanes, levels)
    if given.as_json:
        print(json.dumps({**_row(given, found), "sums": sums}, indent=2))
        return 0
    _print_layers(found.layers)
    print_sums(sums, standard_output())
    proven = " that no input overflows" if given.accumulator_bits is not None else ""
    print(
        f"{given.output}: {name}, {register_text(found.network.accumulator)}{proven}, "
        f"{found.network.parameter_bits:,} bits of weights, {found.network.mean_weight_bits:.3g} "
        "each"
    )
    for line in accuracies(found.shares, given.calibration):
        print(line)
    return 0


def _bits(given: QuantizeOptions) -> tuple[str, ...]:
    return () if given.accumulator_bits is None else (f"p{given.accumulator_bits}",)


def float_network(
    given: FloatNetworkOptions, images: "NetworkImages", reporter: Reporter
) -> "nn.Module":
    """Return the float network, trained now where MODEL is the name of one."""
    from ...model.post_training.sources import normalised

    network = _network(given, images, reporter)
    return normalised(network, given.mean, given.deviation, images.image_shape[2])


def _network(
    given: FloatNetworkOptions, images: "NetworkImages", reporter: Reporter
) -> "nn.Module":
    from ...model.post_training.sources import is_trained_first, read

    if not is_trained_first(given.model):
        with reporter.step("load the network"):
            network = read(given.model, images)
        for name in ("epochs", "width", "widths"):
            options.refuse(name, f"is for a network that is trained first, not {given.model}")
        return network
    if given.model != "mlp":
        options.refuse("widths", f"is for mlp, and the network is {given.model}")
    from ...hw.tools.store import Store
    from ...model.training.recipe import Recipe
    from ...model.training.train import check_recipe
    from ..runs.pipeline import Trainer

    recipe = Recipe(
        dataset=given.data,
        network=given.model,
        widths=given.widths,
        width=given.width,
        epochs=given.epochs,
    )
    check_recipe(recipe)
    return Trainer(recipe, Store(), reporter).trained_float().model


def shown_progress(step: ReportedStep) -> "Progress":
    """Return a callback that says what a quantisation does, and how long it takes yet."""

    def show(text: str, left: float | None) -> None:
        step.note(text if left is None else f"{text}, {time_left(left)}")

    return show


def stem(model: str) -> str:
    """Return a short name of a model."""
    return model.partition(":")[2] or Path(model).stem


def _row(given: QuantizeOptions, found: "Quantised") -> dict[str, object]:
    """Return what ``--json`` prints; numbers that JSON lacks are null."""
    layers = [
        {key: None if value in (INFINITY, -INFINITY) else value for key, value in row.items()}
        for row in map(asdict, found.layers)
    ]
    return {
        "file": str(given.output),
        "network": found.network.name,
        "accumulator_bits": found.network.accumulator.width,
        "parameter_bits": found.network.parameter_bits,
        "mean_weight_bits": found.network.mean_weight_bits,
        "calibration": given.calibration,
        "accuracy": None if found.shares is None else asdict(found.shares),
        "layers": layers,
    }


def _print_layers(layers: "tuple[LayerFigures, ...]") -> None:
    """Print what every layer loses."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("layer", "weights", "gives"):
        table.add_column(name)
    for name in ("bits", "weights, dB", "output, dB", "clipped, %", "loss alone"):
        table.add_column(name, justify="right")
    for row in layers:
        table.add_row(
            short(row.layer),
            row.weight,
            row.activation,
            "" if row.weight_bits is None else f"{row.weight_bits:.4g}",
            _decibels(row.weight_noise),
            _decibels(row.noise),
            "" if row.clipped is None else f"{100 * row.clipped:.2f}",
            f"{row.loss:+.4f}",
        )
    standard_output().print(table)


def _decibels(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return "exact" if ratio == INFINITY else f"{ratio:.1f}"


def accuracies(shares: "Shares | None", calibration: int) -> list[str]:
    """Return what is said of the accuracy."""
    if shares is None:
        return ["the images have no labels: no accuracy"]
    whole = (
        f"{shares.images:,} test images: {_counted(shares.integer, shares.images)}, float "
        f"{_counted(shares.exact, shares.images)}; {100 * shares.same:.2f} % labelled alike"
    )
    lines = [whole]
    if shares.others < shares.images:
        lines.append(
            f"{shares.others:,} that were not calibrated on: "
            f"{_counted(shares.integer_others, shares.others)}, float "
            f"{_counted(shares.exact_others, shares.others)}"
        )
    return lines


def _counted(share: float, images: int) -> str:
    return f"{round(share * images):,} right ({100 * share:.2f} %)"
