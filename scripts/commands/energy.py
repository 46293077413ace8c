"""``narrowgauge energy``: what an image takes on a device, from what toggles."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import click

from ...hw.errors import DataError
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

if TYPE_CHECKING:
    import numpy as np

    from ...hw.accelerator.top import Accelerator
    from ...hw.energy.charges import Charges
    from ..runs.energies import EnergyPart

__all__ = ["EnergyOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class EnergyOptions(options.AcceleratorOptions):
    """Options of the command."""

    network: Path
    accumulator: int | None
    overflow: str | None
    data: str | None
    images: int | None
    frequency: float | None
    seed: int
    as_json: bool


@click.command(
    "energy",
    epilog="""\b
Examples:
  narrowgauge energy digits.safetensors
  narrowgauge energy digits.safetensors --images 100 --frequency 12
  narrowgauge energy mnist-lenet5-bipolar --images 200 --lanes 8 --contexts 1 --json
  narrowgauge energy digits.safetensors --target ecp5-25k""",
)
@options.network_file
@options.geometry
@options.target
@options.multiplier
@options.accumulator
@click.option(
    "--data",
    help="A data set, or a .npy or .npz file of input levels, or of images as an imported model "
    "reads them [default: the data set of the network's card].",
)
@options.images
@click.option(
    "--frequency",
    type=click.FloatRange(0, min_open=True),
    metavar="MHZ",
    help="Clock [default: the fastest that the placement reaches].",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of placement.")
@options.json_output
@options.gathered(EnergyOptions)
def command(given: EnergyOptions) -> int:
    """Place and route a network's accelerator, and tell what an image takes.

    Test images run through the netlist that was routed. The wires that each net charges are counted
    and weighed with what others have measured on a UP5K; each part is given with its range, and
    with what it rests on. Other devices have relative units only: on other iCE40s the lengths of
    these wires, on ECP5 and Gowin the toggles of the mapped netlist.
    """
    device = given.device
    with Reporter() as reporter, reporter.step("load PyTorch"):
        from ..runs.energies import MEASURED, check_target, reads_wires
        from ..runs.loading import load_inputs, load_network, set_accumulator

    check_target(device)
    if device.name not in MEASURED:
        options.refuse("frequency", f"is of energy, and {device.name} has relative units only")
    if not reads_wires(device):
        options.refuse("seed", f"is of a placement, and toggles on {device.name} are of none")
    loaded = load_network(given.network, given.geometry.lanes)
    loaded = set_accumulator(loaded, given.accumulator, given.overflow)
    images, _ = load_inputs(loaded, given.network, given.data, given.images)
    if given.images is not None and len(images) < given.images:
        raise DataError(
            f"--images is 1 to {len(images)}, which is how many there are, not {given.images}"
        )
    row = {"network": loaded.name, "target": device.name, "images": len(images)}
    accelerator = given.accelerator(given.program(loaded))
    with Reporter() as reporter:
        count = _routed if reads_wires(device) else _mapped
        row |= count(accelerator, images, given, reporter, loaded.name)
    if given.as_json:
        print(json.dumps(row, indent=2))
    elif device.name in MEASURED:
        _print_energy(row)
    else:
        _print_relative(row)
    return 0


def _routed(
    accelerator: "Accelerator",
    images: "np.ndarray",
    given: EnergyOptions,
    reporter: Reporter,
    text: str,
) -> dict[str, Any]:
    """Return what a routed accelerator takes: as energy, or as lengths of wire."""
    from ..runs.energies import MEASURED, count_charges, lengths

    hertz = None if given.frequency is None else 1e6 * given.frequency
    found = count_charges(
        accelerator,
        given.device,
        images,
        frequency=hertz,
        seed=given.seed,
        reporter=reporter,
        text=text,
    )
    row = {"seed": given.seed, **_counted(found)}
    if given.target in MEASURED:
        return row | _energy(found, hertz or found.placed.fmax)
    unit = "tiles of wire charged or discharged an image"
    return row | _relative(lengths(found), f"{unit}; no energy: without clock, memories, glitches")


def _mapped(
    accelerator: "Accelerator",
    images: "np.ndarray",
    given: EnergyOptions,
    reporter: Reporter,
    text: str,
) -> dict[str, Any]:
    """Return what toggles in an accelerator that is mapped."""
    from ..runs.energies import count_mapped, toggled

    found = count_mapped(accelerator, given.device, images, reporter=reporter, text=text)
    unit = "settled toggles of mapped nets an image"
    row = {"cycles_per_image": accelerator.cycles.per_image, "nets": len(found.bits)}
    return row | _relative(
        toggled(found), f"{unit}; no energy: without wires, clock, memories, glitches"
    )


def _counted(found: "Charges") -> dict[str, Any]:
    """Return what was simulated, and which nets it is of."""
    images = found.activity.images
    return {
        "fmax_mhz": found.placed.fmax / 1e6,
        "cycles_per_image": found.cycles / images,
        "toggles_per_image": sum(net.toggles for net in found.nets) / images,
        "nets": len(found.nets),
        "nets_apart": {reason: len(names) for reason, names in found.apart.items()},
    }


def _energy(found: "Charges", frequency: float) -> dict[str, Any]:
    from ..runs.energies import parts, total

    each = parts(found, frequency)
    whole = total(each)
    an_image = found.cycles / found.activity.images / frequency  # seconds
    return {
        "frequency_mhz": frequency / 1e6,
        "images_per_second": 1 / an_image,
        "microjoules": asdict(whole),
        "milliwatts": asdict(1e-3 / an_image * whole),
        "parts": [_plain(part) for part in each],
    }


def _plain(part: "EnergyPart") -> dict[str, Any]:
    return {"part": part.name, **asdict(part.microjoules), "rests_on": part.rests_on}


def _relative(found: dict[str, float], unit: str) -> dict[str, Any]:
    order = sorted(found.items(), key=lambda each: -each[1])
    return {
        "unit": unit,
        "value": sum(found.values()),
        "parts": [{"part": name, "value": each} for name, each in order],
    }


def _print_energy(row: dict[str, Any]) -> None:
    power = row["milliwatts"]
    print(
        f"{row['network']} on {row['target']}: {_range(row['microjoules'])} microjoules an image, "
        f"{_range(power)} mW at {row['frequency_mhz']:.2f} MHz and {row['images_per_second']:,.0f} "
        "images/s, core, modelled"
    )
    _print_counted(row)
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("part")
    for name in ("microjoules", "from", "to", "share", "rests on"):
        table.add_column(name, justify="right")
    reasons = list(dict.fromkeys(part["rests_on"] for part in row["parts"]))
    for part in row["parts"]:
        share = part["value"] / row["microjoules"]["value"]
        numbers = [_number(part[name]) for name in ("value", "low", "high")]
        letter = ascii_lowercase[reasons.index(part["rests_on"])]
        table.add_row(part["part"], *numbers, f"{100 * share:.1f} %", letter)
    console = standard_output()
    console.print(table)
    for letter, reason in zip(ascii_lowercase, reasons, strict=False):
        console.print(f"{letter}: {reason}", markup=False, soft_wrap=True)


def _print_relative(row: dict[str, Any]) -> None:
    print(f"{row['network']} on {row['target']}: {row['value']:,.0f} {row['unit']}")
    if "nets_apart" in row:
        _print_counted(row)
    else:
        print(
            f"{row['images']} images, {row['cycles_per_image']:,.1f} cycles each; "
            f"{row['nets']:,} nets; mapped, not routed"
        )
    for part in row["parts"]:
        print(f"  {part['part']:<12} {part['value']:>12,.0f}")


def _print_counted(row: dict[str, Any]) -> None:
    apart = ", ".join(f"{count} {reason}" for reason, count in row["nets_apart"].items())
    print(
        f"{row['images']} images, {row['cycles_per_image']:,.1f} cycles and "
        f"{row['toggles_per_image']:,.0f} settled toggles each; {row['nets']:,} nets with toggles "
        f"and wires; apart: {apart}; the placement reaches {row['fmax_mhz']:.2f} MHz"
    )


def _range(figure: dict[str, float]) -> str:
    value, low, high = (_number(figure[name]) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _number(value: float) -> str:
    """Return three digits that count."""
    return f"{float(f'{value:.3g}'):,.{max(0, 2 - _magnitude(value))}f}" if value else "0"


def _magnitude(value: float) -> int:
    return int(f"{value:.2e}".partition("e")[2])
