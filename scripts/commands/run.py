"""``narrowgauge run``: the main job."""

import json
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ...hw.errors import NarrowgaugeError
from ..reporting.chart import write_chart
from ..reporting.results import in_order, print_layers, print_table, write_results
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

__all__ = ["command"]

FILES = ("results.json", "results.csv", "chart.png", "chart.svg")
FORMATS = "bipolar,pow2_4,int4,int8"


@click.command(
    "run",
    epilog="""\b
Examples:
  narrowgauge run
  narrowgauge run --formats bipolar,int8 --accumulator 16 --overflow saturate
  narrowgauge run --formats int4/uint8,int8 --widths 128 --target ecp5-25k --rows 4 --columns 4
  narrowgauge run --network lenet5 --width 0.25 --dataset mnist --formats int4 --target ecp5-45k
  narrowgauge run --network mnist-lenet5-int4 --target ecp5-85k --lanes 8 --images 1000
  narrowgauge run --fit --output fitted""",
)
@click.option(
    "--network",
    default="mlp",
    show_default=True,
    help="What to train: mlp, lenet5, ...; or a trained one: a network file or a name of the zoo.",
)
@click.option("--dataset", default="digits", show_default=True, help="Data set.")
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
def command(**values: Any) -> int:
    """Put one network at every number format side by side: accuracy, logic cells, speed.

    Each version is trained and gets an accelerator, which runs the whole test set cycle by cycle,
    is compared with the network to the last bit, and is placed and routed.

    A network that is trained already, of a file or of the zoo, is taken as it is, and gives one
    row.

    Results are kept as they come: a repeated or interrupted run computes only what is missing.
    """
    as_json, output, formats = values.pop("as_json"), values.pop("output"), values.pop("formats")
    with Reporter() as reporter:
        plan = _plan(values, reporter)
        from ..runs.job import all_rows, make_jobs

        jobs = make_jobs(plan, formats)
        options.make_folder(output, FILES)
        failures = _run_jobs(plan, jobs, output, reporter)
        rows = all_rows(plan, jobs)
        with reporter.step("draw"):
            charts = write_chart(rows, output)
    if as_json:
        print(json.dumps(in_order(rows), indent=2))
    else:
        _print(plan, rows, output, charts)
    for failure in failures:
        print(f"narrowgauge: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _plan(values: dict[str, Any], reporter: Reporter) -> Any:
    """Return the plan; a trained network takes no options of training."""
    options.check_fit(values)
    geometry = options.make_geometry(values)
    with reporter.step("load PyTorch"):
        from ..runs.plan import (  # here, so that --help does not wait for it
            TRAINING,
            RunPlan,
            Training,
        )
    network = values["network"]
    training = Training(network=network, **{name: values.pop(name) for name in TRAINING})
    plan = RunPlan(geometry=geometry, training=training, **values)
    if plan.given is not None:
        context = click.get_current_context()
        for name in (*TRAINING, "formats"):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise NarrowgaugeError(f"--{name} is for training, and {network} is trained")
    return plan


def _print(plan: Any, rows: list[dict[str, Any]], output: Path, charts: list[Path]) -> None:
    """Print the table; the layers too, where there is one network to look at."""
    console = standard_output()
    print_table(rows, console, title=plan.title)
    simulated = [row for row in rows if "layers" in row]
    if len(simulated) == 1:
        print_layers(simulated[0]["layers"], console)
    for row in rows:
        if "remark" in row:
            console.print(f"{row['weight']}: {row['remark']}", markup=False)
    names = ["results.json", "results.csv", *(path.name for path in charts)]
    console.print(f"written to {output}{os.sep}: {', '.join(names)}", markup=False)


def _run_jobs(plan: Any, jobs: list[Any], output: Path, reporter: Reporter) -> list[str]:
    """Train here, one format after the other; simulate and route the trained ones meanwhile."""
    from ..runs.job import all_rows

    def finish(job: Any) -> None:
        job.measure(reporter)
        write_results(all_rows(plan, jobs), output)

    executor = ThreadPoolExecutor(max(2, os.cpu_count() or 1))
    plan.warm(executor, reporter)
    pending: list[Future] = []
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
