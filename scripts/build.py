"""``narrowgauge build``: a network's bitstream for a board."""

import json
from pathlib import Path
from typing import Any

import click

from . import options
from .progress import Reporter

__all__ = ["board_argument", "command", "make", "making"]

board_argument = click.argument("board", metavar="BOARD")


def making(function: Any) -> Any:
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
@options.json_output
def command(board: str, network: Path, output: Path | None, as_json: bool, **values: Any) -> int:
    """Build the bitstream of a network for a board, and say where it came from.

    The folder gets the bitstream and, beside it, a file with the same name and the ending .json:
    clock, use of the device, seed, digests, tools. Where anything fails, nothing is written.
    """
    from ..hw.files import write_atomically

    built = make(board, network, values)
    row = built.provenance()
    folder = Path("build", board) if output is None else output
    options.make_folder(folder)
    path = folder / f"{row['network']}.{built.suffix}"
    write_atomically(path.with_suffix(".json"), (json.dumps(row, indent=1) + "\n").encode())
    write_atomically(path, built.content)
    if as_json:
        print(json.dumps(row | {"file": str(path)}, indent=2))
    else:
        _print(row, path)
    return 0


def make(name: str, network: Path, values: dict[str, Any]) -> Any:
    """Return the bitstream that a command's parameters describe.

    Raises
    ------
    NarrowgaugeError
        For an unknown board, a network that is not there or does not fit, a clock that is not met.
    """
    from ..boards.bitstream import build
    from ..boards.board import board as find_board
    from ..hw.program import Program
    from ..hw.synth.fit import largest_geometry
    from ..hw.synth.store import Store
    from .networks import load_network

    board, store = find_board(name), Store()
    geometry, groups = options.make_geometry(values), options.grouping(values)
    loaded = load_network(network, geometry.lanes)
    with Reporter() as reporter:
        if values["fit"]:
            with reporter.step("find the largest array"):
                chains = geometry.chains
                geometry = largest_geometry(loaded, board.target, store, chains=chains, **groups)
            loaded = load_network(network, geometry.lanes)
        frequency = values["frequency"]
        with reporter.step(f"build the bitstream for {board.name}") as step:
            built = build(
                Program(loaded, geometry, **groups),
                board,
                frequency=None if frequency is None else 1e6 * frequency,
                baud=values["baud"],
                multiplier=values["multiplier"],
                store=store,
            )
            step.note(f"{built.clock.frequency / 1e6:.2f} MHz, seed {built.seed}")
    return built


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
