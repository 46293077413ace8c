"""Runs jobs: each once, in parallel, and kept as soon as it is done."""

import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeAlias

import torch
from amaranth.hdl import UnusedElaboratable

from ...hw.errors import NarrowgaugeError
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store
from .job import About, Job, Value, run_job

__all__ = ["executor", "missing", "run_jobs"]

Done: TypeAlias = Future[tuple[Value, Mapping[str, str | float]]]
AHEAD = 2  # jobs that wait in a process's queue, for each that runs


def missing(jobs: Sequence[Job], store: Store) -> list[Job]:
    """Return what must run for the values of ``jobs``, each after what it needs."""
    wanted: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if job.key not in wanted and job.get(store) is None:
            for each in job.needs:
                visit(each)
            wanted[job.key] = job

    for job in jobs:
        visit(job)
    return list(wanted.values())


def run_jobs(
    jobs: Sequence[Job],
    store: Store,
    workers: Executor,
    threads: int,
    told: Callable[[Job, About, int], None] = lambda job, about, left: None,
) -> dict[str, str]:
    """Run what is missing; return why jobs have no value, by their keys.

    Parameters
    ----------
    threads : int
        Jobs that run at the same time.
    told : callable
        Called after each job, with how it went and how many are left.

    Raises
    ------
    NarrowgaugeError, OSError
        Where values cannot be kept. Nothing that was finished before is lost.
    """
    waiting = missing(jobs, store)
    failed: dict[str, str] = {}
    running: dict[Done, Job] = {}
    try:
        while waiting or running:
            _submit(waiting, running, failed, store, workers, threads * AHEAD)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    value, fields = future.result()
                except NarrowgaugeError as error:
                    failed[job.key] = f"{job.text}: {error}"
                    continue
                about = About(**fields)  # type: ignore[arg-type]
                job.put(store, value, about)
                told(job, about, len(waiting) + len(running))
    except BaseException:
        workers.shutdown(wait=False, cancel_futures=True)
        raise
    return failed


def _submit(
    waiting: list[Job],
    running: dict[Done, Job],
    failed: dict[str, str],
    store: Store,
    workers: Executor,
    most: int,
) -> None:
    """Submit what has all that it needs; drop what needs a job that failed."""
    pending = {job.key for job in [*waiting, *running.values()]}
    for job in list(waiting):
        if len(running) >= most:
            return
        broken = next((each.key for each in job.needs if each.key in failed), None)
        if broken is not None:
            failed[job.key] = failed[broken]
            waiting.remove(job)
        elif not any(each.key in pending for each in job.needs):
            values = [each.get(store) for each in job.needs]
            needed = tuple(value for value in values if value is not None)
            sources = source_digest(job.function)
            future = workers.submit(run_job, job.function, job.arguments, needed, sources)
            running[future] = job
            waiting.remove(job)


@contextmanager
def executor(jobs: int | None, scheduler: str | None) -> Iterator[tuple[Executor, int]]:
    """Yield what runs jobs, and how many at the same time: processes here, or a Dask cluster."""
    if scheduler is not None:
        from ..sweeps.cluster import Cluster

        with Cluster(scheduler, {}) as cluster:
            yield cluster, jobs or cluster.threads
        return
    count = jobs or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin) as processes:
        yield processes, count


def _begin() -> None:
    """Make a process compute on one thread, and end with the process that it works for."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UnusedElaboratable)  # what is counted is not built

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
