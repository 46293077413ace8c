"""``narrowgauge explain``: what a model would become, before it is trained or mapped."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...hw.errors import NetworkError
from ...hw.synth.targets import TARGETS as DEVICES
from ..runs import imports
from ..runs.readers import ExplainOptions, reader_of
from ..runs.sums import SEEN, print_sums
from ..terminal import options
from ..terminal.progress import Reporter, standard_output
from .synthesize import described

if TYPE_CHECKING:
    from rich.console import Console

    from ..runs.explained import Explanation

__all__ = ["command"]


@click.command(
    "explain",
    epilog="""\b
Examples:
  narrowgauge explain model.onnx
  narrowgauge explain mnist-lenet5-int4 --rows 4 --columns 4 --lanes 8
  narrowgauge explain mine.networks:small --image-shape 28,28,1 --weight int4 --json""",
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@imports.reading
@click.option(
    "--image-shape",
    type=options.Numbers(),
    help="Height, width and channels of the images that a torch module reads.",
)
@click.option(
    "--classes",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="What a function gets that asks for `classes`.",
)
@click.option("--weight", default="int8", show_default=True, help="Weights of a torch module.")
@click.option("--activation", help="Its activations [default: what goes with the weights].")
@click.option("--input", default="uint8", show_default=True, help="Format of its pixels.")
@click.option("--data", help="Data set, or file, of images on which sums are looked at.")
@click.option(
    "--calibration", default=SEEN, show_default=True, metavar="N", help="How many of them."
)
@options.geometry
@click.option(
    "--target",
    help="Estimate logic cells, registers, DSP blocks and the clock on this one, too.",
)
@options.json_output
@options.gathered(ExplainOptions)
def command(given: ExplainOptions) -> int:
    """Show what a model would become, before anything is trained or mapped.

    MODEL is an ONNX or TFLite file, a network file or a name of the zoo, or
    package.module:function, which gives a torch module. For each layer: kind, formats, bits of its
    sums, how they become levels, and cycles; then memory and cycles on each target. Where parts are
    not supported all of them are listed, with the nearest thing that is, and the command ends with
    status 1.
    """
    reader = reader_of(given.model)
    device = DEVICES.find(given.target) if given.target else None
    for name in reader.ignored:
        options.refuse(name, f"says nothing about {given.model} ({reader.kind})")
    if given.data is None:
        options.refuse("calibration", "is how many images of --data are looked at")
    with Reporter() as reporter:
        found = reader.explain(given, reporter)
    estimated = found.estimate(device) if device else None
    if given.as_json:
        also = {"estimate": {"target": given.target, **asdict(estimated)}} if estimated else {}
        print(json.dumps(found.plain() | also, indent=2))
    else:
        _print(found, standard_output())
        if device and estimated:
            print(f"{found.name} on {device.name}, estimated: {described(estimated, device)}")
    if isinstance(found.laid_out, Exception):
        raise found.laid_out
    if found.refusals:
        count = len(found.refusals)
        parts = "1 part is" if count == 1 else f"{count} parts are"
        raise NetworkError(f"{given.model}: {parts} not supported; the list says which")
    return 0


def _print(found: "Explanation", console: "Console") -> None:
    console.print(f"{found.name}, {found.kind}", style="bold", markup=False, soft_wrap=True)
    if found.refusals:
        rows = [each._asdict() for each in found.refusals]
        _table(console, rows, {"where": "what", "reason": "why not", "nearest": "nearest"})
    if found.network is not None:
        shown = found.plain()
        layers = [_percent(asdict(each)) for each in found.layers]
        _table(console, layers, LAYERS)
        if any(each.slices for each in found.layers):
            _table(console, layers, SLICES)
        if found.sums:
            print_sums(found.sums, console)
        _table(console, shown["targets"], TARGETS)
    for remark in found.remarks:
        console.print(remark, markup=False, soft_wrap=True)


LAYERS = {
    "layer": "layer",
    "kind": "kind",
    "weight": "weights",
    "sparsity": "zeros",
    "input": "input",
    "output": "output",
    "size": "size",
    "sum_bits": "sums",
    "method": "method",
    "macs": "MACs",
    "cycles": "cycles",
}
SLICES = {
    "layer": "layer",
    "bits_a_weight": "bits a weight",
    "slices": "tiles x slices",
    "weight_memory": "weight memory, bits",
    "utilisation": "used",
}
TARGETS = {
    "target": "target",
    "bram": "block RAM",
    "bram_available": "of",
    "spram": "single-port RAM",
    "spram_available": "of ",
    "fits": "memory fits",
    "cycles_per_image": "cycles an image",
}


def _percent(layer: dict[str, object]) -> dict[str, object]:
    """Return what is known of a layer, with shares as percentages."""
    shares = {name: layer[name] for name in ("utilisation", "sparsity")}
    return layer | {
        name: None if share is None else f"{100 * float(str(share)):.0f} %"
        for name, share in shares.items()
    }


def _table(console: "Console", rows: object, columns: dict[str, str]) -> None:
    """Print rows of plain data."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    assert isinstance(rows, list)
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name, title in columns.items():
        is_number = isinstance(rows[0][name], int | float) and rows[0][name] is not True
        table.add_column(title, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(Text(_shown(row[name])) for name in columns))
    console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}" if value else ""
    return "" if value is None else str(value)
