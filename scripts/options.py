"""Options that several commands share."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..hw.arithmetic import OVERFLOWS
from ..hw.array import Geometry
from ..hw.errors import NarrowgaugeError
from ..hw.sim.engine import ENGINES
from ..hw.synth.build import MULTIPLIERS
from ..hw.synth.targets import TARGETS

__all__ = [
    "Numbers",
    "accumulator",
    "engine",
    "geometry",
    "grouping",
    "images",
    "json_output",
    "make_folder",
    "make_geometry",
    "multiplier",
    "network_file",
    "seed_range",
    "seeds",
    "target",
]


class Numbers(click.ParamType):
    """Positive integers between commas."""

    name = "n,n,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
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
    click.option(
        "--hop", default=8, show_default=True, help="Elements that share a pipeline register."
    ),
    click.option(
        "--chains",
        default=1,
        show_default=True,
        help="Chains by which sums leave the array, a sum a cycle each.",
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
        help="Groups of images in flight.",
    ),
)

accumulator = _stacked(
    click.option(
        "--accumulator",
        type=int,
        metavar="BITS",
        help="Accumulator width [default: the narrowest that cannot overflow].",
    ),
    click.option(
        "--overflow",
        type=click.Choice(OVERFLOWS),
        default="wrap",
        show_default=True,
        help="What an accumulator does when a sum does not fit.",
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
    help="Multiply in logic cells, or in the target's multiplier blocks, as far as there are any.",
)
seeds = click.option(
    "--seeds", default=3, show_default=True, help="Placements; Fmax is given as their median."
)
engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    help="Simulator: compiled C++, or Amaranth's own.",
)
json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
network_file = click.argument(
    "network", type=click.Path(path_type=Path), metavar="FILE-OR-ZOO-NAME"
)
images = click.option("--images", type=click.IntRange(1), help="Test images to run [default: all].")


def make_geometry(values: dict[str, Any]) -> Geometry:
    """Take the geometry out of a command's parameters; `grouping` is what they say of images."""
    names = ("rows", "columns", "lanes", "hop", "chains")
    return Geometry(**{name: values.pop(name) for name in names})


def grouping(values: dict[str, Any]) -> dict[str, Any]:
    """Take ``contexts`` and ``batch``, as `Program` takes them, out of a command's parameters."""
    return {name: values.pop(name) for name in ("contexts", "batch")}


def make_folder(path: Path) -> None:
    """Make the folder that results go to; raises `NarrowgaugeError` where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise NarrowgaugeError(
            f"cannot write to {path} ({error.strerror}); name another folder with --output"
        ) from error


def seed_range(count: int) -> tuple[int, ...]:
    """Return the seeds 1 to ``count``; raises `NarrowgaugeError` for none or too many."""
    if not 1 <= count <= 100:
        raise NarrowgaugeError(f"--seeds is 1 to 100, not {count}")
    return tuple(range(1, count + 1))
