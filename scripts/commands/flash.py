"""``narrowgauge flash``: a bitstream into a board."""

from pathlib import Path

import click

from ..terminal.progress import Reporter
from .build import board_argument

__all__ = ["command"]


@click.command(
    "flash",
    epilog="""\b
Examples:
  narrowgauge flash icebreaker build/icebreaker/digits-int4-64-32.bin""",
)
@board_argument
@click.argument("file", type=click.Path(path_type=Path))
def command(board: str, file: Path) -> int:
    """Load a bitstream into a board, with openFPGALoader or the board's own programmer.

    The first of the board's programmers is used that is there and starts; `narrowgauge boards
    --json` lists them. A file that is not what the .json beside it describes is refused.
    """
    from ...boards.build.programmer import flash
    from ...boards.catalogue.entries import board as find_board

    found = find_board(board)
    with Reporter() as reporter, reporter.step(f"program {board}"):
        flash(found, file)
    print(f"{board}: programmed with {file}")
    return 0
