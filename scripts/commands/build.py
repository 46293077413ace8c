"""``narrowgauge build``: a network's bitstream for a board."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..terminal import options
from ..terminal.progress import Reporter

if TYPE_CHECKING:
    from ...boards.build.bitstream import Bitstream
    from ...boards.catalogue.entries import Board

__all__ = ["BuildOptions", "MakingOptions", "board_argument", "command", "make", "making"]

board_argument = click.argument("board", metavar="BOARD")


@dataclass(frozen=True, kw_only=True)
class MakingOptions(options.FittedOptions):
    """Options that `board_argument`, `options.network_file` and `making` give."""

    board: str
    network: Path
    frequency: float | None
    baud: int
    any_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class BuildOptions(MakingOptions):
    """Options of the command."""

    output: Path | None
    as_json: bool


def making(function: Callable) -> Callable:
    """Add the options that say how a bitstream is made, as `make` takes them."""
    for option in reversed(
        [
            options.geometry,
            options.multiplier,
            click.option("--fit", is_flag=True, help="Take the largest array that fits."),
            click.option(
                "--frequency",
                type=click.FloatRange(min=0, min_open=True),
                metavar="MHZ",
                help="Clock that must be met [default: the fastest that is].",
            ),
            click.option(
                "--baud",
                type=click.IntRange(300),
                default=1_000_000,
                show_default=True,
                help="Bits a second on the UART.",
            ),
        ]
    ):
        function = option(function)
    return function


@click.command(
    "build",
    epilog="""\b
Examples:
  narrowgauge build icebreaker digits.safetensors
  narrowgauge build ulx3s_85f mnist-lenet5-int4 --rows 4 --columns 4 --lanes 8 -o lenet5
  narrowgauge build tang_nano_9k digits.safetensors --frequency 24""",
)
@board_argument
@options.network_file
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the files [default: build/BOARD].",
)
@making
@options.load_weights
@options.json_output
@options.gathered(BuildOptions)
def command(given: BuildOptions) -> int:
    """Build the bitstream of a network for a board, and say where it came from.

    The folder gets the bitstream and, beside it, a file with the same name and the ending .json:
    clock, use of the device, seed, digests, tools. Where anything fails, nothing is written.
    """
    folder = Path("build", given.board) if given.output is None else given.output
    built = make(given, folder)
    row = built.provenance()
    path = _path(folder, built.board, row["network"])
    _write(path, built.content, row)
    if given.as_json:
        print(json.dumps(row | {"file": str(path)}, indent=2))
    else:
        _print(row, path)
    return 0


def make(given: MakingOptions, folder: Path | None = None) -> "Bitstream":
    """Return the bitstream that a command's parameters describe.

    With a ``folder`` for its files, that is seen to be writable before anything takes long.

    Raises
    ------
    NarrowgaugeError
        For an unknown board, a network that is not there or does not fit, a clock that is not met,
        options that exclude each other, a folder that cannot be written to.
    """
    from ...boards.build.bitstream import build
    from ...boards.build.largest import largest_on
    from ...boards.catalogue.entries import board as find_board
    from ...hw.tools.store import Store
    from ..runs.loading import load_network

    given.check_fit()
    board = find_board(given.board)
    geometry = given.geometry
    if given.fit and given.any_weights:
        raise click.UsageError("--fit measures weights in the bitstream; leave out --load-weights")
    loaded = load_network(given.network, geometry.lanes)
    if folder is not None:
        _path(folder, board, loaded.name)
    line: dict[str, Any] = {
        "frequency": None if given.frequency is None else 1e6 * given.frequency,
        "baud": given.baud,
        "store": Store(),
    }
    with Reporter() as reporter:
        if given.fit:
            with reporter.step("find the largest array") as step:
                geometry = largest_on(
                    loaded,
                    board,
                    hop=given.hop,
                    chains=given.chains,
                    slice=given.slice,
                    contexts=given.contexts,
                    batch=given.batch,
                    note=step.note,
                    **line,
                )
                step.note(str(geometry))
            loaded = load_network(given.network, geometry.lanes)
        with reporter.step(f"build the bitstream for {board.name}") as step:
            program = given.program(loaded, geometry, any_weights=given.any_weights)
            built = build(program, board, multiplier=given.multiplier, note=step.note, **line)
            step.note(f"{built.clock.frequency / 1e6:.2f} MHz, seed {built.seed}")
    return built


def _path(folder: Path, board: "Board", network: str) -> Path:
    """Return where the bitstream of a network goes; raises where that cannot be written to."""
    from ...boards.build.board_flow import suffix
    from ...hw.files import file_name

    options.check_folder(folder)
    path = folder / f"{file_name(network)}.{suffix(board)}"
    options.check_files([path, path.with_suffix(".json")])
    return path


def _write(path: Path, content: bytes, row: dict[str, Any]) -> None:
    """Write a bitstream and where it came from: both, or none."""
    from ...hw.files import write_atomically

    options.make_folder(path.parent)
    write_atomically(path, content)
    try:
        record = json.dumps(row, indent=1) + "\n"
        write_atomically(path.with_suffix(".json"), record)
    except BaseException:
        if path.is_file():
            Path(os.path.realpath(path)).unlink()  # a link stays one
        raise


def _print(row: dict[str, Any], path: Path) -> None:
    used = [
        f"{each['used']} of {each['available']} {name.upper()}"
        for name, each in row["utilisation"].items()
        if each["used"]
    ]
    print(
        f"{row['network']} on {row['board']}, array {row['rows']}x{row['columns']} with "
        f"{row['lanes']} lanes: {', '.join(used)}\n"
        f"clock {row['frequency_mhz']:g} MHz, the routed design reaches {row['fmax_mhz']:g} MHz\n"
        f"{path}"
    )
