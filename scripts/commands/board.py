"""``narrowgauge board``: a board in simulation, behind a pseudo-terminal."""

from pathlib import Path
from typing import Any

import click

from ..terminal import options
from ..terminal.progress import Reporter

__all__ = ["command"]


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
def command(network: Path, virtual: bool, **values: Any) -> int:
    """Run a network's board in simulation, until Ctrl-C.

    Every gate of the top level is simulated, the serial line and the reset included, but no PLL: a
    simulation has no frequency. `narrowgauge verify` runs a board's own netlist, with its PLL. The
    name of a pseudo-terminal is printed, which `narrowgauge infer` takes as its port. The network
    is a network file, or one of the zoo by its name.
    """
    if not virtual:
        raise click.UsageError(
            "add --virtual: a board is simulated here; `narrowgauge infer` talks to one on a port"
        )
    from ...boards.proof.virtual import VirtualBoard, virtual_device
    from ...hw.program.layout import Program
    from ...hw.synth.build import accelerator_for
    from ...hw.synth.targets import target as find_target
    from ..runs.networks import load_network

    geometry = options.make_geometry(values)
    program = Program(load_network(network, geometry.lanes), geometry, **options.grouping(values))
    accelerator = accelerator_for(
        program, find_target(values["target"]), multiplier=values["multiplier"]
    )
    device = virtual_device(accelerator, divisor=values["divisor"])
    with Reporter() as reporter, reporter.step("compile the simulation"):
        board = VirtualBoard(device, noise=values["noise"])
    with board:
        click.echo(board.port)
        click.echo(f"{program.network.name} answers on this port until Ctrl-C", err=True)
        try:
            board.wait()
        except KeyboardInterrupt:
            click.echo(f"stopped after {board.cycles:,} cycles", err=True)
    return 0
