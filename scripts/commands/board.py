"""``narrowgauge board``: a board in simulation, behind a pseudo-terminal."""

from dataclasses import dataclass
from pathlib import Path

import click

from ..terminal import options
from ..terminal.progress import Reporter

__all__ = ["BoardOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class BoardOptions(options.AcceleratorOptions):
    """Options of the command."""

    network: Path
    virtual: bool
    any_weights: bool
    noise: float
    divisor: int


@click.command(
    "board",
    epilog="""\b
Examples:
  narrowgauge board digits.safetensors --virtual
  narrowgauge board digits.safetensors --virtual --noise 0.001
  narrowgauge board digits.safetensors --virtual --load-weights
  narrowgauge board mnist-lenet5-bipolar --virtual --columns 4 --lanes 8 --batch 1 --contexts 1""",
)
@options.network_file
@click.option("--virtual", is_flag=True, help="Simulate the board; there is no other way yet.")
@options.geometry
@options.target
@options.multiplier
@options.load_weights
@click.option(
    "--noise",
    type=click.FloatRange(0, 0.3),
    default=0.0,
    show_default=True,
    help="Chance that a byte on the line is dropped, flipped, or follows another; of each.",
)
@click.option(
    "--divisor",
    type=click.IntRange(4, 4096),
    default=4,
    show_default=True,
    help="Clock cycles of a bit on the line.",
)
@options.gathered(BoardOptions)
def command(given: BoardOptions) -> int:
    """Run a network's board in simulation, until Ctrl-C.

    Every gate of the top level is simulated, the serial line and the reset included, but no PLL: a
    simulation has no frequency. `narrowgauge verify` runs a board's own netlist, with its PLL. The
    name of a pseudo-terminal is printed, which `narrowgauge infer` takes as its port. The network
    is a network file, or one of the zoo by its name.
    """
    if not given.virtual:
        raise click.UsageError(
            "add --virtual: a board is simulated here; `narrowgauge infer` talks to one on a port"
        )
    from ...boards.proof.virtual import VirtualBoard, virtual_device
    from ..runs.loading import load_network

    loaded = load_network(given.network, given.geometry.lanes)
    program = given.program(loaded, any_weights=given.any_weights)
    device = virtual_device(given.accelerator(program), divisor=given.divisor)
    with Reporter() as reporter, reporter.step("compile the simulation"):
        board = VirtualBoard(device, noise=given.noise)
    with board:
        click.echo(board.port)
        click.echo(f"{program.network.name} answers on this port until Ctrl-C", err=True)
        try:
            board.wait()
        except KeyboardInterrupt:
            click.echo(f"stopped after {board.cycles:,} cycles", err=True)
    return 0
