"""``narrowgauge sweep``: measure what a plan says."""

from dataclasses import dataclass
from pathlib import Path

import click

from ..sweeps.perform import SweepOptions, sweeping
from ..terminal.options import gathered

__all__ = ["PlannedOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class PlannedOptions(SweepOptions):
    """Options of the command."""

    plan: Path


@click.command(
    "sweep",
    epilog="""\b
Examples:
  narrowgauge sweep plan.toml
  narrowgauge sweep plan.toml --jobs 8 --output figures
  narrowgauge sweep plan.toml --scheduler tcp://10.0.0.5:8786""",
)
@click.argument("plan", type=click.Path(path_type=Path), metavar="FILE")
@sweeping
@gathered(PlannedOptions)
def command(given: PlannedOptions) -> int:
    """Measure every combination that a plan says: formats, accumulators, geometries, targets.

    The plan is a TOML file. All of it is checked before anything runs. Each result is kept as soon
    as it is there, so a sweep that was interrupted or killed goes on where it stopped.
    """
    from ..sweeps.perform import perform
    from ..sweeps.plan import read_plan

    return perform(read_plan(given.plan), given)
