"""The command ``narrowgauge``: a name for each command, loaded when it is used."""

import errno
import importlib
import keyword
import sys
import warnings
from importlib.metadata import version
from typing import NoReturn

import click

from ..hw.errors import NarrowgaugeError
from .terminal import streams
from .terminal.interrupts import Terminated, leave, watch

__all__ = ["COMMANDS", "RESUMED", "group", "main"]

COMMANDS = {
    "run": "The main job: train, build, simulate, place and route, compare.",
    "compare": "Measure a comparison that comes along: macs, arrays, accumulators, networks.",
    "sweep": "Measure what a plan says: formats, accumulators, geometries, targets.",
    "study": "Run the study of a paper: measure, test its claims, write a page.",
    "train": "Train one network and write its network file.",
    "quantize": "Turn a float network into integers, without training.",
    "explore": "Choose widths of layers under a device's limits, and build the best.",
    "price": "Find what an accuracy costs in each format: train, measure, rank.",
    "fit-accumulator": "Choose formats whose sums fit an accumulator of given width.",
    "zoo": "List the trained networks that come with narrowgauge.",
    "simulate": "Run a network's accelerator and compare it with the reference.",
    "synthesize": "Place and route a network's accelerator.",
    "energy": "Tell what an image takes on a device, from what toggles.",
    "verilog": "Write a network's accelerator as Verilog.",
    "boards": "List the boards, and how far each was tried.",
    "build": "Build a network's bitstream for a board.",
    "verify": "Prove link by link that a bitstream computes what PyTorch does.",
    "flash": "Load a bitstream into a board.",
    "explain": "Show what a model would become, and what of it is not supported.",
    "import": "Read a quantised network in ONNX, of Brevitas or QKeras for example.",
    "check": "Compare an ONNX network with its accelerator, layer by layer.",
    "export": "Write a network as QONNX.",
    "report": "Show results as one interactive page, as pictures, and as CSV.",
    "infer": "Classify images on a board.",
    "board": "Run a board in simulation, for programs that want a serial port.",
    "doctor": "Show tools and versions, and what is missing.",
}
RESUMED = frozenset(
    {
        *("run", "compare", "sweep", "study", "train", "synthesize", "build", "verify"),
        *("energy", "explore", "price"),
    }
)
"""Commands that keep their steps in the result store, and go on from there."""
UNREAD = 141
"""Exit status where nobody reads the output to its end: that of a program killed by SIGPIPE."""


class _Commands(click.Group):
    """Commands that are imported when they are called, so that ``--help`` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        # a module cannot have the name of a keyword, or a hyphen, as a command may
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name.replace("-", "_")
        return importlib.import_module(f".commands.{module}", __package__).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}; there is {', '.join(COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            click.echo(err=True)  # ends the line of the terminal's ^C
            kept = "; what was measured is kept, and the same command goes on from there"
            resumed = ctx.invoked_subcommand in RESUMED
            raise click.Abort(f"interrupted{kept if resumed else ''}") from interrupt


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog="""\b
Examples:
  narrowgauge doctor
  narrowgauge run --formats bipolar,int8 --seeds 1
  narrowgauge run --help

Exit status: 0 for success, 1 for an error, 2 for a misuse, 130 for an interrupt,
141 where nobody reads the output to its end, 143 for SIGTERM.""",
)
@click.version_option(version("narrowgauge"), prog_name="narrowgauge")
@click.pass_context
def group(context: click.Context) -> None:
    """Measure what narrow arithmetic costs in hardware and what it is worth in accuracy."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command line: 0 is success, 1 an error in one line, 2 a misuse, 130 an interrupt."""
    warnings.showwarning = _show_warning
    streams.prepare()
    watch()
    try:
        status = group.main(standalone_mode=False)
    except NarrowgaugeError as error:
        _fail(str(error), 1)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt) as interrupt:
        status = 143 if isinstance(interrupt.__cause__ or interrupt, Terminated) else 130
        _say(str(interrupt) or "interrupted")
        leave(status)
        sys.exit(status)
    except OSError as error:
        _fail(_describe(error), 1)
    lost = streams.lost()
    if lost and not isinstance(lost, BrokenPipeError):
        _fail(_describe(lost), 1)
    sys.exit(status or (UNREAD if lost else 0))


def _describe(error: OSError) -> str:
    """Return what the system says, and what to do."""
    advice = "; make room and repeat the command: what was measured is kept"
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}{advice if full else ''}"


def _fail(message: str, status: int) -> NoReturn:
    streams.lost()
    _say(message)
    sys.exit(status)


def _say(message: str) -> None:
    print(f"narrowgauge: {' '.join(message.split())}", file=sys.stderr, flush=True)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    # after an error components are left over that were never elaborated; nobody has to know
    if category.__name__ != "UnusedElaboratable":
        print(f"narrowgauge: warning: {message}", file=sys.stderr)
