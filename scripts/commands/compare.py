"""``narrowgauge compare``: the plans that come along."""

from dataclasses import dataclass
from pathlib import Path

import click

from ..sweeps.perform import SweepOptions, sweeping
from ..terminal.options import gathered

__all__ = ["PLANS", "CompareOptions", "command"]

PLANS = Path(__file__).parents[1] / "sweeps" / "plans"
NAMES = tuple(sorted(path.stem for path in PLANS.glob("*.toml")))


@dataclass(frozen=True, kw_only=True)
class CompareOptions(SweepOptions):
    """Options of the command."""

    name: str
    show: bool


@click.command(
    "compare",
    help="""Measure a comparison that comes along.

\b
macs          one multiply-accumulate of every format, on every family
arrays        systolic arrays of several shapes
accumulators  accumulators of 8 to 32 bits
networks      accuracy against area, of the zoo's networks""",
    epilog="""\b
Examples:
  narrowgauge compare macs
  narrowgauge compare accumulators --jobs 8 --output figures
  narrowgauge compare macs --plan > mine.toml""",
)
@click.argument("name", type=click.Choice(NAMES))
@click.option("--plan", "show", is_flag=True, help="Print the plan, and run nothing.")
@sweeping
@gathered(CompareOptions)
def command(given: CompareOptions) -> int:
    """Run the plan of that name, or print it."""
    path = PLANS / f"{given.name}.toml"
    if given.show:
        print(path.read_text(encoding="utf-8"), end="")
        return 0
    from ..sweeps.perform import perform
    from ..sweeps.plan import read_plan

    return perform(read_plan(path), given)
