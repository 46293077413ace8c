"""``narrowgauge synthesize``: what a network's accelerator costs on a device."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..terminal import options
from ..terminal.progress import Reporter, standard_output

if TYPE_CHECKING:
    from rich.table import Table

    from ...hw.program.layout import Program
    from ...hw.synth.estimate import Estimate
    from ...hw.synth.targets import Target

__all__ = ["SynthesizeOptions", "command", "described"]


@dataclass(frozen=True, kw_only=True)
class SynthesizeOptions(options.AcceleratorOptions):
    """Options of the command."""

    network: Path
    seeds: int
    estimate: bool
    as_json: bool


@click.command(
    "synthesize",
    epilog="""\b
Examples:
  narrowgauge synthesize digits.safetensors
  narrowgauge synthesize mnist-lenet5-int4 --target ecp5-85k --contexts 1 --batch 1
  narrowgauge synthesize digits.safetensors --target ecp5-25k --rows 4 --columns 4 --seeds 5
  narrowgauge synthesize digits.safetensors --rows 4 --columns 4 --estimate""",
)
@options.network_file
@options.geometry
@options.target
@options.multiplier
@options.seeds
@click.option(
    "--estimate",
    is_flag=True,
    help="Only estimate, with the errors of estimates: a second, and no tools.",
)
@options.json_output
@options.gathered(SynthesizeOptions)
def command(given: SynthesizeOptions) -> int:
    """Place and route a network's accelerator, with several seeds.

    The network is a network file, or one of the zoo by its name.
    """
    from ...hw.synth.build import cost
    from ...hw.tools.store import Store
    from ..runs.loading import load_network

    device, numbers = given.device, options.seed_range(given.seeds)
    program = given.program(load_network(given.network, given.geometry.lanes))
    if given.estimate:
        options.refuse("seeds", "is of placements, and --estimate has none")
        return _estimate(given, program)
    step = "place and route on" if device.family.router else "map to"
    with Reporter() as reporter, reporter.step(f"{step} {given.target}"):
        measured = cost(given.accelerator(program), device, Store(), numbers)
    row = {"network": program.network.name} | measured.row()
    row["memories"] = _memories(program, device)
    if given.as_json:
        print(json.dumps(row, indent=2))
    else:
        _print(row, dict(device.budget))
    return 0


def _estimate(given: SynthesizeOptions, program: "Program") -> int:
    """Print what the accelerator should take; return the exit status."""
    from ...hw.synth.estimate import estimate
    from ...hw.synth.placement import check_memories

    check_memories(program, given.device)
    found = estimate(program, given.device, multiplier=given.multiplier)
    row = {"network": program.network.name, "target": given.target, **asdict(found)}
    row["memories"] = _memories(program, given.device)
    if given.as_json:
        print(json.dumps(row, indent=2))
        return 0
    print(f"{row['network']} on {row['target']}, estimated: {described(found, given.device)}")
    _print_memories(row, dict(given.device.budget))
    return 0


def described(found: "Estimate", device: "Target") -> str:
    """Return an estimate in words, with its errors."""
    budget = device.budget
    parts = [f"{found.lut:,} of {budget['lut']:,} LUT (+-{100 * found.lut_error:.0f} %)"]
    parts += [
        f"{getattr(found, name)} of {budget[name]} {name.upper()}"
        for name in ("bram", "spram", "dsp")
        if budget.get(name)
    ]
    parts += [f"{found.ff:,} registers"]
    if found.fmax_mhz is not None and found.fmax_error is not None:
        parts += [f"{found.fmax_mhz:.0f} MHz (+-{100 * found.fmax_error:.0f} %)"]
    return ", ".join(parts) + (f"; {found.remark}" if found.remark else "")


def _memories(program: "Program", device: "Target") -> list[dict[str, Any]]:
    """Return what each memory is and takes, as plain data."""
    from ...hw.synth.placement import memory_use

    names = ("count", "width", "depth", "kind", "blocks", "filled")
    return [
        {"memory": use.name} | {name: getattr(use, name) for name in names}
        for use in memory_use(program, device)
    ]


def _print(row: dict[str, Any], budget: dict[str, int]) -> None:
    used = [
        f"{row[name]} of {budget[name]} {name.upper()}"
        for name in ("lut", "bram", "spram", "dsp")
        if name in row and name in budget
    ]
    print(f"{row['network']} on {row['target']}: {', '.join(used)}")
    if row["routed"]:
        print(
            f"{row['fmax_mhz']:.1f} MHz (median of {len(row['seeds'])} seeds, "
            f"{row['fmax_mhz_min']:.1f} to {row['fmax_mhz_max']:.1f})"
        )
        print(f"slowest path: {row['critical_path']}")
    else:
        print("not routed: mapped by Yosys only, no clock frequency")
    if "remark" in row:
        print(row["remark"])
    _print_memories(row, budget)


def _print_memories(row: dict[str, Any], budget: dict[str, int]) -> None:
    console, table = standard_output(), _memory_table()
    for memory in row["memories"]:
        blocks, kind = memory["blocks"], memory["kind"]
        cells = (
            *(memory["count"], memory["width"], f"{memory['depth']:,}", kind.upper(), blocks),
            *(f"{100 * blocks / budget[kind]:.0f} %", f"{100 * memory['filled']:.0f} %"),
        )
        table.add_row(memory["memory"], *map(str, cells))
    console.print(table)


def _memory_table() -> "Table":
    """Return the table of memories, empty; small ones may end in logic instead of blocks."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("memory")
    for name in ("count", "bits", "words", "kind", "blocks", "of all", "filled"):
        table.add_column(name, justify="right")
    return table
