"""Runs a plan, writes and prints its rows, for the commands ``sweep`` and ``compare``."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from ...hw.errors import ToolError
from ...hw.files import write_atomically
from ...hw.tools import programs as tools
from ...hw.tools.store import Store
from ..reporting.console import SWEEPS, print_table
from ..rows.row import ResultRow
from ..rows.writing import to_json, write_results
from ..terminal.options import json_output, make_folder
from ..terminal.progress import standard_output
from .bench import Bench, Tools
from .plan import SweepPlan
from .progress_bar import Progress

__all__ = ["SweepOptions", "perform", "sweeping"]

P = ParamSpec("P")
T = TypeVar("T")
EXTRA = 2  # designs that are built while the jobs of others run


def sweeping(function: Callable) -> Callable:
    """Give a command the options of `SweepOptions`."""
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


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Options that `sweeping` gives."""

    jobs: int | None
    scheduler: str | None
    retry_failed: bool
    output: Path
    as_json: bool


def perform(plan: SweepPlan, given: SweepOptions) -> int:
    """Run a plan and return the exit status: 1 where a row failed.

    Raises
    ------
    NarrowgaugeError
        Where results cannot be written or kept, or the cluster cannot be used.
    """
    output = given.output
    make_folder(output, (f"{plan.name}.json", f"{plan.name}.csv"))
    files = _Files(output, plan.name)
    with Progress(plan.points) as progress:
        found = Tools(plan.points)
        with _executor(given.jobs, given.scheduler, found) as (executor, threads):
            bench = Bench(Store(), retry_failed=given.retry_failed)
            rows = bench.run(plan, found, executor, threads, progress, files.so_far)
    written = files.finish(rows, bench.came_to_results)
    if given.as_json:
        print(to_json(rows))
    else:
        _print(plan, rows, f"written to {output}{os.sep}: {written}" if written else "")
    status = _tell(plan, rows)
    if not written:
        _say(f"{files.results} stays as it was: no row of this run came to a result")
    return status


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

    def so_far(self, rows: list[ResultRow]) -> None:
        """Write the rows that are done."""
        write_atomically(self.partial, f"{to_json(rows)}\n")

    def finish(self, rows: list[ResultRow], came_to_results: bool) -> str:
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

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def unless_left() -> T:
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


def _print(plan: SweepPlan, rows: list[ResultRow], where: str) -> None:
    columns = {
        name: (rank, cell)
        for name, (rank, cell) in SWEEPS.items()
        if any(cell(row) for row in rows)
    }
    console = standard_output()
    print_table(rows, console, title=plan.title, columns=columns, file=f"{plan.name}.csv")
    if where:
        console.print(where, markup=False, soft_wrap=True)


def _tell(plan: SweepPlan, rows: list[ResultRow]) -> int:
    """Say what was left out and what failed, a line for each reason; return the exit status."""
    for reason, texts in plan.left_out.items():
        _say(f"left out: {'; '.join(texts)}: {reason}")
    failures: dict[str, list[str]] = {}
    first: dict[str, str] = {}  # each failure keeps its script elsewhere
    for point, row in zip(plan.points, rows, strict=True):
        if row.failure is not None:
            first.setdefault(row.failure, row.failed)
            failures.setdefault(row.failure, []).append(f"{point.text} on {point.target}")
    for reason, texts in failures.items():
        more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
        _say(f"{texts[0]}{more}: {first[reason]}")
    if failures:
        _say("--retry-failed runs rows again that failed")
    return 1 if failures else 0


def _say(text: str) -> None:
    print(f"narrowgauge: {text}", file=sys.stderr)
