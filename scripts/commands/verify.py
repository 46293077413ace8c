"""``narrowgauge verify``: from PyTorch to the bitstream, link by link."""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ...hw.errors import MismatchError
from ..terminal import options
from ..terminal.progress import Reporter
from .build import MakingOptions, board_argument, make, making

if TYPE_CHECKING:
    import numpy as np

    from ...boards.build.bitstream import Bitstream
    from ..runs.checked import Reference

__all__ = ["VerifyOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(MakingOptions):
    """Options of the command."""

    images: int
    data: str | None
    as_json: bool


@click.command(
    "verify",
    epilog="""\b
Examples:
  narrowgauge verify icebreaker digits.safetensors --images 20
  narrowgauge verify ulx3s_25f mnist-bipolar-64-64-64 --images 100 --json""",
)
@board_argument
@options.network_file
@click.option(
    "--images", type=click.IntRange(1), default=20, show_default=True, help="Test images to run."
)
@click.option(
    "--data",
    help="A data set, or a .npy or .npz file of input levels, or of images as an imported model "
    "reads them [default: the data set of the network's card].",
)
@making
@options.json_output
@options.gathered(VerifyOptions)
def command(given: VerifyOptions) -> int:
    """Prove by equality that a bitstream computes what PyTorch does, on test images.

    Each link compares two of these: the integer reference in PyTorch, the simulated accelerator,
    the simulated top level of the board, the netlist that Yosys mapped, and the netlist that the
    bitstream holds (iCE40, with IceStorm's icebox_vlog) or that was routed (ECP5).
    """
    from ...boards.catalogue.entries import board as find_board
    from ...boards.proof.chain import STAGES, check_tools, check_weights, verify

    check_tools(find_board(given.board))  # before anything takes long
    built = make(given)
    check_weights(built)
    with Reporter() as reporter:
        with reporter.step("load PyTorch"):
            from ..runs.loading import load_inputs
        program = built.device.accelerator.program
        levels, _ = load_inputs(program.network, given.network, given.data, given.images)
        with reporter.step(f"simulate the accelerator, {len(levels)} images"):
            first, expected = _first(built, levels)
        links = [first]
        chain = verify(built, levels, expected.levels, expected.labels)
        for stage in STAGES[built.board.target.family.name]:
            with reporter.step(f"simulate the {stage.name}") as step:
                link = next(chain)
                step.note(f"{link.mismatches} mismatches")
            links.append(link.row())
    row = {"proven": all(link["holds"] for link in links), "links": links}
    if given.as_json:
        print(json.dumps(row | {"bitstream": built.provenance()}, indent=2))
    else:
        _print(links)
    broken = [link for link in links if not link["holds"]]
    if broken:
        raise MismatchError(
            f"{broken[0]['name']}: {broken[0]['mismatches']} of {broken[0]['images']} images "
            f"differ; {broken[0]['first'] or 'the pin tx changes in other cycles'}"
        )
    return 0


def _first(built: "Bitstream", levels: "np.ndarray") -> "tuple[dict[str, Any], Reference]":
    """Return the link from the reference to the accelerator, and what the reference says."""
    from ..runs.checked import simulate_and_compare

    started = time.perf_counter()
    accelerator = built.device.accelerator
    run, comparison, expected = simulate_and_compare(accelerator, levels, "auto")
    row = {
        "name": "PyTorch reference = RTL of the accelerator",
        "checked": f"levels and classes; of {comparison.traced} images every sum of every layer",
        "images": len(levels),
        "levels": int(run.levels.size) + comparison.traced * accelerator.program.sums,
        "mismatches": comparison.mismatches,
        "first": str(comparison.first or ""),
        "cycles": run.cycles,
        "same_cycles": None,
        "seconds": round(time.perf_counter() - started, 2),
        "holds": bool(comparison),
    }
    return row, expected


def _print(links: list[dict[str, Any]]) -> None:
    for link in links:
        verdict = "holds" if link["holds"] else "BROKEN"
        print(
            f"{verdict}: {link['name']}\n"
            f"  {link['images']} images, {link['mismatches']} mismatches, {link['cycles']:,} "
            f"cycles, {link['seconds']} s; {link['checked']}"
        )
