"""``narrowgauge synthesize``: what a network's accelerator costs on a device."""

import json
from pathlib import Path
from typing import Any

import click

from . import options
from .progress import Reporter

__all__ = ["command"]


@click.command(
    "synthesize",
    epilog="""\b
Examples:
  narrowgauge synthesize digits.safetensors
  narrowgauge synthesize digits.safetensors --target ecp5-25k --rows 4 --columns 4 --seeds 5""",
)
@options.network_file
@options.geometry
@options.target
@options.seeds
@options.json_output
def command(network: Path, as_json: bool, seeds: int, target: str, **values: Any) -> int:
    """Place and route the accelerator of a network file, with several seeds."""
    from ..hw.network import load
    from ..hw.program import Program
    from ..hw.synth.build import accelerator_for, cost
    from ..hw.synth.store import Store
    from ..hw.synth.targets import target as find_target

    device = find_target(target)
    numbers = options.seed_range(seeds)
    loaded = load(network)
    program = Program(loaded, options.make_geometry(values), contexts=values["contexts"])
    with Reporter() as reporter, reporter.step(f"place and route on {target}"):
        measured = cost(accelerator_for(program, device), device, Store(), numbers)
    row = {"network": loaded.name} | measured.row()
    if as_json:
        print(json.dumps(row, indent=2))
    else:
        _print(row, dict(device.budget))
    return 0


def _print(row: dict[str, Any], budget: dict[str, int]) -> None:
    used = [
        f"{row[name]} of {budget[name]} {name.upper()}"
        for name in ("lut", "bram", "spram", "dsp")
        if name in row and name in budget
    ]
    print(f"{row['network']} on {row['target']}: {', '.join(used)}")
    print(
        f"{row['fmax_mhz']:.1f} MHz (median of {len(row['seeds'])} seeds, "
        f"{row['fmax_mhz_min']:.1f} to {row['fmax_mhz_max']:.1f})"
    )
    print(f"slowest path: {row['critical_path']}")
