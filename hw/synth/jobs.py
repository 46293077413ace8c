"""Many jobs, each looked up in the store before it is run and stored as soon as it is done."""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import FitError
from ..tools import programs as tools
from ..tools.store import Store, key

__all__ = ["ToolJob", "run_jobs"]

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class ToolJob:
    """A call whose result depends on nothing but ``parts``.

    Attributes
    ----------
    kind, parts
        What the result is stored under; see `tools.store.key`.
    function : callable
        A module's function, so that it can be pickled; it returns bytes or what JSON holds.
    arguments : tuple
        Its arguments, which can be pickled.
    """

    kind: str
    parts: Mapping[str, Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def run_jobs(
    jobs: Mapping[Name, ToolJob], store: Store, executor: Executor
) -> tuple[dict[Name, Any], dict[Name, str]]:
    """Return the results of all jobs by name, and why the others failed.

    Results are stored here and not where a job runs, which may be another machine. After an
    interruption a second call runs only what had not finished.

    Raises
    ------
    NarrowgaugeError
        What a job raises, but for `FitError`, which is a result.
    """
    results: dict[Name, Any] = {}
    failures: dict[Name, str] = {}
    running: dict[Future[Any], tuple[Name, str]] = {}
    for name, job in jobs.items():
        digest = key(job.kind, job.parts)
        try:
            stored = store.get(digest)
        except FitError as error:
            failures[name] = str(error)
            continue
        if stored is None:
            running[executor.submit(job.function, *job.arguments)] = name, digest
        else:
            results[name] = stored
    try:
        for future in as_completed(running):
            name, digest = running[future]
            try:
                value = future.result()
            except FitError as error:
                failures[name] = str(error)
                store.put_failure(digest, jobs[name].kind, str(error))
            else:
                results[name] = value
                store.put(digest, jobs[name].kind, value)
    except KeyboardInterrupt:
        tools.stop_running()  # a thread would wait for its tool to the end
        raise
    finally:
        for future in running:
            future.cancel()
    return results, failures
