"""``narrowgauge run``: the main job."""

import json
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from . import options
from .chart import write_chart
from .progress import Reporter, standard_output
from .results import in_order, print_table, write_results

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
    """Put one network at every number format side by side: accuracy, logic cells, speed.

    Each version is trained and gets an accelerator, which runs the whole test set cycle by cycle,
    is compared with the network to the last bit, and is placed and routed.

    Results are kept as they come: a repeated or interrupted run computes only what is missing.
    """
    as_json, output, formats = values.pop("as_json"), values.pop("output"), values.pop("formats")
    geometry = options.make_geometry(values)
    with Reporter() as reporter:
        with reporter.step("load PyTorch"):
            from .job import FormatJob, Plan  # here, so that --help does not wait for it
        plan = Plan(geometry=geometry, **values)
        texts = dict.fromkeys(text.strip() for text in formats.split(","))
        jobs = [FormatJob(plan, text) for text in texts]
        options.make_folder(output)
        failures = _run_jobs(plan, jobs, output, reporter)
        with reporter.step("draw"):
            charts = write_chart(plan.rows(jobs), output)
    if as_json:
        print(json.dumps(in_order(plan.rows(jobs)), indent=2))
    else:
        console = standard_output()
        print_table(plan.rows(jobs), console, title=plan.title)
        names = ["results.json", "results.csv", *(path.name for path in charts)]
        console.print(f"written to {output}{os.sep}: {', '.join(names)}", markup=False)
    for failure in failures:
        print(f"narrowgauge: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _run_jobs(plan: Any, jobs: list[Any], output: Path, reporter: Reporter) -> list[str]:
    """Train here, one format after the other; simulate and route the trained ones meanwhile."""

    def finish(job: Any) -> None:
        job.measure(reporter)
        write_results(plan.rows(jobs), output)

    workers = max(2, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as executor:
        plan.warm(executor, reporter)
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
            executor.shutdown(cancel_futures=True)
            raise
        finally:
            write_results(plan.rows(jobs), output)
    return [job.failure for job in jobs if job.failure]
