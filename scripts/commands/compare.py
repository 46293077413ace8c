"""``narrowgauge compare``: the plans that come along."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..sweeps.perform import SweepOptions, sweeping
from ..terminal.options import gathered

if TYPE_CHECKING:
    from ..sweeps.plan import SweepPlan  # imports what is needed to make points

__all__ = ["PLANS", "CompareOptions", "command"]

PLANS = Path(__file__).parents[1] / "sweeps" / "plans"
NAMES = tuple(sorted(path.stem for path in PLANS.glob("*.toml")))


@dataclass(frozen=True, kw_only=True)
class CompareOptions(SweepOptions):
    """Options of the command."""

    name: str
    show: bool
    target: tuple[str, ...]


@click.command(
    "compare",
    help="""Measure a comparison that comes along.

\b
macs          one multiply-accumulate of every format, on every family
arrays        systolic arrays of several shapes
accumulators  accumulators of 8 to 32 bits
scalable      elements for weights of several widths, of every kind
networks      accuracy against area, of the zoo's networks""",
    epilog="""\b
Examples:
  narrowgauge compare macs
  narrowgauge compare accumulators --jobs 8 --output figures
  narrowgauge compare scalable --target up5k
  narrowgauge compare macs --plan > mine.toml""",
)
@click.argument("name", type=click.Choice(NAMES))
@click.option("--plan", "show", is_flag=True, help="Print the plan, and run nothing.")
@click.option(
    "--target",
    multiple=True,
    metavar="NAME",
    help="Only on this device of the plan's; again for more.",
)
@sweeping
@gathered(CompareOptions)
def command(given: CompareOptions) -> int:
    """Run the plan of that name, or print it."""
    path = PLANS / f"{given.name}.toml"
    if given.show and given.target:
        raise click.UsageError("--plan prints the whole plan; leave out --target")
    if given.show:
        print(path.read_text(encoding="utf-8"), end="")
        return 0
    from ..sweeps.perform import perform
    from ..sweeps.plan import read_plan

    plan = read_plan(path)
    return perform(_on(plan, given.target) if given.target else plan, given)


def _on(plan: "SweepPlan", targets: tuple[str, ...]) -> "SweepPlan":
    """Return the points of a plan on some targets."""
    there = dict.fromkeys(point.target for point in plan.points)
    unknown = [name for name in targets if name not in there]
    if unknown:
        raise click.UsageError(
            f"{plan.name} is not on {', '.join(unknown)}, but {', '.join(there)}"
        )
    return replace(plan, points=tuple(p for p in plan.points if p.target in targets))
