"""``narrowgauge verilog``: the accelerator for other people's designs."""

import re
from pathlib import Path
from typing import Any

import click

from . import options
from .progress import Reporter

__all__ = ["command"]


@click.command(
    "verilog",
    epilog="""\b
Examples:
  narrowgauge verilog digits.safetensors -o digits.v
  narrowgauge verilog digits.safetensors --rows 4 --columns 4 --name classifier -o classifier.v""",
)
@options.network_file
@options.geometry
@options.target
@click.option("--name", default="narrowgauge", show_default=True, help="Name of the top module.")
@click.option("--trace", is_flag=True, help="Keep the trace port.")
@options.output_file("Verilog file to write.")
def command(network: Path, output: Path, name: str, trace: bool, **values: Any) -> int:
    """Write a network's accelerator, its weights included, as one Verilog file.

    The network is a network file, or one of the zoo by its name.

    Ports: clk, rst; i__payload, i__valid, i__ready take elements, o__payload, o__valid, o__ready
    give levels and class. Equal modules are written once.
    """
    from ..hw.errors import NarrowgaugeError
    from ..hw.files import write_atomically
    from ..hw.program import Program
    from ..hw.synth.build import accelerator_for
    from ..hw.synth.targets import target as find_target
    from ..hw.synth.verilog import convert
    from .networks import load_network

    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise NarrowgaugeError(f"--name is a Verilog name such as classifier, not {name!r}")
    geometry = options.make_geometry(values)
    program = Program(load_network(network, geometry.lanes), geometry, **options.grouping(values))
    accelerator = accelerator_for(program, find_target(values["target"]))
    with Reporter() as reporter, reporter.step("write Verilog"):
        text = convert(accelerator, name=name, ignore=() if trace else ("trace",))
    write_atomically(output, text)
    payload, result = accelerator.i.payload.shape(), accelerator.o.payload.shape()
    print(f"{output}: module {name}, {len(text.splitlines())} lines")
    print(f"i__payload: {_fields(payload)}")
    print(f"o__payload: {_fields(result)}")
    return 0


def _fields(layout: Any) -> str:
    """Describe where the fields of a payload lie."""
    parts = []
    for name, field in layout:
        if not field.width:
            continue
        high = field.offset + field.width - 1
        parts.append(f"{name} [{high}:{field.offset}]")
    return ", ".join(parts)
