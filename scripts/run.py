"""``narrowgauge run``: the main job."""

import json
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from . import options
from .progress import Reporter

__all__ = ["command"]

FORMATS = "bipolar,pow2_4,int4,int8"


@click.command(
    "run",
    epilog="""\b
Examples:
  narrowgauge run
  narrowgauge run --formats bipolar,int8 --accumulator 16 --overflow saturate
  narrowgauge run --formats int4/uint8,int8 --widths 128 --target ecp5-25k --rows 4 --columns 4
  narrowgauge run --fit --output fitted""",
)
@click.option("--dataset", default="digits", show_default=True, help="Data set.")
@click.option(
    "--widths",
    type=options.Numbers(),
    default="64,32",
    show_default=True,
    help="Widths of the hidden layers.",
)
@click.option(
    "--formats",
    default=FORMATS,
    show_default=True,
    help="Weight formats, or WEIGHT/ACTIVATION, between commas.",
)
@options.accumulator
@options.geometry
@click.option("--fit", is_flag=True, help="Give each format the largest array that fits.")
@options.target
@options.seeds
@click.option("--epochs", type=int, help="Training epochs [default: the recipe's].")
@click.option("--seed", default=0, show_default=True, help="Seed of the training.")
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
    """Train one network at every number format, build an accelerator for each, simulate the whole
    test set in cycles, place and route, and put it all side by side.

    Results are kept as they come: a repeated or interrupted run computes only what is missing.
    """
    from .job import FormatJob, Plan  # here: torch takes seconds to import

    as_json, output, formats = values.pop("as_json"), values.pop("output"), values.pop("formats")
    plan = Plan(geometry=options.make_geometry(values), **values)
    jobs = [FormatJob(plan, text) for text in dict.fromkeys(formats.split(","))]
    with Reporter() as reporter:
        failures = _run_jobs(plan, jobs, output, reporter)
    if as_json:
        print(json.dumps([row for row in plan.rows(jobs)], indent=2))
    else:
        _show(plan, jobs, output)
    for failure in failures:
        print(f"narrowgauge: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _run_jobs(plan: Any, jobs: list[Any], output: Path, reporter: Reporter) -> list[str]:
    """Train here, one format after the other; simulate and route the trained ones meanwhile."""
    from .results import write_results

    def finish(job: Any) -> None:
        job.measure(reporter)
        write_results(plan.rows(jobs), output)

    workers = max(2, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as executor:
        plan.warm(executor)
        pending: list[Future] = []
        try:
            plan.start(reporter)
            for job in jobs:
                job.train(output, reporter)
                if job.failure is None:
                    pending.append(executor.submit(finish, job))
            for future in pending:
                future.result()
        except BaseException:
            executor.shutdown(cancel_futures=True, wait=False)
            raise
        finally:
            write_results(plan.rows(jobs), output)
    return [job.failure for job in jobs if job.failure]


def _show(plan: Any, jobs: list[Any], output: Path) -> None:
    from rich.console import Console

    from .chart import write_chart
    from .results import print_table

    rows = plan.rows(jobs)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    charts = write_chart(rows, output)
    print_table(rows, console, title=plan.title)
    names = ["results.json", "results.csv", *(path.name for path in charts)]
    console.print(f"written to {output}{os.sep}: {', '.join(names)}")
