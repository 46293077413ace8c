"""Runs a study, writes its rows and its page, and prints its verdicts: the command ``study``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...hw.errors import DataError, NarrowgaugeError
from ...hw.tools.store import Store
from ...model.data import load
from ..jobs.job import Job
from ..jobs.progress import progress, say
from ..jobs.running import executor, missing, run_jobs
from ..terminal.options import make_folder
from .debruin.study import STUDY as DEBRUIN
from .kept import KeptRows, gathered, kept
from .latotzke.study import STUDY as LATOTZKE
from .page import write_page
from .study import Cell, Study
from .su.study import STUDY as SU
from .tostado.study import STUDY as TOSTADO

__all__ = ["STUDIES", "StudyRun", "find_study", "hours", "perform"]

STUDIES = {study.name: study for study in (DEBRUIN, LATOTZKE, SU, TOSTADO)}


@dataclass(frozen=True)
class StudyRun:
    """How a study is run.

    Attributes
    ----------
    quick : bool
        Only a small part anew, beside the rows that the repository keeps.
    so_far : bool
        Run nothing: write what the store has.
    jobs, scheduler
        As in a sweep.
    output : Path
        Folder for rows, page and figures.
    """

    quick: bool = False
    so_far: bool = False
    jobs: int | None = None
    scheduler: str | None = None
    output: Path = Path("results/studies")


def find_study(name: str) -> Study:
    """Return the study of a name; raises `NarrowgaugeError` where there is none."""
    if name not in STUDIES:
        raise NarrowgaugeError(f"no study {name!r}; there is {', '.join(STUDIES)}")
    return STUDIES[name]


def hours(jobs: Iterable[Job]) -> float:
    """Return about how many hours of one core jobs take, each once, with what they need."""
    found: dict[object, float] = {}
    for job in jobs:
        for each in (job, *job.needs):
            found[each.function, repr(each.arguments)] = each.seconds
    return sum(found.values()) / 3600


def perform(study: Study, given: StudyRun, store: Store) -> int:
    """Run a study and return the exit status: 1 where a job failed.

    Raises
    ------
    DataError
        In one line, where its data is not there.
    NarrowgaugeError
        Where results cannot be kept or written, or the cluster cannot be used.
    """
    _check_data(study)
    make_folder(given.output, (f"{study.name}.json", f"{study.name}.md"))
    words = [*(["--quick"] if given.quick else [])]
    command = " ".join(["narrowgauge study", study.name, *words])
    planned = study.cells(given.quick)
    failed = {} if given.so_far else _run(study, planned, given, store)
    found = gathered(study, planned, store, command)
    if not given.quick:
        following = study.then(found.rows)
        if not given.so_far and following:
            failed |= _run(study, following, given, store)
        found = found.joined(gathered(study, following, store, command), study.names)
    before = KeptRows.read(kept(study.name)) if given.quick else KeptRows([], [])
    if given.quick:
        say(_compared(before, found, study.names))
    found = before.joined(found, study.names)
    path = given.output / f"{study.name}.json"
    found.write(path, study)
    paths = [path, *write_page(study, found, given.output)]
    for claim, finding in zip(study.claims, study.findings(found.rows), strict=True):
        print(f"{claim.text}: {finding.verdict}")
    print(f"written: {', '.join(map(str, paths))}")
    for reason in dict.fromkeys(failed.values()):
        say(reason)
    return 1 if failed else 0


def _check_data(study: Study) -> None:
    for name in study.datasets:
        try:
            load(name).check_trainable()
        except DataError as error:
            needed = " and ".join(study.datasets)
            raise DataError(f"the study {study.name} needs {needed}: {error}") from error


def _run(study: Study, cells: Sequence[Cell], given: StudyRun, store: Store) -> dict[str, str]:
    jobs = [cell.job for cell in cells]
    left = missing(jobs, store)
    if not left:
        say(f"all {len(jobs)} rows are in the store")
        return {}
    with executor(given.jobs, given.scheduler) as (workers, threads):
        time_left = sum(job.seconds for job in left) / 3600 / threads
        say(
            f"{len(left)} jobs of {study.name}, about {time_left:.1f} hours with {threads} at the "
            "same time; what is done is kept, and the same command goes on from there"
        )
        return run_jobs(jobs, store, workers, threads, progress(left))


def _compared(before: KeptRows, found: KeptRows, names: Sequence[str]) -> str:
    """Return how rows that are measured anew differ from those that are kept."""
    places = {tuple(row.get(name) for name in names): row for row in before.rows}
    differences = []
    for row in found.rows:
        old = places.get(tuple(row.get(name) for name in names))
        if old is not None:
            pair: list[float] = []
            for each in (old, row):
                right, images = each["right"], each["images"]
                pair.append(sum(right) / len(right) / images)  # type: ignore[arg-type,operator]
            differences.append(100 * abs(pair[0] - pair[1]))
    if not differences:
        return f"{len(found.rows)} rows are new; the repository keeps none of them"
    return (
        f"{len(differences)} rows measured anew: {differences.count(0.0)} equal those that are "
        f"kept, and the largest difference is {max(differences):.2f} points"
    )
