"""``narrowgauge export``: a network for other people's tools."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..terminal import options
from ..terminal.progress import Reporter, standard_output

__all__ = ["command"]


@click.command(
    "export",
    epilog="""\b
Examples:
  narrowgauge export digits.safetensors -o digits.onnx
  narrowgauge export mnist-lenet5-int4 -o lenet5.onnx --batch 100 --json""",
)
@options.network_file
@options.output_file("ONNX file to write.")
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Images that the graph takes at a time.",
)
@options.json_output
def command(network: Path, output: Path, batch: int, as_json: bool) -> int:
    """Write a network in the QONNX dialect of ONNX, which runs to the same levels.

    The network is a network file, or one of the zoo by its name.

    The graph takes input levels, channels first, and gives a level a class. A layer's levels are
    rounded sums (mul-add) where float32 gives the same, else counted thresholds; either is compared
    with the integers at every sum at which one of them steps.
    """
    from ..runs.loading import load_network

    with Reporter() as reporter:
        with reporter.step("load the libraries"):
            from ...model.exchange.extra import require
            from ...model.exchange.writing.qonnx import save_qonnx

            require()
        loaded = load_network(network, lanes=1)
        with reporter.step("export"):
            exported = save_qonnx(loaded, output, batch=batch)
    graph = exported.model.graph
    shape = [each.dim_value for each in graph.input[0].type.tensor_type.shape.dim]
    if as_json:
        row = {"network": loaded.name, "file": str(output), "nodes": len(graph.node)}
        row |= {"input": shape, "layers": [asdict(layer) for layer in exported.layers]}
        print(json.dumps(row, indent=2))
    else:
        print(f"{output}: {len(graph.node)} nodes, input {'x'.join(map(str, shape))}")
        standard_output().print(_table(exported.layers))
    return 0


def _table(layers: Any) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for column in ("layer", "kind", "levels from"):
        table.add_column(column)
    table.add_column("sums compared", justify="right")
    for layer in layers:
        compared = f"{layer.compared:,}" if layer.method else ""
        table.add_row(layer.layer, layer.kind, layer.method, compared)
    return table
