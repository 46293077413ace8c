"""``narrowgauge report``: results as one page, pictures and tables."""

import os
from pathlib import Path

import click

from ..terminal import options
from ..terminal.progress import Reporter, standard_output

__all__ = ["command"]


@click.command(
    "report",
    epilog="""\b
Examples:
  narrowgauge report
  narrowgauge report results sweep/macs.json -o report
  narrowgauge report macs.json --title "MACs on iCE40 and ECP5\"""",
)
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE-OR-FOLDER]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="report",
    show_default=True,
    help="Folder for the page, the pictures and the tables.",
)
@click.option("--title", default="What narrow arithmetic costs", help="Heading of the page.")
def command(results: tuple[Path, ...], output: Path, title: str) -> int:
    """Show results as one HTML page that works offline, as pictures, and as CSV.

    Without a name, the results of `run` in the folder results are taken. Of a folder, every JSON
    file that holds result rows is, and those of studies, there and in its folder studies: the page
    has a section for each.
    """
    from ..papers.html_page import study_files, study_page
    from ..reporting.assemble import build
    from ..reporting.rows import merged, read

    paths = results or (Path("results"),)
    others = study_files(paths)
    sources, left_out = read(paths, others)
    for reason in left_out:
        click.echo(f"narrowgauge: left out: {reason}", err=True)
    options.make_folder(output, ("report.html", "rows.csv"))
    rows = merged(sources)
    with Reporter() as reporter, reporter.step("draw"):
        studies = dict(map(study_page, others))
        written = build(title, rows, sources, output, list(studies.items()))
    failed = sum(row.failure is not None for row in rows)
    console = standard_output()
    console.print(
        f"{len(rows)} rows"
        + (f", {failed} of them failures" if failed else "")
        + (f"; studies: {', '.join(studies)}" if studies else ""),
        markup=False,
    )
    names = ", ".join(path.name for path in written)
    console.print(f"written to {output}{os.sep}: {names}", markup=False, soft_wrap=True)
    return 0
