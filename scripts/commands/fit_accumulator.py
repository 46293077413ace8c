"""``narrowgauge fit-accumulator``: formats whose sums fit an accumulator of given width."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...hw.errors import NetworkError
from ...hw.network import file as network_file
from ...hw.numbers.arithmetic import OVERFLOWS
from ...hw.program.bounds import BOUNDS
from ..runs.imports import short
from ..runs.sums import sums_row
from ..terminal import options
from ..terminal.given import given_command
from ..terminal.progress import Reporter, standard_output
from .quantize import (
    FloatNetworkOptions,
    accuracies,
    float_network,
    float_network_options,
    shown_progress,
    stem,
)

if TYPE_CHECKING:
    from ...hw.network.network import Network
    from ...model.fitting.options import AccumulatorFit
    from ...model.fitting.search import FittedNetwork

__all__ = ["FitOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class FitOptions(FloatNetworkOptions):
    """Options of the command."""

    data: str | None  # type: ignore[assignment]
    output: Path
    bits: int
    overflow: str
    bound: str
    accuracy_drop: float | None
    calibration: int
    validation: int
    fine_tune: int
    name: str | None
    lanes: int
    as_json: bool


@click.command(
    "fit-accumulator",
    epilog="""\b
Examples:
  narrowgauge fit-accumulator lenet5.checkpoint -o l.safetensors --bits 14 --data mnist
  narrowgauge fit-accumulator mlp --epochs 20 --data digits --bits 12 -o mlp12.safetensors
  narrowgauge fit-accumulator net.onnx --data mnist --bits 16 --accuracy-drop 1 -o n.safetensors
  narrowgauge fit-accumulator mlp --data digits --bits 9 --fine-tune 10 -o mlp9.safetensors
  narrowgauge fit-accumulator mnist-lenet5-int4 --bits 15 --overflow saturate -o s.safetensors""",
)
@click.argument("model", metavar="NETWORK")
@options.output_file("Network file to write.")
@click.option("--bits", type=int, required=True, help="Width of the accumulator.")
@click.option(
    "--overflow",
    type=click.Choice(OVERFLOWS),
    default="wrap",
    show_default=True,
    help="What it does; one that wraps has to hold the last sum only.",
)
@click.option(
    "--bound",
    default="exact",
    show_default=True,
    help=f"What says how wide sums are: {', '.join(BOUNDS)}; calibrated ones are no guarantee.",
)
@click.option(
    "--accuracy-drop",
    type=float,
    metavar="POINTS",
    help="Points that may be lost on the validation images [default: any].",
)
@click.option("--data", help="Data set; a network file needs it for --bound calibrated alone.")
@click.option(
    "--calibration",
    default=200,
    show_default=True,
    metavar="N",
    help="Training images that ranges come from.",
)
@click.option(
    "--validation",
    default=1000,
    show_default=True,
    metavar="N",
    help="Other training images that formats are chosen on.",
)
@click.option(
    "--fine-tune",
    default=0,
    show_default=True,
    metavar="EPOCHS",
    help="Training afterwards, within the bound; kept where it is better on validation images.",
)
@float_network_options
@click.option("--name", help="Name of the network [default: made of NETWORK and bits].")
@options.accumulator_lanes
@options.json_output
@options.gathered(FitOptions)
def command(given: FitOptions) -> int:
    """Choose formats of every layer so that its sums fit an accumulator of given width.

    NETWORK is a float network as `narrowgauge quantize` takes it: of each layer the pairs of widths
    are tried that fill the accumulator, layer by layer, on training images. Or it is a network file
    or a name of the zoo, whose formats are settled: it gets the accumulator where its sums fit.
    """
    with Reporter() as reporter:
        with reporter.step("load the libraries"):
            from ...model.fitting.options import AccumulatorFit
        fit = AccumulatorFit(
            bits=given.bits,
            overflow=given.overflow,
            bound=given.bound,
            accuracy_drop=given.accuracy_drop,
            validation=given.validation,
            lanes=given.lanes,
            fine_tune=given.fine_tune,
        )
        if _is_network(given.model):
            return _settle(given, fit)
        if given.data is None:
            raise NetworkError(f"{given.model}: formats are chosen on images; give --data")
        found = _fit(given, fit, reporter)
    network_file.save(found.quantised.network, given.output)
    if given.as_json:
        print(json.dumps(_row(given, found), indent=2))
        return 0
    _print(given, found)
    return 0


def _is_network(model: str) -> bool:
    from ...model.zoo import networks as zoo

    path = Path(model)
    return path.suffix == ".safetensors" or (not path.exists() and model in zoo.names())


def _settle(given: FitOptions, fit: "AccumulatorFit") -> int:
    """Write a network whose formats are settled, with the accumulator."""
    from ...model.fitting.decided import settled
    from ..runs.loading import load_network
    from ..runs.sums import calibration_levels

    for name in (
        *(
            "accuracy_drop",
            "validation",
            "fine_tune",
            "mean",
            "deviation",
            "widths",
            "width",
            "epochs",
            "name",
        ),
        *(() if given.bound == "calibrated" else ("data", "calibration")),
    ):
        options.refuse(name, "is for float networks; the formats of this one are settled")
    network, levels = load_network(Path(given.model), given.lanes), None
    if given.data is not None:
        levels = calibration_levels(network, Path(given.model), given.data, given.calibration)
    found = settled(network, levels, fit)
    network_file.save(found, given.output)
    if given.as_json:
        print(json.dumps(_settled_row(given, found), indent=2))
    else:
        print(f"{given.output}: {found.name}, {_accumulator(found)}{_said_of(given.bound)}")
    return 0


def _settled_row(given: FitOptions, found: "Network") -> dict[str, object]:
    return {
        "file": str(given.output),
        "network": found.name,
        "accumulator_bits": found.accumulator.width,
        "overflow": found.accumulator.overflow,
        "bound": given.bound,
    }


def _fit(given: FitOptions, fit: "AccumulatorFit", reporter: Reporter) -> "FittedNetwork":
    from ...model.fitting.search import fit_accumulator
    from ...model.post_training.images import NetworkImages

    assert given.data is not None
    with reporter.step("load the images"):
        images = NetworkImages.load(given.data, given.calibration, given.validation)
    network = float_network(given, images, reporter)
    with reporter.step("fit") as step:
        found = fit_accumulator(
            network,
            images,
            fit,
            name=given.name or f"{stem(given.model)}-{given.bits}",
            progress=shown_progress(step),
            about={"network": stem(given.model), "command": given_command(("as_json",))},
        )
        step.note(f"{found.tried} pairs tried of {found.grid}")
    return found


def _row(given: FitOptions, found: "FittedNetwork") -> dict[str, object]:
    """Return what ``--json`` prints."""
    network, shares = found.quantised.network, found.quantised.shares
    return {
        **_settled_row(given, network),
        "tried": found.tried,
        "grid": found.grid,
        "validation_float": found.exact,
        "validation": found.fitted,
        "validation_searched": found.searched,
        "validation_fine_tuned": found.tuned,
        "is_fine_tuned": found.is_tuned,
        "uniform": None if found.uniform is None else found.uniform._asdict(),
        "validation_uniform": found.uniform_share,
        "accuracy": None if shares is None else asdict(shares),
        "layers": [asdict(each) for each in found.layers],
        "sums": {name: sums_row(each, given.overflow) for name, each in found.bounds.items()},
    }


def _accumulator(network: "Network") -> str:
    own = network.accumulator
    kind = "wraps" if own.overflow == "wrap" else "saturates"
    return f"{own.width}-bit accumulator that {kind}"


def _said_of(bound: str) -> str:
    """Return what a bound says of overflows."""
    if bound == "calibrated":
        return ", which other images may overflow"
    return ", which no input makes wrong"


def _print(given: FitOptions, found: "FittedNetwork") -> None:
    """Print what became of every layer, and how accurate that is."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("layer")
    for name in ("reads", "weights", "tried", "that fit", "of", *BOUNDS):
        table.add_column(name, justify="right")
    for row in found.layers:
        sums = sums_row(found.bounds[row.layer], given.overflow)
        pairs = (row.activation, row.weight, row.tried, row.fitting, row.grid)
        table.add_row(short(row.layer), *map(str, pairs), *(str(sums[kind]) for kind in BOUNDS))
    standard_output().print(table)
    network = found.quantised.network
    print(f"{given.output}: {network.name}, {_accumulator(network)}{_said_of(given.bound)}")
    needed = max(sums_row(each, given.overflow)[given.bound] or 0 for each in found.bounds.values())
    if needed < given.bits:
        print(f"its sums take {needed} bits by the bound {given.bound}: a narrower one holds them")
    print(f"{found.tried} pairs tried, of {found.grid} that there are")
    uniform = ""
    if found.uniform is not None and found.uniform_share is not None:
        uniform = (
            f"; int{found.uniform.weight} weights that read {found.uniform.activation} bits in "
            f"every layer {100 * found.uniform_share:.2f} %"
        )
    print(
        f"{given.validation:,} validation images: {100 * found.fitted:.2f} %, float "
        f"{100 * found.exact:.2f} %{uniform}"
    )
    if found.tuned is not None:
        kept = "fine-tuned network is" if found.is_tuned else "weights of the search are"
        print(
            f"fine-tuned for {given.fine_tune} epochs: {100 * found.tuned:.2f} % of the validation "
            f"images, {100 * found.searched:.2f} % before; the {kept} kept"
        )
    for line in accuracies(found.quantised.shares, given.calibration):
        print(line)
