"""What the commands ``sweep`` and ``compare`` share: run a plan, write and print its rows."""

import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ...hw.errors import ToolError
from ...hw.files import write_atomically
from ...hw.tools import programs as tools
from ...hw.tools.store import Store
from ..reporting.results import SWEEPS, Row, in_order, print_table, write_results
from ..terminal.options import json_output, make_folder
from ..terminal.progress import standard_output
from .bench import Bench, Tools
from .plan import SweepPlan
from .progress import Progress

__all__ = ["perform", "sweeping"]

EXTRA = 2  # designs that are built while the jobs of others run


def sweeping(function: Any) -> Any:
    """Give a command the options of `perform`."""
    for option in reversed(
        [
            click.option(
                "--jobs",
                type=click.IntRange(1, 1024),
                help="Jobs at the same time [default: one a core].",
            ),
            click.option(
                "--scheduler",
                metavar="ADDRESS",
                help="Run the jobs on the Dask cluster of this scheduler.",
            ),
            click.option("--retry-failed", is_flag=True, help="Run again what failed before."),
            click.option(
                "--output",
                type=click.Path(file_okay=False, path_type=Path),
                default="results",
                show_default=True,
                help="Folder for the rows, as JSON and CSV.",
            ),
            json_output,
        ]
    ):
        function = option(function)
    return function


def perform(
    plan: SweepPlan,
    *,
    jobs: int | None,
    scheduler: str | None,
    retry_failed: bool,
    output: Path,
    as_json: bool,
) -> int:
    """Run a plan and return the exit status: 1 where a row failed.

    Raises
    ------
    NarrowgaugeError
        Where results cannot be written or kept, or the cluster cannot be used.
    """
    make_folder(output, (f"{plan.name}.json", f"{plan.name}.csv"))
    files = _Files(output, plan.name)
    with Progress(plan.points) as progress:
        found = Tools(plan.points)
        with _executor(jobs, scheduler, found) as (executor, threads):
            bench = Bench(Store(), retry_failed=retry_failed)
            rows = bench.run(plan, found, executor, threads, progress, files.so_far)
    written = files.finish(rows, bench.came_to_results)
    if as_json:
        print(_json(rows))
    else:
        _print(plan, rows, f"written to {output}{os.sep}: {written}" if written else "")
    status = _tell(plan, rows)
    if not written:
        _say(f"{files.results} stays as it was: no row of this run came to a result")
    return status


def _json(rows: Iterable[Row]) -> str:
    return json.dumps(in_order(rows), indent=2)


class _Files:
    """The files that the rows of a plan go to.

    Results from before stay until all rows of this run are there. Until then those that are done
    are in a file whose name does not end as that of results does, so that no report takes it for
    some.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.results = folder / f"{name}.json"
        self.partial = folder / f"{name}.json.partial"

    def so_far(self, rows: list[Row]) -> None:
        """Write the rows that are done."""
        write_atomically(self.partial, f"{_json(rows)}\n")

    def finish(self, rows: list[Row], came_to_results: bool) -> str:
        """Write all rows and return the names of the files; none where they would replace results.

        A run in which every row failed by an accident, such as a missing tool, is no reason to
        lose what was measured before.
        """
        written = ""
        if came_to_results or not self.results.exists():
            write_results(rows, self.folder, self.name)
            written = f"{self.name}.json, {self.name}.csv"
        self.partial.unlink(missing_ok=True)
        return written


class _Local(ThreadPoolExecutor):
    """Jobs on this machine: each is a process of its own, of a tool, and a thread waits for it."""

    def __init__(self, workers: int):
        super().__init__(workers)
        self._left = threading.Event()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        def unless_left() -> Any:
            if self._left.is_set():
                raise ToolError("the job was not begun")
            return fn(*args, **kwargs)

        return super().submit(unless_left)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop; with ``cancel_futures`` jobs fail, those that run as well, for nobody waits."""
        if cancel_futures:
            self._left.set()
            tools.stop_running()
        super().shutdown(wait)


@contextmanager
def _executor(
    jobs: int | None, scheduler: str | None, found: Tools
) -> Iterator[tuple[Executor, int]]:
    """Yield what runs the jobs, and how many designs are in work at the same time."""
    if scheduler is None:
        workers = jobs or os.cpu_count() or 1
        with _Local(workers) as executor:
            yield executor, workers + EXTRA
        return
    from .cluster import Cluster

    with Cluster(scheduler, found.versions) as cluster:
        yield cluster, (jobs or cluster.threads) + EXTRA


def _print(plan: SweepPlan, rows: list[Row], where: str) -> None:
    columns = {
        name: (rank, cell)
        for name, (rank, cell) in SWEEPS.items()
        if any(cell(row) for row in rows)
    }
    console = standard_output()
    print_table(rows, console, title=plan.title, columns=columns, file=f"{plan.name}.csv")
    if where:
        console.print(where, markup=False, soft_wrap=True)


def _tell(plan: SweepPlan, rows: list[Row]) -> int:
    """Say what was left out and what failed, a line for each reason; return the exit status."""
    for reason, texts in plan.left_out.items():
        _say(f"left out: {'; '.join(texts)}: {reason}")
    failures: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}  # in full of the first: each failure keeps its script elsewhere
    for point, row in zip(plan.points, rows, strict=True):
        if "failure" in row:
            reason, _, _ = row["failure"].partition("; script, ")
            reasons.setdefault(reason, row["failure"])
            failures.setdefault(reason, []).append(f"{point.text} on {point.target}")
    for reason, texts in failures.items():
        more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
        _say(f"{texts[0]}{more}: {reasons[reason]}")
    if failures:
        _say("--retry-failed runs rows again that failed")
    return 1 if failures else 0


def _say(text: str) -> None:
    print(f"narrowgauge: {text}", file=sys.stderr)
