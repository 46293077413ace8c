"""``narrowgauge study``: run the study of a paper."""

from dataclasses import dataclass
from pathlib import Path

import click

from ..terminal.options import gathered

__all__ = ["StudyOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Options of the command."""

    name: str | None
    listed: bool
    quick: bool
    so_far: bool
    jobs: int | None
    scheduler: str | None
    output: Path


@click.command(
    "study",
    epilog="""\b
Examples:
  narrowgauge study --list
  narrowgauge study tostado2019 --quick
  narrowgauge study tostado2019 --jobs 8
  narrowgauge study tostado2019 --scheduler tcp://10.0.0.5:8786""",
)
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List the studies, and what they need.")
@click.option(
    "--quick", is_flag=True, help="In minutes: a small part anew, beside the rows that are kept."
)
@click.option("--so-far", is_flag=True, help="Run nothing; write what the result store has.")
@click.option(
    "--jobs", type=click.IntRange(1, 1024), help="Jobs at the same time [default: one a core]."
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Run the jobs on the Dask cluster of this scheduler.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="results/studies",
    show_default=True,
    help="Folder for the rows, the page and its figures.",
)
@gathered(StudyOptions)
def command(given: StudyOptions) -> int:
    """Run the study of a paper: measure, test its claims, and write a page.

    Each result is kept as soon as it is there, so a study that was interrupted or killed goes on
    where it stopped. How long it takes is said before it begins.
    """
    from ...hw.tools.store import Store
    from ..papers.perform import STUDIES, StudyRun, find_study, hours, perform

    if given.listed:
        for study in STUDIES.values():
            whole = hours(cell.job for cell in study.cells(False))
            print(
                f"{study.name}  {study.title}; needs {', '.join(study.datasets)}; about "
                f"{whole:.1f} hours of one core"
            )
        return 0
    if given.name is None:
        raise click.UsageError(f"which study: {', '.join(STUDIES)}; or --list")
    run = StudyRun(given.quick, given.so_far, given.jobs, given.scheduler, given.output)
    return perform(find_study(given.name), run, Store())
