"""``narrowgauge run``: the main job."""

import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..reporting.chart import write_chart
from ..reporting.console import ENERGIES, NETWORKS, print_layers, print_table
from ..reporting.energy_chart import write_energy_chart
from ..rows.row import ResultRow
from ..rows.writing import to_json, write_results
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

if TYPE_CHECKING:
    from ..runs.network_job import NetworkJob
    from ..runs.run_plan import RunPlan

__all__ = ["RunOptions", "command"]

FILES = ("results.json", "results.csv", "chart.png", "chart.svg", "energy.png", "energy.svg")
FORMATS = "bipolar,pow2_4,int4,int8"


@dataclass(frozen=True, kw_only=True)
class RunOptions(options.FittedOptions):
    """Options of the command."""

    network: str
    dataset: str
    widths: tuple[int, ...]
    width: float
    formats: str
    first: str | None
    last: str | None
    accumulator: int | None
    overflow: str | None
    target: str
    seeds: int
    route: bool
    energy: bool
    epochs: int | None
    seed: int
    images: int | None
    engine: str
    output: Path
    as_json: bool


@click.command(
    "run",
    epilog="""\b
Examples:
  narrowgauge run
  narrowgauge run --formats bipolar,int8 --accumulator 16 --overflow saturate
  narrowgauge run --formats int4/uint8,int8 --widths 128 --target ecp5-25k --rows 4 --columns 4
  narrowgauge run --network lenet5 --width 0.25 --dataset mnist --formats int4 --target ecp5-45k
  narrowgauge run --network mnist-lenet5-int4 --target ecp5-85k --lanes 8 --images 1000
  narrowgauge run --fit --output fitted
  narrowgauge run --energy""",
)
@click.option(
    "--network",
    default="mlp",
    show_default=True,
    help="What to train: mlp, lenet5, ...; or a trained one: a network file or a name of the zoo.",
)
@click.option("--dataset", default="digits", show_default=True, help="Data set, or FILE.npz.")
@click.option(
    "--widths",
    type=options.Numbers(),
    default="64,32",
    show_default=True,
    help="Widths of the hidden layers of mlp.",
)
@click.option("--width", default=1.0, show_default=True, help="Multiplies all channels.")
@click.option(
    "--formats",
    default=FORMATS,
    show_default=True,
    help="Weight formats, or WEIGHT/ACTIVATION, between commas.",
)
@click.option("--first", metavar="W/A", help="Formats of the first layer with weights.")
@click.option("--last", metavar="W/A", help="Formats of the last layer with weights.")
@options.accumulator
@options.geometry
@click.option("--fit", is_flag=True, help="Give each format the largest array that fits.")
@options.target
@options.multiplier
@options.seeds
@click.option("--route/--no-route", default=True, help="Place and route, or simulate only.")
@click.option("--energy", is_flag=True, help="Find what an image takes, too; on the up5k.")
@click.option("--epochs", type=int, help="Training epochs [default: the recipe's].")
@click.option("--seed", default=0, show_default=True, help="Seed of the training.")
@options.images
@options.engine
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="results",
    show_default=True,
    help="Folder for results, chart and networks.",
)
@options.json_output
@options.gathered(RunOptions)
def command(given: RunOptions) -> int:
    """Put one network at every number format side by side: accuracy, logic cells, speed.

    Each version is trained and gets an accelerator, which runs the whole test set cycle by cycle,
    is compared with the network to the last bit, and is placed and routed.

    A network that is trained already, of a file or of the zoo, is taken as it is, and gives one
    row.

    Results are kept as they come: a repeated or interrupted run computes only what is missing.
    """
    output = given.output
    with Reporter() as reporter:
        plan = _plan(given, reporter)
        from ..runs.network_job import all_rows, make_jobs

        jobs = make_jobs(plan, given.formats)
        options.make_folder(output, FILES)
        failures = _run_jobs(plan, jobs, output, reporter)
        rows = all_rows(plan, jobs)
        with reporter.step("draw"):
            charts = [*write_chart(rows, output), *write_energy_chart(rows, output)]
    if given.as_json:
        print(to_json(rows))
    else:
        _print(plan, rows, output, charts)
    for failure in failures:
        print(f"narrowgauge: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _plan(given: RunOptions, reporter: Reporter) -> "RunPlan":
    """Return the plan; a trained network takes no options of training."""
    given.check_fit()
    if not given.route:
        options.refuse("seeds", "is for placements, and --no-route makes none")
        options.refuse("energy", "is of an accelerator that is routed, and --no-route routes none")
    geometry = given.geometry
    with reporter.step("load PyTorch"):  # here, so that --help does not wait for it
        from ..runs.run_plan import TRAINING, RunPlan, Training
    training = Training(network=given.network, **{name: getattr(given, name) for name in TRAINING})
    names = (
        "network",
        "accumulator",
        "overflow",
        "contexts",
        "batch",
        "fit",
        "route",
        "energy",
        "target",
    )
    names += ("seeds", "images", "engine", "multiplier")
    asked = {name: getattr(given, name) for name in names}
    plan = RunPlan(geometry=geometry, training=training, **asked)
    if plan.given is not None:
        for name in (*TRAINING, "formats"):
            options.refuse(name, f"is for training, and {given.network} is trained")
    elif given.network != "mlp":
        options.refuse("widths", f"is for mlp, and --network is {given.network}")
    return plan


def _print(plan: "RunPlan", rows: list[ResultRow], output: Path, charts: list[Path]) -> None:
    """Print the table; the layers too, where there is one network to look at."""
    console = standard_output()
    columns = {**NETWORKS, **(ENERGIES if plan.energy else {})}
    print_table(rows, console, title=plan.title, columns=columns)
    simulated = [row.layers for row in rows if row.layers is not None]
    if len(simulated) == 1:
        print_layers(simulated[0], console)
    for row in rows:
        if row.remark is not None:
            console.print(f"{row.weight}: {row.remark}", markup=False)
    names = ["results.json", "results.csv", *(path.name for path in charts)]
    console.print(f"written to {output}{os.sep}: {', '.join(names)}", markup=False)


def _run_jobs(
    plan: "RunPlan", jobs: "list[NetworkJob]", output: Path, reporter: Reporter
) -> list[str]:
    """Train here, one format after the other; simulate and route the trained ones meanwhile."""
    from ..runs.network_job import all_rows

    def finish(job: "NetworkJob") -> None:
        job.measure(reporter)
        write_results(all_rows(plan, jobs), output)

    executor = ThreadPoolExecutor(max(2, os.cpu_count() or 1))
    plan.warm(executor, reporter)
    pending: list[Future[None]] = []
    try:
        plan.start(reporter)
        for job in jobs:
            job.prepare(output, reporter)
            if job.failure is None:
                pending.append(executor.submit(finish, job))
        for future in pending:
            future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        write_results(all_rows(plan, jobs), output)
    return [job.failure for job in jobs if job.failure]
