"""Options that several commands share."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from ...hw.errors import DataError, NarrowgaugeError
from ...hw.files import check_writable, is_standard_output
from ...hw.geometry import Geometry
from ...hw.numbers.arithmetic import OVERFLOWS
from ...hw.sim.engine import ENGINES
from ...hw.synth.build import MULTIPLIERS
from ...hw.synth.targets import TARGETS, Target
from ...hw.synth.targets import target as find_target

if TYPE_CHECKING:
    from ...hw.accelerator.top import Accelerator
    from ...hw.network.network import Network
    from ...hw.program.layout import Program

__all__ = [
    "AcceleratorOptions",
    "ArrayOptions",
    "FittedOptions",
    "Numbers",
    "OutputFile",
    "accumulator",
    "accumulator_lanes",
    "channel_widths",
    "channels",
    "check_files",
    "check_folder",
    "engine",
    "gathered",
    "geometry",
    "images",
    "json_output",
    "load_weights",
    "make_folder",
    "multiplier",
    "network_file",
    "output_file",
    "refuse",
    "seed_range",
    "seeds",
    "target",
]


class Numbers(click.ParamType):
    """Positive integers between commas."""

    name = "n,n,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the integers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 64,32", param, ctx)
        if any(number < 1 for number in numbers):
            self.fail(f"{value!r} has a number that is not positive", param, ctx)
        return numbers


class OutputFile(click.Path):
    """A file to write; it is seen to be writable before anything takes long.

    Where it is standard output, what the command prints goes to standard error.
    """

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            check_writable(path)
        except OSError as error:
            option = param.opts[-1] if param else "--output"
            raise NarrowgaugeError(
                f"cannot write to {path} ({error.strerror}); name another file with {option}"
            ) from error
        if ctx and is_standard_output(path):
            ctx.with_resource(redirect_stdout(sys.stderr))
        return path


def _stacked(*options: Callable) -> Callable:
    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


geometry = _stacked(
    click.option(
        "--rows", default=2, show_default=True, help="Rows of the array: pixels or images."
    ),
    click.option("--columns", default=2, show_default=True, help="Columns: output channels."),
    click.option("--lanes", default=4, show_default=True, help="Products a step in each element."),
    click.option("--hop", default=8, show_default=True, help="Pipeline distance, in elements."),
    click.option(
        "--chains",
        default=1,
        show_default=True,
        help="Chains by which partial sums leave the array, one a cycle each.",
    ),
    click.option(
        "--slice",
        type=int,
        metavar="BITS",
        help="Bits of a weight that an element multiplies a step, 1, 2 or 4; wider weights take "
        "several passes [default: whole weights, all as wide as the widest].",
    ),
    click.option(
        "--batch",
        type=click.IntRange(1),
        help="Images of a group, up to the rows [default: as many].",
    ),
    click.option(
        "--contexts",
        type=click.IntRange(1, 2),
        default=2,
        show_default=True,
        help="Groups of images in flight; two take turns (ping-pong).",
    ),
)

accumulator = _stacked(
    click.option(
        "--accumulator",
        type=int,
        metavar="BITS",
        help="Accumulator width [default: a network file's own, or else the narrowest that cannot "
        "overflow].",
    ),
    click.option(
        "--overflow",
        type=click.Choice(OVERFLOWS),
        help="What an accumulator does when a sum does not fit [default: a network file's own, or "
        "else wrap].",
    ),
)

target = click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    default="up5k",
    show_default=True,
    help="Device that the accelerator is for.",
)
multiplier = click.option(
    "--multiplier",
    type=click.Choice(MULTIPLIERS),
    default="logic",
    show_default=True,
    help="Multiply in logic cells, or in the target's DSP blocks, as far as there are any.",
)
channels = click.option(
    "--channels",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help='JSON file, {"layer": [2, 4, 8, ...]}: bits of the weights of each output channel.',
)


def channel_widths(path: Path | None) -> tuple[tuple[str, Sequence[int]], ...]:
    """Return names of layers and what a file of ``--channels`` gives for each.

    Raises
    ------
    DataError
        For a file that cannot be read, is no JSON of an object, or names no layer.
    """
    if path is None:
        return ()

    def pairs(found: list[tuple[str, Sequence[int]]]) -> tuple[tuple[str, Sequence[int]], ...]:
        return tuple(found)  # a layer that is named twice stays so, and is refused

    try:
        found = json.loads(path.read_bytes(), object_pairs_hook=pairs)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no JSON ({error})") from error
    if not isinstance(found, tuple) or not found:
        raise DataError(
            f'{path}: widths of channels are JSON such as {{"conv1": [2, 4, 8]}}, one for each '
            "output channel"
        )
    return found


load_weights = click.option(
    "--load-weights",
    "any_weights",
    is_flag=True,
    help="Make the weight memory writable: weights come over the link after every reset, and may "
    "be others than the network's.",
)
seeds = click.option(
    "--seeds", default=3, show_default=True, help="Placements; Fmax is given as their median."
)
accumulator_lanes = click.option(
    "--lanes",
    type=click.IntRange(1, 1024),
    default=4,
    show_default=True,
    help="Lanes that the accumulator is for.",
)
engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    help="Simulator: batch (many images a pass), compiled (one stream, in C++), or Amaranth's own; "
    "auto is batch, and compiled where streams pause or waveforms are written.",
)
json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
network_file = click.argument(
    "network", type=click.Path(path_type=Path), metavar="FILE-OR-ZOO-NAME"
)


def output_file(text: str) -> Callable:
    """Return the option of the file that a command writes; ``text`` is its help."""
    return click.option("-o", "--output", type=OutputFile(), required=True, help=text)


images = click.option("--images", type=click.IntRange(1), help="Test images to run [default: all].")


Given = TypeVar("Given")


def gathered(kind: type[Given]) -> Callable[[Callable[[Given], int]], Callable[..., int]]:
    """Return a decorator that gives a command its parameters as one dataclass.

    It stands right above the function, below the options; ``kind`` has a field for each of them.
    """

    def decorate(function: Callable[[Given], int]) -> Callable[..., int]:
        @wraps(function)
        def command(**values: object) -> int:
            return function(kind(**values))

        return command

    return decorate


def refuse(name: str, why: str) -> None:
    """Refuse a parameter where it stands on the command line and would do nothing.

    Raises
    ------
    NarrowgaugeError
        With the option, ``why`` after it, and what to do.
    """
    given = click.get_current_context().get_parameter_source(name)
    if given is ParameterSource.COMMANDLINE:
        raise NarrowgaugeError(f"--{name.replace('_', '-')} {why}; leave it out")


@dataclass(frozen=True, kw_only=True)
class ArrayOptions:
    """Options that `geometry` gives: the array, and how images share it."""

    rows: int
    columns: int
    lanes: int
    hop: int
    chains: int
    slice: int | None = None
    batch: int | None
    contexts: int

    @property
    def geometry(self) -> Geometry:
        """The array; raises `GeometryError` where there is no such one."""
        sizes = self.rows, self.columns, self.lanes
        return Geometry(*sizes, hop=self.hop, chains=self.chains, slice=self.slice)

    def program(
        self, network: "Network", geometry: Geometry | None = None, *, any_weights: bool = False
    ) -> "Program":
        """Return the program of a network on the array, or on another."""
        from ...hw.program.layout import Program

        return Program(
            network,
            geometry or self.geometry,
            contexts=self.contexts,
            batch=self.batch,
            any_weights=any_weights,
        )


@dataclass(frozen=True, kw_only=True)
class AcceleratorOptions(ArrayOptions):
    """Options that `geometry`, `target` and `multiplier` give."""

    target: str
    multiplier: str = "logic"

    @property
    def device(self) -> Target:
        """The target."""
        return find_target(self.target)

    def accelerator(self, program: "Program") -> "Accelerator":
        """Return the accelerator of a program on the target."""
        from ...hw.synth.build import accelerator_for

        return accelerator_for(program, self.device, multiplier=self.multiplier)


@dataclass(frozen=True, kw_only=True)
class FittedOptions(ArrayOptions):
    """Options that `geometry`, `multiplier` and ``--fit`` give."""

    multiplier: str
    fit: bool

    def check_fit(self) -> None:
        """Refuse what says how large the array is, or where it multiplies, beside ``--fit``."""
        if not self.fit:
            return
        for name in ("rows", "columns", "lanes"):
            refuse(name, "is what --fit chooses itself")
        if self.multiplier != "logic":
            raise NarrowgaugeError(
                "--fit measures arrays of logic cells; with --multiplier block, give --rows, "
                "--columns and --lanes"
            )


def make_folder(path: Path, names: Iterable[str] = ()) -> None:
    """Make the folder that results go to, as files of these names.

    Raises
    ------
    NarrowgaugeError
        Where that cannot be.
    """
    check_folder(path)
    check_files(path / name for name in names)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_folder(path, error) from error


def check_files(paths: Iterable[Path]) -> None:
    """See that files can be written into their folder; leave nothing behind.

    Raises
    ------
    NarrowgaugeError
        Where one cannot be.
    """
    for path in paths:
        try:
            check_writable(path)
        except OSError as error:
            raise NarrowgaugeError(
                f"cannot write to {path} ({error.strerror}); remove it, or name another folder "
                "with --output"
            ) from error


def check_folder(path: Path) -> None:
    """See that a folder can be written to, or made; leave nothing behind.

    Raises
    ------
    NarrowgaugeError
        Where that cannot be.
    """
    there = next((each for each in (path, *path.parents) if each.exists()), path)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise _no_folder(path, error) from error


def _no_folder(path: Path, error: OSError) -> NarrowgaugeError:
    return NarrowgaugeError(
        f"cannot write to {path} ({error.strerror}); name another folder with --output"
    )


def seed_range(count: int) -> tuple[int, ...]:
    """Return the seeds 1 to ``count``; raises `NarrowgaugeError` for none or too many."""
    if not 1 <= count <= 100:
        raise NarrowgaugeError(f"--seeds is 1 to 100, not {count}")
    return tuple(range(1, count + 1))
