"""``narrowgauge compare``: the plans that come along."""

from pathlib import Path
from typing import Any

import click

from ..sweeps.perform import sweeping

__all__ = ["PLANS", "command"]

PLANS = Path(__file__).parents[1] / "sweeps" / "plans"
NAMES = tuple(sorted(path.stem for path in PLANS.glob("*.toml")))


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
def command(name: str, show: bool, **values: Any) -> int:
    """Run the plan of that name, or print it."""
    path = PLANS / f"{name}.toml"
    if show:
        print(path.read_text(encoding="utf-8"), end="")
        return 0
    from ..sweeps.perform import perform
    from ..sweeps.plan import read_plan

    return perform(read_plan(path), **values)
