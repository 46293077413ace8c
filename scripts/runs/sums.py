"""Bounds of sums, as reports show them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...hw.errors import DataError
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Float
from ...hw.program.bounds import BOUNDS, SumBound
from ...model.data import is_file
from .imports import short

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SEEN", "calibration_levels", "print_sums", "register_text", "sums_row", "sums_rows"]

SEEN = 64
"""Images on which sums are looked at, unless more are asked for."""
FEWEST = 8  # of fewer no range can be told


def sums_row(bounds: Mapping[str, SumBound], overflow: str) -> dict[str, int | None]:
    """Return the bits that a layer's sums take by each bound; None where it needs images."""
    return {kind: bounds[kind].needed(overflow).bits if kind in bounds else None for kind in BOUNDS}


def sums_rows(
    network: Network, lanes: int, images: np.ndarray | None = None, *, sliced: bool = False
) -> list[dict[str, str | int | None]]:
    """Return, for each layer on the array, the bits of its sums by each bound, and the register's.

    Floats have no bounds: there it is how many sums and outputs of images are infinite, and of how
    many.

    ``holds_by`` is the widest bound that fits the register, and empty where none does.

    Parameters
    ----------
    network : Network
        Its accumulator is the register, and says which sums have to fit.
    lanes : int
        Pairs a step.
    images : integer array of shape (images, height, width, channels), optional
        Input levels for what is calibrated.
    sliced : bool
        Whether the array multiplies slices of weights.
    """
    from ...model.integers.partial_sums import network_bounds

    register = network.accumulator
    if isinstance(register, FloatSum):
        return [] if images is None else _infinite(network, lanes, images)
    overflow = "wrap" if sliced else register.overflow  # slices always wrap
    rows: list[dict[str, str | int | None]] = []
    for name, bounds in network_bounds(network, lanes, images, sliced=sliced).items():
        bits = sums_row(bounds, overflow)
        fitting = (kind for kind, width in bits.items() if width and width <= register.width)
        rows.append(
            {"layer": name, **bits, "accumulator": register.width, "holds_by": next(fitting, "")}
        )
    return rows


def print_sums(rows: Sequence[Mapping[str, str | int | None]], console: "Console") -> None:
    """Print the bits of sums by each bound beside those of the register, where there are any."""
    if not rows or "infinite_sums" in rows[0]:
        _print_infinite(rows, console)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("sums of")
    for name in (*BOUNDS, "accumulator"):
        table.add_column(name, justify="right")
    table.add_column("holds by")
    for row in rows:
        held = str(row["holds_by"])
        widths = ("" if row[name] is None else str(row[name]) for name in (*BOUNDS, "accumulator"))
        table.add_row(short(str(row["layer"])), *widths, SAID.get(held, held))
    console.print(table)


def _infinite(
    network: Network, lanes: int, images: np.ndarray
) -> list[dict[str, str | int | None]]:
    """Return how many sums and outputs of each layer of floats are infinite, and of how many."""
    from ...model.integers.reference import evaluate

    traced = {each.name: each for each in evaluate(network, images, lanes, trace=True).layers}
    rows: list[dict[str, str | int | None]] = []
    for layer in network:
        found = traced[layer.name]
        if found.overflowed is None or not isinstance(layer.output, Float):
            continue
        beyond = int((abs(found.levels) >= layer.output.infinity).sum())
        rows.append(
            {
                "layer": layer.name,
                "infinite_sums": int(found.overflowed.sum()),
                "infinite_outputs": beyond,
                "sums": found.levels.numel(),
            }
        )
    return rows


def _print_infinite(rows: Sequence[Mapping[str, str | int | None]], console: "Console") -> None:
    """Print which layers of floats have infinite sums or outputs on the images."""
    for row in rows:
        if row["infinite_sums"] or row["infinite_outputs"]:
            console.print(
                f"{short(str(row['layer']))}: of {row['sums']:,} sums of some images "
                f"{row['infinite_sums']:,} became infinite, and {row['infinite_outputs']:,} "
                "outputs: take a format with more bits of exponent"
            )


def register_text(register: Accumulator | FloatSum) -> str:
    """Return what is said of the register of a network's sums."""
    if isinstance(register, Accumulator):
        return f"{register.width}-bit accumulator"
    partial = f", {register.partial_sums} of them in turn" if register.partial_sums > 1 else ""
    return f"sums in {register.format}{partial}"


SAID = {"calibrated": "calibrated, no guarantee", "": "nothing: inputs overflow it"}


def calibration_levels(network: Network, origin: Path, data: str, count: int) -> np.ndarray:
    """Return input levels of images to calibrate on, of shape (images, height, width, channels).

    Parameters
    ----------
    network : Network
        What reads them.
    origin : Path
        Where it came from, for errors.
    data : str
        A data set, of whose training images they are, or else of its test images; or a file, as
        `load_inputs` takes it.
    count : int
        How many at most.

    Raises
    ------
    DataError
        Where they are missing, of another size, or too few are asked for.
    """
    from .loading import input_levels, load_images, load_inputs

    if count < FEWEST:
        raise DataError(f"a calibration takes at least {FEWEST} images, not {count}")
    is_card = data == network.about.get("dataset") and "preparation" not in network.about
    if is_file(data) and not is_card:  # what a network was trained on is images, not levels
        return load_inputs(network, origin, data, count)[0]
    dataset = load_images(replace(network, about={**network.about, "dataset": data}), origin)
    found = dataset.train_images if len(dataset.train_images) else dataset.test_images
    chosen = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return input_levels(network, replace(dataset, test_images=found[chosen]))
