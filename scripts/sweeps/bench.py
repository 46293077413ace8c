"""Run a plan: look every row up, measure the others job by job, and keep each at once."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ...hw.errors import DataError, FitError, NarrowgaugeError, ToolError, ToolFailure, ToolTimeout
from ...hw.tools import programs as tools
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store, key
from ..rows.row import Ended, ResultRow
from .plan import SweepPlan
from .points import Point
from .progress_bar import Progress

__all__ = ["Bench", "Tools"]

KIND = "row"
OF_THE_DESIGN = FitError, ToolFailure, ToolTimeout
"""What a design is, as far as these tools go, and so is kept; others are accidents."""
_PATIENCE = 0.5  # seconds in which an interrupt that ended a tool reaches this process, too


class Tools:
    """The programs that a plan needs: their versions, or why there is none.

    All are started once and at the same time, because the first call of a YoWASP tool compiles it.

    Attributes
    ----------
    missing : mapping of str to str
        Programs that do not start, and why.
    """

    def __init__(self, points: Iterable[Point]):
        routers = {point.device.family.router for point in points}
        self.names = ("yosys", *sorted(filter(None, routers)))
        with ThreadPoolExecutor(len(self.names)) as pool:
            found = dict(zip(self.names, pool.map(_version, self.names), strict=True))
        self.missing = {name: str(v) for name, v in found.items() if isinstance(v, ToolError)}
        self.versions = {name: v for name, v in found.items() if isinstance(v, str)}

    def of(self, point: Point) -> dict[str, str]:
        """Return the versions of everything that has a part in a point's row.

        Raises
        ------
        ToolError
            Where one of them is missing.
        """
        programs = {"yosys": "yosys"}
        if point.device.family.router:
            programs["nextpnr"] = point.device.family.router
        for program in programs.values():
            if program in self.missing:
                raise ToolError(self.missing[program])
        return {
            **{name: self.versions[program] for name, program in programs.items()},
            "amaranth": version("amaranth"),
            "narrowgauge": version("narrowgauge"),
        }


def _version(name: str) -> str | ToolError:
    try:
        return tools.find(name).version
    except ToolError as error:
        return error


class _Retrying(Store):
    """A store that forgets the failures from before this process."""

    def __init__(self, store: Store):
        super().__init__(store.path)
        self._fresh: set[str] = set()

    def get(self, key: str) -> Any:
        try:
            return super().get(key)
        except FitError:
            if key in self._fresh:
                raise
            return None

    def put_failure(self, key: str, kind: str, reason: str) -> None:
        self._fresh.add(key)
        super().put_failure(key, kind, reason)


@dataclass
class _Pending:
    """A row that is not in the store: its place in the plan, and the key of its result."""

    index: int
    point: Point
    key: str


class Bench:
    """Runs plans.

    Parameters
    ----------
    store : Store
        Where rows and the results of single jobs are looked up and kept. Rows are kept under their
        settings and the digest of the sources, so that nothing is elaborated to find one; jobs
        under the RTLIL, so that a changed source repeats only what it changes.
    retry_failed : bool
        Run again what failed before.

    Attributes
    ----------
    came_to_results : bool
        Whether there is a row that is kept in the store: measured, or failed for what its design
        is. Where not, the run says nothing of the designs, only of what was missing.
    """

    def __init__(self, store: Store, *, retry_failed: bool = False):
        self.store = _Retrying(store) if retry_failed else store
        self.retry_failed = retry_failed
        self.came_to_results = False
        self._stopped = threading.Event()

    def run(
        self,
        plan: SweepPlan,
        found: Tools,
        executor: Executor,
        threads: int,
        progress: Progress,
        so_far: Callable[[list[ResultRow]], None],
    ) -> list[ResultRow]:
        """Return the rows of a plan, in its order; what failed has its reason in ``failure``.

        Parameters
        ----------
        found : Tools
            The plan's tools.
        executor : Executor
            Runs the jobs: one process of a tool each.
        threads : int
            Designs in work at the same time; each builds its design and waits for its jobs.
        progress : Progress
            Is told of every row.
        so_far : callable
            Called with the rows so far, whenever one is done.

        Raises
        ------
        NarrowgaugeError, OSError
            Where results cannot be kept. Nothing that was finished before is lost.
        """
        rows = [point.row() for point in plan.points]
        groups, stored, failed = self._look_up(plan, found, rows)
        done = {*stored, *failed}
        self.came_to_results = bool(stored)
        progress.begin(*([plan.points[index] for index in each] for each in (stored, failed)))

        def keep(each: _Pending, row: ResultRow) -> None:
            rows[each.index] = row
            done.add(each.index)
            progress.end(each.point, rows[each.index])
            so_far([rows[index] for index in sorted(done)])

        lock = threading.Lock()

        def work(group: list[_Pending]) -> None:
            built: Any = None
            for each in group:
                if self._stopped.is_set():
                    return
                progress.start(each.point)
                row, built = self._measure(each, built, executor)
                with lock:
                    keep(each, row)

        pool = ThreadPoolExecutor(threads)
        try:
            working = [pool.submit(work, group) for group in groups.values()]
            _finish(working)
        except BaseException:
            self._stopped.set()
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return rows

    def _look_up(
        self, plan: SweepPlan, found: Tools, rows: list[ResultRow]
    ) -> tuple[dict[Any, list[_Pending]], list[int], list[int]]:
        """Fill in what is known; return the rest by design, and the rows that are and cannot be."""
        groups: dict[Any, list[_Pending]] = {}
        stored: list[int] = []
        failed: list[int] = []
        for index, point in enumerate(plan.points):
            try:
                digest = key(KIND, self._parts(point, found))
            except (DataError, ToolError) as error:
                rows[index] |= Ended.of_error(error)
                failed.append(index)
                continue
            kept = self.store.get(digest)
            if kept is None or (self.retry_failed and "failure" in kept):
                groups.setdefault(point.group, []).append(_Pending(index, point, digest))
            else:
                rows[index] = ResultRow.read(kept)
                stored.append(index)
        return groups, stored, failed

    def _parts(self, point: Point, found: Tools) -> dict[str, Any]:
        sources = source_digest(*point.made_by())
        return {"point": point.parts(), "tools": found.of(point), "sources": sources}

    def _measure(self, each: _Pending, built: Any, executor: Executor) -> tuple[ResultRow, Any]:
        """Return a row, its failure perhaps, and the design for the next one."""
        point = each.point
        try:
            built = point.build(self.store) if built is None else built
            row = point.measure(built, self.store, executor)
        except NarrowgaugeError as error:
            if type(error) is NarrowgaugeError:  # of the store: nothing could be kept
                raise
            self._pause(error)
            row = point.row() | Ended.of_error(error)
            if isinstance(error, OF_THE_DESIGN):
                self._keep(each, row)
            return row, built
        except OSError:
            raise
        except Exception as error:  # one broken design does not end the others
            self._pause(error)
            return point.row() | Ended(failure=f"{type(error).__name__}: {error}"), built
        self._keep(each, row)
        return row, built

    def _keep(self, each: _Pending, row: ResultRow) -> None:
        self.store.put(each.key, KIND, row.plain())
        self.came_to_results = True

    def _pause(self, error: Exception) -> None:
        """Raise ``error`` where it is because of an interrupt, which ended the tools as well."""
        if isinstance(error, FitError):
            return
        time.sleep(_PATIENCE)
        if self._stopped.is_set():
            raise error


def _finish(working: list[Future[None]]) -> None:
    for future in as_completed(working):
        future.result()
