"""``narrowgauge price``: what accuracy costs in each format."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ..terminal import options
from ..terminal.progress import standard_output
from .explore import FormatNames

__all__ = ["PriceOptions", "command"]

ASKED = ("dataset", "target_accuracy", "formats", "target", "seeds", "placements", "epochs")
ASKED += ("block_luts", "route")
FILE = "price.json"


@dataclass(frozen=True, kw_only=True)
class PriceOptions:
    """Options of the command."""

    dataset: str
    target_accuracy: float
    family: tuple[str, ...]
    formats: tuple[str, ...]
    target: str
    seeds: int
    placements: int
    epochs: int | None
    block_luts: float | None
    route: bool
    jobs: int | None
    scheduler: str | None
    output: Path
    as_json: bool


@click.command(
    "price",
    epilog="""\b
Examples:
  narrowgauge price --dataset mnist --target-accuracy 99 --target ecp5-45k
  narrowgauge price --dataset mnist --target-accuracy 98 --family mlp --formats fp32,int4,bipolar
  narrowgauge price --dataset cifar10 --target-accuracy 75 --family cifar10_full --no-route
  narrowgauge price --dataset digits --target-accuracy 95 --family mlp --epochs 10 --seeds 3""",
)
@click.option("--dataset", default="mnist", show_default=True, help="Data set, or FILE.npz.")
@click.option(
    "--target-accuracy",
    type=float,
    required=True,
    metavar="PERCENT",
    help="Share of held-out images that a network labels right.",
)
@click.option(
    "--family",
    type=FormatNames(),
    default="mlp,lenet5",
    show_default=True,
    help="Families of networks, of growing width: mlp, lenet5, cifar10_full.",
)
@click.option(
    "--formats",
    type=FormatNames(),
    default="fp32,int8,int4,int2,pow2_4,bipolar,bipolar/uint8",
    show_default=True,
    help="Formats of weights, with those of activations behind a slash where they are others.",
)
@options.target
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Trainings of each network.",
)
@click.option(
    "--placements",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Placements of each element and accelerator.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Epochs of float trainings; formats have theirs in proportion [default: the recipes'].",
)
@click.option(
    "--block-luts",
    type=float,
    metavar="LUTS",
    help="LUTs that a DSP block counts as [default: those that it saves].",
)
@click.option(
    "--route/--no-route",
    default=True,
    show_default=True,
    help="Place and route the accelerators of the chosen networks.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 1024), help="Jobs at the same time [default: one a core]."
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Run the jobs on the Dask cluster of this scheduler."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="results",
    show_default=True,
    help=f"Folder for the rows, {FILE}.",
)
@options.json_output
@options.gathered(PriceOptions)
def command(given: PriceOptions) -> int:
    """Find the smallest network of each format that reaches an accuracy, and what it costs.

    Networks of a family are trained in each format, narrow ones first, until one reaches the
    target on held-out images. An image costs lane-cycles of an array; a lane is placed and routed.
    Formats are ranked by LUTs times microseconds, with errors, and those that are tied are said to
    be. Of each chosen network the accelerator that fills the device is placed and routed, too.

    Each result is kept as soon as it is there: an interrupted command goes on where it stopped.
    """
    from ...hw.files import write_atomically
    from ...hw.tools import programs
    from ...hw.tools.store import Store
    from ..jobs.job import Job
    from ..jobs.progress import progress, say
    from ..jobs.running import executor, missing, run_jobs
    from ..pricing.prices import find_prices
    from ..pricing.request import PriceRequest
    from ..pricing.shown import plain_rows, price_table, rate_table, sentences

    request = PriceRequest(**{name: getattr(given, name) for name in ASKED}, families=given.family)
    for name in ("yosys", request.device.family.router):
        programs.find(str(name))
    options.make_folder(given.output, (FILE,))
    store = Store()
    with executor(given.jobs, given.scheduler) as (workers, threads):

        def run(jobs: "Sequence[Job]") -> dict[str, str]:
            left = missing(jobs, store)
            return run_jobs(jobs, store, workers, threads, progress(left)) if left else {}

        prices, failed = find_prices(request, store, run)
    rows = plain_rows(prices)
    text = json.dumps(rows, indent=1)
    write_atomically(given.output / FILE, f"{text}\n".encode())
    if given.as_json:
        print(text)
    else:
        console = standard_output()
        console.print(price_table(prices, request))
        console.print(rate_table(prices, request))
        for line in sentences(prices):
            console.print(line, markup=False, soft_wrap=True)
        console.print(f"written to {given.output}{os.sep}: {FILE}", soft_wrap=True)
    for reason in dict.fromkeys(failed.values()):
        say(reason)
    return 0 if any(each.standing.chosen for each in prices) else 1
