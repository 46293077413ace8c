"""``narrowgauge explore``: widths of weights under a device's limits, chosen, built, measured."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..rows.writing import to_json
from ..terminal import options
from ..terminal.given import given_command
from ..terminal.progress import Reporter, standard_output

if TYPE_CHECKING:
    from ..exploring.exploration import Explored
    from ..exploring.floats import FloatStart
    from ..exploring.measured import Maker, Measured
    from ..exploring.quantised import Quantiser
    from ..exploring.request import Request

__all__ = ["ExploreOptions", "FormatNames", "command"]

ASKED = ("target", "objective", "accuracy_drop", "widths", "per", "activations", "input")
ASKED += ("accumulator", "points", "random", "seeds", "images")
IDLE = ("random", "seeds", "images", "output", "as_json")
"""What decides nothing of which networks there are, and of their integers."""


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """Options of the command."""

    network: str
    data: str | None
    target: str
    objective: str
    accuracy_drop: float
    widths: tuple[int, ...]
    per: str
    activations: tuple[str, ...]
    input: str | None
    accumulator: int | None
    calibration: int
    validation: int
    points: int
    random: int
    epochs: int | None
    seeds: int
    images: int | None
    output: Path
    as_json: bool


class FormatNames(click.ParamType):
    """Formats between commas."""

    name = "F,F,..."

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        return tuple(dict.fromkeys(filter(None, map(str.strip, value.split(",")))))


@click.command(
    "explore",
    epilog="""\b
Examples:
  narrowgauge explore lenet5.checkpoint --target up5k
  narrowgauge explore lenet5 --data mnist --target up5k --accuracy-drop 2 --activations uint4
  narrowgauge explore lenet5.checkpoint --target up5k --per channel --widths 2,3,4,6
  narrowgauge explore mine.networks:small --data digits --target hx8k --objective latency
  narrowgauge explore resnet8 --data cifar10 --target ecp5-85k --objective bits --epochs 5""",
)
@click.argument("network", metavar="NETWORK")
@click.option("--data", help="Data set [default: a checkpoint's own].")
@options.target
@click.option(
    "--objective",
    type=click.Choice(("images", "latency", "bits")),
    default="images",
    show_default=True,
    help="What is wanted: images a second, little latency of one, or few bits of weights.",
)
@click.option(
    "--accuracy-drop",
    type=float,
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Points of accuracy on validation images that may be lost.",
)
@click.option(
    "--widths",
    type=options.Numbers(),
    default="1,2,3,4,6,8",
    show_default=True,
    help="Bits that weights may have; 1 is bipolar.",
)
@click.option(
    "--per",
    type=click.Choice(("layer", "channel")),
    default="layer",
    show_default=True,
    help="What has a width of its own: a layer, or groups of its channels.",
)
@click.option(
    "--activations",
    type=FormatNames(),
    default="uint8,uint4",
    show_default=True,
    help="Formats that hidden activations may have, one for all layers.",
)
@click.option("--input", help="Format of the images [default: the data's, or the activations'].")
@click.option("--accumulator", type=int, metavar="BITS", help="Widest accumulator.")
@click.option(
    "--calibration", default=512, show_default=True, help="Training images that tell ranges."
)
@click.option(
    "--validation", default=2000, show_default=True, help="Training images that tell accuracies."
)
@click.option(
    "--points",
    type=click.IntRange(1, 100),
    default=6,
    show_default=True,
    help="Points to simulate, place and route.",
)
@click.option(
    "--random",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    help="Random assignments to compare with.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Train the points that are built, from the float network.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Placements; Fmax is given as their median.",
)
@options.images
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="explored",
    show_default=True,
    help="Folder for table, figure, page and network files.",
)
@options.json_output
@options.gathered(ExploreOptions)
def command(given: ExploreOptions) -> int:
    """Choose a width of weights for every layer, or channel, under the limits of a device.

    NETWORK is a float network: a torch module (PACKAGE.MODULE:FUNCTION), a .checkpoint that a float
    training left, an .onnx file, or the name of one that is trained first. What each layer loses at
    each width is measured on calibration images; an integer program chooses widths for all arrays
    that fit; the best few are simulated, placed and routed.

    Everything is kept: a repeated or interrupted command computes only what is missing.
    """
    with Reporter() as reporter:
        with reporter.step("load the libraries"):
            from ..exploring.exploration import choose
            from ..exploring.measured import measure_points
            from ..exploring.request import Request
            from ..exploring.shown import FILES, write, write_rows

        request = Request(**{name: getattr(given, name) for name in ASKED})
        _find_tools(request)
        options.make_folder(given.output, FILES)
        quantiser, network = _quantiser(given, request, reporter)
        if given.epochs is not None and network.trained is None:
            options.refuse("epochs", f"is for networks that are trained here, not {given.network}")
        explored = choose(request, quantiser, reporter)

        def keep(found: "list[Measured]") -> None:
            write_rows(replace(explored, measured=tuple(found)), given.output)

        make = _maker(given, request, quantiser, network, reporter)
        stem = given.network.partition(":")[2] or Path(given.network).stem
        measured = measure_points(
            request, explored.points, make, stem, given.output, reporter, keep
        )
        explored = replace(explored, measured=tuple(measured))
        with reporter.step("draw"):
            names = write(explored, given.output)
    return _print(given, explored, names)


def _find_tools(request: "Request") -> None:
    """Raise `ToolError` where a tool is missing, before anything takes long."""
    from ...hw.tools import programs

    for name in ("yosys", request.device.family.router):
        programs.find(str(name))


def _quantiser(
    given: ExploreOptions, request: "Request", reporter: Reporter
) -> "tuple[Quantiser, FloatStart]":
    """Return what quantises the network, and the network."""
    from ...model.post_training.quantization import lowered
    from ..exploring.floats import data_of, float_network
    from ..exploring.quantised import Quantiser, split

    with reporter.step("load the images"):
        data = data_of(given.network, given.data)
        chosen, report = split(data, given.calibration, given.validation)
    network = float_network(given.network, chosen, request.store, reporter)
    exact = lowered(network.module, chosen)
    return Quantiser(exact, chosen, report, request.store), network


def _maker(
    given: ExploreOptions,
    request: "Request",
    quantiser: "Quantiser",
    network: "FloatStart",
    reporter: Reporter,
) -> "Maker":
    """Return what makes the network of a candidate: by training, where that is asked for."""
    from ..exploring.floats import train_on

    text = given_command(IDLE)

    def make(candidate, name):
        if given.epochs is not None and network.trained is not None:
            return train_on(network.trained, candidate, given.epochs, name, request.store, reporter)
        with reporter.step(f"quantise {name}"):
            lanes = candidate.shape.geometry.lanes
            return quantiser.network(candidate.numbers, candidate.widths, lanes, name, text)

    return make


def _print(given: ExploreOptions, explored: "Explored", names: list[str]) -> int:
    """Print the table and what it says; return the status."""
    from ..exploring.shown import rows_of, table, verdict

    if given.as_json:
        print(to_json(rows_of(explored)))
    else:
        console = standard_output()
        console.print(table(explored))
        for line in verdict(explored):
            console.print(line, markup=False, soft_wrap=True)
        files = [*names, *(each.path.name for each in explored.measured)]
        console.print(f"written to {given.output}{os.sep}: {', '.join(files)}", soft_wrap=True)
    failures = [each.row.failure for each in explored.measured if each.row.failure is not None]
    for failure in failures:
        print(f"narrowgauge: {failure}", file=sys.stderr)
    built = sum(each.value is not None for each in explored.measured)
    return 0 if built else 1
